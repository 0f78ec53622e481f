"""Clients that have not proved who they are: far tighter limits, maxclients, protected mode."""

import socket
import tracemalloc

import pytest

import broker
from tests.hostile.clients import CLOSED, Client, assert_serves, connect, encode, until

SECRET = {"requirepass": "secret"}
NO_AUTH = b"-NOAUTH Authentication required.\r\n"
UNAUTHENTICATED_MULTIBULK = b"-ERR Protocol error: unauthenticated multibulk length\r\n"
UNAUTHENTICATED_BULK = b"-ERR Protocol error: unauthenticated bulk length\r\n"


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (encode(["DEL", *"abcdefghi"]), NO_AUTH),
        (b"*11\r\n", UNAUTHENTICATED_MULTIBULK),
        (b"*1048576\r\n", UNAUTHENTICATED_MULTIBULK),
        (b"*1048577\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (encode(["ECHO", "x" * 16_384]), NO_AUTH),
        (b"*2\r\n$4\r\nECHO\r\n$16385\r\n", UNAUTHENTICATED_BULK),
        (b"*2\r\n$4\r\nECHO\r\n$536870912\r\n", UNAUTHENTICATED_BULK),
        (b"*2\r\n$4\r\nECHO\r\n$536870913\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"x" * 65_537, b"-ERR Protocol error: too big inline request\r\n"),
    ],
)
async def test_tight_limits_before_auth(data: bytes, answer: bytes) -> None:
    async with broker.open_broker(SECRET) as server:
        async with connect(server) as client:
            await client.send(data)
            assert await client.receive() == answer
            if answer != NO_AUTH:
                assert await client.receive() == CLOSED
        await assert_serves(server, "secret")


async def test_limits_widen_behind_auth_in_one_write() -> None:
    big = encode(["SET", "k", "x" * 100_000])
    many = encode(["DEL", *["k"] * 200])
    async with broker.open_broker(SECRET) as server:
        async with connect(server) as client:
            await client.send(encode(["AUTH", "secret"]) + big + many + encode(["PING"]))
            replies = [await client.receive() for _ in range(4)]
            assert replies == [b"+OK\r\n", b"+OK\r\n", b":1\r\n", b"+PONG\r\n"]
        async with connect(server) as client:
            await client.send(encode(["AUTH", "wrong"]) + big + encode(["PING"]))
            assert await client.receive() == (b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
            assert await client.rest() == [UNAUTHENTICATED_BULK]
        await assert_serves(server, "secret")


async def test_limits_follow_a_password_set_later(server: broker.Server) -> None:
    """Clients that were connected before keep their rights, as in Redis; new ones are strangers."""
    async with connect(server) as old:
        assert await old.call("CONFIG", "SET", "requirepass", "secret") == b"+OK\r\n"
        assert await old.call("SET", "k", "x" * 20_000) == b"+OK\r\n"
        async with connect(server) as new:
            await new.send(b"*11\r\n")
            assert await new.rest() == [UNAUTHENTICATED_MULTIBULK]
        assert await old.call("CONFIG", "SET", "requirepass", "") == b"+OK\r\n"


async def test_stalled_strangers_cost_little() -> None:
    """A hundred strangers announce as much as they may, and send nothing."""
    async with broker.open_broker(SECRET) as server:
        clients = [Client(await server.connect()) for _ in range(100)]
        await assert_serves(server, "secret")
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for client in clients:
            await client.send(b"*10\r\n$16384\r\n")
        await until(lambda: all(connection.parser.buffered for connection in server.tick.connections()))
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert after - before < 500_000
        await assert_serves(server, "secret")
        for client in clients:
            await client.vanish()
        await until(lambda: not server.broker.sessions)


async def test_maxclients() -> None:
    async with broker.open_broker({"maxclients": "3"}) as server:
        first = Client(await server.connect())
        async with connect(server) as second, connect(server) as third:
            for client in (first, second, third):
                assert await client.call("PING") == b"+PONG\r\n"
            for _ in range(100):
                async with connect(server) as refused:
                    await refused.send(encode(["PING"]))
                    assert await refused.rest() == [b"-ERR max number of clients reached\r\n"]
            assert await second.call("PING") == b"+PONG\r\n"
            await first.vanish()
            await until(lambda: len(server.broker.sessions) == 2)
            await assert_serves(server)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
    return accepted, client


async def test_protected_mode(server: broker.Server) -> None:
    """Without a password, only this machine is served. A remote peer's address is made up: 192.0.2.1."""
    for peer, served in ((b"192.0.2.1:40000", False), (b"[2001:db8::1]:40000", False), (b"127.8.8.8:9", True)):
        accepted, client = tcp_pair()
        with client:
            server.listeners.admit(accepted, peer)
            client.settimeout(0.0 if not served else None)
            if served:
                continue
            answer = client.recv(1000)
            assert answer.startswith(b"-DENIED ") and answer.count(b"\r\n") == 1
            assert client.recv(1000) == b""
    server.broker.config.protected_mode = False
    accepted, client = tcp_pair()
    with client:
        server.listeners.admit(accepted, b"192.0.2.1:40000")
        assert len(server.broker.sessions) >= 1
