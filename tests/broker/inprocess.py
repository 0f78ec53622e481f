"""Clients of a broker in the same process, for unit tests of commands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from broker import open_broker
from broker.process.clock import Clock
from broker.server import Server
from tests.oracle.wire import encode, frame_end, split


class Client:
    """One client: `call` sends a command (a str is split as redis-cli does) and returns the reply's bytes."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._buffer = bytearray()

    async def send(self, *words: str | bytes | int) -> None:
        if len(words) == 1 and isinstance(words[0], str):
            await self.stream.send_all(encode(split(words[0])))
        else:
            await self.stream.send_all(encode(words))

    async def receive(self) -> bytes:
        """One reply or push; b"" once the broker has closed."""
        while (end := frame_end(self._buffer)) < 0:
            data = await self.stream.receive_some()
            if not data:
                return b""
            self._buffer += data
        reply = bytes(self._buffer[:end])
        del self._buffer[:end]
        return reply

    async def call(self, *words: str | bytes | int) -> bytes:
        await self.send(*words)
        return await self.receive()

    async def text(self, *words: str | bytes | int) -> str:
        """The reply's bulk or verbatim string."""
        reply = await self.call(*words)
        assert reply[:1] in (b"$", b"="), reply
        return reply.split(b"\r\n", 1)[1][:-2].decode()


class Broker:
    """A running broker and a way to connect to it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.broker = server.broker
        self.config = server.broker.config
        self.clients: list[Client] = []

    async def client(self) -> Client:
        self.clients.append(Client(await self.server.connect()))
        return self.clients[-1]


@asynccontextmanager
async def running(directives: dict[str, str] | None = None, clock: Clock | None = None) -> AsyncIterator[Broker]:
    """Run a broker without a port; its clients are closed at the end."""
    async with open_broker(directives, clock=clock) as server:
        broker = Broker(server)
        try:
            yield broker
        finally:
            for client in broker.clients:
                await client.stream.aclose()
