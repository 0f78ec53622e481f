"""Real servers follow this broker: keys and offsets are equal after all kinds of writes, cuts and restarts."""

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.oracle.servers import Server
from tests.oracle.wire import Connection, parse
from tests.replication.conftest import Connect, Start
from tests.replication.servers import KINDS, digest, free_port, in_step, info, linked, wait_until
from tests.replication.workload import write

kinds = pytest.mark.parametrize("kind", KINDS)


def same(leader: Connection, follower: Connection) -> None:
    wait_until("the replica is in step", lambda: in_step(leader, follower))
    assert digest(leader) == digest(follower)


@kinds
def test_it_has_the_keys_and_follows(kind: str, master: Start, replica: Start, connect: Connect) -> None:
    ours = master()
    client = connect(ours)
    write(client, 1, 500)
    theirs = replica(kind, ours)
    follower = connect(theirs)
    wait_until("the replica is linked", lambda: linked(follower))
    write(client, 2, 1500)
    assert client.call("WAIT", 1, 5000) == b":1\r\n"
    same(client, follower)
    lines = parse(client.call("CLIENT", "LIST", "TYPE", "replica")).text.splitlines()
    assert len(lines) == 1
    assert b" flags=S " in lines[0]
    role = parse(client.call("ROLE"))
    assert role.items[0].text == b"master"
    assert role.items[2].items[0].items[1].text == b"%d" % theirs.address[1]
    assert info(client, "stats")["sync_full"] == "1"


@pytest.mark.parametrize("kind", ["redis-7.0"])
def test_writes_during_the_synchronization_arrive(kind: str, master: Start, replica: Start, connect: Connect) -> None:
    ours = master("--rdb-key-save-delay", "200")
    client = connect(ours)
    client.send(b"".join(b"SET key%d %d\r\n" % (number, number) for number in range(3000)))
    for _ in range(3000):
        client.receive()
    theirs = replica(kind, ours)
    follower = connect(theirs)
    wait_until("the child runs", lambda: info(client, "persistence")["rdb_bgsave_in_progress"] == "1")
    write(client, 3, 300)
    wait_until("the replica is linked", lambda: linked(follower))
    same(client, follower)


@pytest.mark.parametrize("kind", ["valkey-9"])
def test_a_message_arrives_at_the_replicas_subscribers(
    kind: str, master: Start, replica: Start, connect: Connect
) -> None:
    ours = master()
    client = connect(ours)
    theirs = replica(kind, ours)
    follower, subscriber = connect(theirs), connect(theirs)
    wait_until("the replica is linked", lambda: linked(follower))
    subscriber.call("SUBSCRIBE", "news")
    client.call("MULTI")
    client.call("SET", "a", 1)
    client.call("PUBLISH", "news", "in a transaction")
    client.call("EXEC")
    client.call("EVAL", "return redis.call('publish', 'news', 'from a script')", 0)
    client.call("PUBLISH", "news", "alone")
    heard = [parse(subscriber.receive()).items[2].text for _ in range(3)]
    assert heard == [b"in a transaction", b"from a script", b"alone"]


class Cable:
    """A connection between two servers that can be cut."""

    def __init__(self, to: tuple[str, int]) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._socks: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                theirs, _ = self._listener.accept()
            except OSError:
                return
            ours = socket.create_connection(self._to)
            self._socks += [theirs, ours]
            for pair in ((theirs, ours), (ours, theirs)):
                threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
        except OSError:
            pass
        for sock in (source, sink):
            sock.close()

    def cut(self) -> None:
        """End all connections; new ones are possible at once."""
        socks, self._socks = self._socks, []
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        self.cut()


@kinds
def test_after_a_cut_it_continues_where_it_was(kind: str, master: Start, replica: Start, connect: Connect) -> None:
    ours = master()
    client = connect(ours)
    cable = Cable(ours.address)
    try:
        theirs = replica(kind, Server("cable", cable.address, None, None))
        follower = connect(theirs)
        wait_until("the replica is linked", lambda: linked(follower))
        for cut in range(3):
            write(client, cut, 100)
            cable.cut()
            write(client, 10 + cut, 100)
            wait_until("the replica is in step", lambda: in_step(client, follower))
        same(client, follower)
        stats = info(client, "stats")
        assert stats["sync_full"] == "1"
        assert int(stats["sync_partial_ok"]) >= 3
    finally:
        cable.close()


@pytest.mark.parametrize("kind", ["redis-8"])
def test_after_a_restart_it_continues_where_it_was(
    kind: str, master: Start, replica: Start, connect: Connect, tmp_path: Path
) -> None:
    port = free_port()
    ours = master(port=port, folder=tmp_path)
    client = connect(ours)
    follower = connect(replica(kind, ours))
    wait_until("the replica is linked", lambda: linked(follower))
    write(client, 1, 200)
    before = info(client, "replication")["master_replid"]
    client.call("SHUTDOWN", "SAVE")
    assert ours.process is not None
    ours.process.wait(10)
    assert "1 of 1 replicas are in sync when shutting down." in ours.log()
    client = connect(master(port=port, folder=tmp_path))
    assert info(client, "replication")["master_replid2"] == before
    wait_until("the replica is linked", lambda: in_step(client, follower))
    write(client, 2, 200)
    same(client, follower)
    stats = info(client, "stats")
    assert (stats["sync_full"], stats["sync_partial_ok"]) == ("0", "1")


@pytest.mark.parametrize("kind", ["redis-8", "valkey-9"])
def test_deadlines_of_fields_reach_those_that_know_them(
    kind: str, master: Start, replica: Start, connect: Connect
) -> None:
    ours = master()
    client = connect(ours)
    write(client, 1, 300, newer=True)
    client.call("HSETEX", "sure", "EX", 10_000, "FIELDS", 1, "f", "v")
    follower = connect(replica(kind, ours))
    wait_until("the replica is linked", lambda: linked(follower))
    write(client, 2, 300, newer=True)
    wait_until("the replica is in step", lambda: in_step(client, follower))
    left = int(parse(follower.call("HTTL", "sure", "FIELDS", 1, "f")).items[0].text)
    assert 9_000 < left <= 10_000
    if kind == "redis-8":  # Valkey's digest of a hash with deadlines is another
        assert digest(client) == digest(follower)


def test_an_old_replica_that_can_not_load_is_not_sent_the_same_again_at_once(
    master: Start, replica: Start, connect: Connect
) -> None:
    ours = master()
    client = connect(ours)
    client.call("HSETEX", "h", "EX", 10_000, "FIELDS", 1, "f", "v")
    replica("redis-7.0", ours)
    wait_until("the log says so", lambda: "can't be synchronized" in ours.log())
    count = info(client, "stats")["sync_full"]
    forks = info(client, "stats")["total_forks"]
    time.sleep(1)
    assert int(info(client, "stats")["sync_full"]) <= int(count) + 1
    assert info(client, "stats")["total_forks"] == forks


def test_a_user_needs_three_commands(master: Start, replica: Start, connect: Connect) -> None:
    ours = master()
    client = connect(ours)
    client.call("ACL", "SETUSER", "follower", "on", ">secret", "+psync", "+replconf", "+ping")
    write(client, 1, 50)
    theirs = replica("redis-8", ours, "--masteruser", "follower", "--masterauth", "secret")
    follower = connect(theirs)
    wait_until("the replica is linked", lambda: linked(follower))
    write(client, 2, 50)
    same(client, follower)


def test_a_replica_passes_the_stream_on_and_takes_over(master: Start, replica: Start, connect: Connect) -> None:
    """This broker, a replica of itself, and redis-server behind that one; then the middle one is promoted."""
    first, second = master(), master()
    leader, middle = connect(first), connect(second)
    leader.call("SELECT", 3)
    leader.call("SET", "elsewhere", 1)
    middle.call("REPLICAOF", *first.address)
    wait_until("the middle one is linked", lambda: linked(middle))
    leader.call("SET", "elsewhere", 2)
    follower = connect(replica("redis-8", second))
    wait_until("the last one is linked", lambda: linked(follower))
    leader.call("SET", "elsewhere", 3)  # in the database that was selected before the last one came
    leader.call("SELECT", 0)
    write(leader, 1, 300)
    wait_until("the middle one is in step", lambda: in_step(leader, middle))
    wait_until("the last one is in step", lambda: in_step(leader, follower))
    assert digest(leader) == digest(middle) == digest(follower)
    before = info(middle, "stats")["sync_full"]
    middle.call("REPLICAOF", "NO", "ONE")
    leader.call("REPLICAOF", *second.address)
    write(middle, 2, 300)
    wait_until("the last one follows the new master", lambda: in_step(middle, follower))
    wait_until("the former master follows the new one", lambda: in_step(middle, leader))
    assert digest(leader) == digest(middle) == digest(follower)
    assert info(middle, "stats")["sync_full"] == before
