"""SET, GET and their relatives: state, effects, and what they share with the keyspace."""

import pytest

from broker.process.clock import TrioClock
from tests.broker.effects import journal, lines
from tests.broker.inprocess import running

FAR = 99_999_999_999_000


async def test_options_of_set() -> None:
    async with running() as broker:
        client = await broker.client()
        assert await client.call("SET k v NX") == b"+OK\r\n"
        assert await client.call("SET k w NX") == b"$-1\r\n"
        assert await client.call("SET k w XX GET") == b"$1\r\nv\r\n"
        assert await client.call("SET k x IFEQ v") == b"$-1\r\n"
        assert await client.call("SET k x IFEQ w GET") == b"$1\r\nw\r\n"
        assert await client.call("SET new x IFNE w GET") == b"$-1\r\n"
        assert await client.call("GET new") == b"$1\r\nx\r\n"
        assert await client.call(f"SET k v PXAT {FAR}") == b"+OK\r\n"
        assert await client.call("SET k w KEEPTTL") == b"+OK\r\n"
        assert await client.call("PEXPIRETIME k") == b":%d\r\n" % FAR
        assert await client.call("SET k w") == b"+OK\r\n"
        assert await client.call("PEXPIRETIME k") == b":-1\r\n"


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("SET k v NX XX", b"ERR syntax error"),
        ("SET k v EX 10 KEEPTTL", b"ERR syntax error"),
        ("SET k v KEEPTTL EX 10", b"ERR syntax error"),
        ("SET k v EX 10 PX 10", b"ERR syntax error"),
        ("SET k v IFEQ", b"ERR syntax error"),
        ("SET k v ''", b"ERR syntax error"),
        ("SET k v PX 0", b"ERR invalid expire time in 'set' command"),
        ("SET k v EX 9223372036854775807", b"ERR invalid expire time in 'set' command"),
        ("SETEX k 0 v", b"ERR invalid expire time in 'setex' command"),
        ("PSETEX k x v", b"ERR value is not an integer or out of range"),
        ("SET l v GET", b"WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SET l v IFEQ x", b"WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("SET s v IFDEQ 12", b"ERR must be exactly 16 hexadecimal characters"),
        ("GETEX k KEEPTTL", b"ERR syntax error"),
        ("GETEX s EX -1", b"ERR invalid expire time in 'getex' command"),
        ("GETDEL l", b"WRONGTYPE Operation against a key holding the wrong kind of value"),
    ],
)
async def test_a_refused_command_changes_nothing(command: str, error: bytes) -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("RPUSH l a")
        await client.call("SET s abc")
        seen = journal(broker.broker)
        changes = broker.broker.keyspace.changes
        assert await client.call(command) == b"-" + error + b"\r\n"
        assert await client.call("DBSIZE") == b":2\r\n"
        assert (broker.broker.keyspace.changes, seen) == (changes, [])


NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("command", "effects"),
    [
        ("SET k v", ["SET k v"]),
        ("SET k v NX", []),
        ("SET k v XX", ["SET k v XX"]),
        ("SET k v GET", ["SET k v"]),
        ("SET k v GET KEEPTTL", ["SET k v KEEPTTL"]),
        ("SET k v IFEQ get GET", []),
        ("SET k v IFEQ abc GET", ["SET k v"]),
        ("SET k v EX 10", [f"SET k v PXAT {NOW + 10_000}"]),
        ("SET k v XX PX 10 GET", [f"SET k v PXAT {NOW + 10}"]),
        ("SET k v EXAT 1800000000", ["SET k v PXAT 1800000000000"]),
        ("SET k v PXAT 5", ["DEL k"]),
        ("SET new v PXAT 5", []),
        ("SETNX k v", []),
        ("SETNX new v", ["SETNX new v"]),
        ("SETEX k 10 v", [f"SET k v PXAT {NOW + 10_000}"]),
        ("PSETEX new 10 v", [f"SET new v PXAT {NOW + 10}"]),
        ("GETSET k v", ["SET k v"]),
        ("GETDEL k", ["DEL k"]),
        ("GETDEL new", []),
        ("GETEX k", []),
        ("GETEX k EX 10", [f"PEXPIREAT k {NOW + 10_000}"]),
        ("GETEX k PXAT 5", ["DEL k"]),
        ("GETEX k PERSIST", []),
        ("GETEX t PERSIST", ["PERSIST t"]),
    ],
)
async def test_effects(command: str, effects: list[str], autojump_clock: object) -> None:
    async with running(clock=TrioClock(NOW)) as broker:
        client = await broker.client()
        await client.call("SET k abc")
        await client.call("SET t abc EX 100")
        seen = journal(broker.broker)
        await client.call(command)
        assert lines(seen) == effects


async def test_hits_and_misses() -> None:
    async with running() as broker:
        client = await broker.client()
        keyspace = broker.broker.keyspace
        for command, hits, misses in (
            ("SET k v", 0, 0), ("GET k", 1, 0), ("GET no", 0, 1), ("SET k v GET", 1, 0), ("SET no2 v GET", 0, 1),
            ("GETSET k v", 1, 0), ("GETEX k", 1, 0), ("GETDEL no", 0, 1), ("MGET k no k", 2, 1), ("EXISTS k no", 1, 1),
            ("STRLEN no", 0, 1), ("GETRANGE k 0 1", 1, 0), ("TTL k", 1, 0), ("TYPE no", 0, 1), ("APPEND k v", 0, 0),
            ("INCR n", 0, 0), ("OBJECT ENCODING k", 1, 0), ("EXPIRE k 10", 0, 0), ("TOUCH k", 1, 0),
        ):  # fmt: skip
            before = keyspace.hits, keyspace.misses
            await client.call(command)
            assert (keyspace.hits - before[0], keyspace.misses - before[1]) == (hits, misses), command
