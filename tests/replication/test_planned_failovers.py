"""Planned failovers of sets that Sentinels watch, with this broker on either side: nothing confirmed is lost.

FAILOVER is between a master and its replica, and Sentinel learns of it when it sees that its master is a replica. After
`down-after-milliseconds` it begins a failover of its own, unless it is told to. Valkey's Sentinel sends FAILOVER.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.replication.acknowledged import Load
from tests.replication.nodes import until
from tests.replication.sentinels import NAME, Member, Sentinels, guarded_set
from tests.replication.test_links import CONTROLS

Move = Callable[[Sentinels, Member, Member], None]

# each goes there and back
SETS = [("redis-7.0", "trimaran", "redis-7.0")]
PAIRS = [("trimaran", "redis-8"), ("valkey", "trimaran")]
if CONTROLS:
    SETS += [("trimaran",) * 3, ("trimaran", "redis-8", "trimaran"), ("redis-8",) * 3]
    PAIRS += [("trimaran", "trimaran"), ("trimaran", "redis-7.0"), ("redis-8", "redis-8"), ("valkey", "valkey")]


def by_failover(sentinels: Sentinels, master: Member, replica: Member) -> None:
    """FAILOVER alone. Clients that ask Sentinel are sent to the old master until Sentinel has noticed."""
    command = "FAILOVER", "TO", "127.0.0.1", replica.port, "TIMEOUT", 10_000
    # not before the replica's first acknowledgement
    until(lambda: master.node.call(*command) == b"+OK\r\n", master.node.log)
    until(lambda: replica.node.info().get("role") == "master", master.node.log)


def by_both(sentinels: Sentinels, master: Member, replica: Member) -> None:
    """FAILOVER, then SENTINEL FAILOVER, which prefers the replica that has the lower priority: the new master."""

    def known(port: int) -> bool:
        return b"slave-priority\r\n$1\r\n1\r\n" in sentinels.call(port, "SENTINEL", "REPLICAS", NAME)

    assert replica.node.call("CONFIG", "SET", "replica-priority", 1) == b"+OK\r\n"
    until(lambda: all(map(known, sentinels.ports)), sentinels.logs)
    by_failover(sentinels, master, replica)
    until(sentinels.fail_over, sentinels.logs)


def by_valkeys_sentinel(sentinels: Sentinels, master: Member, replica: Member) -> None:
    """Which may still be busy with the failover before."""
    until(lambda: sentinels.fail_over("COORDINATED"), sentinels.logs)


def move(sentinels: Sentinels, load: Load, move_by: Move, target: Member) -> Member:
    """Replace the master while clients write; returns the new one."""
    load.until_writing()
    master = sentinels.master()
    began = time.time()
    move_by(sentinels, master, target)
    sentinels.until_replaced(master, began)
    after = sentinels.until_whole()
    assert after is not master
    load.until_writing()
    assert not load.lost(after.node)
    print(f"{move_by.__name__}: {master.node.kind} to {after.node.kind}, longest gap {load.longest_gap(began):.2f} s")
    return after


@pytest.mark.parametrize("kinds", SETS, ids="-".join)
def test_a_failover_that_sentinel_learns_of(kinds: tuple[str, str, str], tmp_path: Path) -> None:
    with guarded_set(tmp_path, *kinds) as sentinels:
        load = Load(sentinels.ports, sentinels.logs)
        with load.running():
            first, second, _ = sentinels.members
            assert move(sentinels, load, by_both, second) is second
            second.node.call("CONFIG", "SET", "replica-priority", 100)
            move(sentinels, load, by_failover, first)
            load.until_handled()


@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_a_failover_that_valkeys_sentinel_makes(kinds: tuple[str, str], tmp_path: Path) -> None:
    with guarded_set(tmp_path, *kinds, valkey=True) as sentinels:
        load = Load(sentinels.ports, sentinels.logs)
        first, second = sentinels.members
        with load.running():
            for target in (second, first):
                assert move(sentinels, load, by_valkeys_sentinel, target) is target
            load.until_handled()
        full = sum(member.node.counted("sync_full") for member in sentinels.members)
        assert full == 1, "what both had was copied again"
