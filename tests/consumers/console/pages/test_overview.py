"""The overview."""

import pytest

from tests.consumers.console.consoles import open_browser

pytestmark = pytest.mark.both_loops

KINDS = {"broker": "Trimaran 0", "redis-newest": "Redis 8", "redis-older": "Redis 7"}


async def test_the_server_is_shown(server_url: str, server_kind: str) -> None:
    async with open_browser(server_url) as browser:
        text = await browser.page("/")
        assert f"<h1>{KINDS[server_kind]}" in text
        assert "<dt>Connections</dt>" in text
        assert 'href="/" aria-current="page"' in text
        # the second time, the first has been counted
        assert '<th scope="row">INFO</th>' in await browser.page("/")


async def test_the_history_is_data(server_url: str) -> None:
    async with open_browser(server_url) as browser:
        history = browser.console.history
        await history.take()
        await history.take()
        (sample, *_) = (await browser.get("/overview/history")).json()
        assert sample["connections"] >= 1 and sample["commands"] > 0 and sample["memory"] > 0
