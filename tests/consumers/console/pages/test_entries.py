"""Entries: added, deleted, and redriven."""

import logging

import coredis
import pytest

from consumers.console.access.policy import Policy
from consumers.console.stream_entries import entries
from consumers.names import decoded
from tests.consumers.clusters import started_cluster, two_nodes
from tests.consumers.console.consoles import open_browser
from tests.consumers.console.pages.test_addressed import ADDRESS, HOSTILE
from tests.consumers.console.test_stream_entries import died

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


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
        answer = await browser.confirmed(f"/streams/add?{ADDRESS}", 400, **fields)
        assert "equal or smaller" in answer and 'value="7-1"' in answer and ">\n&lt;b&gt;\nline</textarea>" in answer
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


@pytest.mark.parametrize("server_kind", ["broker-extended"], indirect=True)
async def test_an_entry_is_added_later(client: Client, server_url: str) -> None:
    async with open_browser(server_url) as browser:
        assert 'name="delay"' in await browser.page("/streams/new-entry")
        fields = {"stream": "s", "field-0": "a", "delay": "3600000"}
        assert "to s in 3600000 milliseconds?" in await browser.form("/streams/add", **fields)
        text = await browser.confirmed("/streams/add", **fields)
        assert "The entry will be added. With its handle @" in text and await client.xlen("s") == 0
        answer = await browser.confirmed("/streams/add", 400, **{**fields, "delay": "soon"})
        assert "not an integer" in answer and 'value="soon"' in answer


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
        await died(client, HOSTILE, decoded(b"\xfeorigin"), "fourth")
        assert "1 dead letter was redriven." in await browser.confirmed(f"/streams/redrive?{ADDRESS}")
        assert await client.xlen(b"\xfeorigin") == 1
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


async def test_a_read_only_console_changes_nothing(client: Client, server_url: str) -> None:
    id = await died(client, b"dead", "orders", "text")
    async with open_browser(server_url, Policy(read_only=True)) as browser:
        for path in ("/streams", "/streams/stream?key=dead", f"/streams/entry?key=dead&id={id}", "/streams/new-entry"):
            assert 'method="post"' not in await browser.page(path)
        for action in ("add", "delete", "redrive"):
            response = await browser.post(f"/streams/{action}?key=dead&id={id}", data={"confirmed": "yes"})
            assert response.status_code == 403 and "read-only" in response.text
        assert await client.xlen("dead") == 1
