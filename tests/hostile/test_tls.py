"""Strangers on the encrypted port: half handshakes by the thousand, rubbish, tiny records, floods of new keys."""

import os
import socket
import ssl
import struct
from pathlib import Path

import pytest
import trio
import trio.testing

from broker.network.handshakes import OPEN_MAX
from tests.broker.encrypted import Encrypted, serving
from tests.certificates import Certificates
from tests.hostile.clients import until
from tests.oracle.wire import encode


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def hello(certificates: Certificates) -> bytes:
    """The first bytes of a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = certificates.client_context().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


async def assert_serves(running: Encrypted) -> None:
    with trio.fail_after(60):
        assert await (await running.connect()).call("PING") == b"+PONG\r\n"


async def test_a_flood_of_half_handshakes(certificates: Certificates) -> None:
    async with serving(certificates, maxclients="10000") as running:
        first = hello(certificates)
        strangers = []
        for number in range(1500):
            stranger = socket.create_connection(("127.0.0.1", running.port))
            stranger.setblocking(False)
            stranger.send(first[: number % len(first)] if number % 2 else first)
            strangers.append(stranger)
            if number % 100 == 0:
                await assert_serves(running)
        await until(lambda: len(running.server.listeners.handshakes) <= OPEN_MAX)
        await assert_serves(running)
        for stranger in strangers:
            stranger.close()
        await running.handshakes(0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x16",
        b"\x16\x03\x01\xff\xff" + b"x" * 70_000,
        b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + b"x" * 70_000,
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x17\x03\x03\x00\x05hello",
        b"\x80\x2e\x01\x00\x02" + b"x" * 100,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        os.urandom(5000),
    ],
)
async def test_rubbish_in_place_of_a_handshake(certificates: Certificates, data: bytes) -> None:
    async with serving(certificates) as running:
        for reset in (False, True):
            with socket.create_connection(("127.0.0.1", running.port)) as stranger:
                stranger.sendall(data)
                await trio.testing.wait_all_tasks_blocked()
                if reset:
                    stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await assert_serves(running)
        await running.handshakes(0)
        await until(lambda: len(running.broker.sessions) <= 1)


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_a_request_of_many_tiny_records(certificates: Certificates, size: int) -> None:
    async with serving(certificates) as running:
        client = await running.connect()
        data = encode(["ECHO", "x" * 10_000])
        for at in range(0, len(data), size):
            await client.stream.send_all(data[at : at + size])
        assert await client.receive() == b"$10000\r\n" + b"x" * 10_000 + b"\r\n"


async def test_encrypted_bytes_that_are_changed_end_the_connection(certificates: Certificates) -> None:
    async with serving(certificates) as running:
        client = await running.connect()
        assert await client.call("PING") == b"+PONG\r\n"
        assert isinstance(client.stream, trio.SSLStream)
        await client.stream.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        await until(lambda: not running.broker.sessions)
        await assert_serves(running)


async def test_a_client_that_never_reads_costs_what_a_plain_one_does(certificates: Certificates) -> None:
    async with serving(certificates, client_output_buffer_limit="normal 5mb 0 0") as running:
        running.broker.keyspace.databases[0].set(b"big", b"x" * 1_000_000)
        client = await running.connect()
        for _ in range(30):
            with trio.move_on_after(5):
                try:
                    await client.send("GET", "big")
                except trio.BrokenResourceError:
                    break
        await until(lambda: not running.broker.sessions)
        assert running.broker.stats.output_limit_closes == 1
        await assert_serves(running)


async def test_a_query_buffer_has_its_limit(certificates: Certificates) -> None:
    async with serving(certificates, client_query_buffer_limit="1mb") as running:
        client = await running.connect()
        with pytest.raises(trio.BrokenResourceError):
            await client.stream.send_all(b"*1\r\n$100000000\r\n")
            while True:
                await client.stream.send_all(b"x" * 100_000)
        assert running.broker.stats.query_limit_closes == 1
        await assert_serves(running)


async def test_clients_that_vanish_at_any_point(certificates: Certificates) -> None:
    async with serving(certificates) as running:
        for words in (["PING"], ["BLPOP", "q", "0"], ["SUBSCRIBE", "news"], ["GET", "big"]):
            for data in (encode(words), encode(words)[:-3]):
                client = await running.connect()
                await client.stream.send_all(data)
                assert isinstance(client.stream, trio.SSLStream)
                stream = client.stream.transport_stream
                assert isinstance(stream, trio.SocketStream)
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                await trio.aclose_forcefully(stream)
        await until(lambda: not running.broker.sessions)
        await assert_serves(running)
