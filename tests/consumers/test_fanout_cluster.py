"""Shard channels in a cluster of two nodes: each on a connection to its node, also after its slot has moved."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import coredis
import pytest
import trio
from coredis.connection import TCPLocation
from coredis.typing import Key

from consumers.fanout import Backoff, Gap, Message, Reason, Start, follow, publish, subscribe
from tests.consumers.servers import RedisServer, executable
from tests.oracle.wire import Connection

HALF = 8192
Nodes = tuple[RedisServer, RedisServer]


def tell(node: RedisServer, command: str) -> bytes:
    connection = Connection(("127.0.0.1", node.port))
    reply = connection.call(*command.split())
    connection.close()
    return reply


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Two redis-servers that are a cluster, the first with the lower half of the slots."""
    path = executable("redis-newest") or executable("redis-older")
    if path is None:
        pytest.skip("no redis-server")
    with ExitStack() as stack:
        started = []
        for _ in range(2):
            server = RedisServer(path, "--cluster-enabled", "yes")
            while server.port > 55_000:  # its bus listens 10,000 above
                server = RedisServer(path, "--cluster-enabled", "yes")
            stack.callback(server.stop)
            server.start()
            started.append(server)
        low, high = started
        assert tell(low, f"CLUSTER ADDSLOTSRANGE 0 {HALF - 1}") == b"+OK\r\n"
        assert tell(high, f"CLUSTER ADDSLOTSRANGE {HALF} 16383") == b"+OK\r\n"
        assert tell(high, "CLUSTER SET-CONFIG-EPOCH 2") == b"+OK\r\n"
        assert tell(low, f"CLUSTER MEET 127.0.0.1 {high.port}") == b"+OK\r\n"
        yield low, high


@pytest.fixture
async def cluster(nodes: Nodes) -> "AsyncIterator[coredis.RedisCluster[str]]":
    with trio.fail_after(30):
        while not all(b"cluster_state:ok" in tell(node, "CLUSTER INFO") for node in nodes):
            await trio.sleep(0.05)
    location = TCPLocation("127.0.0.1", nodes[0].port)
    async with coredis.RedisCluster(startup_nodes=[location], decode_responses=True) as client:
        yield client
    for stream in client.connection_pool.cluster_layout._error_stream:
        stream.close()  # coredis leaves them open, of which Python would warn


async def test_all_kinds_of_names(cluster: "coredis.RedisCluster[str]") -> None:
    shards = [f"shard-{number}" for number in range(20)]
    with trio.fail_after(20):
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
    slot = Key("shard").slot
    old, new = nodes if slot < HALF else nodes[::-1]
    identity = tell(new, "CLUSTER MYID").split(b"\r\n")[1].decode()
    with trio.fail_after(20):
        async with subscribe(cluster, shard_channels=["shard"], reconnect=Backoff(0.05, 2, 1)) as messages:
            for node in (new, old):
                assert tell(node, f"CLUSTER SETSLOT {slot} NODE {identity}") == b"+OK\r\n"
            while tell(new, "SPUBLISH shard x") != b":1\r\n":
                await trio.sleep(0.02)
            events = messages.events()
            gap = await anext(events)
            assert isinstance(gap, Gap) and gap.reason is Reason.RECONNECTED
            assert await anext(events) == Message("shard", b"x")


async def test_streams_on_either_node_are_followed(cluster: "coredis.RedisCluster[str]") -> None:
    with trio.fail_after(20):
        for stream in ("a", "b", "c", "d"):
            await cluster.xadd(stream, {"n": "1"})
            async with follow(cluster, stream, "service", start=Start.BEGINNING) as entries:
                assert (await anext(entries)).fields == {"n": b"1"}
