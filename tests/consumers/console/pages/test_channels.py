"""Channels: listed, listened to and published on."""

import logging
from urllib.parse import quote

import anyio
import coredis
import pytest

from consumers.console import channels as reader
from consumers.console import watch
from consumers.console.access.policy import Policy
from consumers.console.pages.streaming import row_key
from consumers.fanout import subscribe
from tests.consumers.console.consoles import Browser, open_browser
from tests.consumers.console.pages.test_streaming import Stream

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
HOSTILE = b"\xff\x00<script>&\"'=+ %2F\n?#"
ADDRESS = f"kind=channel&name={quote(HOSTILE, safe='')}"


async def looked(browser: Browser) -> None:
    """Have the console read the channels now."""
    browser.console.viewpoint.channels.expire()
    assert await browser.console.viewpoint.channels.latest(20) is not None


async def test_channels_are_listed(client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        subscribe(client, HOSTILE, "news", patterns=["<p>*"], shard_channels=["shards"]),
        subscribe(client, "news"),
        open_browser(server_url) as browser,
    ):
        await looked(browser)
        text = await browser.page("/channels")
        assert "3 of 3 shown." in text and "subscribed to: 1." in text
        assert "<script>&" not in text and "&lt;script&gt;&amp;" in text
        assert f'href="/channels/channel?{ADDRESS}"'.replace("&", "&amp;") in text
        assert (
            '<td></td><td class="number" data-field="subscribers">2</td>' in text
            and "kind=shard&amp;name=shards" in text
        )
        assert "1 of 1 shown" in await browser.page("/channels?search=NEW")
        assert "No channel with subscribers matches." in await browser.page("/channels?search=nosuch")
        monkeypatch.setattr(reader, "MOST", 1)
        await looked(browser)
        text = await browser.page("/channels")
        assert "There are 3 channels, too many to list them." in text and "news</a>" not in text
        assert "news</a>" in await browser.page("/channels?search=news")
        for wrong in ("kind=evil&name=x", "kind=channel", ""):
            await browser.page(f"/channels/channel?{wrong}", 404)
            await browser.page(f"/channels/events?{wrong}", 404)


async def test_figures_are_sent_as_they_change(
    client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "INTERVAL", 0.1)
    key = f"channel {row_key(b'news')}"
    async with (
        subscribe(client, "news", shard_channels=["shards"]),
        open_browser(server_url) as browser,
        anyio.create_task_group() as tasks,
    ):
        stream = Stream(browser.app, path="/channels/figures/events", query="search=NEW")
        tasks.start_soon(stream.run)
        await stream.until(f'"rows": {{"{key}": {{"subscribers": "1"}}}}')
        async with subscribe(client, "news"):
            await looked(browser)
            await stream.until(f'"rows": {{"{key}": {{"subscribers": "2"}}}}')
        stream.gone.set()


async def test_a_viewer_listens(client: Client, server_url: str) -> None:
    async with open_browser(server_url) as browser, anyio.create_task_group() as tasks:
        text = await browser.page(f"/channels/channel?{ADDRESS}")
        assert "<script>&" not in text and f"/channels/events?{ADDRESS}".replace("&", "&amp;") in text
        stream = Stream(browser.app, path="/channels/events", query=ADDRESS)
        tasks.start_soon(stream.run)
        await stream.until('"rows": []')
        await client.publish(HOSTILE, b"<b>\xff")
        await stream.until("3c623eff")
        assert "messages a second." in stream.text and "\\\\x00<script>" in stream.text
        stream.gone.set()
        with anyio.fail_after(60):
            await stream.ended.wait()
        assert browser.console.streams == 0


async def test_publishing_asks_first_and_is_logged(
    client: Client, server_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        subscribe(client, HOSTILE, "news", shard_channels=["news"]) as messages,
        open_browser(server_url) as browser,
    ):
        path = f"/channels/publish?{ADDRESS}"
        assert "Publish this on the channel" in await browser.form(path, message="<i>\r\n")
        with caplog.at_level(logging.INFO, "consumers.console.audit"):
            text = await browser.confirmed(path, message="<i>\r\n")
        assert "1 subscriber got it" in text and "action=publish" in caplog.messages[-1]
        await browser.page("/channels")
        await browser.confirmed("/channels/publish", name="6e657773", message="ff", notation="hex")
        await browser.confirmed("/channels/publish", kind="shard", name="news", message="shard")
        with anyio.fail_after(20):
            assert [(await anext(messages)).data for _ in range(3)] == [b"<i>\n", b"\xff", b"shard"]
        assert "0 subscribers got it" in await browser.confirmed("/channels/publish", name="nobody", message="x")
        await browser.form("/channels/publish", 400, kind="pattern", name="x", message="x")
        await browser.form("/channels/publish", 400, name="x", message="x", notation="hex")
        await browser.form("/channels/publish", 404, kind="evil", name="x", message="x")


async def test_a_read_only_console_publishes_nothing(server_url: str) -> None:
    async with open_browser(server_url, Policy(read_only=True)) as browser:
        for path in ("/channels", f"/channels/channel?{ADDRESS}"):
            assert 'method="post"' not in await browser.page(path)
        response = await browser.post(f"/channels/publish?{ADDRESS}", data={"message": "x", "confirmed": "yes"})
        assert response.status_code == 403 and "read-only" in response.text
