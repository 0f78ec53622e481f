"""Streams: the list of them."""

import re

import coredis
import pytest

from tests.consumers.console.consoles import Browser, open_browser
from tests.consumers.console.pages.test_addressed import ADDRESS, HOSTILE

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
        assert re.search(r'orders</a></th>\s*<td class="number">3</td><td class="number">1</td>', text)
        await browser.page("/streams?order=evil", 400)
