"""Every kind of server as the master of every other: full sync, then writes of every family, and all is equal.

TRIMARAN_REPLICATION_WRITES is the number of writes for each pair. With TRIMARAN_REPLICATION_CONTROLS=1, the pairs
without this broker are tried as well: they show that the test itself is right.
"""

import contextlib
import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle.wire import CLOSED, SILENT, parse
from tests.replication.contents import same_contents
from tests.replication.nodes import KINDS, Node, nodes, until
from tests.replication.writes import CHANNEL, LIBRARY, Writes, block, words_of

WRITES = int(os.environ.get("TRIMARAN_REPLICATION_WRITES") or 1500)
SEED = os.environ.get("TRIMARAN_REPLICATION_SEED") or "1"

OURS = [(master, replica) for master in KINDS for replica in KINDS if "trimaran" in (master, replica)]
CONTROLS = [
    ("redis-7.0", "redis-7.0"), ("redis-7.0", "redis-8"), ("redis-7.0", "valkey"), ("redis-8", "redis-8"),
    ("valkey", "valkey"),
]  # fmt: skip
"""The pairs of other servers that understand each other's files."""
PAIRS = OURS + (CONTROLS if os.environ.get("TRIMARAN_REPLICATION_CONTROLS") else [])

EVICTING = 64 * 1024
"""Bytes of values that are written at once while memory is full."""


@contextlib.contextmanager
def blocked_clients(master: Node) -> Iterator[list[int]]:
    """Clients that wait for keys while others write; how many pops each has had."""
    stopping = threading.Event()
    popped = [0, 0, 0]

    def work(number: int) -> None:
        with contextlib.closing(master.connect()) as connection:
            for successful in block(connection, number):
                popped[number] += successful
                if stopping.is_set():
                    return

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(popped))]
    for thread in threads:
        thread.start()
    try:
        yield popped
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def messages_of(replica: Node) -> tuple[list[bytes], threading.Thread]:
    """What a subscriber of the replica gets, until the message "end"."""
    connection = replica.connect()
    connection.call("SUBSCRIBE", CHANNEL)
    got: list[bytes] = []

    def listen() -> None:
        while (reply := connection.receive()) not in (CLOSED, SILENT):
            got.append(parse(reply).items[2].text)
            if got[-1] == b"end":
                break
        connection.close()

    listener = threading.Thread(target=listen)
    listener.start()
    return got, listener


def evict(master: Node, replica: Node) -> None:
    """Write while memory is full: the master evicts, and its replica, whose limit is as low, does what it is told."""
    for server in (replica, master):
        used = server.counted("used_memory", "memory")
        server.call("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
        server.call("CONFIG", "SET", "maxmemory", used + 1000)
    with contextlib.closing(master.connect()) as connection:
        numbers = itertools.count()

        def evicted() -> bool:
            # what was in use for other things may have been freed meanwhile
            for number in itertools.islice(numbers, 60):
                connection.call("SET", f"evictable:{number}", b"x" * (EVICTING // 60))
            return master.counted("evicted_keys") > 0

        until(evicted, "keys are evicted")
    for server in (master, replica):
        server.call("CONFIG", "SET", "maxmemory", "0")


def send(master: Node, writes: Writes, count: int) -> int:
    """Send so many writes on a connection of their own; returns how many were errors."""
    with contextlib.closing(master.connect()) as connection:
        return writes.send(connection, count)


@pytest.mark.parametrize(("master_kind", "replica_kind"), PAIRS)
def test_pair(master_kind: str, replica_kind: str, tmp_path: Path) -> None:
    with nodes(tmp_path, master_kind, replica_kind) as (master, replica):
        assert master.call("FUNCTION", "LOAD", LIBRARY).startswith(b"$")
        words = words_of(master_kind, replica_kind, master=master_kind)
        writes = Writes(SEED, words)
        # what the file brings
        send(master, writes, min(WRITES, 2000))
        replica.follow(master.port)
        replica.until_in_sync()
        same_contents(master, replica)
        assert (master.counted("sync_full"), master.counted("sync_partial_ok")) == (1, 0)

        # what the stream brings
        got, listener = messages_of(replica)
        with blocked_clients(master) as popped:
            errors = send(master, writes, WRITES)
        assert errors < WRITES / 4 and all(popped)
        evict(master, replica)
        changed = LIBRARY.replace("-20", "-10")
        master.call("FUNCTION", "LOAD", "REPLACE", changed)
        master.call("PUBLISH", CHANNEL, "end")
        same_contents(master, replica)
        listener.join(30)
        assert not listener.is_alive()
        assert got[-1] == b"end" and {b"script", b"function"} <= set(got)
        assert master.counted("sync_full") == 1
