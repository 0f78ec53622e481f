"""The queues of job libraries; what each of them says is tested with their readers."""

import anyio
import coredis
import pytest

from consumers.console import watch
from consumers.console.pages import queues as module
from consumers.console.queues.library import Figures
from consumers.console.viewpoint import Queues
from tests.consumers.console.consoles import Browser, open_browser
from tests.consumers.console.pages.test_queue import ADDRESS, NAME, filled
from tests.consumers.console.pages.test_streaming import Stream

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


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
        # a first look tells no rates yet
        assert '<td class="number" data-field="added">-</td>' in text and 'data-field="change">-</td>' in text
        assert f"/queues/queue?{ADDRESS}".replace("&", "&amp;") in text
        assert "1 of 1 shown." in await browser.page("/queues?library=rq")
        assert "1 of 1 shown." in await browser.page("/queues?search=SHOP")
        assert "No queue matches." in await browser.page("/queues?search=nosuch")
        text = await browser.page("/queues?order=delayed")
        assert text.index("shop&lt;") < text.index("&lt;i&gt;</a>")
        await browser.page("/queues?order=evil", 400)
        await browser.page("/queues/events?order=evil", 400)


async def test_figures_are_sent_as_they_change(
    client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "INTERVAL", 0.1)
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
