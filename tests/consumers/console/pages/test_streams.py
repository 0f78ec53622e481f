"""Streams: the list of them."""

import re

import anyio
import coredis
import pytest

from consumers.console import watch
from consumers.console.pages.streaming import row_key
from tests.consumers.console.consoles import Browser, open_browser
from tests.consumers.console.pages.test_addressed import ADDRESS, HOSTILE
from tests.consumers.console.pages.test_streaming import Stream

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


async def looked(browser: Browser) -> None:
    """Have the console read the streams now."""
    browser.console.viewpoint.streams.expire()
    assert await browser.console.viewpoint.streams.latest(20) is not None


async def test_streams_are_listed(client: Client, server_url: str) -> None:
    await client.xadd(HOSTILE, {"a": "b"})
    for _ in range(3):
        await client.xadd("orders", {"a": "b"})
    await client.xgroup_create("orders", "g", "0")
    async with open_browser(server_url) as browser:
        await looked(browser)
        text = await browser.page("/streams")
        assert "2 of 2 shown." in text and "<script>&" not in text and "&lt;script&gt;&amp;" in text
        assert f'href="/streams/stream?{ADDRESS}"' in text
        assert text.index("orders</a>") < text.index("&lt;script&gt;")
        assert "1 of 1 shown" in await browser.page("/streams?search=ORD")
        assert "No stream matches." in await browser.page("/streams?search=nosuch")
        text = await browser.page("/streams?order=lag")
        cells = r"orders</a></th>\s*<td class=\"number\" data-field=\"entries\">3</td>\s*<td[^>]*groups\">1</td>"
        assert re.search(cells, text)
        await browser.page("/streams?order=evil", 400)
        await browser.page("/streams/figures/events?order=evil", 400)


async def test_figures_are_sent_as_they_change(
    client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "INTERVAL", 0.1)
    await client.xadd(HOSTILE, {"a": "b"})
    await client.xgroup_create(HOSTILE, "g", "0")
    async with open_browser(server_url) as browser, anyio.create_task_group() as tasks:
        stream = Stream(browser.app, path="/streams/figures/events", query="order=pending")
        tasks.start_soon(stream.run)
        await stream.until(f'"{row_key(HOSTILE)}": {{"entries": "1", "groups": "1", "pending": "0", "lag": "1"')
        await client.xadd(HOSTILE, {"a": "b"})
        await client.xreadgroup("g", "c", {HOSTILE: ">"}, count=1)
        await looked(browser)
        await stream.until('"entries": "2", "groups": "1", "pending": "1", "lag": "1"')
        stream.gone.set()
