"""Shard channels in a cluster of two nodes: each on a connection to its node, also after its slot has moved."""

from collections.abc import AsyncIterator, Iterator

import anyio
import coredis
import pytest
from coredis.typing import Key

from consumers.fanout import Backoff, Gap, Message, Reason, Start, follow, publish, subscribe
from consumers.streams import Producer
from tests.consumers.clusters import Migration, Nodes, move_slot, started_cluster, tell, two_nodes


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with two_nodes() as nodes:
        yield nodes


@pytest.fixture
async def cluster(nodes: Nodes) -> "AsyncIterator[coredis.RedisCluster[str]]":
    async with started_cluster(nodes, decode_responses=True) as client:
        yield client


async def test_all_kinds_of_names(cluster: "coredis.RedisCluster[str]") -> None:
    shards = [f"shard-{number}" for number in range(20)]
    with anyio.fail_after(20):
        async with subscribe(cluster, "news", patterns=["p*"], shard_channels=shards[:10]) as messages:
            await messages.add(shard_channels=shards[10:])
            for name in shards:
                assert await publish(cluster, name, name, shard=True) == 1
            await publish(cluster, "news", "x")
            await publish(cluster, "p1", "x")
            got = {(await anext(messages)).channel for _ in range(22)}
            assert got == {*shards, "news", "p1"}
            await messages.remove(shard_channels=shards)
            assert await publish(cluster, shards[0], "-", shard=True) == 0


async def test_a_slot_that_moves_takes_its_shard_channels_along(
    cluster: "coredis.RedisCluster[str]", nodes: Nodes
) -> None:
    with anyio.fail_after(20):
        async with subscribe(cluster, shard_channels=["shard"], reconnect=Backoff(0.05, 2, 1)) as messages:
            _, new = move_slot(nodes, Key("shard").slot)
            while tell(new, "SPUBLISH shard x") != b":1\r\n":
                await anyio.sleep(0.02)
            events = messages.events()
            gap = await anext(events)
            assert isinstance(gap, Gap) and gap.reason is Reason.RECONNECTED
            assert await anext(events) == Message("shard", b"x")


async def test_streams_on_either_node_are_followed(cluster: "coredis.RedisCluster[str]") -> None:
    with anyio.fail_after(20):
        for stream in ("a", "b", "c", "d"):
            await cluster.xadd(stream, {"n": "1"})
            async with follow(cluster, stream, "service", start=Start.BEGINNING) as entries:
                assert (await anext(entries)).fields == {"n": b"1"}


@pytest.mark.parametrize("while_it_moves", ["read", "begun"])
async def test_a_stream_is_followed_to_where_its_slot_moves(
    cluster: "coredis.RedisCluster[str]", nodes: Nodes, while_it_moves: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Key by key, as Redis does it: the stream is at the other node long before its slot."""

    def migrated() -> Migration:
        migration = Migration(nodes, Key("orders").slot)
        migration.move()
        return migration

    await cluster.xadd("orders", {"n": "0"})
    migration = migrated() if while_it_moves == "begun" else None
    with anyio.fail_after(20):
        async with follow(cluster, "orders", "service", start=Start.BEGINNING, heartbeat=0.3) as entries:
            assert (await anext(entries)).fields == {"n": b"0"}
            migration = migration or migrated()
            for number in (1, 2):
                await Producer(cluster, "orders").publish({"n": str(number)})
                assert (await anext(entries)).fields == {"n": b"%d" % number}
            await entries.save()
            assert entries.saved == entries.position != ""
            assert not caplog.records and entries.reconnects == 0
            migration.end()
            await Producer(cluster, "orders").publish({"n": "3"})
            assert (await anext(entries)).fields == {"n": b"3"}
            groups = tell(migration.target, "XINFO GROUPS orders")
            assert entries.saved.encode() in groups
    assert not caplog.records and entries.reconnects == 0
    assert entries.position.encode() in tell(migration.target, "XINFO GROUPS orders")
