"""Servers that form a cluster, most often two, for the tests of streams and fan-out in a cluster."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import coredis
import pytest
import trio

from tests.consumers.servers import RedisServer, executable
from tests.oracle.wire import Connection

__all__ = ["HALF", "Migration", "Nodes", "move_slot", "several_nodes", "started_cluster", "tell", "two_nodes"]

HALF = 8192
"""The first slot of the second node."""

Nodes = tuple[RedisServer, RedisServer]


def tell(node: RedisServer, command: str) -> bytes:
    """Return one node's raw reply to a command."""
    connection = Connection(("127.0.0.1", node.port))
    reply = connection.call(*command.split())
    connection.close()
    return reply


def move_slot(nodes: Nodes, slot: int) -> tuple[RedisServer, RedisServer]:
    """Give a slot, without its keys, to the other node; returns its old and its new owner."""
    source, target = nodes if slot < HALF else nodes[::-1]
    owner = tell(target, "CLUSTER MYID").split()[1].decode()
    for node in (target, source):
        assert tell(node, f"CLUSTER SETSLOT {slot} NODE {owner}") == b"+OK\r\n"
    return source, target


class Migration:
    """A slot that is being moved to the next node, key by key. Creating the object begins it.

    nodes: as they were started, of which the slot's first owner still has it.
    """

    def __init__(self, nodes: Sequence[RedisServer], slot: int) -> None:
        count = len(nodes)
        owner = next(number for number in range(count) if slot < 16384 * (number + 1) // count)
        self.source, self.target = nodes[owner], nodes[(owner + 1) % count]
        self._others = [node for node in nodes if node not in (self.source, self.target)]
        self._slot = slot
        for node, state, other in ((self.target, "IMPORTING", self.source), (self.source, "MIGRATING", self.target)):
            name = tell(other, "CLUSTER MYID").split()[1].decode()
            assert tell(node, f"CLUSTER SETSLOT {slot} {state} {name}") == b"+OK\r\n"

    def left(self) -> list[str]:
        """The keys that have not been moved."""
        reply = tell(self.source, f"CLUSTER GETKEYSINSLOT {self._slot} 1000").split(b"\r\n")
        return [line.decode() for line in reply[2::2]]

    def move(self, *keys: str) -> None:
        """Move these keys, or all that are left."""
        for key in keys or self.left():
            assert tell(self.source, f"MIGRATE 127.0.0.1 {self.target.port} {key} 0 5000") in (
                b"+OK\r\n",
                b"+NOKEY\r\n",
            )

    def end(self) -> None:
        """Move the rest, and give the slot to the other node."""
        while self.left():
            self.move()
        name = tell(self.target, "CLUSTER MYID").split()[1].decode()
        for node in (self.target, self.source, *self._others):
            assert tell(node, f"CLUSTER SETSLOT {self._slot} NODE {name}") == b"+OK\r\n"


@contextmanager
def two_nodes() -> Iterator[Nodes]:
    """Start two redis-servers that will form a cluster, the first with the lower half of the slots."""
    with several_nodes(2) as (low, high):
        yield low, high


@contextmanager
def several_nodes(count: int, path: Path | None = None) -> Iterator[tuple[RedisServer, ...]]:
    """Start servers that will form a cluster, each with an equal part of the slots. path: by default a redis-server."""
    path = path or executable("redis-newest") or executable("redis-older")
    if path is None:
        pytest.skip("no redis-server")
    with ExitStack() as stack:
        nodes = tuple(_start_node(path, stack) for _ in range(count))
        for number, node in enumerate(nodes):
            first, after = (16384 * part // count for part in (number, number + 1))
            assert tell(node, f"CLUSTER ADDSLOTSRANGE {first} {after - 1}") == b"+OK\r\n"
            assert tell(node, f"CLUSTER SET-CONFIG-EPOCH {number + 1}") == b"+OK\r\n"
        for node in nodes[1:]:
            assert tell(nodes[0], f"CLUSTER MEET 127.0.0.1 {node.port}") == b"+OK\r\n"
        yield nodes


def _start_node(path: Path, stack: ExitStack) -> RedisServer:
    for _ in range(10):
        server = RedisServer(path, "--cluster-enabled", "yes")
        stack.callback(server.stop)
        if server.port < 55_000:
            try:
                server.start()
            except RuntimeError:
                continue  # its bus listens 10,000 above its port, which may be taken
            return server
    raise RuntimeError("no free pair of ports")


@asynccontextmanager
async def started_cluster(nodes: Sequence[RedisServer], **settings: Any) -> "AsyncIterator[coredis.RedisCluster[Any]]":
    """A client of the nodes, once they serve all slots."""
    with trio.fail_after(30):
        while not all(b"cluster_state:ok" in tell(node, "CLUSTER INFO") for node in nodes):
            await trio.sleep(0.05)
    async with coredis.RedisCluster("127.0.0.1", nodes[0].port, **settings) as client:
        yield client
    for stream in client.connection_pool.cluster_layout._error_stream:
        stream.close()  # coredis leaves them open, and Python would warn
