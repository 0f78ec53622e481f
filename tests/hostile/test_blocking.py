"""Crowds of waiting clients, and clients that vanish: elements are neither lost nor popped for one that is gone."""

from dataclasses import dataclass

import pytest

import broker
from tests.hostile.clients import CLOSED, Client, connect, encode, until


@dataclass(frozen=True)
class Case:
    """A blocking call on missing keys, what serves one caller, and what then shows how much is left."""

    call: list[str]
    feed: list[str]
    left: list[str]
    one_left: bytes
    setup: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.call[0]


CASES = [
    Case(["BLPOP", "q", "0"], ["RPUSH", "q", "job"], ["LLEN", "q"], b":1\r\n"),
    Case(["BRPOP", "other", "q", "0"], ["RPUSH", "q", "job"], ["LLEN", "q"], b":1\r\n"),
    Case(["BLMPOP", "0", "2", "other", "q", "LEFT"], ["RPUSH", "q", "job"], ["LLEN", "q"], b":1\r\n"),
    Case(["BLMOVE", "q", "done", "LEFT", "RIGHT", "0"], ["RPUSH", "q", "job"], ["LLEN", "q"], b":1\r\n"),
    Case(["BRPOPLPUSH", "q", "done", "0"], ["RPUSH", "q", "job"], ["LLEN", "q"], b":1\r\n"),
    Case(["BZPOPMIN", "q", "0"], ["ZADD", "q", "1", "job"], ["ZCARD", "q"], b":1\r\n"),
    Case(["BZPOPMAX", "q", "0"], ["ZADD", "q", "1", "job"], ["ZCARD", "q"], b":1\r\n"),
    Case(["BZMPOP", "0", "1", "q", "MIN"], ["ZADD", "q", "1", "job"], ["ZCARD", "q"], b":1\r\n"),
    Case(["XREAD", "BLOCK", "0", "STREAMS", "q", "$"], ["XADD", "q", "1-1", "f", "v"], ["XLEN", "q"], b":1\r\n"),
    Case(
        ["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "q", ">"],
        ["XADD", "q", "1-1", "f", "v"],
        ["XREADGROUP", "GROUP", "g", "probe", "STREAMS", "q", ">"],
        b"*1\r\n*2\r\n$1\r\nq\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n",
        ("XGROUP", "CREATE", "q", "g", "$", "MKSTREAM"),
    ),
]

pytestmark = pytest.mark.parametrize("case", CASES, ids=str)


async def prepare(server: broker.Server, case: Case) -> None:
    async with connect(server) as client:
        assert await client.call("FLUSHALL") == b"+OK\r\n"
        if case.setup:
            assert await client.call(*case.setup) == b"+OK\r\n"


def waiting(server: broker.Server) -> int:
    return len(server.broker.blocking.sessions)


async def assert_not_taken(server: broker.Server, case: Case) -> None:
    """What is fed now is still there afterwards, and no trace of a waiting client is left."""
    async with connect(server) as client:
        assert (await client.call(*case.feed))[:1] in b":$"
        assert await client.call(*case.left) == case.one_left
    assert not waiting(server)
    assert not server.broker.keyspace.databases[0].waiters


async def test_vanishing_at_every_byte(server: broker.Server, case: Case) -> None:
    data = encode(case.call)
    for cut in range(len(data) + 1):
        await prepare(server, case)
        client = Client(await server.connect())
        await client.send(data[:cut])
        await client.vanish()
        await until(lambda: not server.broker.sessions)
        await assert_not_taken(server, case)


async def test_vanishing_while_waiting(server: broker.Server, case: Case) -> None:
    await prepare(server, case)
    clients = [Client(await server.connect()) for _ in range(20)]
    for client in clients:
        await client.send(encode(case.call))
    await until(lambda: waiting(server) == 20)
    for client in clients:
        await client.vanish()
    await until(lambda: not waiting(server))
    await assert_not_taken(server, case)


async def test_vanishing_just_before_the_feed(server: broker.Server, case: Case) -> None:
    """The broker may see the end and the feed in one tick, in either order."""
    async with connect(server) as feeder:
        for _ in range(20):
            await prepare(server, case)
            client = Client(await server.connect())
            await client.send(encode(case.call))
            await until(lambda: waiting(server) == 1)
            await client.vanish()
            await feeder.call(*case.feed)
            assert await feeder.call(*case.left) == case.one_left
            await until(lambda: not waiting(server))
    await prepare(server, case)
    await assert_not_taken(server, case)


async def test_half_closed_while_waiting(server: broker.Server, case: Case) -> None:
    """A client that has closed its sending side counts as gone, as in Redis."""
    await prepare(server, case)
    async with connect(server) as client:
        await client.send(encode(case.call))
        await until(lambda: waiting(server) == 1)
        await client.stream.send_eof()
        assert await client.rest() == []
    await assert_not_taken(server, case)


async def test_killed_and_fed_in_one_write(server: broker.Server, case: Case) -> None:
    await prepare(server, case)
    async with connect(server) as client, connect(server) as killer:
        number = await client.call("CLIENT", "ID")
        await client.send(encode(case.call))
        await until(lambda: waiting(server) == 1)
        kill = encode(["CLIENT", "KILL", "ID", number[1:-2]])
        await killer.send(kill + encode(case.feed) + encode(case.left))
        assert await killer.receive() == b":1\r\n"
        await killer.receive()
        assert await killer.receive() == case.one_left
        assert await client.rest() == []
    await prepare(server, case)
    await assert_not_taken(server, case)


async def test_unblocked_and_fed_in_one_write(server: broker.Server, case: Case) -> None:
    """CLIENT UNBLOCK ends the wait once; what the client sent behind its call goes on."""
    await prepare(server, case)
    async with connect(server) as client, connect(server) as other:
        number = await client.call("CLIENT", "ID")
        await client.send(encode(case.call) + encode(["ECHO", "next"]))
        await until(lambda: waiting(server) == 1)
        unblock = encode(["CLIENT", "UNBLOCK", number[1:-2], "ERROR"])
        await other.send(unblock + unblock + encode(case.feed) + encode(case.left))
        assert await other.receive() == b":1\r\n"
        assert await other.receive() == b":0\r\n"
        await other.receive()
        assert await other.receive() == case.one_left
        assert await client.receive() == b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"
        assert await client.receive() == b"$4\r\nnext\r\n"
    await prepare(server, case)
    await assert_not_taken(server, case)


async def test_vanishing_with_requests_behind_the_call(server: broker.Server, case: Case) -> None:
    """They are never executed: the wait was not over."""
    await prepare(server, case)
    client = Client(await server.connect())
    await client.send(encode(case.call) + encode(["SET", "behind", "1"]))
    await until(lambda: waiting(server) == 1)
    await client.vanish()
    await until(lambda: not server.broker.sessions)
    await assert_not_taken(server, case)
    async with connect(server) as client:
        assert await client.call("GET", "behind") == b"$-1\r\n"


async def test_flushed_and_fed_by_others(server: broker.Server, case: Case) -> None:
    """A waiting client outlives FLUSHALL, SWAPDB and a value of another type, and is served at last."""
    await prepare(server, case)
    async with connect(server) as client, connect(server) as other:
        await client.send(encode(case.call))
        await until(lambda: waiting(server) == 1)
        if not case.setup:
            assert await other.call("SET", "q", "a string") == b"+OK\r\n"
            assert await other.call("FLUSHALL") == b"+OK\r\n"
            assert await other.call("SWAPDB", "0", "1") == b"+OK\r\n"
            assert await other.call("SWAPDB", "0", "1") == b"+OK\r\n"
        assert waiting(server) == 1
        await other.call(*case.feed)
        reply = await client.receive()
        assert reply != CLOSED and not reply.startswith(b"-")
    assert not waiting(server)
