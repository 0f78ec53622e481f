"""Slow commands and spikes of latency."""

import coredis
import pytest

from tests.consumers.console.consoles import open_browser

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


async def test_slow_commands_are_shown_and_cleared(client: Client, server_url: str) -> None:
    await client.config_set({"slowlog-log-slower-than": "0"})
    try:
        await client.set("<script>key", b"\xff\n" + b"x" * 1000)
        await client.config_set({"slowlog-log-slower-than": "10000"})
        async with open_browser(server_url) as browser:
            text = await browser.page("/slow-log")
            assert "those that take more than 10000 µs are logged" in text
            assert "SET &lt;script&gt;key \\xff\\nxxx" in text and "<script>key" not in text
            text = await browser.confirmed("/slow-log/clear")
            assert "The slow log was cleared." in text and "&lt;script&gt;key" not in text
    finally:
        await client.config_set({"slowlog-log-slower-than": "10000"})


async def test_spikes_of_latency_are_shown_and_forgotten(client: Client, server_url: str, server_kind: str) -> None:
    await client.config_set({"latency-monitor-threshold": "1"})
    try:
        # long enough for any server to notice
        await client.eval("for i = 1, 2000000 do end", [])
        # a busy machine has further ones
        await client.config_set({"latency-monitor-threshold": "0"})
        async with open_browser(server_url) as browser:
            text = await browser.page("/slow-log")
            assert "Spikes of latency" in text and '<th scope="row">command</th>' in text
            text = await browser.confirmed("/slow-log/clear-latency")
            assert '<th scope="row">command</th>' not in text
    finally:
        await client.config_set({"latency-monitor-threshold": "0"})
