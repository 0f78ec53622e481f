"""The overview."""

import json

import anyio
import coredis
import pytest

from consumers.console.access.policy import Login, Policy
from tests.consumers.console.consoles import open_browser
from tests.consumers.console.pages.test_streaming import Stream

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
KINDS = {"broker": "Trimaran 0", "redis-newest": "Redis 8", "redis-older": "Redis 7"}


async def test_the_server_is_shown(server_url: str, server_kind: str) -> None:
    async with open_browser(server_url) as browser:
        text = await browser.page("/")
        assert f"<h1>{KINDS[server_kind]}" in text
        assert "<dt>Connections</dt>" in text
        assert 'href="/" aria-current="page"' in text
        # the second time, the first has been counted
        assert '<th scope="row">INFO</th>' in await browser.page("/")


async def test_samples_are_sent(server_url: str) -> None:
    async with open_browser(server_url) as browser, anyio.create_task_group() as tasks:
        history = browser.console.history
        await history.take()
        await history.take()
        stream = Stream(browser.app)
        tasks.start_soon(stream.run)
        await stream.until("data: ")
        await history.take()
        await stream.until('"samples": [{')
        await stream.until("}]}\n\n")
        messages = [json.loads(line[6:]) for line in stream.text.splitlines() if line.startswith("data: ")]
        sample = messages[0]["samples"][0]
        assert sample["connections"] >= 1 and sample["commands"] > 0 and sample["memory"] > 0 and sample["slow"] >= 0
        assert messages[0]["rows"] == {"latency": {"missing": ""}, "slow": {"missing": ""}}
        stream.gone.set()


async def test_who_may_not_ask_is_told_so(client: Client, server_url: str) -> None:
    await client.acl_setuser("shy", "on", ">secret", "+info", "+ping", "+client")
    try:
        async with open_browser(server_url, Policy(Login.SERVER)) as browser, anyio.create_task_group() as tasks:
            await browser.page("/login")
            await browser.form("/login", name="shy", password="secret")
            history = browser.console.history
            await history.take()
            await history.take()
            stream = Stream(browser.app, "; ".join(f"{name}={value}" for name, value in browser.cookies.items()))
            tasks.start_soon(stream.run)
            await stream.until("}]}\n\n")
            message = json.loads(next(line[6:] for line in stream.text.splitlines() if line.startswith("data: ")))
            assert all("no permissions" in message["rows"][one]["missing"] for one in ("latency", "slow"))
            assert {message["samples"][0][field] for field in ("p50", "p99", "p999", "slow")} == {None}
            assert message["samples"][0]["commands"] > 0
            stream.gone.set()
    finally:
        await client.acl_deluser(["shy"])
