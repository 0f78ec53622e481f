"""Pages that change while they are looked at, without being loaded again."""

from __future__ import annotations

from contextlib import ExitStack

import redis

from tests.ui.browser import Browser
from tests.ui.sites import Sites


def figure(browser: Browser, field: str) -> float:
    text = browser.find(f'.chart[data-field="{field}"] output').text
    return 0.0 if text == "-" else float(text.replace(",", ""))


def test_charts_follow_the_server(browser: Browser, server: str) -> None:
    browser.open("/")
    browser.run("window.same = true")
    browser.until(lambda: figure(browser, "connections"), "the first figures are there")
    with ExitStack() as stack:
        before = figure(browser, "connections")
        for _ in range(20):
            stack.enter_context(redis.Redis.from_url(server)).ping()
        # some of those before may be gone by now
        browser.until(lambda: figure(browser, "connections") >= before + 10, "the new connections are seen")
        line = browser.find('.chart[data-field="connections"] path')
        browser.until(lambda: "L" in (line.get_attribute("d") or ""), "there is a line")
    assert browser.run("return window.same") is True and browser.problems() == []


def test_queues_follow_the_server(browser: Browser, client: redis.Redis, sites: Sites) -> None:
    client.sadd("rq:queues", "rq:queue:live")
    client.rpush("rq:queue:live", "a")
    try:
        _open(browser, "/queues?search=live")
        browser.run("window.same = true")
        [row] = browser.every('tr[data-key="rq live"]')
        cell = row.find_element("css selector", "[data-field=waiting]")
        assert cell.text == "1" and not browser.find("#live-more").is_displayed()
        client.rpush("rq:queue:live", "b", "c")
        browser.until(lambda: cell.text == "3", "the new jobs are counted")
        client.sadd("rq:queues", "rq:queue:live<2>")
        client.rpush("rq:queue:live<2>", "a")
        browser.until(lambda: browser.find("#live-more").is_displayed(), "the new queue is announced")
        assert browser.run("return window.same") is True
        browser.press(browser.find("#live-more"))
        assert len(browser.every("#queues tbody tr")) == 2 and browser.problems() == []
    finally:
        client.delete("rq:queue:live", "rq:queue:live<2>")
        client.srem("rq:queues", "rq:queue:live", "rq:queue:live<2>")


def test_streams_follow_the_server(browser: Browser, client: redis.Redis) -> None:
    name = "live <b>stream</b>"
    client.xadd(name, {"a": "b"})
    client.xgroup_create(name, "readers", "0")
    try:
        _open(browser, "/streams?search=live")
        browser.run("window.same = true")
        [row] = browser.every("#streams tbody tr")
        cells = [row.find_element("css selector", f"[data-field={field}]") for field in ("entries", "pending", "lag")]
        assert [cell.text for cell in cells] == ["1", "0", "1"]
        client.xadd(name, {"a": "b"})
        client.xreadgroup("readers", "one", {name: ">"}, count=1)
        browser.until(lambda: [cell.text for cell in cells] == ["2", "1", "1"], "the new figures are there")
        client.delete(name)
        browser.until(lambda: [cell.text for cell in cells] == ["-", "-", "-"], "it is seen to be gone")
        assert browser.find("#live-more").is_displayed()
        assert browser.run("return window.same") is True and browser.problems() == []
    finally:
        client.delete(name)


def test_channels_follow_the_server(browser: Browser, client: redis.Redis) -> None:
    with client.pubsub() as first, client.pubsub() as second:
        first.subscribe("live <b>channel</b>")
        _open(browser, "/channels?search=live")
        browser.run("window.same = true")
        [cell] = browser.every("#channels [data-field=subscribers]")
        assert cell.text == "1" and not browser.find("#live-more").is_displayed()
        second.subscribe("live <b>channel</b>")
        browser.until(lambda: cell.text == "2", "the new subscriber is counted")
        second.subscribe("live two")
        browser.until(lambda: browser.find("#live-more").is_displayed(), "the new channel is announced")
        assert browser.run("return window.same") is True and browser.problems() == []


def _open(browser: Browser, path: str) -> None:
    """Open a list, as soon as it has rows."""

    def found() -> bool:
        browser.open(path)
        return bool(browser.every("tr[data-key]"))

    browser.until(found, "the console finds what is to be listed")


def test_a_page_that_is_left_is_sent_nothing_more(browser: Browser, sites: Sites) -> None:
    console = sites.consoles["open"]
    browser.until(lambda: console.streams == 0, "no page is open")
    browser.open("/")
    browser.until(lambda: console.streams == 1, "the page follows")
    browser.open("/users")
    browser.until(lambda: console.streams == 0, "it has stopped")
    browser.driver.back()
    browser.until(lambda: console.streams == 1, "the page follows again")
    assert browser.problems() == []
