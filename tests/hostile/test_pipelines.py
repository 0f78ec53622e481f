"""Clients that write a whole pipeline before they read its first reply, as most libraries do.

Each pipeline is sent in one piece, with nobody reading, and then every byte of the replies is compared. The sizes go up
to what takes seconds; with TRIMARAN_SOAK=1 in the environment to 2,000,000 requests of each kind, less where the
pipeline would be over 2 GB or its replies over what the broker keeps for a client that does not read.
"""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
import redis
import trio
from redis._parsers import _HiredisParser, _RESP2Parser

import broker
from broker.network.connection import UNSENT_MAX
from tests.hostile.clients import PATIENCE, connect, encode
from tests.oracle.servers import OracleMissing, Server, find_reference, free_port, start
from tests.oracle.wire import frame_end

SOAK = bool(os.environ.get("TRIMARAN_SOAK"))
MIB = 1 << 20


@dataclass(frozen=True)
class Kind:
    """A request that is sent over and over, `{}` standing for its number of seven digits, and the reply to it."""

    request: bytes
    reply: bytes

    def at_most(self, wanted: int) -> int:
        """As many requests, or as many as the test's bounds of bytes allow."""
        sent, received = (2_000 * MIB, UNSENT_MAX - 8 * MIB) if SOAK else (16 * MIB, 16 * MIB)
        return min(wanted, sent // (len(self.request) + 8), received // (len(self.reply) + 16))

    def requests(self, first: int, end: int) -> bytes:
        if b"{}" not in self.request:
            return self.request * (end - first)
        return b"".join([self.request.replace(b"{}", b"%07d" % number) for number in range(first, end)])

    def replies(self, first: int, end: int) -> bytes:
        if b"{}" not in self.reply:
            return self.reply * (end - first)
        return b"".join([self.reply.replace(b"{}", b"%07d" % number) for number in range(first, end)])


ELEMENT = b"$1000\r\n" + b"e" * 1000 + b"\r\n"
KINDS = {
    "PING": Kind(encode("PING"), b"+PONG\r\n"),
    "inline PING": Kind(b"PING\r\n", b"+PONG\r\n"),
    "ECHO": Kind(b"*2\r\n$4\r\nECHO\r\n$7\r\n{}\r\n", b"$7\r\n{}\r\n"),
    "SET of 10 KB": Kind(encode(["SET", "ten", "x" * 10_000]), b"+OK\r\n"),
    "GET of 1 KB": Kind(encode("GET one"), b"$1000\r\n" + b"x" * 1000 + b"\r\n"),
    "LRANGE of 100 KB": Kind(encode("LRANGE list 0 -1"), b"*100\r\n" + ELEMENT * 100),
    "MULTI": Kind(encode("MULTI") + encode("PING") + encode("EXEC"), b"+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n"),
}
SIZES = [1, 100, 4_682, 100_000, 2_000_000] if SOAK else [1, 4_682, 100_000]
"""4,682 PINGs are one more than what is read at once."""


class WriteFirst:
    """A client that sends all it has before it reads."""

    def __init__(self, address: tuple[str, int] | str, protocol: int = 2) -> None:
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.sock.settimeout(60)
        self.sock.connect(address)
        if protocol == 3:
            self.sock.sendall(encode("HELLO 3"))
            hello = b""
            while not hello or frame_end(hello) < 0:
                hello += self.sock.recv(1 << 16)

    def __enter__(self) -> "WriteFirst":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def call(self, request: bytes, reply: bytes) -> None:
        self.sock.sendall(request)
        assert self.receive(len(reply)) == reply

    def receive(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            data = self.sock.recv(min(1 << 20, size - len(received)))
            assert data, "closed"
            received += data
        return bytes(received)

    def run(self, kind: Kind, count: int) -> None:
        step = max(1, 16 * MIB // (len(kind.request) + len(kind.reply)))
        pieces = [(first, min(first + step, count)) for first in range(0, count, step)]
        for piece in pieces:
            self.sock.sendall(kind.requests(*piece))
        for piece in pieces:
            expected = kind.replies(*piece)
            assert self.receive(len(expected)) == expected

    def prepare(self) -> None:
        self.call(encode(["SET", "one", "x" * 1000]), b"+OK\r\n")
        self.call(encode("DEL list"), b":0\r\n")
        self.call(encode(["RPUSH", "list", *["e" * 1000] * 100]), b":100\r\n")


@dataclass(frozen=True)
class Sockets:
    """A server's two addresses."""

    tcp: tuple[str, int]
    unix: str


def _start(command: list[str], folder: Path) -> tuple[Server, Sockets]:
    port, path = free_port(), str(folder / "socket")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--unixsocket", path]
    server = start("broker", [*command, *options], port)
    return server, Sockets(("127.0.0.1", port), path)


def _ours(folder: Path, *options: str) -> tuple[Server, Sockets]:
    return _start([sys.executable, "-m", "broker", "serve", *options], folder)


@pytest.fixture(scope="module", params=["broker", "broker, appendfsync always", "redis-server"])
def sockets(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sockets]:
    folder = tmp_path_factory.mktemp("pipelines")
    if request.param == "broker":
        server, found = _ours(folder)
    elif request.param == "redis-server":
        try:
            server, found = _start([str(find_reference()[0])], folder)
        except OracleMissing:
            pytest.skip("no reference server")
    else:
        server, found = _ours(folder, "--appendonly", "yes", "--appendfsync", "always")
    with WriteFirst(found.unix) as client:
        client.prepare()
    yield found
    server.stop()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("transport", ["tcp", "unix"])
@pytest.mark.parametrize("name", KINDS)
def test_written_before_it_is_read(sockets: Sockets, name: str, transport: str, protocol: int) -> None:
    kind = KINDS[name]
    with WriteFirst(getattr(sockets, transport), protocol) as client:
        for count in sorted({kind.at_most(size) for size in SIZES}):
            client.run(kind, count)


@pytest.mark.parametrize("sockets", ["broker"], indirect=True)
@pytest.mark.parametrize("parser", [_HiredisParser, _RESP2Parser])
@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_a_pipeline_of_redis_py(sockets: Sockets, transport: str, parser: type) -> None:
    """200,000 commands, which redis-py sends in one piece before it reads."""
    settings = {"parser_class": parser, "socket_timeout": 60}
    if transport == "tcp":
        host, port = sockets.tcp
        pool = redis.ConnectionPool(host=host, port=port, **settings)
    else:
        pool = redis.ConnectionPool(redis.UnixDomainSocketConnection, path=sockets.unix, **settings)
    with redis.Redis(connection_pool=pool) as client:
        client.delete("count")
        pipeline = client.pipeline(transaction=False)
        for _ in range(200_000):
            pipeline.incr("count")
        assert pipeline.execute() == list(range(1, 200_001))
    pool.disconnect()


async def test_of_a_client_in_the_same_process(server: broker.Server) -> None:
    kind = KINDS["ECHO"]
    for count in (1, 100_000):
        async with connect(server) as client:
            with trio.fail_after(PATIENCE):
                await client.stream.send_all(kind.requests(0, count))
            expected = kind.replies(0, count)
            received = bytearray()
            while len(received) < len(expected):
                received += await client.stream.receive_some()
            assert received == expected


def _mixed(random: Random) -> bytes:
    """A pipeline of requests whose replies differ in kind and size, with waits in it, that ends the connection."""
    requests = [encode(["SET", "big", "x" * random.choice((10, 1_000, 100_000))]), encode("SET n 0")]
    choices = (
        encode("GET big"),
        encode("PING"),
        b"PING\r\n",
        encode("INCR n"),
        encode("STRLEN big") + encode("NOSUCH command"),
        encode("MULTI") + encode("INCR n") + encode("GET big") + encode("EXEC"),
        encode("CLIENT REPLY SKIP") + encode("PING"),
        encode("RPUSH queue a") + encode("BLPOP queue 0"),
        encode(["EVAL", "return redis.call('GET', 'big')", "0"]),
        encode(["SET", "other", "y" * 20_000]),
    )
    requests += random.choices(choices, k=1_000)
    requests.insert(500, encode("BLPOP none 0.001"))
    requests.append(encode("SUBSCRIBE a") + encode("PING") + encode("UNSUBSCRIBE") + encode("QUIT"))
    return b"".join(requests)


@pytest.mark.parametrize("seed", range(40 if SOAK else 4))
@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_the_replies_are_those_of_a_client_that_reads(sockets: Sockets, transport: str, seed: int) -> None:
    data = _mixed(Random(seed))
    received = []
    for reading in (False, True):
        with WriteFirst(getattr(sockets, transport)) as client:
            sending = threading.Thread(target=client.sock.sendall, args=(data,))
            sending.start()
            if not reading:
                sending.join()
            replies = bytearray()
            while some := client.sock.recv(1 << 20):
                replies += some
            sending.join()
            received.append(replies)
    assert received[0] == received[1]
    assert received[0].endswith(b"*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n+OK\r\n")
