"""The stream that an address names."""

from urllib.parse import quote

import coredis
import pytest

from tests.consumers.console.consoles import open_browser

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
HOSTILE = b"\xff\x00<script>&\"'=+ %2F\n?#"
ADDRESS = f"key={quote(HOSTILE, safe='')}"


async def test_what_is_not_there_has_no_page(client: Client, server_url: str) -> None:
    await client.set("text", "no stream")
    async with open_browser(server_url) as browser:
        for page in ("stream", "events", "entry", "group"):
            assert "There is no such stream." in await browser.page(f"/streams/{page}", 404)
        for page in ("stream", "group"):
            assert "There is no such stream." in await browser.page(f"/streams/{page}?{ADDRESS}", 404)
            assert "wrong kind of value" in await browser.page(f"/streams/{page}?key=text", 502)
