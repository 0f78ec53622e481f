"""Commands about the broker as a whole beside the reference: INFO, COMMAND, MEMORY, DEBUG, SHUTDOWN and others."""

import re

import pytest

import broker.commands
from broker.table.command import DECLARED
from tests.oracle.harness import CLOSED, Client, Loose, Shape, Skip, pair, requires, same
from tests.oracle.wire import parse

assert broker.commands  # declares all commands


@pytest.mark.parametrize(
    "command",
    [
        "TIME x",
        # Redis counts what it asks of replicas it doesn't have: its offset is 1 after a WAIT.
        Shape("ROLE"),
        "ROLE x",
        "SHUTDOWN foo",
        "SHUTDOWN SAVE NOSAVE",
        "SHUTDOWN ABORT NOW",
        "SHUTDOWN ABORT",
        "LOLWUT VERSION x",
        Shape("LOLWUT VERSION 7"),
        Shape("LOLWUT VERSION 9 x"),
        Shape("LOLWUT VERSION -1"),
        Shape("LOLWUT VERSION 4294967300 1"),
        "LOLWUT VERSION 5 x",
        "LOLWUT VERSION 5 1 1 x",
        "LOLWUT VERSION 4294967301 1 x",
        "LOLWUT VERSION 6 1 x",
        "LOLWUT VERSION 99999999999999999999",
        "INFO nonsense",
        "INFO nonsense other",
        "MEMORY",
        "MEMORY foo",
        "MEMORY USAGE",
        "MEMORY USAGE k",
        "MEMORY USAGE k SAMPLES",
        "MEMORY USAGE k SAMPLES -1",
        "MEMORY USAGE k SAMPLES x",
        "MEMORY USAGE k foo 1",
        "MEMORY USAGE k SAMPLES 1 SAMPLES 2",
        "MEMORY PURGE",
        "MEMORY PURGE x",
        "MEMORY MALLOC-STATS",
        "MEMORY DOCTOR x",
        "MEMORY STATS x",
        "COMMAND foo",
        "COMMAND COUNT x",
        "COMMAND INFO nonsense",
        "COMMAND INFO nonsense|get config|nonsense",
        "COMMAND DOCS nonsense",
        "COMMAND LIST FILTERBY",
        "COMMAND LIST FILTERBY MODULE",
        "COMMAND LIST FILTERBY MODULE nonsense",
        "COMMAND LIST FILTERBY ACLCAT nonsense",
        "COMMAND LIST FILTERBY PATTERN nonsense",
        "COMMAND LIST FILTERBY nonsense x",
        "COMMAND LIST FILTERBY PATTERN x y",
        "COMMAND LIST foo",
        "COMMAND GETKEYS",
        "COMMAND GETKEYS nonsense",
        "COMMAND GETKEYS GET",
        "COMMAND GETKEYS GET k",
        "COMMAND GETKEYS get a b",
        "COMMAND GETKEYS PING",
        "COMMAND GETKEYS CONFIG GET x",
        "COMMAND GETKEYS MEMORY USAGE k",
        "COMMAND GETKEYS SET k v",
        "COMMAND GETKEYSANDFLAGS GET k",
        "COMMAND GETKEYSANDFLAGS MEMORY USAGE k",
        "COMMAND GETKEYSANDFLAGS SET k v",
        "COMMAND GETKEYSANDFLAGS SET k v EX 1 get",
        "COMMAND GETKEYSANDFLAGS SET k v IFEQ x",
        "COMMAND GETKEYSANDFLAGS DELEX k",
        "COMMAND GETKEYSANDFLAGS DELEX k ifdne x",
        "COMMAND GETKEYSANDFLAGS XREAD COUNT 5 STREAMS a b 1 2",
        "COMMAND GETKEYSANDFLAGS SORT k BY x STORE d",
        "COMMAND GETKEYSANDFLAGS LMPOP 2 a b LEFT",
        "COMMAND GETKEYSANDFLAGS ZUNIONSTORE d 2 a b",
        "COMMAND GETKEYSANDFLAGS LMOVE a b LEFT RIGHT",
        "COMMAND GETKEYSANDFLAGS MSET a 1 b 2",
        "COMMAND GETKEYSANDFLAGS BLPOP a b 0",
        "COMMAND GETKEYSANDFLAGS",
        "COMMAND GETKEYSANDFLAGS nonsense",
        "DEBUG",
        "DEBUG foo",
        "DEBUG JMAP",
        "DEBUG SLEEP",
        "DEBUG SLEEP 0",
        "DEBUG SLEEP x",
        "DEBUG SLEEP 0 1",
        "DEBUG SET-ACTIVE-EXPIRE 1",
        "DEBUG SET-ACTIVE-EXPIRE",
        "DEBUG ERROR foo",
        "DEBUG ERROR 'foo bar'",
        ["DEBUG", "ERROR", "a\r\nb"],
        "DEBUG OBJECT k",
        "DEBUG OBJECT",
        "DEBUG PROTOCOL",
        "DEBUG PROTOCOL foo",
        "DEBUG POPULATE",
        "DEBUG POPULATE x",
        "DEBUG POPULATE -1",
        "DEBUG POPULATE 1 a x",
        "DEBUG LOG hello",
    ],
)
def test_one_command(command: str | list[str]) -> None:
    same([command, "PING"])


@pytest.mark.parametrize(
    "kind",
    [
        "string",
        "integer",
        "double",
        "bignum",
        "null",
        "array",
        "set",
        "map",
        "attrib",
        "push",
        "verbatim",
        "TRUE",
        "false",
    ],
)
def test_debug_protocol(kind: str) -> None:
    replies = 2 if kind in ("attrib", "push") else 1
    with pair() as both:
        for resp in (2, 3):
            client = both.client(resp=resp)
            client.do(f"DEBUG PROTOCOL {kind}")
            if replies == 2 and resp == 3:
                client.drain()
            client.do("PING")


def test_digests_of_equal_data_are_equal() -> None:
    same(
        [
            "DEBUG DIGEST",
            "SET string x",
            "SET number 12345",
            "APPEND number 6",
            "SETRANGE bits 10 x",
            "DEBUG DIGEST",
            "RPUSH list a b c 1",
            "DEBUG DIGEST",
            "SADD set a b c",
            "SADD ints 1 2 3",
            "DEBUG DIGEST",
            "ZADD zset 1 a 1.5 b -inf c 3.0000000000000001e300 d 1e17 e -0.1 f 1e21 g",
            "ZADD zset 0 h -0 i 1e7 j 1e8 k -123456789 l 9007199254740993 m 4611686018427387904 n 1500000000000 o",
            "DEBUG DIGEST",
            "HSET hash a 1 b 2",
            "DEBUG DIGEST",
            "XADD stream 1-1 a b c d",
            "XADD stream 1-2 a c c d",
            "XADD stream 5-0 x y",
            "XDEL stream 1-2",
            "DEBUG DIGEST",
            "EXPIRE list 1000",
            "DEBUG DIGEST",
            "SELECT 3",
            "SET k v",
            "DEBUG DIGEST",
            "DEBUG DIGEST-VALUE k missing",
            "SELECT 0",
            "DEBUG DIGEST-VALUE string list set zset hash stream bits",
            "DEBUG DIGEST-VALUE",
        ]
    )


@pytest.mark.skipif(b"hexpire" not in DECLARED, reason="fields of hashes do not expire here")
def test_the_digest_of_fields_that_expire() -> None:
    same(["HSET hash a 1 b 2", "HEXPIRE hash 1000 FIELDS 1 a", "DEBUG DIGEST"])


def test_populate() -> None:
    same(["SET key:1 mine", "DEBUG POPULATE 3", "GET key:1", "GET key:2", "DEBUG POPULATE 2 other 12", "GET other:1",
          "DEBUG POPULATE 1 short 3", "GET short:0"])  # fmt: skip


def test_shapes() -> None:
    same([Shape("TIME"), Shape("LOLWUT"), Shape("LOLWUT VERSION 5 1 2 3"), Shape("INFO"), Shape("MEMORY DOCTOR"),
          Skip("MEMORY STATS"), Skip("MEMORY HELP"), Skip("COMMAND HELP"), Skip("DEBUG HELP")])  # fmt: skip
    same([Loose("TIME", within=5_000_000)])


def test_memory_usage_of_a_key() -> None:
    same(["SET k v", Shape("MEMORY USAGE k"), Shape("MEMORY USAGE k SAMPLES 0"), "MEMORY USAGE missing"])


def test_shutdown_inside_multi() -> None:
    same(["MULTI", "SHUTDOWN", "EXEC"])


def sections(text: bytes) -> dict[bytes, list[bytes]]:
    """The section titles of an INFO text, with the names of their fields."""
    found: dict[bytes, list[bytes]] = {}
    for part in text.split(b"# ")[1:]:
        lines = part.split(b"\r\n")
        found[lines[0]] = [line.partition(b":")[0] for line in lines[1:] if line]
    return found


@pytest.mark.parametrize(
    "command",
    [
        "INFO",
        "INFO default",
        "INFO all",
        "INFO everything",
        "INFO server",
        "INFO CLIENTS memory",
        "INFO memory clients default",
        "INFO commandstats",
        "INFO nonsense keyspace",
        "INFO modules",
    ],
)
def test_sections_of_info(command: str) -> None:
    with pair() as both:
        client = both.client()
        client.do("SET k v")
        client.do("GET")
        theirs, ours = (
            sections(parse(connection.call(*command.split())).text) for connection in (client.theirs, client.ours)
        )
        assert list(theirs) == list(ours)
        for title, names in ours.items():
            if title not in (b"Commandstats", b"Errorstats", b"Keyspace", b"Keysizes"):
                ours_alone = {name for name in names if name.startswith(b"trimaran_")} | {b"python_version"}
                unknown = set(names) - set(theirs[title]) - ours_alone
                assert not unknown, f"{title!r} has fields that Redis has not: {unknown}"


def test_true_values_of_info() -> None:
    with pair() as both:
        client = both.client()
        client.do("CONFIG RESETSTAT")
        for command in ("SET k v", "SET l v EX 100", "GET k", "GET missing", "GET", "HGET k f", "NOTHING"):
            client.do(command)
        for field in ("keyspace_hits", "keyspace_misses", "role", "redis_mode", "arch_bits", "maxmemory_policy",
                      "cluster_enabled", "total_error_replies", "maxmemory", "loading", "errorstat_ERR",
                      "errorstat_WRONGTYPE", "connected_slaves"):  # fmt: skip
            theirs, ours = (
                field_of(connection.call("INFO", "all"), field) for connection in (client.theirs, client.ours)
            )
            assert (field, ours) == (field, theirs)


def test_command_statistics() -> None:
    with pair() as both:
        client = both.client()
        client.do("CONFIG RESETSTAT")
        for command in ("SET k v", "GET k", "GET k", "GET", "HGET k f", "CLIENT GETNAME", "CONFIG GET maxmemory"):
            client.do(command)
        for command in ("MULTI", "SET k v", "GET k", "HGET k f", "EXEC"):
            client.do(command)
        client.do(["EVAL", "redis.call('SET', 'k', 'v') redis.pcall('HGET', 'k', 'f') return 1", "0"])
        same_statistics(client)


@requires("8.10")
def test_statistics_of_a_command_that_waits() -> None:
    with pair() as both:
        client, waiting = both.client(), both.client()
        client.do("CONFIG RESETSTAT")
        waiting.send("BLPOP l 0")
        both.settle()
        same_statistics(client)
        client.do("RPUSH l x")
        waiting.receive()
        same_statistics(client)
        waiting.send("BLPOP l 0.02")
        waiting.receive()
        same_statistics(client)


def same_statistics(client: Client) -> None:
    """INFO commandstats of both, but for the digits of times, and for INFO's line, which the harness uses."""
    theirs, ours = (
        sorted(
            re.sub(rb"(usec|usec_per_call)=[\d.]+|,slowlog_\w+=[\d.]+", rb"\1", line)
            for line in parse(connection.call("INFO", "commandstats")).text.split(b"\r\n")
            if not line.startswith(b"cmdstat_info:")
        )
        for connection in (client.theirs, client.ours)
    )
    assert ours == theirs


def field_of(reply: bytes, name: str) -> bytes:
    found = re.search(rb"(?m)^%b:(.*)\r$" % re.escape(name.encode()), parse(reply).text)
    assert found, f"no field {name}"
    return found[1]


def test_keyspace_section() -> None:
    with pair() as both:
        client = both.client()
        for command in ("SET k v", "SET l v EX 1000", "SELECT 3", "SET m v"):
            client.do(command)
        for database in ("db0", "db3"):
            theirs, ours = (
                field_of(connection.call("INFO", "keyspace"), database).split(b",")[:2]
                for connection in (client.theirs, client.ours)
            )
            assert ours == theirs


def test_wait_blocks_until_its_timeout() -> None:
    with pair() as both:
        client = both.client()
        client.send("WAIT 1 30")
        client.receive()
        client.do("MULTI")
        client.do("WAIT 1 0")
        client.do("EXEC")
        assert client.do("PING") != CLOSED
