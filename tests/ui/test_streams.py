"""What the pages of streams can do, and how they follow a stream."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import redis

from tests.ui.browser import Browser
from tests.ui.hostile import CONTROLS, MARK, NAME
from tests.ui.test_actions import answered

KEY = "made <b>here</b>"
PAGE = "/streams/stream?key=made%20%3Cb%3Ehere%3C%2Fb%3E"


@pytest.fixture
def stream(client: redis.Redis) -> Iterator[str]:
    """A stream with two entries; returns the first one's ID."""
    identifier = client.xadd(KEY, {"text": "first"})
    client.xadd(KEY, {"text": "second"})
    yield str(identifier)
    client.delete(KEY, f"{KEY}:dead")


def test_entries_are_deleted(browser: Browser, client: redis.Redis, stream: str) -> None:
    added = client.xadd(KEY, {"json": '{"a": [1, 2]}'})
    browser.open(PAGE)
    browser.press(browser.find("#entries a"))
    assert browser.find("h1").text == added and "json" in browser.text.lower()
    browser.press(browser.button("Delete"))
    assert answered(browser, f"Delete the entry {added} of {KEY}?") == "The entry was deleted."
    assert client.xrange(KEY, added, added) == [] and browser.problems() == []


def test_dead_letters_are_redriven(browser: Browser, client: redis.Redis, stream: str) -> None:
    client.xgroup_create(KEY, "workers", "$")
    letter = {
        "text": "it failed", "dead-stream": KEY, "dead-id": "5-0", "dead-group": "workers", "dead-reason": NAME,
        "dead-delivery-count": "5", "dead-consumer": "one", "dead-time": "1795987323804",
    }  # fmt: skip
    client.xadd(f"{KEY}:dead", letter)
    browser.open(f"{PAGE}%3Adead")
    assert browser.find("#entries .badge").text == "dead"
    browser.press(browser.find("#entries a"))
    browser.press(browser.button("Redrive"))
    assert answered(browser, "Return ") == f"It is back in {KEY}."
    [(_, fields)] = client.xrevrange(KEY, count=1)
    assert fields["text"] == "it failed" and client.xlen(f"{KEY}:dead") == 0


def test_a_stream_is_followed_until_one_has_seen_enough(browser: Browser, client: redis.Redis, stream: str) -> None:
    browser.open(PAGE)
    follow = browser.find("#follow")
    assert not browser.find("#followed").is_displayed()
    follow.click()
    browser.until(lambda: browser.find("#follow-note").text, "it says that it follows")
    assert follow.get_attribute("aria-pressed") == "true"
    client.xadd(KEY, {NAME: NAME, "controls": CONTROLS})
    client.xadd(KEY, {"text": "last"})
    browser.until(lambda: len(browser.every("#followed tbody tr")) == 2, "the new entries are there")
    first, second = browser.every("#followed tbody tr")
    assert "last" in first.text and NAME in second.text
    assert browser.every("#followed script, #followed img, #followed svg") == []
    assert browser.run(f"return typeof {MARK}") == "undefined"
    assert re.findall("[\x00-\x08\x0b-\x1f\u202e\u2028]", second.get_attribute("textContent") or "") == []
    follow.click()
    assert follow.get_attribute("aria-pressed") == "false" and browser.problems() == []
