"""A master that demands a password, a user or TLS, and what a replica does without."""

from pathlib import Path

import pytest

from tests.certificates import Certificates
from tests.oracle.servers import free_port
from tests.replication.nodes import Node, info, until, until_in_step


@pytest.mark.parametrize("kind", ["redis-7.0", "trimaran"])
def test_a_password(kind: str) -> None:
    with Node(kind) as master, Node("trimaran") as replica:
        leader, follower = master.connect(), replica.connect()
        leader.call("CONFIG", "SET", "requirepass", "secret")
        follower.call("REPLICAOF", "127.0.0.1", str(master.port))
        until(lambda: int(info(follower)["master_total_sync_attempts"]) > 1, "it has tried in vain")
        follower.call("CONFIG", "SET", "masterauth", "secret")
        until_in_step(leader, follower)


def test_a_user_with_few_rights() -> None:
    with Node("redis-7.0") as master, Node("trimaran") as replica:
        leader, follower = master.connect(), replica.connect()
        leader.call("ACL", "SETUSER", "copier", "on", ">secret", "+psync", "+replconf", "+ping")
        leader.call("CONFIG", "SET", "requirepass", "other")
        follower.call("CONFIG", "SET", "masterauth", "secret", "masteruser", "copier")
        follower.call("REPLICAOF", "127.0.0.1", str(master.port))
        until_in_step(leader, follower)


def test_encrypted(tmp_path: Path) -> None:
    port = free_port()
    certificates = Certificates(tmp_path)
    encrypted = dict(certificates.directives())
    with (
        Node("trimaran", **encrypted, tls_port=str(port)) as master,
        Node("trimaran", **encrypted, tls_replication="yes") as replica,
    ):
        leader, follower = master.connect(), replica.connect()
        leader.call("DEBUG", "POPULATE", "5000", "key", "100")
        follower.call("REPLICAOF", "127.0.0.1", str(master.port))
        until(lambda: int(info(follower)["master_total_sync_attempts"]) > 1, "it needs the other port")
        follower.call("REPLICAOF", "127.0.0.1", str(port))
        leader.call("SET", "a", "1")
        until_in_step(leader, follower)
        assert follower.call("DBSIZE") == b":5001\r\n"
