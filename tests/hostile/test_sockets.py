"""Real TCP connections that are reset at any point, and more of them than the process has descriptors for."""

import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

import broker
from tests.hostile.clients import assert_serves, encode, until
from tests.oracle.servers import Server, free_port, start

PATTERNS = [
    b"*a" * 200 + b"b",
    b"a*" * 2000 + b"b",
    b"[a-z]*" * 500 + b"!",
    b"*?" * 500 + b"b",
    b"[" * 5000,
    b"\\" * 5001,
    b"*" * 100_000 + b"b",
]


def reset(sock: socket.socket) -> None:
    """Close with a TCP reset in place of an orderly end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"*3\r\n$3\r\nSET\r\n",
        encode(["PING"]) * 1000,
        encode(["GET", "big"]) * 100,
        encode(["SUBSCRIBE", "news"]),
        encode(["BLPOP", "queue", "0"]),
        encode(["MULTI"]) + encode(["PING"]),
        b"*x\r\n",
        encode(["QUIT"]) + encode(["PING"]),
    ],
)
async def test_resets(data: bytes) -> None:
    port = free_port()
    async with broker.open_broker({"port": str(port), "bind": "127.0.0.1"}) as server:
        server.broker.keyspace.databases[0].set(b"big", b"x" * 100_000)
        for _ in range(20):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(data)
            reset(sock)
        await until(lambda: server.broker.stats.clients_served == 20)
        await until(lambda: not server.broker.sessions)
        await assert_serves(server)


@contextmanager
def process(*wrapper: str) -> Iterator[Server]:
    """A broker in a process of its own, so that a stall would show."""
    port = free_port()
    serve = [sys.executable, "-m", "broker", "serve", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = start("broker", [*wrapper, *serve], port)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def crowd(server: Server) -> Iterator[None]:
    """A hundred connections that say nothing."""
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(server.address))
        yield


def test_out_of_descriptors() -> None:
    """Some are refused; those that were let in are served, and others later; the broker can be ended all the same."""
    with process("sh", "-c", 'ulimit -n 64 && exec "$@"', "sh") as server, closing(server.connect()) as first:
        with crowd(server):
            for _ in range(50):
                assert first.call("PING") == b"+PONG\r\n"
        for _ in range(10_000):
            with closing(server.connect()) as late:
                if late.call("PING") == b"+PONG\r\n":
                    break
        else:
            pytest.fail("refused though the crowd has gone")
        with crowd(server):
            assert first.call("PING") == b"+PONG\r\n"
            assert server.process is not None and server.folder is not None
            server.process.terminate()
            assert server.process.wait(60) == 0, server.log()
            assert (server.folder / "log").stat().st_size < 100_000


def test_patterns_that_make_others_backtrack() -> None:
    name = b"a" * 5000
    with process() as server, closing(server.connect()) as client:
        assert client.call("SET", name, "v") == b"+OK\r\n"
        for pattern in PATTERNS:
            assert client.call("KEYS", pattern) == b"*0\r\n"
            assert client.call("SCAN", "0", "MATCH", pattern, "COUNT", "1000") == b"*2\r\n$1\r\n0\r\n*0\r\n"
            with closing(server.connect()) as subscriber:
                assert subscriber.call("PSUBSCRIBE", pattern).startswith(b"*3\r\n")
                assert client.call("PUBLISH", name, "x") == b":0\r\n"
        assert client.call("KEYS", b"*a" * 200) == b"*1\r\n$5000\r\n" + name + b"\r\n"
