"""The queues of job libraries; what each of them says is tested with their readers."""

import logging
from typing import Any

import anyio
import coredis
import pytest

from consumers.console.access.policy import Policy
from consumers.console.pages import queues as module
from consumers.console.queues.library import Figures
from consumers.console.viewpoint import Queues
from consumers.jobs import Queue
from tests.consumers.console.consoles import Browser, open_browser
from tests.consumers.console.pages.test_streaming import Stream

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
NAME = "shop<b>&co"
ADDRESS = "library=consumers&name=shop%3Cb%3E%26co"


async def filled(client: Client) -> list[Any]:
    """A queue with two waiting jobs and a delayed one; returns their handles."""
    queue = Queue(NAME)

    @queue.job()
    async def work(text: str) -> None:
        raise AssertionError("nobody runs this")

    async with queue.open(client):
        return [await work.enqueue("<script>"), await work.enqueue("second"), await work.enqueue("later", delay=600)]


async def looked(browser: Browser) -> None:
    """Have the console read the queues now."""
    browser.console.viewpoint.queues.expire()
    assert await browser.console.viewpoint.queues.latest(20) is not None


async def test_queues_are_listed(client: Client, server_url: str) -> None:
    await filled(client)
    await client.lpush("rq:queue:<i>", ["x"])
    await client.sadd("rq:queues", ["rq:queue:<i>"])
    async with open_browser(server_url) as browser:
        await looked(browser)
        text = await browser.page("/queues")
        assert "2 of 2 shown." in text and "still being looked through" not in text
        assert "shop&lt;b&gt;&amp;co</a>" in text and "<b>" not in text and "<i>" not in text
        assert '<td class="number" data-field="waiting">2</td>' in text
        assert f"/queues/queue?{ADDRESS}".replace("&", "&amp;") in text
        assert "1 of 1 shown." in await browser.page("/queues?library=rq")
        assert "1 of 1 shown." in await browser.page("/queues?search=SHOP")
        assert "No queue matches." in await browser.page("/queues?search=nosuch")
        text = await browser.page("/queues?order=delayed")
        assert text.index("shop&lt;") < text.index("&lt;i&gt;</a>")
        await browser.page("/queues?order=evil", 400)
        await browser.page("/queues/events?order=evil", 400)


async def test_a_queue_shows_its_jobs_by_state(client: Client, server_url: str) -> None:
    jobs = await filled(client)
    async with open_browser(server_url) as browser:
        text = await browser.page(f"/queues/queue?{ADDRESS}")
        assert "<h1>shop&lt;b&gt;&amp;co" in text and "<dt>Delayed</dt><dd>1</dd>" in text
        assert "&lt;script&gt;" in text and "<script>" not in text.replace('<script src="/static', "")
        assert jobs[0].id in text and jobs[2].id not in text
        text = await browser.page(f"/queues/queue?{ADDRESS}&state=delayed")
        assert jobs[2].id in text and jobs[0].id not in text
        place = text.partition('href="/queues/job?')[2].partition('"')[0].replace("&amp;", "&")
        text = await browser.page(f"/queues/job?{place}")
        assert "later" in text and ">Delayed</span>" in text
        for wrong, status in (
            (f"/queues/queue?{ADDRESS}&state=done", 404),
            (f"/queues/queue?{ADDRESS}&after=x", 400),
            ("/queues/queue?library=nosuch&name=x", 404),
            ("/queues/queue?library=consumers", 404),
            ("/queues/queue?library=consumers&name=a%7Bb", 404),
            (f"/queues/job?{ADDRESS}&id=nosuch", 404),
        ):
            await browser.page(wrong, status)


async def test_long_lists_have_pages(client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JOBS", 1)
    jobs = await filled(client)
    async with open_browser(server_url) as browser:
        text = await browser.page(f"/queues/queue?{ADDRESS}")
        assert jobs[0].id in text and jobs[1].id not in text
        following = text.partition('id="next" href="')[2].partition('"')[0].replace("&amp;", "&")
        text = await browser.page(following)
        assert jobs[1].id in text and jobs[0].id not in text and "First page" in text


async def test_actions_ask_first_and_are_logged(
    client: Client, server_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = await filled(client)
    async with open_browser(server_url) as browser:
        path = f"/queues/act?{ADDRESS}&action=pause"
        assert "Pause the queue shop&lt;b&gt;&amp;co?" in await browser.form(path)
        with caplog.at_level(logging.INFO, "consumers.console.audit"):
            text = await browser.confirmed(path)
        assert '<span class="badge bad">paused</span>' in text
        assert "action='pause queue' library=consumers queue=shop<b>&co" in caplog.messages[-1]
        await browser.confirmed(f"/queues/act?{ADDRESS}&action=resume")
        text = await browser.confirmed(f"/queues/act?{ADDRESS}&action=delete&id={jobs[0].id}")
        assert 'role="status" id="notice"' in text and jobs[0].id not in await browser.page(f"/queues/queue?{ADDRESS}")
        asked = await browser.form(f"/queues/act?{ADDRESS}&action=purge&state=delayed")
        assert "Programs that wait for their results" in asked
        text = await browser.confirmed(f"/queues/act?{ADDRESS}&action=purge&state=delayed")
        assert jobs[2].id not in text
        for wrong in ("action=redrive", "action=purge&state=running", "action=__init__", "action=purge&state=nosuch"):
            await browser.form(f"/queues/act?{ADDRESS}&{wrong}", 404)


async def test_a_read_only_console_has_no_buttons(client: Client, server_url: str) -> None:
    await filled(client)
    async with open_browser(server_url, Policy(read_only=True)) as browser:
        assert "/queues/act" not in await browser.page(f"/queues/queue?{ADDRESS}")


async def test_figures_are_sent_as_they_change(client: Client, server_url: str) -> None:
    jobs = await filled(client)
    async with open_browser(server_url) as browser, anyio.create_task_group() as tasks:
        await looked(browser)
        stream = Stream(browser.app, path="/queues/events", query="library=consumers")
        tasks.start_soon(stream.run)
        await stream.until('"waiting": "2"')
        assert f'"consumers {NAME}": {{' in stream.text
        await browser.confirmed(f"/queues/act?{ADDRESS}&action=delete&id={jobs[0].id}")
        await stream.until('"waiting": "1"')
        stream.gone.set()


def test_many_queues_are_cut() -> None:
    found = Queues([Figures(library="rq", name=f"{n:05}", waiting=n) for n in range(10_000)], True)
    rows, matching = module._chosen(found, {"order": "waiting"})
    assert (len(rows), matching, rows[0].name) == (module.SHOWN, 10_000, "09999")
