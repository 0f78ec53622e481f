"""MIGRATE beside the reference's, to another server of the reference's version, and to this broker.

Theirs goes to database 1 of the target and ours to database 2, so that one target tells what has arrived from both.
"""

import shutil
import socket
import sys
from collections.abc import Iterator

import pytest

from tests.oracle import servers
from tests.oracle.harness import Each, Loose, pair, requires, same
from tests.oracle.state import differences, keyspace_of

pytestmark = requires("8.10")

OLDER = shutil.which("redis-server") or ""

VALUES = [
    "SET string value",
    "SET number 12",
    "RPUSH list a b c 1 2 3",
    "SADD set a b c",
    "SADD numbers 1 2 3",
    "HSET hash f v g w",
    "ZADD zset 1.5 a 2 b",
    "XADD stream 1-1 f v",
    "XGROUP CREATE stream g 0",
    "XREADGROUP GROUP g c STREAMS stream >",
    "PFADD hll a b c",
]
NAMES = "string number list set numbers hash zset stream hll"


def _start(kind: str) -> servers.Server:
    port = servers.free_port()
    common = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    if kind == "broker":
        return servers.start("target", [sys.executable, "-m", "broker", "serve", *common], port)
    return servers.start("target", [OLDER if kind == "older" else str(servers.find_reference()[0]), *common], port)


@pytest.fixture(scope="module", params=["reference", "broker"])
def target(request: pytest.FixtureRequest) -> Iterator[servers.Server]:
    server = _start(request.param)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def guarded() -> Iterator[servers.Server]:
    """A target with a password."""
    server = _start("reference")
    connection = server.connect()
    assert connection.call("CONFIG", "SET", "requirepass", "secret") == b"+OK\r\n"
    connection.close()
    yield server
    server.stop()


def flush(target: servers.Server) -> None:
    connection = target.connect()
    assert connection.call("FLUSHALL") == b"+OK\r\n"
    connection.close()


def arrived(target: servers.Server) -> list[str]:
    """How the databases that theirs and ours went to differ."""
    connection = target.connect()
    # No older target has deadlines of fields, and these tests have none.
    found = keyspace_of(connection, (7, 0))
    connection.close()
    first, second = ({(0, key): found[db, key] for db, key in found if db == number} for number in (1, 2))
    return differences(first, second)


def migrate(target: servers.Server, key: str, rest: str = "") -> Each:
    port = target.address[1]
    return Each(f"MIGRATE 127.0.0.1 {port} {key} 1 5000 {rest}", f"MIGRATE 127.0.0.1 {port} {key} 2 5000 {rest}")


def test_every_type_moves(target: servers.Server) -> None:
    flush(target)
    same([*VALUES, migrate(target, '""', f"REPLACE KEYS {NAMES}"), "DBSIZE", f"EXISTS {NAMES}"], state=True)
    assert arrived(target) == []


@pytest.mark.skipif(not OLDER, reason="no older redis-server")
def test_an_older_server_accepts_every_type() -> None:
    """Redis sends its own version's payloads, which an older one refuses; ours are as old as the value allows."""
    older, ours = _start("older"), servers.broker().connect()
    target = older.connect()
    try:
        for command in ["FLUSHALL", *VALUES]:
            assert not ours.call(*command.split()).startswith(b"-")
        before = keyspace_of(ours, (7, 0))
        moved = ours.call("MIGRATE", "127.0.0.1", str(older.address[1]), "", "0", "5000", "KEYS", *NAMES.split())
        assert moved == b"+OK\r\n"
        after = keyspace_of(target, (7, 0))
        assert before.keys() == after.keys()
        del before[0, b"stream"]  # about which an older server tells less
        assert differences(before, {key: after[key] for key in before}) == []
        assert target.call("XRANGE", "stream", "-", "+") == b"*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"
        assert b"$7\r\npending\r\n:1\r\n" in target.call("XINFO", "GROUPS", "stream")
        assert ours.call("DBSIZE") == b":0\r\n"
    finally:
        ours.close()
        target.close()
        older.stop()


@pytest.mark.parametrize("options", ["", "COPY", "REPLACE", "COPY REPLACE", "copy replace"])
def test_options(target: servers.Server, options: str) -> None:
    flush(target)
    # The second protocol version finds what the first has left at the target.
    script = ["SET k v", migrate(target, "k", options), "EXISTS k", "SET k w", migrate(target, "k", options), "GET k"]
    same(script, state=True)
    assert arrived(target) == []


def test_some_keys_are_refused(target: servers.Server) -> None:
    flush(target)
    script = ["MSET a 1 b 2 c 3", migrate(target, "b", "COPY"), migrate(target, '""', "KEYS a b c x"), "EXISTS a b c"]
    same(script, state=True)
    assert arrived(target) == []


def test_time_to_live(target: servers.Server) -> None:
    flush(target)
    same(["SET k v EX 1000", migrate(target, "k", "COPY REPLACE"), Loose("TTL k"), "PERSIST k", "DEL k"])
    connection = target.connect()
    for database in ("1", "2"):
        connection.call("SELECT", database)
        assert 990 <= int(connection.call("TTL", "k")[1:]) <= 1000
    connection.close()


def test_in_a_transaction_and_in_a_script(target: servers.Server) -> None:
    flush(target)
    port = target.address[1]
    script = "return redis.call('migrate', '127.0.0.1', ARGV[1], KEYS[1], ARGV[2], '5000', 'REPLACE')"
    same(
        [
            "MSET a 1 b 2",
            "MULTI",
            migrate(target, "a", "REPLACE"),
            "EXISTS a",
            "EXEC",
            Each(["EVAL", script, 1, "b", port, 1], ["EVAL", script, 1, "b", port, 2]),
            "EXISTS a b",
        ]
    )
    assert arrived(target) == []


@pytest.mark.parametrize(
    "command",
    [
        "MIGRATE",
        "MIGRATE 127.0.0.1 1 k 0",
        "MIGRATE 127.0.0.1 1 k zero 1000",
        "MIGRATE 127.0.0.1 1 k 0 soon",
        "MIGRATE 127.0.0.1 1 k zero soon",
        "MIGRATE 127.0.0.1 1 k 0 1000 NONSENSE",
        "MIGRATE 127.0.0.1 1 k 0 1000 AUTH",
        "MIGRATE 127.0.0.1 1 k 0 1000 AUTH2 user",
        "MIGRATE 127.0.0.1 1 k 0 1000 KEYS k",
        'MIGRATE 127.0.0.1 1 "" 0 1000 KEYS',
        'MIGRATE 127.0.0.1 1 "" 0 1000 KEYS missing',
        "MIGRATE 127.0.0.1 1 missing 0 1000",
        "MIGRATE 127.0.0.1 1 missing 0 -1",
        "MIGRATE 127.0.0.1 1 k 0 1000",
        "MIGRATE 127.0.0.1 0 k 0 1000",
        "MIGRATE 127.0.0.1 port k 0 1000",
        'MIGRATE "" 1 k 0 1000',
        'COMMAND GETKEYS MIGRATE h p "" 0 1 AUTH keys KEYS a b',
        'COMMAND GETKEYS MIGRATE h p "" 0 1 AUTH2 keys KEYS a b',
        'COMMAND GETKEYS MIGRATE h p "" 0 1 COPY KEYS',
        'COMMAND GETKEYS MIGRATE h p "" 0 1 NONSENSE KEYS a',
        "COMMAND GETKEYS MIGRATE h p k 0 1",
        "COMMAND GETKEYS MIGRATE h p k 0 1 COPY",
        "COMMAND GETKEYS MIGRATE h p k 0 1 KEYS a",
        "COMMAND GETKEYS MIGRATE h p k 0 1 COPY KEYS",
    ],
)
def test_errors(command: str) -> None:
    same(["SET k v", command, "GET k"])


def test_a_target_that_demands_a_password(guarded: servers.Server) -> None:
    same(
        [
            "MSET a 1 b 2 c 3",
            migrate(guarded, "a"),
            migrate(guarded, "a", "AUTH wrong"),
            migrate(guarded, "a", "AUTH2 nobody secret"),
            migrate(guarded, "a", "REPLACE AUTH secret"),
            migrate(guarded, '""', "AUTH2 default secret REPLACE KEYS b c"),
            "EXISTS a b c",
        ],
        state=True,
    )


def test_a_database_that_the_target_lacks(target: servers.Server) -> None:
    port = target.address[1]
    same(["SET k v", f"MIGRATE 127.0.0.1 {port} k 99 1000", f"MIGRATE 127.0.0.1 {port} k 99 1000", "GET k"])


def test_a_target_that_closes_the_kept_connection(target: servers.Server) -> None:
    flush(target)
    same(["SET a 1", migrate(target, "a", "REPLACE")])
    connection = target.connect()
    connection.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    connection.close()
    same(["SET b 2", migrate(target, "b", "REPLACE"), "EXISTS b"])
    assert arrived(target) == []


def test_a_target_that_never_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        same(["SET k v", f"MIGRATE 127.0.0.1 {port} k 0 50", "GET k"], resp=(3,))


def test_events_and_watched_keys(target: servers.Server) -> None:
    flush(target)
    with pair() as p:
        p.client().do("CONFIG SET notify-keyspace-events KEA")
        listener, watcher, mover = p.client(resp=3), p.client(), p.client()
        listener.do("PSUBSCRIBE __key*")
        mover.do("SET k v")
        watcher.do("WATCH k")
        mover.do(migrate(target, "k"))
        watcher.do("MULTI")
        watcher.do("EXEC")
        p.settle()
        listener.drain()
        p.client().do('CONFIG SET notify-keyspace-events ""')
