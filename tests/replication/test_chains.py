"""Replicas of a replica: the stream is passed on as it is, also across promotions and restarts."""

from pathlib import Path

import pytest

from tests.replication.nodes import Node, info, until_in_step, until_same
from tests.replication.workload import write


@pytest.mark.parametrize(
    ("first", "last"), [("redis-7.0", "redis-7.0"), ("redis-8", "valkey"), ("redis-8", "trimaran")]
)
def test_a_chain(first: str, last: str) -> None:
    """The last one gets the first one's words: Redis 7.0 does not know all of Redis 8's."""
    with Node(first) as top, Node("trimaran") as middle, Node(last) as end:
        one, two, three = top.connect(), middle.connect(), end.connect()
        two.call("REPLICAOF", "127.0.0.1", str(top.port))
        until_in_step(one, two)
        three.call("REPLICAOF", "127.0.0.1", str(middle.port))
        write(one, 1, 500)
        until_same(one, two)
        until_same(two, three)
        assert len({info(each)["master_replid"] for each in (one, two, three)}) == 1
        # The middle one is promoted: the last one continues there.
        two.call("REPLICAOF", "NO", "ONE")
        write(two, 2, 500)
        until_same(two, three)
        assert info(two, "stats")["sync_full"] == "1"
        # And goes back to where it was, which needs everything anew, for both.
        two.call("REPLICAOF", "127.0.0.1", str(top.port))
        until_same(one, two)
        until_same(two, three)


@pytest.mark.parametrize("master", ["redis-7.0", "redis-8", "valkey", "trimaran"])
def test_a_replica_continues_after_its_own_restart(master: str, tmp_path: Path) -> None:
    with (
        Node(master) as leader,
        Node("trimaran", tmp_path, save="3600 1", replicaof=f"127.0.0.1 {leader.port}") as replica,
    ):
        one = leader.connect()
        write(one, 1, 300)
        until_in_step(one, replica.connect())
        replica.terminate()
        write(one, 2, 300)
        replica.start()
        two = replica.connect()
        until_same(one, two)
        assert info(one, "stats")["sync_full"] == "1"
        assert info(one, "stats")["sync_partial_ok"] == "1"
