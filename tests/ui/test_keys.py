"""What the pages of keys can do, by filling in their forms."""

from __future__ import annotations

import pytest
import redis

from tests.ui.browser import Browser
from tests.ui.test_actions import answered

KEY = 'made <b>here</b> & "there"'


def test_a_key_is_created_and_expires(browser: Browser, client: redis.Redis) -> None:
    browser.open("/keys")
    browser.press(browser.find("a[href='/keys/new']"))
    browser.write("#key", KEY)
    browser.run("document.querySelector('#type').value = 'hash'")
    browser.write("#name", "<i>field</i>")
    browser.write("#value", "first\nsecond")
    browser.press(browser.button("Create"))
    assert answered(browser, f"Create the hash {KEY}?") == "The key was created."
    assert client.hgetall(KEY) == {"<i>field</i>": "first\nsecond"}

    browser.write("#seconds", "600")
    browser.press(browser.button("Set"))
    assert answered(browser, f"Delete {KEY} in 600 seconds?") == "Its time to live was set."
    assert 0 < client.ttl(KEY) <= 600
    assert browser.problems() == []
    client.delete(KEY)


@pytest.mark.parametrize("data", [b"binary \xff\x00\r\n", b"a&b=c%20+d"], ids=["binary", "as in an address"])
def test_any_name_leads_to_its_key(browser: Browser, client: redis.Redis, data: bytes) -> None:
    name = data + b" to be found"
    client.set(name, b"\xff the value")
    browser.open("/keys?how=part&search=to+be+found")
    browser.press(browser.find("#keys tbody a"))
    assert browser.find("#value").text.startswith("ff 20") or "ff20" in browser.find("#value").text
    browser.press(browser.button("Delete"))
    answered(browser, "Delete ")
    assert client.exists(name) == 0


def test_a_change_made_meanwhile_is_not_overwritten(browser: Browser, client: redis.Redis) -> None:
    client.set("raced", "before")
    browser.open("/keys/element?key=raced&type=string")
    browser.write("#value", "mine")
    client.set("raced", "theirs")
    browser.press(browser.button("Set"))
    browser.press(browser.find("#confirm"))
    assert browser.find("h1").text == "Error 409" and client.get("raced") == "theirs"
    client.delete("raced")
