"""Whole databases, and those who watch or wait in them."""

import pytest

from tests.broker.effects import journal, lines
from tests.broker.inprocess import running


@pytest.mark.parametrize("command", ["FLUSHDB", "FLUSHALL", "FLUSHALL ASYNC", "FLUSHDB sync"])
async def test_flush(command: str) -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("MSET a 1 b 2")
        await client.call("EXPIRE a 100")
        seen = journal(broker.broker)
        assert await client.call(command) == b"+OK\r\n"
        assert await client.call("DBSIZE") == b":0\r\n"
        assert broker.broker.keyspace.databases[0].expires == {}
        assert await client.call(command) == b"+OK\r\n"
        assert lines(seen) == [command]


@pytest.mark.parametrize("command", ["FLUSHALL BOGUS", "FLUSHDB SYNC ASYNC"])
async def test_flush_refused(command: str) -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SET a 1")
        assert await client.call(command) == b"-ERR syntax error\r\n"
        assert await client.call("DBSIZE") == b":1\r\n"


@pytest.mark.parametrize(
    ("watched", "command", "broken"),
    [
        ("a", "FLUSHDB", True),
        ("no", "FLUSHALL", False),
        ("a", "SWAPDB 0 1", True),
        ("b", "SWAPDB 1 0", True),
        ("no", "SWAPDB 0 1", False),
        ("a", "SWAPDB 0 0", False),
        ("a", "SWAPDB 1 2", False),
    ],
)
async def test_watched_keys(watched: str, command: str, broken: bool) -> None:
    async with running() as broker:
        one, two = await broker.client(), await broker.client()
        await two.call("SELECT 1")
        await two.call("SET b 1")
        await two.call("SELECT 0")
        await two.call("SET a 1")
        await one.call("WATCH", watched)
        await two.call(command)
        await one.call("MULTI")
        assert await one.call("EXEC") == (b"*-1\r\n" if broken else b"*0\r\n")


async def test_swapdb_serves_those_who_wait() -> None:
    async with running() as broker:
        waiting, other = await broker.client(), await broker.client()
        await waiting.send("BLPOP l 0")
        await other.call("SELECT 1")
        await other.call("RPUSH l a")
        await other.call("SWAPDB 0 1")
        assert await waiting.receive() == b"*2\r\n$1\r\nl\r\n$1\r\na\r\n"
        assert await other.call("DBSIZE") == b":0\r\n"


async def test_swapdb_errors() -> None:
    async with running() as broker:
        client = await broker.client()
        assert await client.call("SWAPDB a 0") == b"-ERR invalid first DB index\r\n"
        assert await client.call("SWAPDB 0 a") == b"-ERR invalid second DB index\r\n"
        assert await client.call("SWAPDB 0 16") == b"-ERR DB index is out of range\r\n"
