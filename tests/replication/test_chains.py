"""Replicas of a replica: the stream is passed on as it is, also across promotions and restarts."""

from pathlib import Path

import pytest

from tests.oracle.servers import free_port
from tests.replication.masters import OURS, REDIS_7, REFERENCE, VALKEY, digest, in_sync, info, server
from tests.replication.workload import write


@pytest.mark.parametrize("last", [REDIS_7, VALKEY, OURS])
def test_a_chain(last: str) -> None:
    with server(REFERENCE) as first, server(OURS) as middle, server(last) as end:
        one, two, three = first.connect(), middle.connect(), end.connect()
        two.call("REPLICAOF", "127.0.0.1", str(first.port))
        in_sync(one, two)
        three.call("REPLICAOF", "127.0.0.1", str(middle.port))
        write(one, 1, 500)
        in_sync(one, two)
        in_sync(two, three)
        assert digest(one) == digest(two) == digest(three)
        assert len({info(each)["master_replid"] for each in (one, two, three)}) == 1
        # The middle one is promoted: the last one continues there.
        two.call("REPLICAOF", "NO", "ONE")
        write(two, 2, 500)
        in_sync(two, three)
        assert digest(two) == digest(three)
        assert info(two, "stats")["sync_full"] == "1"
        # And goes back to where it was, which needs everything anew, for both.
        two.call("REPLICAOF", "127.0.0.1", str(first.port))
        in_sync(one, two)
        in_sync(two, three)
        assert digest(one) == digest(two) == digest(three)


@pytest.mark.parametrize("master", [REDIS_7, REFERENCE, VALKEY, OURS])
def test_a_replica_continues_after_its_own_restart(master: str, tmp_path: Path) -> None:
    port = free_port()
    options = ("--save", "3600 1")
    with server(master) as leader:
        one = leader.connect()
        with server(OURS, *options, "--replicaof", f"127.0.0.1 {leader.port}", port=port, folder=tmp_path) as replica:
            write(one, 1, 300)
            in_sync(one, replica.connect())
        write(one, 2, 300)
        with server(OURS, *options, "--replicaof", f"127.0.0.1 {leader.port}", port=port, folder=tmp_path) as replica:
            two = replica.connect()
            in_sync(one, two)
            assert digest(one) == digest(two)
        assert info(one, "stats")["sync_full"] == "1"
        assert info(one, "stats")["sync_partial_ok"] == "1"
