"""Pages that change while they are looked at, without being loaded again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import anyio
import coredis
import pytest
import redis

from consumers.console import history, watch
from consumers.jobs import Queue, Worker
from tests.ui.browser import Browser
from tests.ui.sites import Sites


@pytest.fixture(scope="module", autouse=True)
def _looked_at_often() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (history, watch):
            patch.setattr(module, "INTERVAL", 0.2)
        yield


def figure(browser: Browser, field: str) -> float:
    text = browser.find(f'.chart output[data-line="{field}"]').text
    return 0.0 if text == "-" else float(text.replace(",", ""))


def _drawn(browser: Browser, field: str) -> list[str]:
    """The paths of the chart to which a field belongs."""
    chart = f".chart:has([data-line={field}])"
    return list(browser.run(f"return [...document.querySelectorAll('{chart} > svg path')].map((one) => one.outerHTML)"))


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
        browser.until(lambda: "L" in "".join(_drawn(browser, "connections")), "there is a line")
    assert browser.run("return window.same") is True and browser.problems() == []


def test_latencies_are_lines_that_can_be_told_apart(
    browser: Browser, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "LATENCY_SECONDS", 0.0)
    browser.open("/")
    chart = ".chart[data-key=latency]"

    def drawn() -> bool:
        client.get("x")
        return len(_drawn(browser, "p50")) == 3 and browser.find(f"{chart} output").text != "-"

    browser.until(drawn, "there are percentiles")
    units = [one.text.rpartition(" ")[2] for one in browser.every(f"{chart} output")]
    assert len(units) == 3 and set(units) <= {"µs", "ms", "s"}
    assert [one.text.partition(" ")[0] for one in browser.every(f"{chart} .legend li")] == ["p50", "p99", "p99.9"]
    styles = browser.run(
        "return [...document.querySelectorAll(arguments[0])].map((one) => getComputedStyle(one))"
        ".map((one) => [one.stroke, one.strokeDasharray])",
        f"{chart} > svg path",
    )
    legend = browser.run(
        "return [...document.querySelectorAll(arguments[0])].map((one) => getComputedStyle(one))"
        ".map((one) => [one.stroke, one.strokeDasharray])",
        f"{chart} .legend path",
    )
    assert styles == legend
    # by their dashes alone, and by their colours alone
    assert len({dashes for _, dashes in styles}) == len({colour for colour, _ in styles}) == 3
    assert not browser.find(f"{chart} .missing").is_displayed() and browser.problems() == []


def test_a_server_that_keeps_no_latencies_has_no_chart(
    browser: Browser, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "LATENCY_SECONDS", 0.0)
    client.config_set("latency-tracking", "no")
    client.config_resetstat()
    try:
        browser.open("/")
        missing = browser.find(".chart[data-key=latency] .missing")
        browser.until(lambda: "latency-tracking is off" in missing.text, "the page says why")
        assert not browser.find(".chart[data-key=latency] > svg").is_displayed()
        assert browser.find(".chart[data-key=slow] > svg").is_displayed()
    finally:
        client.config_set("latency-tracking", "yes")
    browser.until(lambda: not missing.text, "the chart is back")
    assert browser.problems() == []


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


def test_a_queue_is_charted_while_it_works(browser: Browser, server: str, client: redis.Redis) -> None:
    async def work(run: bool) -> None:
        async with coredis.Redis.from_url(server) as connected, Queue("charted").open(connected) as queue:

            @queue.job()
            async def job(number: int) -> None: ...

            await queue.enqueue_many([job.call(number) for number in range(3)])
            if run:
                async with Worker(queue).open():
                    while (await queue.counts()).waiting:
                        await anyio.sleep(0.02)

    try:
        anyio.run(work, False)
        browser.open("/queues/queue?library=consumers&name=charted")
        browser.run("window.same = true")
        fields = {one: browser.find(f"dd[data-field={one}]") for one in ("waiting", "added", "finished")}
        assert fields["waiting"].text == "3" and fields["finished"].text == "-"
        browser.until(lambda: fields["finished"].text == "0", "there is a rate")
        anyio.run(work, True)
        browser.until(lambda: fields["waiting"].text == "0", "the jobs are seen to be done")
        assert float(fields["added"].text) > 0 and float(fields["finished"].text) > 0
        for field in ("waiting", "finished"):
            drawn = _drawn(browser, field)
            assert len(drawn) == 2 and all("L" in one for one in drawn)
        assert browser.find("output[data-line=waiting]").text == "0"
        assert browser.run("return window.same") is True and browser.problems() == []
    finally:
        client.delete(*client.scan_iter("jobs:{charted}*"))


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
