"""A master that follows a script: what it reads is compared, what it says is up to the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from broker.formats.rdb.file_saving import save_rdb
from broker.process.clock import Clock
from protocol.parser import RequestParser
from tests.broker.inprocess import Broker, running
from tests.broker.sessions import make_broker, make_session, run
from tests.oracle.wire import encode

ID = "a" * 40
OTHER_ID = "b" * 40
EMPTY = b"REDIS0010\xff" + bytes(8)
"""An RDB file without keys, and without a checksum."""


def payload(*commands: str) -> bytes:
    """An RDB file with what these commands write."""
    broker = make_broker()
    run(make_session(broker), *commands)
    parts: list[bytes] = []
    save_rdb(parts.append, broker.keyspace, broker.config)
    return b"".join(parts)


def encode_words(command: str) -> list[bytes]:
    return [word.encode() for word in command.split()]


class Peer:
    """The master's side of one connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._parser = RequestParser()
        self._requests: list[list[bytes]] = []

    async def request(self) -> list[bytes]:
        """What the replica sends next, without the keep-alives in between; b"" at the end."""
        while not self._requests:
            data = await self.stream.receive_some()
            if not data:
                return []
            self._requests += self._parser.feed(bytes(data).lstrip(b"\n"))
        return self._requests.pop(0)

    async def expect(self, command: str) -> None:
        assert await self.request() == encode_words(command)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def command(self, *commands: str) -> None:
        """Stream commands."""
        await self.send(b"".join(map(encode, commands)))

    async def greet(self) -> None:
        """Take part in the handshake up to PSYNC."""
        await self.expect("PING")
        await self.send(b"+PONG\r\n")
        while (await self.request())[1] != b"version":
            await self.send(b"+OK\r\n")
        await self.send(b"-ERR Unrecognized REPLCONF option: version\r\n")

    async def full_sync(self, file: bytes = EMPTY, offset: int = 100, id: str = ID) -> None:
        """Accept the replica with a full synchronization."""
        await self.greet()
        assert (await self.request())[0] == b"PSYNC"
        await self.send(b"+FULLRESYNC %b %d\r\n" % (id.encode(), offset))
        await self.send(b"$%d\r\n" % len(file) + file)
        await self.acknowledged(offset)

    async def acknowledged(self, offset: int) -> list[bytes]:
        """Wait for the acknowledgement of an offset."""
        while True:
            words = await self.request()
            assert words[:2] == [b"REPLCONF", b"ACK"], words
            if words[2] == b"%d" % offset:
                return words

    async def drop(self) -> None:
        await trio.aclose_forcefully(self.stream)


class Master:
    """Where a replica's connections arrive; `refuses` makes it refuse them."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](100)
        self.refuses = False
        self.connections = 0

    async def connect(self, *address: object) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.connections += 1
        if self.refuses:
            raise ConnectionRefusedError(111, "Connection refused")
        ours, theirs = trio.testing.memory_stream_pair()
        self._send.send_nowait(ours)
        return theirs

    async def accept(self) -> Peer:
        return Peer(await self._receive.receive())


@asynccontextmanager
async def replica(
    monkeypatch: pytest.MonkeyPatch, directives: dict[str, str] | None = None, clock: Clock | None = None
) -> AsyncIterator[tuple[Broker, Master]]:
    """A broker that follows a fake master."""
    master = Master()
    monkeypatch.setattr("broker.server.connect", master.connect)
    async with running({"replicaof": "master 6379", **(directives or {})}, clock) as broker:
        yield broker, master


async def field(broker: Broker, name: str, section: str = "replication") -> str:
    """A field of INFO."""
    client = await broker.client()
    lines: Iterable[str] = (await client.text("INFO", section)).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)[name]


async def settled() -> None:
    """Until everything waits for something else than time."""
    await trio.testing.wait_all_tasks_blocked(0.01)


FILE = payload("SET a 1", "RPUSH l x y")


async def value(broker: Broker, key: str) -> bytes:
    client = await broker.client()
    return await client.call("GET", key)


async def arrived(broker: Broker, key: str, wanted: bytes) -> None:
    """Wait until a key has a value."""
    with trio.fail_after(60):
        while await value(broker, key) != b"$%d\r\n%b\r\n" % (len(wanted), wanted):
            await trio.sleep(0.01)


async def recovers(broker: Broker, master: Master) -> None:
    """The next attempts succeed, and nothing is left of those before."""
    with trio.fail_after(600):
        peer = await master.accept()
        await peer.greet()
        await peer.request()
        await peer.send(b"+FULLRESYNC %b 500\r\n$%d\r\n%b" % (OTHER_ID.encode(), len(FILE), FILE))
        await peer.acknowledged(500)
        await peer.command("INCR a")
        await arrived(broker, "a", b"2")
        assert await field(broker, "master_replid") == OTHER_ID
