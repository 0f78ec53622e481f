"""FAILOVER: a master and its replica change places, and agree on the moment. Nothing is lost, nothing is copied."""

import time
from pathlib import Path

import pytest

from tests.replication.acknowledged import Load, Writer, direct_clients
from tests.replication.contents import same_contents
from tests.replication.nodes import nodes, until
from tests.replication.test_links import CONTROLS

PAIRS = [("trimaran", "trimaran"), ("trimaran", "redis-8"), ("redis-7.0", "trimaran"), ("valkey", "trimaran")]
if CONTROLS:
    PAIRS += [("redis-7.0", "redis-7.0"), ("redis-8", "redis-8")]


@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_two_change_places(kinds: tuple[str, str], tmp_path: Path) -> None:
    with nodes(tmp_path, *kinds) as (master, replica):
        replica.follow(master.port)
        replica.until_in_sync()
        load = Load((), lambda: master.log() + replica.log())
        load.writers = [Writer(f"writer{number}", direct_clients(master.port, replica.port)) for number in range(2)]
        began = time.time()
        with load.running():
            for _ in range(2):
                load.until_writing()
                command = "FAILOVER", "TO", "127.0.0.1", replica.port, "TIMEOUT", 10_000
                until(lambda: master.call(*command) == b"+OK\r\n", master.log)  # noqa: B023
                until(lambda: replica.info().get("role") == "master", replica.log)  # noqa: B023
                until(lambda: master.info().get("role") == "slave", master.log)  # noqa: B023
                master.until_in_sync()
                assert not load.lost(replica)
                master, replica = replica, master
            load.until_writing()
            assert not load.lost(master)
        same_contents(master, replica)
        full = sum(node.counted("sync_full") for node in (master, replica))
        assert full == 1, "what both had was copied again"
    print(f"{kinds}: {load.confirmed()} writes confirmed; longest gap {load.longest_gap(began):.2f} s")


def test_a_failover_that_cannot_be(tmp_path: Path) -> None:
    """The replica hangs: after the timeout, the master is the master again, and accepts writes."""
    with nodes(tmp_path, "trimaran", "trimaran") as (master, replica):
        replica.follow(master.port)
        replica.until_in_sync()
        replica.suspend()
        master.call("SET", "k", "1")
        assert master.call("FAILOVER", "TIMEOUT", 300) == b"+OK\r\n"
        assert master.info()["master_failover_state"] == "waiting-for-sync"
        until(lambda: master.info()["master_failover_state"] == "no-failover", master.log)
        assert master.call("SET", "k", "2") == b"+OK\r\n"
        replica.resume()
        replica.until_in_sync()
        same_contents(master, replica)
