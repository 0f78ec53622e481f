"""What a replica is to its clients, beside redis-server as a replica of the same master: errors, INFO, ROLE."""

import re
from collections.abc import Iterator

import pytest

from tests.oracle import servers
from tests.oracle.harness import Client, Masked, Shape, Skip, Step, pair, requires, same
from tests.oracle.wire import Connection, parse

pytestmark = [requires("8.10"), pytest.mark.usefixtures("fresh_servers")]

# Part of the tests' names, so it must be the same in each process that collects them; nothing listens there.
NOBODY = "REPLICAOF 127.0.0.1 1"
BACK = [
    "CONFIG SET replica-serve-stale-data yes replica-read-only yes",
    "REPLICAOF NO ONE",
    "FUNCTION FLUSH",
]
FOLLOW = [NOBODY]


@pytest.mark.parametrize(
    "command",
    [
        "REPLICAOF",
        "REPLICAOF NO",
        "REPLICAOF NO ONE TWO",
        "REPLICAOF NO TWO",
        "REPLICAOF host -1",
        "REPLICAOF host 65536",
        "REPLICAOF host x",
        "SLAVEOF host 65536",
        "SLAVEOF NO ONE",
        "replicaof no one",
        "CONFIG SET replicaof x",
        "FAILOVER",
        "FAILOVER TO 127.0.0.1 1",
        "FAILOVER ABORT",
        "FAILOVER TIMEOUT 0",
        "FAILOVER TIMEOUT -1",
        "FAILOVER TIMEOUT x",
        "FAILOVER TO 127.0.0.1 1 FORCE",
        "FAILOVER TO 127.0.0.1 FORCE",
        "FAILOVER TO 127.0.0.1 x",
        "FAILOVER TO",
        "FAILOVER nonsense",
        "FAILOVER ABORT TIMEOUT 1",
        "FAILOVER FORCE FORCE",
        "FAILOVER TIMEOUT 1 TIMEOUT 2",
    ],
)
def test_on_a_master(command: str) -> None:
    same([command, "ROLE"])


@pytest.mark.parametrize(
    "command",
    [
        NOBODY,
        NOBODY.replace("REPLICAOF", "SLAVEOF"),
        "SET k v",
        "GET k",
        "DEL k",
        "BLPOP k 0",
        "XREADGROUP GROUP g c STREAMS s >",
        "SORT k STORE other",
        "SORT k",
        "PUBLISH c m",
        "PFCOUNT k",
        "FLUSHALL",
        "SWAPDB 0 1",
        "EXPIRE k 10",
        "GETEX k",
        "SET k",
        "FUNCTION FLUSH",
        "FAILOVER",
        "FAILOVER ABORT",
        "WAIT 0 0",
        "WAITAOF 0 0 0",
        "READONLY",
        "READWRITE",
        "ASKING",
        "PING",
        "DBSIZE",
        "CLIENT KILL TYPE master",
        "CLIENT LIST TYPE master",
        "EVAL \"return redis.call('set', 'k', 'v')\" 0",
        "EVAL \"return redis.pcall('set', 'k', 'v')\" 0",
        "EVAL \"return redis.call('get', 'k')\" 0",
        "EVAL_RO \"return redis.call('set', 'k', 'v')\" 0",
        "EVAL \"#!lua\\nreturn redis.call('get', 'k')\" 0",
        "EVAL \"#!lua flags=no-writes\\nreturn redis.call('get', 'k')\" 0",
        "EVAL \"#!lua flags=no-writes\\nreturn redis.call('set', 'k', 'v')\" 0",
        "FCALL f 0",
        "EVAL \"#!lua flags=allow-stale\\nreturn redis.call('get', 'k')\" 0",
        "EVAL \"#!lua flags=allow-stale,no-writes\\nreturn redis.call('get', 'k')\" 0",
        "EVAL \"#!lua flags=allow-stale,no-writes\\nreturn redis.call('publish', 'k', 'm')\" 0",
        "EVAL \"#!lua flags=allow-stale,no-writes\\nreturn redis.call('info', 'x')\" 0",
        "FCALL r 0",
    ],
)
@pytest.mark.parametrize("stale", ["yes", "no"])
@pytest.mark.parametrize("multi", [False, True], ids=["alone", "in MULTI"])
def test_refusals(command: str, stale: str, multi: bool) -> None:
    library = (
        'FUNCTION LOAD "#!lua name=l\\n'
        "redis.register_function('f', function() return redis.call('set','a','b') end)\\n"
        "redis.register_function{function_name='r', callback=function() return 1 end, flags={'no-writes'}}\""
    )
    if multi and (command.startswith(("EVAL", "FCALL")) or (stale == "no" and command == "BLPOP k 0")):
        pytest.skip("scripts are refused when they begin, not when they are queued")
    commands = ["MULTI", command, "EXEC"] if multi else [command]
    same(["SET k v", library, f"CONFIG SET replica-serve-stale-data {stale}", *FOLLOW, *commands, "REPLICAOF NO ONE",
          "GET k"], cleanup=BACK)  # fmt: skip


def test_a_transaction_begun_as_a_master() -> None:
    with pair(cleanup=BACK) as p:
        first, second = p.client(), p.client()
        for command in ("MULTI", "SET a 1"):
            first.do(command)
        second.do(NOBODY)
        first.do("EXEC")
        first.do("GET a")


def test_replicaof_in_a_transaction() -> None:
    same(["MULTI", NOBODY, "CLIENT KILL TYPE pubsub", "CONFIG GET replicaof", "EXEC", "SET a 1", "MULTI",
          "SLAVEOF NO ONE", "SET a 1", "EXEC", "GET a"], cleanup=BACK)  # fmt: skip


def test_in_one_pipeline() -> None:
    with pair(cleanup=BACK) as p:
        client = p.client()
        for command in ("SET a 1", NOBODY, "SET a 2", "GET a", "REPLICAOF NO ONE", "SET a 3", "GET a"):
            client.send(command)
        for _ in range(7):
            client.receive()


def test_waiting_clients_are_disconnected() -> None:
    with pair(cleanup=BACK) as p:
        waiting, reading, other = p.client(), p.client(), p.client()
        waiting.send("BLPOP list 0")
        reading.send("XREAD BLOCK 0 STREAMS s $")
        p.settle()
        other.do(NOBODY)
        for client in (waiting, reading):
            client.receive()
            client.receive(Step("(the end)"))


def test_a_writable_replica() -> None:
    same(["SET a 1", "CONFIG SET replica-read-only no", *FOLLOW, "SET a 2", "GET a", "SET k v PX 1",
          Skip("DEBUG SLEEP 0.01"), "GET k", "EXISTS k", "APPEND k x", "GET k", "PEXPIREAT a 1", "GET a",
          "MULTI", "SET b 1", "EXEC"], cleanup=BACK)  # fmt: skip


def test_a_writable_replica_removes_what_its_clients_wrote() -> None:
    """It does so now and then (not at once), since no master tells it to."""
    with pair(cleanup=BACK) as p:
        client = p.client()
        for command in ("SET a 1", "SET kept 1", "CONFIG SET replica-read-only no", *FOLLOW, "PEXPIREAT a 1"):
            client.do(command)
        for connection in (client.theirs, client.ours):
            while connection.call("DBSIZE") != b":1\r\n":
                pass
        client.do("KEYS *")


def test_expired_keys_stay() -> None:
    same(["SET k v EX 1", "SADD s 1", "SET other 1", *FOLLOW, Skip("DEBUG SLEEP 1.05"), "GET k", "DBSIZE", "EXISTS k",
          "TTL k", "TYPE k", "SCAN 0", "KEYS *", "OBJECT ENCODING k", "REPLICAOF NO ONE", "GET k", "DBSIZE"],
         unordered=True, cleanup=BACK)  # fmt: skip


TIMES = re.compile(
    rb"((?:seconds_ago|since_seconds|disconnect_time_sec|sync_attempts|repl_offset|byte_offset|histlen|repl_backlog_active)"
    rb"|master_replid2?|lag|io-thread):[^\r]*"
)


def masked(reply: bytes) -> bytes:
    return TIMES.sub(rb"\1:", re.sub(rb"^[$=]\d+\r\n", b"", reply))


def test_info_and_role_without_a_master() -> None:
    same([*FOLLOW, Masked("INFO replication", masked), Shape("ROLE"), "CONFIG GET replicaof", "CONFIG GET slaveof",
          "REPLICAOF NO ONE", Masked("INFO replication", masked), "CONFIG GET replicaof"], cleanup=BACK)  # fmt: skip


@pytest.fixture(scope="module")
def master() -> Iterator[servers.Server]:
    try:
        path = servers.find_reference()[0]
    except servers.OracleMissing as missing:
        pytest.skip(str(missing))
    port = servers.free_port()
    command = [str(path), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0"]
    server = servers.start("master", command, port)
    yield server
    server.stop()


@pytest.fixture
def following(master: servers.Server) -> Iterator[tuple[Client, Connection]]:
    """A client of both replicas, and one of the master, which both follow."""
    to_master = master.connect()
    to_master.call("FLUSHALL")
    with pair(cleanup=BACK) as p:
        client = p.client()
        client.do(f"REPLICAOF 127.0.0.1 {master.address[1]}")
        for connection in (client.theirs, client.ours):
            while b"connected" not in connection.call("ROLE"):
                pass
        yield client, to_master
    to_master.close()


def caught_up(client: Client, to_master: Connection) -> None:
    assert to_master.call("WAIT", "2", "10000") == b":2\r\n"


def test_connected(following: tuple[Client, Connection]) -> None:
    client, to_master = following
    to_master.call("SET", "a", "1")
    caught_up(client, to_master)
    for command in (
        "GET a", "SET a 2", Masked("INFO replication", masked), Masked("ROLE", lambda reply: reply.rpartition(b":")[0]),
        "CLIENT KILL TYPE master", "PING",
    ):  # fmt: skip
        client.do(command)


def test_both_say_the_same_of_themselves_to_the_master(following: tuple[Client, Connection]) -> None:
    client, to_master = following
    to_master.call("SET", "a", "1")
    caught_up(client, to_master)
    offsets = {bytes(client.theirs.call("INFO", "replication").partition(b"slave_repl_offset:")[2].split(b"\r")[0])}
    for _ in range(1000):
        ours = client.ours.call("INFO", "replication").partition(b"slave_repl_offset:")[2].split(b"\r")[0]
        theirs = client.theirs.call("INFO", "replication").partition(b"slave_repl_offset:")[2].split(b"\r")[0]
        if ours == theirs:
            break
    assert ours == theirs, offsets
    states = re.findall(rb"slave\d:ip=127.0.0.1,port=\d+,state=(\w+)", to_master.call("INFO", "replication"))
    assert states == [b"online", b"online"]


@pytest.mark.parametrize(
    "command",
    [
        "FAILOVER TO 127.0.0.1 1",
        "FAILOVER TO 127.0.0.1 1 FORCE TIMEOUT 5",
        "FAILOVER FORCE TIMEOUT 5",
        "FAILOVER FORCE",
        "FAILOVER ABORT",
    ],
)
def test_failover_of_a_master_with_a_replica(command: str) -> None:
    with pair() as p:
        client = p.client()
        sockets = [server.connect() for server in (servers.reference(), servers.broker())]
        for connection in sockets:
            connection.send(b"PSYNC ? -1\r\n")
        for connection in (client.theirs, client.ours):
            while b"slave0" not in connection.call("INFO", "replication"):
                pass
        client.do(command)
        client.do("SET a 1")
        for connection in sockets:
            connection.close()


def test_promotion_keeps_the_second_id(following: tuple[Client, Connection]) -> None:
    client, to_master = following
    to_master.call("SET", "a", "1")
    caught_up(client, to_master)
    ids = re.search(rb"master_replid:(\w+)", to_master.call("INFO", "replication"))
    assert ids is not None
    client.do("REPLICAOF NO ONE")
    for connection in (client.theirs, client.ours):
        info = parse(connection.call("INFO", "replication")).text
        assert b"master_replid2:" + ids[1] in info
    client.do("SET a 2")
