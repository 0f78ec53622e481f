"""Policies and groups, changed by pressing what their pages have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import redis

from tests.ui.browser import NARROW, Browser
from tests.ui.test_actions import answered

KEY, GROUP = "governed <b>here</b>", "<i>workers</i>"
STREAM = f"/streams/stream?key={quote(KEY, safe='')}"
PAGE = f"/streams/group?key={quote(KEY, safe='')}&group={quote(GROUP, safe='')}"


@pytest.fixture
def stream(client: redis.Redis) -> Iterator[str]:
    """A stream of three entries with a group, of which a consumer has two in hand."""
    for number in range(1, 4):
        client.xadd(KEY, {"n": str(number)}, id=f"{number}-1")
    client.xgroup_create(KEY, GROUP, "0")
    client.xreadgroup(GROUP, "<b>one", {KEY: ">"}, count=2)
    yield KEY
    client.delete(KEY, *client.scan_iter("~policy:{governed*"))


def policy(client: redis.Redis) -> dict[str, Any]:
    reply: Any = client.execute_command("XGROUP CFGGET", KEY, GROUP)
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))


def test_a_groups_policy_is_changed(browser: Browser, client: redis.Redis, stream: str, axe: None) -> None:
    browser.open(PAGE)
    browser.find("#policy summary").click()
    assert browser.find("label[for=ack-wait]").text == "Ack wait (milliseconds)" and browser.barriers() == []
    browser.write("#ack-wait", "soon")
    browser.write("#dead-letter", "<dead>")
    browser.press(browser.button("Change"))
    assert "Ack wait: soon. Dead letters go to: <dead>." in browser.find("#warning").text and browser.barriers() == []
    browser.press(browser.find("#confirm"))
    # the reason is where the form is, which is open, and what was typed is there
    assert "not an integer" in browser.find("#policy #error").text and browser.barriers() == []
    assert browser.focused.get_attribute("id") == "error"
    assert browser.find("#dead-letter").get_attribute("value") == "<dead>"
    assert all("status of 400" in one for one in browser.problems())
    browser.write("#ack-wait", "5000")
    browser.press(browser.button("Change"))
    assert answered(browser, f"Change the policy of the group {GROUP} of {KEY}?") == "The policy was changed."
    found = policy(client)
    assert (found["ack-wait"], found["dead-letter"]) == (5000, "<dead>")
    browser.find("#policy summary").click()
    assert browser.find("#ack-wait").get_attribute("value") == "5000" and browser.problems() == []


def test_a_streams_policy_is_changed_on_a_phone(browser: Browser, client: redis.Redis, stream: str, axe: None) -> None:
    browser.look(dark=True, size=NARROW)
    browser.open(STREAM)
    browser.find("#policy summary").click()
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth") and browser.barriers() == []
    browser.write("#max-len", "2")
    browser.write("#channels", "news.*")
    browser.press(browser.button("Change"))
    assert "is removed at once" in browser.find("#warning").text
    assert answered(browser, f"Change the policy of {KEY}?") == "The policy was changed."
    assert client.xlen(KEY) == 2 and client.publish("news.world", "x") == 1


def test_a_stream_is_trimmed(browser: Browser, client: redis.Redis, stream: str) -> None:
    browser.open(STREAM)
    browser.find("#trim summary").click()
    browser.write("#threshold", "1")
    browser.press(browser.button("Trim"))
    assert "2 of its 3 entries are removed." in browser.find("#warning").text
    assert answered(browser, f"Trim {KEY} to its newest 1 entries?") == "2 entries were removed."
    assert client.xlen(KEY) == 1


def test_a_group_is_created_moved_and_deleted(browser: Browser, client: redis.Redis, stream: str) -> None:
    browser.open(STREAM)
    browser.press(browser.find('a[href^="/streams/new-group"]'))
    browser.write("#group", "<u>new</u>")
    browser.press(browser.button("Create"))
    assert answered(browser, "Create the group <u>new</u> of ") == "The group <u>new</u> was created."
    browser.find("#move summary").click()
    browser.write("#id", "1-1")
    browser.press(browser.button("Set"))
    assert answered(browser, "Have the group <u>new</u> go on after 1-1?") == "The last-delivered ID was set."
    assert {one["name"]: one["last-delivered-id"] for one in client.xinfo_groups(KEY)}["<u>new</u>"] == "1-1"
    browser.press(browser.button("Delete the group"))
    assert answered(browser, "Delete the group <u>new</u> of ") == "The group <u>new</u> was deleted."
    assert [one["name"] for one in client.xinfo_groups(KEY)] == [GROUP] and browser.problems() == []


def test_pending_entries_are_settled_by_hand(browser: Browser, client: redis.Redis, stream: str, axe: None) -> None:
    browser.open(PAGE)
    browser.press(browser.find('#pending a[href^="/streams/pending"]'))
    assert browser.barriers() == []
    browser.write("#consumer", "<b>two")
    browser.press(browser.button("Claim"))
    assert "<b>one is not told" in browser.find("#warning").text
    assert answered(browser, "Give the entry 1-1 to the consumer <b>two?") == "<b>two has the entry now."
    browser.press(browser.every('#pending a[href^="/streams/pending"]')[1])
    browser.press(browser.button("Acknowledge"))
    assert answered(browser, "Acknowledge the entry 2-1 ") == "The entry was acknowledged."
    assert [(one["message_id"], one["consumer"]) for one in client.xpending_range(KEY, GROUP, "-", "+", 9)] == [
        ("1-1", "<b>two")
    ]
    [delete] = [one for one in browser.every("#consumers button") if "two" in (one.get_attribute("aria-label") or "")]
    browser.press(delete)
    assert "It has an entry pending" in browser.find("#warning").text
    assert answered(browser, "Delete the consumer <b>two ") == "The consumer <b>two was deleted."
    assert client.xpending(KEY, GROUP)["pending"] == 0 and browser.problems() == []
