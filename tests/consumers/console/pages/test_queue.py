"""One queue and its jobs; what each library's reader says is tested with it."""

import json
import logging
import re
from typing import Any

import anyio
import coredis
import pytest

from consumers.console.access.policy import Policy
from consumers.console.pages import queue as module
from consumers.console.pages import streaming
from consumers.console.queues import rates
from consumers.jobs import Queue
from tests.consumers.console.consoles import open_browser
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


async def test_a_queue_shows_its_jobs_by_state(client: Client, server_url: str) -> None:
    jobs = await filled(client)
    async with open_browser(server_url) as browser:
        text = await browser.page(f"/queues/queue?{ADDRESS}")
        assert "<h1>shop&lt;b&gt;&amp;co" in text and '<dt>Delayed</dt><dd data-field="delayed">1</dd>' in text
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
        assert '<span class="badge bad" data-field="paused">paused</span>' in text
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


async def test_its_figures_and_rates_are_sent(client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "APART", 0.0)
    monkeypatch.setattr(streaming, "LOOK", 0.01)
    jobs = await filled(client)
    async with open_browser(server_url) as browser, anyio.create_task_group() as tasks:
        text = await browser.page(f"/queues/queue?{ADDRESS}")
        assert f"/queues/queue/events?{ADDRESS}".replace("&", "&amp;") in text
        assert 'data-line="waiting"' in text and 'data-line="finished"' in text
        viewpoint = browser.console.viewpoint
        watch = viewpoint.queue(viewpoint.discovery.libraries["consumers"], NAME)
        stream = Stream(browser.app, path="/queues/queue/events", query=ADDRESS)
        tasks.start_soon(stream.run)
        # its streams are known, so that what is added from now on counts
        await stream.until('"samples": [{')
        watch.expire()
        await stream.until('"added": 0.0, "finished": 0.0}]')
        await browser.confirmed(f"/queues/act?{ADDRESS}&action=delete&id={jobs[0].id}")
        await stream.until('"rows": {"queue": {"waiting": "1"')
        messages = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: ")]
        samples = [one for message in messages for one in message["samples"]]
        assert (samples[-1]["waiting"], samples[-1]["running"]) == (1, 0)
        assert any(one["finished"] for one in samples) and not any(one["added"] for one in samples)
        times = [one["time"] for one in samples]
        assert times == sorted(set(times))
        stream.gone.set()
        await browser.page("/queues/queue/events?library=nosuch&name=x", 404)


async def test_charts_show_what_a_library_tells(client: Client, server_url: str) -> None:
    await client.lpush("rq:queue:plain", ["x"])
    await client.sadd("rq:queues", ["rq:queue:plain"])
    await client.lpush("celery", ["x"])
    await client.hset("bull:mails:meta", {"opts.maxLenEvents": "10000"})
    async with open_browser(server_url) as browser:
        for library, name, lines in (
            ("consumers", "shop", ["waiting", "running", "added", "finished"]), ("rq", "plain", ["waiting", "running"]),
            ("huey", "plain", ["waiting"]), ("bullmq", "mails", ["waiting", "running", "added"]),
        ):  # fmt: skip
            text = await browser.page(f"/queues/queue?library={library}&name={name}")
            assert re.findall('data-line="(.*?)"', text) == lines, library
