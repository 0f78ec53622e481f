"""Handing over the role of the master, with servers of all kinds on either side: nothing acknowledged is lost."""

from contextlib import ExitStack

import pytest

from tests.oracle.wire import Connection
from tests.replication.nodes import Node, info, until, until_in_step, until_same


def pair_of(stack: ExitStack, first: str, second: str) -> tuple[Node, Connection, Node, Connection]:
    """A master and its replica, in sync."""
    master, replica = stack.enter_context(Node(first)), stack.enter_context(Node(second))
    leader, follower = master.connect(), replica.connect()
    follower.call("REPLICAOF", "127.0.0.1", str(master.port))
    until_in_step(leader, follower)
    return master, leader, replica, follower


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("trimaran", "trimaran"), ("trimaran", "redis-7.0"), ("trimaran", "redis-8"), ("trimaran", "valkey"),
        ("redis-8", "trimaran"), ("valkey", "trimaran"),
    ],
)  # fmt: skip
def test_there_and_back(first: str, second: str) -> None:
    with ExitStack() as stack:
        master, leader, replica, follower = pair_of(stack, first, second)
        writing = master.connect()
        for number in range(100):
            leader.call("SET", f"k{number}", "1")
        # a Redis master does not take a replica for online before its first acknowledgement, up to a second later
        command = "FAILOVER", "TO", "127.0.0.1", str(replica.port), "TIMEOUT", "10000"
        until(lambda: leader.call(*command) == b"+OK\r\n", "the failover has begun")
        writing.send(b"SET held 1\r\n")  # until the end of the failover, which refuses it
        assert writing.receive() == b"-READONLY You can't write against a read only replica.\r\n"
        until(lambda: info(follower)["role"] == "master", "the replica has taken over")
        follower.call("SET", "new", "1")
        until_same(follower, leader)
        assert info(follower)["master_replid2"] != "0" * 40
        assert info(follower, "stats")["sync_full"] == "0"
        until(lambda: follower.call("FAILOVER") == b"+OK\r\n", "the failover back has begun")
        until(lambda: info(leader)["role"] == "master", "the first has taken over again")
        leader.call("SET", "newer", "1")
        until_same(leader, follower)


def test_a_replica_that_does_not_catch_up() -> None:
    with ExitStack() as stack:
        master, leader, replica, follower = pair_of(stack, "trimaran", "redis-7.0")
        leader.call("SET", "a", "1")
        until_in_step(leader, follower)
        follower.send(b"DEBUG SLEEP 3\r\n")
        leader.call("SET", "a", "2")
        waiting = master.connect()
        assert leader.call("FAILOVER", "TIMEOUT", "100") == b"+OK\r\n"
        assert info(leader)["master_failover_state"] == "waiting-for-sync"
        assert leader.call("REPLICAOF", "NO", "ONE") == b"-ERR REPLICAOF not allowed while failing over.\r\n"
        assert leader.call("FAILOVER") == b"-ERR FAILOVER already in progress.\r\n"
        waiting.send(b"SET a 3\r\n")
        assert waiting.receive() == b"+OK\r\n"
        assert info(leader)["master_failover_state"] == "no-failover"
        assert leader.call("FAILOVER") == b"+OK\r\n"
        assert leader.call("FAILOVER", "ABORT") == b"+OK\r\n"
        assert leader.call("SET", "a", "4") == b"+OK\r\n"
        assert follower.receive() == b"+OK\r\n"
        until_in_step(leader, follower)
        assert leader.call("FAILOVER", "TO", "127.0.0.1", str(replica.port)) == b"+OK\r\n"
        until(lambda: info(follower)["role"] == "master")


def test_a_target_that_is_gone_and_comes_to_nothing() -> None:
    with ExitStack() as stack:
        _, leader, replica, follower = pair_of(stack, "trimaran", "redis-7.0")
        follower.send(b"DEBUG SLEEP 2\r\n")
        leader.call("SET", "a", "1")
        port = str(replica.port)
        assert leader.call("FAILOVER", "TO", "127.0.0.1", port, "FORCE", "TIMEOUT", "50") == b"+OK\r\n"
        replica.kill()
        until(lambda: info(leader)["master_failover_state"] == "failover-in-progress")
        assert leader.call("SET", "a", "2") == b"-READONLY You can't write against a read only replica.\r\n"
        assert leader.call("FAILOVER", "ABORT") == b"+OK\r\n"
        assert leader.call("SET", "a", "3") == b"+OK\r\n"
        assert info(leader)["role"] == "master"
