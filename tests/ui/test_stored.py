"""Keys, streams and channels: changed, followed and listened to in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
import redis

from tests.ui.browser import Browser
from tests.ui.hostile import MARK, NAME
from tests.ui.sites import Sites
from tests.ui.test_actions import answered

KEY = f"own {NAME}"
ADDRESS = f"key={quote(KEY, safe='')}"


@pytest.fixture(autouse=True)
def _left_as_it_was(client: redis.Redis) -> Iterator[None]:
    yield
    client.delete(KEY, f"{KEY}2")


def test_a_field_is_changed(browser: Browser, client: redis.Redis) -> None:
    client.hset(KEY, NAME, "old")
    browser.open("/keys")
    browser.enter("/", "own ")
    browser.press(browser.find("#keys tbody a"))
    assert browser.find("h1").text.startswith(KEY)
    browser.press(browser.find("#elements tbody a"))
    assert browser.find("#value").get_attribute("value") == "old"
    browser.write("#value", "first\nsecond <b>")
    browser.press(browser.button("Set"))
    assert client.hget(KEY, NAME) == "old"
    assert answered(browser, f"Set {NAME}") == "It was set."
    assert client.hget(KEY, NAME) == "first\nsecond <b>" and "second <b>" in browser.text
    assert browser.problems() == []


def test_bytes_come_back_as_they_were(browser: Browser, client: redis.Redis, server: str) -> None:
    data = bytes(range(256))
    with redis.Redis.from_url(server) as plain:
        plain.set(KEY, data)
        browser.open(f"/keys/element?{ADDRESS}&type=string")
        assert browser.find("#value").get_attribute("value") == data.hex()
        browser.press(browser.button("Set"))
        assert answered(browser, "Set the string") == "It was set."
        assert plain.get(KEY) == data
        for text in ("\n\nlines\n", " \ttabs ", "a\r\nb", ""):
            plain.set(KEY, text)
            browser.open(f"/keys/element?{ADDRESS}&type=string")
            browser.press(browser.button("Set"))
            assert answered(browser, "Set the string") == "It was set."
            assert plain.get(KEY) == text.encode()


def test_a_key_is_renamed_and_deleted(browser: Browser, client: redis.Redis) -> None:
    client.set(KEY, "x")
    browser.open(f"/keys/key?{ADDRESS}")
    browser.write("#name", f"{KEY}2")
    browser.press(browser.button("Rename"))
    assert answered(browser, f"Rename {KEY}"[:40]) == "The key was renamed."
    assert client.get(f"{KEY}2") == "x" and browser.find("h1").text.startswith(KEY[:40])
    browser.press(browser.button("Delete"))
    assert answered(browser, "Delete own").endswith("was deleted.")
    assert not client.exists(f"{KEY}2") and browser.path == "/keys"


def test_a_stream_is_added_to_and_followed(browser: Browser, client: redis.Redis, sites: Sites) -> None:
    client.xadd(KEY, {"old": "1"})
    browser.open(f"/streams/stream?{ADDRESS}")
    browser.button("Follow live").click()
    browser.until(lambda: browser.find("#follow-note").text == "Following.", "the stream is followed")
    client.xadd(KEY, {NAME: NAME}, id="99999999999999-1")
    browser.until(lambda: len(browser.every("#followed tbody tr")) == 1, "the new entry is shown")
    assert browser.find("#followed tbody th").text == "99999999999999-1"
    assert NAME in browser.find("#followed tbody td").text and browser.run(f"return typeof {MARK}") == "undefined"
    browser.button("Stop following").click()
    browser.until(lambda: sites.consoles["open"].streams == 0, "it is not followed any more")
    browser.press(browser.find('main a[href^="/streams/new-entry"]'))
    browser.write("#id", "99999999999999-2")
    browser.write("#field-0", "by hand")
    browser.write("#value-0", "<b>")
    browser.press(browser.button("Add"))
    assert answered(browser, "Add an entry of 1 fields") == "The entry 99999999999999-2 was added."
    assert browser.find("#entries tbody a").text == "99999999999999-2"
    assert client.xlen(KEY) == 3 and browser.problems() == []


def test_a_channel_is_listened_to_and_published_on(browser: Browser, client: redis.Redis, sites: Sites) -> None:
    browser.open("/channels")
    browser.write("#name", NAME)
    browser.press(browser.button("Open"))
    browser.button("Follow live").click()
    browser.until(lambda: "messages a second" in browser.find("#follow-note").text, "the channel is listened to")
    assert client.publish(NAME, NAME) == 1
    browser.until(lambda: len(browser.every("#messages tbody tr")) == 1, "the message is shown")
    assert [one.text for one in browser.every("#messages tbody td")][1] == NAME
    assert browser.run(f"return typeof {MARK}") == "undefined"
    browser.write("#message", "hello")
    browser.press(browser.button("Publish"))
    browser.until(lambda: sites.consoles["open"].streams == 0, "it is not listened to any more")
    assert answered(browser, "Publish this on the channel") == "It was published; 0 subscribers got it."
    assert browser.problems() == []
