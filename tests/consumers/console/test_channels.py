"""Channels that have subscribers, and what is published on them."""

import anyio
import coredis
import pytest

from consumers.addresses import client_from_url
from consumers.console import channels as module
from consumers.console.asking import ask
from consumers.console.channels import Channel, Kind, Tapped, named, read_channels, tap
from consumers.console.server import Server
from consumers.fanout import subscribe
from tests.consumers.clusters import started_cluster, two_nodes

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


async def test_channels_are_read(client: Client) -> None:
    async with (
        subscribe(client, b"\xff<a>", "news", patterns=["p.*"], shard_channels=["news"]),
        subscribe(client, "news"),
    ):
        found = await read_channels(client)
        assert found.channels == [
            Channel(b"news", False, 2), Channel(b"news", True, 1), Channel(b"\xff<a>", False, 1),
        ]  # fmt: skip
        assert (found.total, found.patterns, found.listed) == (3, 1, True)
        assert await named(client, b"news") == [Channel(b"news", False, 2), Channel(b"news", True, 1)]
        assert await named(client, b"nosuch") == []


async def test_too_many_channels_are_not_asked_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    async with subscribe(client, "a", "b"):
        found = await read_channels(client)
        assert (found.channels, found.total, found.listed) == ([], 2, False)


@pytest.mark.parametrize(
    ("kind", "name"), [(Kind.CHANNEL, b"\xffnews"), (Kind.PATTERN, b"\xffn*s"), (Kind.SHARD, b"\xffnews")]
)
async def test_a_tap(client: Client, server_url: str, kind: Kind, name: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHOWN", 3)
    monkeypatch.setattr(module, "KEPT_BYTES", 4)
    verb = b"SPUBLISH" if kind is Kind.SHARD else b"PUBLISH"
    seen: list[Tapped] = []
    begun, done = anyio.Event(), anyio.Event()
    server = Server(lambda: client_from_url(server_url))

    async def push(found: Tapped) -> None:
        begun.set()
        seen.append(found)
        if any(message.data == b"last" for _, message, _ in found.messages):
            done.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run)
        tasks.start_soon(tap, server, kind, name, push)
        with anyio.fail_after(20):
            await begun.wait()
            sent: list[bytes] = [b"%d" % n for n in range(9)] + [b"long message", b"last"]
            await ask(client, [(verb, b"\xffnews", one) for one in sent])
            await done.wait()
        tasks.cancel_scope.cancel()
    shown = [one for batch in seen for one in batch.messages]
    assert [(message.data, size) for _, message, size in shown][-2:] == [(b"long", 12), (b"last", 4)]
    assert all(message.channel == "\udcffnews" for _, message, _ in shown)
    assert max(len(batch.messages) for batch in seen) <= 3
    assert len(shown) + sum(batch.left_out for batch in seen) == 11
    assert any(batch.rate > 0 for batch in seen) and all(batch.connected for batch in seen)


async def test_a_refusal_is_told(client: Client, server_url: str) -> None:
    await ask(client, [(b"ACL", b"SETUSER", b"deaf", b"on", b"nopass", b"+@all", b"~*", b"resetchannels")])
    server = Server(lambda: client_from_url(server_url.replace("redis://", "redis://deaf:x@")))

    async def push(found: Tapped) -> None: ...

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run)
        with anyio.fail_after(20):
            reason = await tap(server, Kind.CHANNEL, b"news", push)
        tasks.cancel_scope.cancel()
    assert "channel" in reason
    await ask(client, [(b"ACL", b"DELUSER", b"deaf")])


@pytest.mark.trio_only("starts a cluster")
async def test_a_cluster() -> None:
    with two_nodes() as nodes:
        async with started_cluster(nodes) as cluster:
            names = [f"shard {n}" for n in range(6)]
            async with (
                subscribe(cluster, "news", shard_channels=names) as messages,
                subscribe(cluster, "news"),
            ):
                found = await read_channels(cluster)
                assert [(one.name.decode(), one.shard, one.subscribers) for one in found.channels] == [
                    ("news", False, 2), *((name, True, 1) for name in names),
                ]  # fmt: skip
                assert found.total == 7 and await named(cluster, b"shard 3") == [Channel(b"shard 3", True, 1)]
                with anyio.fail_after(20):
                    await ask(cluster, [(b"SPUBLISH", name, name) for name in names])
                    assert {(await anext(messages)).channel for _ in names} == set(names)
