"""Whole databases, and those who watch or wait in them."""

import pytest

from broker.process import globs as globbing
from tests.broker.direct import Client
from tests.broker.effects import journal, lines
from tests.broker.inprocess import running
from tests.broker.sessions import make_broker


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


def test_any_number_of_databases() -> None:
    client = Client(make_broker(databases=2_000_000_000))
    last = 1_999_999_999
    for command, reply in (
        (f"SELECT {last}", b"+OK\r\n"),
        ("SET k v", b"+OK\r\n"),
        ("COPY k k DB 123456789", b":1\r\n"),
        ("MOVE k 77", b":1\r\n"),
        ("SWAPDB 77 1000000000", b"+OK\r\n"),
        ("SELECT 1000000000", b"+OK\r\n"),
        ("GET k", b"$1\r\nv\r\n"),
        (f"SELECT {last + 1}", b"-ERR DB index is out of range\r\n"),
        (f"SWAPDB 0 {last + 1}", b"-ERR DB index is out of range\r\n"),
    ):
        assert client.do(command) == reply
    assert b"db123456789:keys=1,expires=0,avg_ttl=0" in client.do("INFO keyspace")
    assert client.do("FLUSHALL") == b"+OK\r\n"
    assert b"keys=" not in client.do("INFO keyspace")


@pytest.mark.parametrize("command", ["CONFIG GET", "COMMAND LIST FILTERBY PATTERN", "FUNCTION LIST LIBRARYNAME"])
def test_a_pattern_is_read_once_for_all_names(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    read = globbing._parse

    def parse(pattern: bytes, nocase: bool) -> list[globbing._Segment] | None:
        made.append(pattern)
        return read(pattern, nocase)

    monkeypatch.setattr(globbing, "_parse", parse)
    client = Client(make_broker())
    for number in range(3):
        client.do([b"FUNCTION", b"LOAD", b"#!lua name=x%d\nredis.register_function('f%d', print)" % (number, number)])
    client.do([*command.encode().split(), b"?" * 19_000])
    assert len(made) == 1
