"""Malformed requests and the limits on requests: the exact answer, and the connection's end."""

import random

import pytest

import broker
from tests.hostile.clients import CLOSED, assert_serves, connect, encode, until

MIB = 1 << 20


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"*1048577\r\n", b"invalid multibulk length"),
        (b"*9223372036854775808\r\n", b"invalid multibulk length"),
        (b"*-9223372036854775809\r\n", b"invalid multibulk length"),
        (b"*+1\r\n", b"invalid multibulk length"),
        (b"*01\r\n", b"invalid multibulk length"),
        (b"* 1\r\n", b"invalid multibulk length"),
        (b"*1_0\r\n", b"invalid multibulk length"),
        (b"*\xd9\xa1\r\n", b"invalid multibulk length"),
        (b"*" + b"9" * 5000 + b"\r\n", b"invalid multibulk length"),
        (b"*" + b"1" * 65_536, b"too big mbulk count string"),
        (b"*1\r\n$-1\r\n", b"invalid bulk length"),
        (b"*1\r\n$536870913\r\n", b"invalid bulk length"),
        (b"*1\r\n$18446744073709551616\r\n", b"invalid bulk length"),
        (b"*1\r\n$" + b"9" * 5000 + b"\r\n", b"invalid bulk length"),
        (b"*1\r\n$" + b"1" * 65_536, b"too big bulk count string"),
        (b"*1\r\n:1\r\n", b"expected '$', got ':'"),
        (b"*2\r\n$3\r\nGET\r\n*1\r\n$1\r\nk\r\n", b"expected '$', got '*'"),
        (b"*2\r\n$3\r\nGET\r\n+k\r\n", b"expected '$', got '+'"),
        (b"*2\r\n$3\r\nGET\r\n%1\r\n", b"expected '$', got '%'"),
        (b"*1\r\n\r\n$4\r\n", b"expected '$', got ' '"),
        (b"*1\r\n\n$4\r\n", b"expected '$', got ' '"),
        (b"*1\r\n\0\r\n", b"expected '$', got '\0'"),
        (b"*1\r\n$4\r\nPINGPONG\r\n", b"expected CRLF after a bulk"),
        (b'SET "k v\r\n', b"unbalanced quotes in request"),
        (b"SET 'k'v\r\n", b"unbalanced quotes in request"),
        (b"x" * 65_537, b"too big inline request"),
    ],
)
async def test_malformed(server: broker.Server, data: bytes, text: bytes) -> None:
    """What came before it in the same write is answered; what comes behind it is never executed."""
    expected = b"-ERR Protocol error: " + text + b"\r\n"
    async with connect(server) as client:
        await client.send(encode(["SET", "before", "1"]) + data)
        assert await client.rest() == [b"+OK\r\n", expected]
    async with connect(server) as client:
        await client.send(data[: len(data) // 2])
        await client.send(data[len(data) // 2 :])
        await client.send(encode(["SET", "behind", "1"]))
        assert await client.rest() == [expected]
    async with connect(server) as client:
        assert await client.call("GET", "before") == b"$1\r\n1\r\n"
        assert await client.call("GET", "behind") == b"$-1\r\n"


async def test_malformed_behind_a_blocking_request(server: broker.Server) -> None:
    """The error waits for its turn: the blocked client is served first."""
    async with connect(server) as blocked, connect(server) as other:
        await blocked.send(encode(["BLPOP", "queue", "0"]) + b"*x\r\n")
        await until(lambda: len(server.broker.blocking.sessions) == 1)
        assert await other.call("RPUSH", "queue", "job") == b":1\r\n"
        assert await blocked.rest() == [
            b"*2\r\n$5\r\nqueue\r\n$3\r\njob\r\n",
            b"-ERR Protocol error: invalid multibulk length\r\n",
        ]


async def test_the_longest_requests_allowed(server: broker.Server) -> None:
    async with connect(server) as client:
        fields = b"".join(b"$1\r\n%d\r\n" % (n % 10) for n in range(MIB - 1))
        await client.send(b"*%d\r\n$4\r\nPING\r\n" % MIB + fields)
        assert await client.receive() == b"-ERR wrong number of arguments for 'ping' command\r\n"
        line = b"ECHO " + b"x" * (65_536 - 5)
        await client.send(line + b"\r\n")
        assert await client.receive() == b"-ERR Protocol error: too big inline request\r\n"
    async with connect(server) as client:
        await client.send(line[:-1] + b"\r\n")
        assert len(await client.receive()) == 65_536 - 6 + len(b"$65530\r\n\r\n")


async def test_bulk_limit_is_the_directive(server: broker.Server) -> None:
    async with connect(server) as client:
        assert await client.call("CONFIG", "SET", "proto-max-bulk-len", str(MIB)) == b"+OK\r\n"
        assert await client.call("SET", "k", b"x" * MIB) == b"+OK\r\n"
        await client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (MIB + 1))
        assert await client.rest() == [b"-ERR Protocol error: invalid bulk length\r\n"]


@pytest.mark.parametrize("first_line", [b"POST / HTTP/1.1", b"post / HTTP/1.1", b"Host: example.org"])
async def test_web_requests_close_the_connection(server: broker.Server, first_line: bytes) -> None:
    """A browser can be made to send a broker's commands as a POST body: nothing of it may be executed."""
    async with connect(server) as client:
        await client.send(first_line + b"\r\nContent-Length: 9\r\n\r\nSET web 1\r\n")
        assert await client.rest() == []
    async with connect(server) as client:
        assert await client.call("GET", "web") == b"$-1\r\n"
        await client.send(b"GET / HTTP/1.1\r\nHost: example.org\r\nSET web 1\r\n")
        assert await client.rest() == [b"-ERR wrong number of arguments for 'get' command\r\n"]
    async with connect(server) as client:
        assert await client.call("GET", "web") == b"$-1\r\n"


async def test_garbage(server: broker.Server) -> None:
    """Random bytes, and requests with random damage: an answer or an end, never a fault."""
    rng = random.Random(20)
    pieces = [encode(["SET", "k", "value"]), encode(["PING"]), b"PING\r\n", b"*3\r\n", b"$5\r\n", b"\r\n", b"$-1\r\n"]
    for _ in range(300):
        data = bytearray(b"".join(rng.choices(pieces, k=rng.randrange(1, 8))) + rng.randbytes(rng.randrange(20)))
        for _ in range(rng.randrange(4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        async with connect(server) as client:
            await client.send(bytes(data))
            await client.stream.send_eof()
            await client.rest()
    await assert_serves(server)


async def test_unknown_names_are_cut_and_hold_no_line_ends(server: broker.Server) -> None:
    async with connect(server) as client:
        assert await client.call(b"a\r\n+OK") == b"-ERR unknown command 'a  +OK'\r\n"
        reply = await client.call(b"x" * 100_000, b"y" * 100_000, *[b"z"] * 1000)
        assert reply.startswith(b"-ERR unknown command 'xxx") and len(reply) < 400
        for reply in (await client.call("CLIENT"), await client.call("CLIENT", b"x\r\n" * 1000)):
            assert reply.startswith(b"-ERR") and reply.count(b"\r\n") == 1 and len(reply) < 400
        assert await client.call("PING") == b"+PONG\r\n"


async def test_empty_names(server: broker.Server) -> None:
    async with connect(server) as client:
        assert await client.call(b"") == b"-ERR unknown command ''\r\n"
        assert (await client.call(b"CONFIG", b"")).startswith(b"-ERR unknown subcommand ''")
        await client.send(b"*0\r\n*-1\r\n\r\n\n" + encode(["PING"]))
        assert await client.receive() == b"+PONG\r\n"
        assert await client.call(b"") != CLOSED
