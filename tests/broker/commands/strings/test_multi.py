"""Several strings at once."""

import pytest

from broker.process.clock import TrioClock
from tests.broker.effects import journal, lines
from tests.broker.inprocess import running

NOW = 1_700_000_000_000


async def test_mget_gives_null_for_what_is_no_string() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("RPUSH l a")
        await client.call("MSET a 1 b 2")
        await client.call("APPEND b 3")
        assert await client.call("MGET a b l no") == b"*4\r\n$1\r\n1\r\n$2\r\n23\r\n$-1\r\n$-1\r\n"


async def test_msetnx_sets_all_or_nothing() -> None:
    async with running() as broker:
        client = await broker.client()
        assert await client.call("MSETNX a 1 b 2") == b":1\r\n"
        assert await client.call("MSETNX c 1 b 3") == b":0\r\n"
        assert broker.broker.keyspace.databases[0].data == {b"a": b"1", b"b": b"2"}
        assert await client.call("MSET a") == b"-ERR wrong number of arguments for 'mset' command\r\n"


@pytest.mark.parametrize(
    ("command", "reply", "effects"),
    [
        ("MSETEX 2 a 1 b 2", b":1", ["MSET a 1 b 2"]),
        ("MSETEX 2 a 1 b 2 XX", b":0", []),
        ("MSETEX 1 k 1 NX", b":0", []),
        ("MSETEX 1 a 1 NX KEEPTTL", b":1", ["SET a 1 KEEPTTL"]),
        ("MSETEX 2 a 1 k 2 EX 10", b":1", [f"SET a 1 PXAT {NOW + 10_000}", f"SET k 2 PXAT {NOW + 10_000}"]),
        ("MSETEX 2 a 1 k 2 PXAT 5", b":1", ["DEL a k"]),
        ("MSETEX 0", b"-ERR wrong number of arguments for 'msetex' command", []),
        ("MSETEX 0 a 1", b"-ERR invalid numkeys value", []),
        ("MSETEX 2 a 1 b", b"-ERR wrong number of key-value pairs", []),
        ("MSETEX 1 a 1 GET", b"-ERR syntax error", []),
        ("MSETEX 1 a 1 EX 0", b"-ERR invalid expire time in 'msetex' command", []),
    ],
)
async def test_msetex(command: str, reply: bytes, effects: list[str], autojump_clock: object) -> None:
    async with running(clock=TrioClock(NOW)) as broker:
        client = await broker.client()
        await client.call("SET k v")
        seen = journal(broker.broker)
        assert await client.call(command) == reply + b"\r\n"
        assert lines(seen) == effects


async def test_keys_set_with_a_deadline_of_the_past_are_gone_at_once() -> None:
    async with running() as broker:
        client = await broker.client()
        assert await client.call("MSETEX 2 a 1 b 2 PXAT 5") == b":1\r\n"
        assert await client.call("DBSIZE") == b":0\r\n"
        assert broker.broker.keyspace.expired == 2
