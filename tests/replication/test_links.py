"""Links that end: what was missed is continued, not copied again, also through a chain; and full syncs under load."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.replication.contents import same_contents
from tests.replication.nodes import Node, nodes, until
from tests.replication.proxy import Proxy
from tests.replication.writes import LIBRARY, Writes, words_of

SEED = os.environ.get("TRIMARAN_REPLICATION_SEED") or "1"
MANY = 10_000
"""Keys of a full sync that takes a moment."""

CONTROLS = bool(os.environ.get("TRIMARAN_REPLICATION_CONTROLS"))
PAIRS = [("trimaran", "trimaran"), ("trimaran", "redis-8"), ("redis-8", "trimaran")]
CHAINS = [
    ("trimaran", "trimaran", "trimaran"), ("redis-7.0", "trimaran", "redis-8"), ("trimaran", "redis-7.0", "trimaran"),
]  # fmt: skip
if CONTROLS:
    PAIRS += [("redis-7.0", "redis-7.0"), ("redis-8", "redis-8"), ("valkey", "valkey")]
    CHAINS += [("valkey", "trimaran", "trimaran"), ("redis-8", "trimaran", "trimaran")]
    CHAINS += [("redis-7.0",) * 3, ("redis-8",) * 3, ("redis-7.0", "redis-8", "redis-8"), ("valkey",) * 3]


@contextlib.contextmanager
def load(master: Node, words: set[str]) -> Iterator[None]:
    """Writes of every family, one after the other, until the block ends."""
    stopping = threading.Event()
    writes = Writes(SEED, words)

    def work() -> None:
        with contextlib.closing(master.connect()) as connection:
            while not stopping.is_set():
                writes.send(connection, 50)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def write(master: Node, writes: Writes, count: int) -> None:
    with contextlib.closing(master.connect()) as connection:
        writes.send(connection, count)


@pytest.mark.parametrize(("master_kind", "replica_kind"), PAIRS)
def test_a_cut_link_is_continued(master_kind: str, replica_kind: str, tmp_path: Path) -> None:
    words = words_of(master_kind, replica_kind, master=master_kind)
    both = nodes(tmp_path, master_kind, replica_kind, repl_backlog_size="64mb")
    with both as (master, replica), Proxy(master.port) as between:
        replica.follow(between.port)
        replica.until_in_sync()
        with load(master, words):
            for cuts in range(1, 4):
                between.cut()
                until(lambda cuts=cuts: master.counted("sync_partial_ok") == cuts, master.log)  # type: ignore[misc]
                replica.until_in_sync()
        same_contents(master, replica)
        assert master.counted("sync_full") == 1
        assert replica.info()["master_replid"] == master.info()["master_replid"]


@pytest.mark.parametrize(("master_kind", "replica_kind"), PAIRS)
def test_what_no_backlog_holds_is_copied(master_kind: str, replica_kind: str, tmp_path: Path) -> None:
    with (
        nodes(tmp_path, master_kind, replica_kind, repl_backlog_size="16kb") as (master, replica),
        Proxy(master.port) as between,
    ):
        replica.follow(between.port)
        replica.until_in_sync()
        between.refusing = True
        between.cut()
        until(lambda: master.info()["connected_slaves"] == "0", master.log)
        for number in range(30):
            master.call("SET", f"large:{number}", "x" * 2000)
        between.refusing = False
        until(lambda: master.counted("sync_full") == 2, replica.log)
        replica.until_in_sync()
        same_contents(master, replica)
        assert master.counted("sync_partial_err") >= 1


@pytest.mark.parametrize("kinds", CHAINS, ids="-".join)
def test_a_chain_of_three(kinds: tuple[str, ...], tmp_path: Path) -> None:
    writes = Writes(SEED, words_of(*kinds, master=kinds[0]))
    with nodes(tmp_path, *kinds) as (master, middle, last), Proxy(master.port) as upper, Proxy(middle.port) as lower:
        master.call("FUNCTION", "LOAD", LIBRARY)
        write(master, writes, 500)
        middle.follow(upper.port)
        last.follow(lower.port)
        middle.until_in_sync()
        last.until_in_sync()
        write(master, writes, 500)
        same_contents(master, middle, last)

        lower.cut()
        write(master, writes, 300)
        until(lambda: middle.counted("sync_partial_ok") == 1, middle.log)
        last.until_in_sync()
        upper.cut()
        write(master, writes, 300)
        until(lambda: master.counted("sync_partial_ok") == 1, master.log)
        middle.until_in_sync()
        same_contents(master, middle, last)
        assert master.counted("sync_full") == 1

        # the middle becomes the master of what is left, and its replica needn't copy anything
        copies = middle.counted("sync_full")
        upper.refusing = True
        upper.cut()
        assert middle.call("REPLICAOF", "NO", "ONE") == b"+OK\r\n"
        write(middle, Writes("after", words_of(*kinds[1:], master=kinds[1])), 300)
        last.until_in_sync()
        same_contents(middle, last)
        assert middle.counted("sync_full") == copies
        assert last.info()["master_replid"] == middle.info()["master_replid"] != master.info()["master_replid"]


@pytest.mark.parametrize(("master_kind", "replica_kind"), PAIRS)
def test_a_full_sync_while_others_write(master_kind: str, replica_kind: str, tmp_path: Path) -> None:
    words = words_of(master_kind, replica_kind, master=master_kind)
    with nodes(tmp_path, master_kind, replica_kind) as (master, replica):
        assert master.call("DEBUG", "POPULATE", MANY, "key", "100") == b"+OK\r\n"
        with load(master, words):
            replica.follow(master.port)
            replica.until_in_sync()
        same_contents(master, replica)


@pytest.mark.parametrize("end", ["master", "replica"])
def test_a_restart_is_continued(end: str, tmp_path: Path) -> None:
    """With its files, whichever of the two it is that restarts."""
    with nodes(tmp_path, "trimaran", "trimaran", save="3600 1", repl_ping_replica_period="3600") as (master, replica):
        replica.call("CONFIG", "SET", "repl-timeout", "3600")
        replica.follow(master.port)
        replica.until_in_sync()
        write(master, Writes(SEED, {"fields", "newest"}), 500)
        same_contents(master, replica)
        copied = master.counted("sync_full")
        if end == "replica":
            replica.terminate()
            write(master, Writes("meanwhile", {"fields", "newest"}), 300)
            replica.start("--replicaof", "127.0.0.1", str(master.port))
        else:
            master.terminate()
            master.start()
            copied = 0
        replica.until_in_sync()
        write(master, Writes("afterwards", {"fields", "newest"}), 300)
        same_contents(master, replica)
        assert (master.counted("sync_full"), master.counted("sync_partial_ok")) == (copied, 1)
