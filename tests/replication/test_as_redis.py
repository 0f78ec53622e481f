"""What a master shows and answers, beside redis-server 8.10 as the master of the same replica."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.oracle.wire import Connection, parse
from tests.replication.nodes import Node, info, until_in_step

Pair = tuple[Connection, Connection]


@pytest.fixture(scope="module")
def masters() -> Iterator[Pair]:
    """Clients of this broker and of redis-server, each of which has a redis-server 8 as its replica."""
    with ExitStack() as stack:
        clients = []
        for kind in ("trimaran", "redis-8"):
            master = stack.enter_context(Node(kind, repl_ping_replica_period="10"))
            client = master.connect()
            client.call("SET", "a", 1)
            replica = stack.enter_context(Node("redis-8", replicaof=f"127.0.0.1 {master.port}"))
            follower = replica.connect()
            until_in_step(client, follower)
            client.call("SET", "a", 1)
            until_in_step(client, follower)
            clients.append(client)
        yield clients[0], clients[1]


def test_info_has_the_same_fields_in_the_same_order(masters: Pair) -> None:
    ours, theirs = (info(client) for client in masters)
    assert list(ours) == list(theirs)
    ours_of, theirs_of = (dict(part.split("=") for part in fields["slave0"].split(",")) for fields in (ours, theirs))
    assert list(ours_of) == list(theirs_of)
    assert ours_of["state"] == theirs_of["state"] == "online"


def test_the_backlog_is_counted_alike(masters: Pair) -> None:
    for client in masters:
        fields = info(client)
        first, length = int(fields["repl_backlog_first_byte_offset"]), int(fields["repl_backlog_histlen"])
        assert first + length - 1 == int(fields["master_repl_offset"])


def test_role_has_the_same_form(masters: Pair) -> None:
    ours, theirs = (parse(client.call("ROLE")) for client in masters)

    def form(node: object) -> object:
        return [node.kind, [form(item) for item in node.items]]  # type: ignore[attr-defined]

    assert form(ours) == form(theirs)


def test_the_stream_has_as_many_bytes(masters: Pair) -> None:
    """Of what the two do alike, so that offsets can be compared."""
    grown = []
    for client in masters:
        before = int(info(client)["master_repl_offset"])
        for words in (
            ["SET", "b", "1"], ["MULTI"], ["INCR", "b"], ["PUBLISH", "c", "m"], ["EXEC"], ["PUBLISH", "c", "m"],
            ["EVAL", "redis.call('set', 'c', 1) redis.call('publish', 'c', 'm') return 1", "0"],
            ["EVAL", "redis.set_repl(redis.REPL_AOF) redis.call('set', 'd', 1) return 1", "0"],
            ["EVAL", "redis.set_repl(redis.REPL_REPLICA) redis.call('set', 'd', 1) return 1", "0"],
            ["SELECT", "3"], ["SET", "b", "1"], ["SPUBLISH", "c", "m"], ["SELECT", "0"], ["DEL", "missing"],
            ["SET", "b", "2", "PXAT", "4000000000000"], ["GETEX", "b", "PERSIST"],
        ):  # fmt: skip
            client.call(*words)
        grown.append(int(info(client)["master_repl_offset"]) - before)
    assert grown[0] == grown[1]


@pytest.mark.parametrize(
    "line",
    [
        "REPLCONF", "REPLCONF listening-port", "REPLCONF listening-port x", "REPLCONF nonsense 1",
        "REPLCONF capa nonsense", "PSYNC ? x", "PSYNC ? 1 FAILOVER", "WAIT 1 1", "WAIT 0 0", "WAIT -1 0", "WAIT 9 1",
        "WAIT x 1", "WAIT 1 -1", "WAITAOF 0 1 1", "WAITAOF 1 0 0", "WAITAOF 0 -1 0", "WAITAOF 2 0 0", "SHUTDOWN ABORT",
        "CONFIG SET min-replicas-to-write 9", "SET a 1", "EVAL return(redis.call('set','a','1')) 0", "GET a",
        "EVAL return(redis.call('get','a')) 0", "MULTI", "SET a 1", "EXEC", "CONFIG SET min-replicas-to-write 0",
        "SET a 1", "CLIENT KILL TYPE master",
    ],
)  # fmt: skip
def test_answers_are_the_same(line: str, masters: Pair) -> None:
    if line.startswith("WAIT"):
        for client in masters:  # or it would depend on when the replica has reported last
            client.call("WAIT", 1, 10_000)
    ours, theirs = (client.call(*line.split()) for client in masters)
    assert ours == theirs
