"""Consumers in a cluster of two nodes: streams in different slots, and a slot that moves while it is read."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import coredis
import pytest
import trio
from coredis.typing import Key

from consumers.streams import Consumer, Message, Producer, Reject, Replay, dead_letters, redrive
from tests.consumers.servers import RedisServer, executable
from tests.consumers.streams.running import running, until
from tests.oracle.wire import Connection

HALF = 8192
Nodes = tuple[RedisServer, RedisServer]


def tell(node: RedisServer, command: str) -> bytes:
    connection = Connection(("127.0.0.1", node.port))
    reply = connection.call(*command.split())
    connection.close()
    return reply


def _start_node(path: Path, stack: ExitStack) -> RedisServer:
    for _ in range(10):
        server = RedisServer(path, "--cluster-enabled", "yes")
        stack.callback(server.stop)
        if server.port < 55_000:
            try:
                server.start()
            except RuntimeError:
                continue  # its bus listens 10,000 above its port, where somebody else may
            return server
    raise RuntimeError("no free pair of ports")


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Two redis-servers that are a cluster, the first with the lower half of the slots."""
    path = executable("redis-newest") or executable("redis-older")
    if path is None:
        pytest.skip("no redis-server")
    with ExitStack() as stack:
        started = [_start_node(path, stack) for _ in range(2)]
        low, high = started
        assert tell(low, f"CLUSTER ADDSLOTSRANGE 0 {HALF - 1}") == b"+OK\r\n"
        assert tell(high, f"CLUSTER ADDSLOTSRANGE {HALF} 16383") == b"+OK\r\n"
        assert tell(high, "CLUSTER SET-CONFIG-EPOCH 2") == b"+OK\r\n"
        assert tell(low, f"CLUSTER MEET 127.0.0.1 {high.port}") == b"+OK\r\n"
        yield low, high


@pytest.fixture
async def cluster(nodes: Nodes) -> "AsyncIterator[coredis.RedisCluster[bytes]]":
    with trio.fail_after(30):
        while not all(b"cluster_state:ok" in tell(node, "CLUSTER INFO") for node in nodes):
            await trio.sleep(0.05)
    async with coredis.RedisCluster("127.0.0.1", nodes[0].port) as client:
        yield client
    for stream in client.connection_pool.cluster_layout._error_stream:
        stream.close()  # coredis leaves them open, of which Python would warn


async def test_streams_anywhere_in_a_cluster(cluster: "coredis.RedisCluster[bytes]") -> None:
    async def handler(message: Message) -> None:
        if message.data["n"] == "7":
            raise Reject("seven")

    for name in ("{a}s", "{b}s", "{c}s"):
        await Producer(cluster, name).publish_many({"n": n} for n in range(20))
        consumer = Consumer(
            cluster, streams=[name, f"{name}:more"], group="g", consumer="a", dead_letter=f"{name}:dead"
        )
        async with running(consumer, handler):
            await until(lambda: consumer.statistics.acknowledged == 19 and consumer.statistics.dead == 1)  # noqa: B023
        assert [letter.reason async for letter in dead_letters(cluster, f"{name}:dead")] == ["seven"]
        assert await redrive(cluster, f"{name}:dead") == 1
        async with Replay(cluster, name).open() as entries:
            assert len([entry async for entry in entries]) == 21


async def test_streams_of_different_slots_are_refused(cluster: "coredis.RedisCluster[bytes]") -> None:
    async def handler(message: Message) -> None: ...

    with pytest.raises(ValueError, match="hash tag"):
        await Consumer(cluster, streams=["a", "b"], group="g").run(handler)
    with pytest.raises(ValueError, match="hash tag"):
        await Consumer(cluster, stream="a", group="g", dead_letter="b").run(handler)


async def test_a_slot_that_moves_is_followed(nodes: Nodes, cluster: "coredis.RedisCluster[bytes]") -> None:
    seen: list[str] = []

    async def handler(message: Message) -> None:
        seen.append(message.data["n"])

    slot = Key("orders").slot
    source, target = nodes if slot < HALF else nodes[::-1]
    owner = tell(target, "CLUSTER MYID").split()[1].decode()
    consumer = Consumer(cluster, stream="orders", group="g", consumer="a", block=0.5)
    async with running(consumer, handler):
        await Producer(cluster, "orders").publish({"n": "before"})
        await until(lambda: consumer.statistics.acknowledged == 1)
        await cluster.delete(["orders"])
        for node in (target, source):
            tell(node, f"CLUSTER SETSLOT {slot} NODE {owner}")
        await Producer(cluster, "orders").publish({"n": "after"})
        await until(lambda: seen == ["before", "after"])
