"""The stream that an address names."""

from urllib.parse import quote

import coredis
import pytest

from consumers.console.pages.addressed import group_link, stream_link
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


def test_what_an_address_can_t_hold_has_none() -> None:
    assert stream_link(HOSTILE) == f"/streams/stream?{ADDRESS}"
    assert group_link(HOSTILE, b"<g>", "1-1") == f"/streams/group?{ADDRESS}&group=%3Cg%3E&after=1-1"
    assert group_link(HOSTILE, b"g" * 501) == stream_link(HOSTILE)
    assert stream_link(b"s" * 1501) == group_link(b"s" * 1501, b"g") == "/streams"
