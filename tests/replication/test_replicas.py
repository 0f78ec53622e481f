"""Real servers follow this broker: keys and offsets are equal after all kinds of writes, cuts and restarts."""

import time

import pytest

from tests.oracle.wire import Connection, parse
from tests.replication.conftest import Start
from tests.replication.nodes import Node, digest, info, until, until_in_step, until_same
from tests.replication.proxy import Proxy
from tests.replication.workload import write

kinds = pytest.mark.parametrize("kind", ["redis-7.0", "redis-8", "valkey"])


def following(server: Start, kind: str, port: int, **directives: str) -> Node:
    """A server that follows the one at this port."""
    return server(kind, replicaof=f"127.0.0.1 {port}", **directives)


def until_linked(follower: Connection) -> None:
    """Wait until it has its master's data, as it says."""
    until(lambda: info(follower).get("master_link_status") == "up", lambda: f"linked: {info(follower)}")


def same(leader: Connection, follower: Connection) -> None:
    until_same(leader, follower)


@kinds
def test_it_has_the_keys_and_follows(kind: str, server: Start) -> None:
    ours = server("trimaran")
    client = ours.connect()
    write(client, 1, 500)
    theirs = following(server, kind, ours.port)
    follower = theirs.connect()
    until_linked(follower)
    write(client, 2, 1500)
    assert client.call("WAIT", 1, 5000) == b":1\r\n"
    same(client, follower)
    lines = parse(client.call("CLIENT", "LIST", "TYPE", "replica")).text.splitlines()
    assert len(lines) == 1
    assert b" flags=S " in lines[0]
    role = parse(client.call("ROLE"))
    assert role.items[0].text == b"master"
    assert role.items[2].items[0].items[1].text == b"%d" % theirs.port
    assert info(client, "stats")["sync_full"] == "1"


@pytest.mark.parametrize("kind", ["redis-7.0"])
def test_writes_during_the_synchronization_arrive(kind: str, server: Start) -> None:
    ours = server("trimaran", rdb_key_save_delay="200")
    client = ours.connect()
    client.send(b"".join(b"SET key%d %d\r\n" % (number, number) for number in range(3000)))
    for _ in range(3000):
        client.receive()
    theirs = following(server, kind, ours.port)
    follower = theirs.connect()
    until(lambda: info(client, "persistence")["rdb_bgsave_in_progress"] == "1", "the child runs")
    write(client, 3, 300)
    until_linked(follower)
    same(client, follower)


@pytest.mark.parametrize("kind", ["valkey"])
def test_a_message_arrives_at_the_replicas_subscribers(kind: str, server: Start) -> None:
    ours = server("trimaran")
    client = ours.connect()
    theirs = following(server, kind, ours.port)
    follower, subscriber = theirs.connect(), theirs.connect()
    until_linked(follower)
    subscriber.call("SUBSCRIBE", "news")
    client.call("MULTI")
    client.call("SET", "a", 1)
    client.call("PUBLISH", "news", "in a transaction")
    client.call("EXEC")
    client.call("EVAL", "return redis.call('publish', 'news', 'from a script')", 0)
    client.call("PUBLISH", "news", "alone")
    heard = [parse(subscriber.receive()).items[2].text for _ in range(3)]
    assert heard == [b"in a transaction", b"from a script", b"alone"]


@kinds
def test_after_a_cut_it_continues_where_it_was(kind: str, server: Start) -> None:
    ours = server("trimaran")
    client = ours.connect()
    with Proxy(ours.port) as between:
        follower = following(server, kind, between.port).connect()
        until_linked(follower)
        for cut in range(3):
            write(client, cut, 100)
            between.cut()
            write(client, 10 + cut, 100)
            until_in_step(client, follower)
        same(client, follower)
        stats = info(client, "stats")
        assert stats["sync_full"] == "1"
        assert int(stats["sync_partial_ok"]) >= 3


@pytest.mark.parametrize("kind", ["redis-8"])
def test_after_a_restart_it_continues_where_it_was(kind: str, server: Start) -> None:
    ours = server("trimaran")
    client = ours.connect()
    follower = following(server, kind, ours.port).connect()
    until_linked(follower)
    write(client, 1, 200)
    before = info(client)["master_replid"]
    client.call("SHUTDOWN", "SAVE")
    until(lambda: not ours.alive())
    assert "1 of 1 replicas are in sync when shutting down." in ours.log()
    ours.start()
    client = ours.connect()
    assert info(client)["master_replid2"] == before
    until_in_step(client, follower)
    write(client, 2, 200)
    same(client, follower)
    stats = info(client, "stats")
    assert (stats["sync_full"], stats["sync_partial_ok"]) == ("0", "1")


@pytest.mark.parametrize("kind", ["redis-8", "valkey"])
def test_deadlines_of_fields_reach_those_that_know_them(kind: str, server: Start) -> None:
    ours = server("trimaran")
    client = ours.connect()
    write(client, 1, 300, newer=True)
    client.call("HSETEX", "sure", "EX", 10_000, "FIELDS", 1, "f", "v")
    follower = following(server, kind, ours.port).connect()
    until_linked(follower)
    write(client, 2, 300, newer=True)
    until_in_step(client, follower)
    left = int(parse(follower.call("HTTL", "sure", "FIELDS", 1, "f")).items[0].text)
    assert 9_000 < left <= 10_000
    if kind == "redis-8":  # Valkey's digest of a hash with deadlines is another
        assert digest(client) == digest(follower)


def test_an_old_replica_that_can_not_load_is_not_sent_the_same_again_at_once(server: Start) -> None:
    ours = server("trimaran")
    client = ours.connect()
    client.call("HSETEX", "h", "EX", 10_000, "FIELDS", 1, "f", "v")
    following(server, "redis-7.0", ours.port)
    until(lambda: "can't be synchronized" in ours.log(), "the log says so")
    count = info(client, "stats")["sync_full"]
    forks = info(client, "stats")["total_forks"]
    time.sleep(1)
    assert int(info(client, "stats")["sync_full"]) <= int(count) + 1
    assert info(client, "stats")["total_forks"] == forks


def test_a_user_needs_three_commands(server: Start) -> None:
    ours = server("trimaran")
    client = ours.connect()
    client.call("ACL", "SETUSER", "follower", "on", ">secret", "+psync", "+replconf", "+ping")
    write(client, 1, 50)
    theirs = following(server, "redis-8", ours.port, masteruser="follower", masterauth="secret")
    follower = theirs.connect()
    until_linked(follower)
    write(client, 2, 50)
    same(client, follower)


def test_a_replica_passes_the_stream_on_and_takes_over(server: Start) -> None:
    """This broker, a replica of itself, and redis-server behind that one; then the middle one is promoted."""
    first, second = server("trimaran"), server("trimaran")
    leader, middle = first.connect(), second.connect()
    leader.call("SELECT", 3)
    leader.call("SET", "elsewhere", 1)
    middle.call("REPLICAOF", "127.0.0.1", first.port)
    until_linked(middle)
    leader.call("SET", "elsewhere", 2)
    follower = following(server, "redis-8", second.port).connect()
    until_linked(follower)
    leader.call("SET", "elsewhere", 3)  # in the database that was selected before the last one came
    leader.call("SELECT", 0)
    write(leader, 1, 300)
    until_in_step(leader, middle)
    until_in_step(leader, follower)
    assert digest(leader) == digest(middle) == digest(follower)
    before = info(middle, "stats")["sync_full"]
    middle.call("REPLICAOF", "NO", "ONE")
    leader.call("REPLICAOF", "127.0.0.1", second.port)
    write(middle, 2, 300)
    until_in_step(middle, follower)
    until_in_step(middle, leader)
    assert digest(leader) == digest(middle) == digest(follower)
    assert info(middle, "stats")["sync_full"] == before
