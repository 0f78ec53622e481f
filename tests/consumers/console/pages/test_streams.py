"""Streams: listed, shown, added to, redriven and followed."""

import logging
import re
from urllib.parse import quote

import anyio
import coredis
import pytest

from consumers.console.access.policy import Policy
from consumers.console.pages import streams as module
from consumers.console.stream_entries import entries
from tests.consumers.clusters import started_cluster, two_nodes
from tests.consumers.console.consoles import Browser, open_browser
from tests.consumers.console.pages.test_streaming import Stream
from tests.consumers.console.test_stream_entries import died

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
HOSTILE = b"\xff\x00<script>&\"'=+ %2F\n?#"
ADDRESS = f"key={quote(HOSTILE, safe='')}"


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


async def test_entries_are_decoded_and_escaped(
    client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENTRIES", 2)
    fields = {f"field {n}": "x" for n in range(30)}
    await client.xadd(HOSTILE, fields, identifier="1-1")
    await client.xadd(HOSTILE, {"<i>\x00": b"<script>alert(1)</script>", "j": b'{"<b>": 1}'}, identifier="2-1")
    await client.xadd(HOSTILE, {"huge": b"<u>" * 1_000_000, "bytes": b"\xff\xfe"}, identifier="3-1")
    async with open_browser(server_url) as browser:
        text = await browser.page(f"/streams/stream?{ADDRESS}")
        for tag in ("<i>", "<script>alert", "<b>", "<u>"):
            assert tag not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and '<span class="badge">json</span>' in text
        assert '<code>fffe</code> <span class="badge">hex</span>' in text and len(text) < 50_000
        assert "1-1</a>" not in text
        text = await browser.page(f"/streams/stream?{ADDRESS}&after=2-1")
        assert "1-1</a>" in text and "and 10 more" in text and "First page" in text
        text = await browser.page(f"/streams/entry?{ADDRESS}&id=1-1")
        assert "field 29" in text
        for wrong, status in (
            ("/streams/stream", 404), ("/streams/stream?key=nosuch", 404), (f"/streams/stream?{ADDRESS}&after=x", 400),
            (f"/streams/entry?{ADDRESS}&id=x", 404), (f"/streams/entry?{ADDRESS}&id=9-9", 404),
            (f"/streams/group?{ADDRESS}&group=x", 404),
        ):  # fmt: skip
            await browser.page(wrong, status)


async def test_a_group_shows_what_it_has_pending(
    client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENTRIES", 2)
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


async def test_entries_are_added_and_deleted(client: Client, server_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_browser(server_url) as browser:
        await browser.page(f"/streams/new-entry?{ADDRESS}")
        fields = {"field-0": "a", "value-0": "<b>\r\nline", "field-3": "c", "value-3": "", "id": "7-1"}
        assert "Add an entry of 2 fields" in await browser.form(f"/streams/add?{ADDRESS}", **fields)
        assert not await client.exists([HOSTILE])
        with caplog.at_level(logging.INFO, "consumers.console.audit"):
            text = await browser.confirmed(f"/streams/add?{ADDRESS}", **fields)
        assert "The entry 7-1 was added." in text and "action='add entry'" in caplog.messages[-1]
        ([one], _) = await entries(client, HOSTILE, None, 5)
        assert (one.id, dict(one.fields)) == ("7-1", {b"a": b"<b>\nline", b"c": b""})
        assert "equal or smaller" in await browser.confirmed(f"/streams/add?{ADDRESS}", 502, **fields)
        await browser.page("/streams/new-entry")
        hexadecimal = {"stream": "6e6577", "field-0": "ff", "value-0": "00", "notation": "hex"}
        assert "was added" in await browser.confirmed("/streams/add", **hexadecimal)
        ([one], _) = await entries(client, b"new", None, 5)
        assert dict(one.fields) == {b"\xff": b"\x00"}
        await browser.form("/streams/add", 400, stream="x")
        await browser.form("/streams/add", 400, stream="x", notation="hex", **{"field-0": "ff"})
        assert "The entry was deleted." in await browser.confirmed(f"/streams/delete?{ADDRESS}&id=7-1")
        assert "no such entry any more" in await browser.confirmed(f"/streams/delete?{ADDRESS}&id=7-1")
        assert await client.xlen(HOSTILE) == 0


async def test_dead_letters_go_back(client: Client, server_url: str, caplog: pytest.LogCaptureFixture) -> None:
    first = await died(client, HOSTILE, "orders", "first")
    await died(client, b"orders.dead", "orders", "second")
    await died(client, b"jobs:{<q>}:dead", "jobs:{<q>}:normal", "third")
    async with open_browser(server_url) as browser:
        text = await browser.page(f"/streams/stream?{ADDRESS}")
        assert '<span class="badge bad">dead</span>' in text and "&lt;b&gt;broken (orders, group)" in text
        assert f"/streams/redrive?{ADDRESS}&amp;id={first}" in await browser.page(
            f"/streams/entry?{ADDRESS}&id={first}"
        )
        with caplog.at_level(logging.INFO, "consumers.console.audit"):
            text = await browser.confirmed(f"/streams/redrive?{ADDRESS}&id={first}")
        assert "It is back in orders." in text and "action=redrive" in caplog.messages[-1]
        assert "no such dead letter" in await browser.confirmed(f"/streams/redrive?{ADDRESS}&id={first}")
        assert "no text" in await browser.confirmed(f"/streams/redrive?{ADDRESS}", 409)
        text = await browser.confirmed("/streams/redrive?key=orders.dead")
        assert "1 dead letter was redriven." in text and await client.xlen("orders") == 2
        # a workflow would go on only there
        text = await browser.page("/streams/stream?key=jobs%3A%7B%3Cq%3E%7D%3Adead")
        assert "/queues/queue?library=consumers&amp;name=%3Cq%3E&amp;state=dead" in text and "/redrive" not in text
        await browser.form("/streams/redrive?key=jobs%3A%7B%3Cq%3E%7D%3Adead", 409)


@pytest.mark.trio_only("starts a cluster")
async def test_letters_of_another_slot_are_refused() -> None:
    with two_nodes() as nodes:
        async with started_cluster(nodes) as cluster:
            await cluster.xadd("dead", {"dead-stream": "elsewhere", "dead-id": "1-1"})
        url = f"redis+cluster://127.0.0.1:{nodes[0].port},127.0.0.1:{nodes[1].port}"
        async with open_browser(url) as browser:
            assert "different slots" in await browser.confirmed("/streams/redrive?key=dead", 409)


async def test_a_viewer_follows(client: Client, server_url: str) -> None:
    await client.xadd(HOSTILE, {"a": "old"})
    async with open_browser(server_url) as browser, anyio.create_task_group() as tasks:
        stream = Stream(browser.app, path="/streams/events", query=ADDRESS)
        tasks.start_soon(stream.run)
        await stream.until('"rows": []')
        await client.xadd(HOSTILE, {"<a>\n": b"new \xff"}, identifier="99999999999999-1")
        await stream.until("99999999999999-1")
        assert '["99999999999999-1", "<a>\\\\n: 6e657720ff"]' in stream.text and "old" not in stream.text
        stream.gone.set()
        with anyio.fail_after(10):
            await stream.ended.wait()
        assert browser.console.streams == 0


async def test_a_read_only_console_changes_nothing(client: Client, server_url: str) -> None:
    id = await died(client, b"dead", "orders", "text")
    async with open_browser(server_url, Policy(read_only=True)) as browser:
        for path in ("/streams", "/streams/stream?key=dead", f"/streams/entry?key=dead&id={id}", "/streams/new-entry"):
            assert 'method="post"' not in await browser.page(path)
        for action in ("add", "delete", "redrive"):
            response = await browser.post(f"/streams/{action}?key=dead&id={id}", data={"confirmed": "yes"})
            assert response.status_code == 403 and "read-only" in response.text
        assert await client.xlen("dead") == 1
