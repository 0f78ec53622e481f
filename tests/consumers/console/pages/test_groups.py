"""One group's page."""

import coredis
import pytest

from consumers.console.pages import groups as module
from tests.consumers.console.consoles import open_browser
from tests.consumers.console.pages.test_addressed import ADDRESS, HOSTILE

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


async def test_a_group_shows_what_it_has_pending(
    client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PENDING", 2)
    for number in range(1, 4):
        await client.xadd(HOSTILE, {"a": "b"}, identifier=f"{number}-1")
    await client.xgroup_create(HOSTILE, b"<g>\xff", "0")
    await client.xreadgroup(b"<g>\xff", "<worker>", {HOSTILE: ">"})
    async with open_browser(server_url) as browser:
        address = f"/streams/group?{ADDRESS}&group=%3Cg%3E%FF"
        assert address.replace("&", "&amp;") in await browser.page(f"/streams/stream?{ADDRESS}")
        text = await browser.page(address)
        assert "<worker>" not in text and "<g>" not in text and "&lt;worker&gt;" in text
        assert "1-1</a>" in text and "3-1</a>" not in text and "<dt>last-delivered-id</dt><dd>3-1</dd>" in text
        assert "3-1</a>" in await browser.page(f"{address}&after=2-1")
        await browser.page(f"{address}&after=x", 400)
