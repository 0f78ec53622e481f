"""Servers that form a cluster, most often two, for the tests of streams and fan-out in a cluster.

A new cluster refuses everything for two seconds. So tests hand theirs on, emptied and with its slots where they were.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import coredis
import pytest
import trio

from tests.consumers.servers import RedisServer, executable
from tests.oracle.wire import Connection

__all__ = [
    "HALF", "Migration", "Nodes", "end_all", "move_slot", "several_nodes", "started_cluster", "tell", "two_nodes",
]  # fmt: skip

HALF = 8192
"""The first slot of the second node."""

Nodes = tuple[RedisServer, RedisServer]

_idle: dict[tuple[Path, int], list[tuple[RedisServer, ...]]] = {}
"""Clusters that no test uses at the moment, by their program and size."""


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
    """A slot that is being moved to the next node, key by key, or back from there. Creating the object begins it.

    nodes: as they were started, of which the slot's first owner has it, or is given it back.
    """

    def __init__(self, nodes: Sequence[RedisServer], slot: int, *, back: bool = False) -> None:
        count = len(nodes)
        owner = next(number for number in range(count) if slot < 16384 * (number + 1) // count)
        places = nodes[owner], nodes[(owner + 1) % count]
        self.source, self.target = places[::-1] if back else places
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
    """Two redis-servers that form a cluster, or soon will, the first with the lower half of the slots."""
    with several_nodes(2) as (low, high):
        yield low, high


@contextmanager
def several_nodes(count: int, path: Path | None = None) -> Iterator[tuple[RedisServer, ...]]:
    """Empty servers that form a cluster, or soon will, each with an equal part of the slots. path: by default a
    redis-server."""
    path = path or executable("redis-newest") or executable("redis-older")
    if path is None:
        pytest.skip("no redis-server")
    idle = _idle.setdefault((path, count), [])
    nodes = idle.pop() if idle else _started(count, path)
    with ExitStack() as stack:
        for node in nodes:
            stack.callback(node.stop)
        yield nodes
        _restore(nodes)
        stack.pop_all()
    idle.append(nodes)


def end_all() -> None:
    """End the clusters that were kept for further tests."""
    for clusters in _idle.values():
        while clusters:
            for node in clusters.pop():
                node.stop()


def _started(count: int, path: Path) -> tuple[RedisServer, ...]:
    with ExitStack() as stack:
        nodes = tuple(_start_node(path, stack) for _ in range(count))
        for number, node in enumerate(nodes):
            first, after = (16384 * part // count for part in (number, number + 1))
            assert tell(node, f"CLUSTER ADDSLOTSRANGE {first} {after - 1}") == b"+OK\r\n"
            assert tell(node, f"CLUSTER SET-CONFIG-EPOCH {number + 1}") == b"+OK\r\n"
        for node in nodes[1:]:
            assert tell(nodes[0], f"CLUSTER MEET 127.0.0.1 {node.port}") == b"+OK\r\n"
        stack.pop_all()
        return nodes


def _restore(nodes: tuple[RedisServer, ...]) -> None:
    """Leave a cluster as it was started."""
    for node in nodes:
        node.flush()
    away: list[int] = []
    for number, node in enumerate(nodes):
        [line] = [line for line in tell(node, "CLUSTER NODES").decode().splitlines() if "myself" in line]
        for words in line.split()[8:]:
            if words.startswith("["):
                # a move that was begun, and not ended
                assert tell(node, f"CLUSTER SETSLOT {words[1:].partition('-')[0]} STABLE") == b"+OK\r\n"
                continue
            first, _, last = words.partition("-")
            own = range(*(16384 * part // len(nodes) for part in (number, number + 1)))
            away += [slot for slot in range(int(first), int(last or first) + 1) if slot not in own]
    for slot in away:
        Migration(nodes, slot, back=True).end()


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
