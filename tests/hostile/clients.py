"""Clients that do what a library would not: send arbitrary bytes, stop reading, vanish.

Framing and encoding are the oracle tests' own, so that the code under test is not used to test itself.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

import broker
from tests.oracle.wire import CLOSED, encode, frame_end

__all__ = ["CLOSED", "PATIENCE", "Client", "assert_serves", "connect", "encode", "until"]

PATIENCE = 60.0
"""Seconds after which a reply counts as never arriving. Nothing is measured with it."""


class Client:
    """One connection; replies come as their exact bytes, CLOSED once the broker has closed it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = bytearray()

    async def send(self, data: bytes) -> None:
        """Send bytes unchanged; a connection that the broker has closed shows when receiving."""
        try:
            with trio.fail_after(PATIENCE):
                await self.stream.send_all(data)
        except trio.BrokenResourceError:
            pass

    async def receive(self) -> bytes:
        with trio.fail_after(PATIENCE):
            while (end := frame_end(self._buffer) if self._buffer else -1) < 0:
                try:
                    data = await self.stream.receive_some(1 << 16)
                except trio.BrokenResourceError:
                    data = b""
                if not data:
                    return CLOSED
                self._buffer += data
        reply = bytes(self._buffer[:end])
        del self._buffer[:end]
        return reply

    async def call(self, *args: str | bytes | int) -> bytes:
        await self.send(encode(args))
        return await self.receive()

    async def rest(self) -> list[bytes]:
        """Return all replies up to the end of the connection."""
        replies = []
        while (reply := await self.receive()) != CLOSED:
            replies.append(reply)
        return replies

    async def vanish(self) -> None:
        """Close without a QUIT."""
        await trio.aclose_forcefully(self.stream)


@asynccontextmanager
async def connect(server: broker.Server) -> AsyncIterator[Client]:
    client = Client(await server.connect())
    try:
        yield client
    finally:
        await client.vanish()


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that the broker does on its own."""
    with trio.fail_after(PATIENCE):
        while not condition():
            await trio.sleep(0.001)


async def assert_serves(server: broker.Server, password: str = "") -> None:
    """Check that a new client gets correct replies."""
    async with connect(server) as client:
        if password:
            assert await client.call("AUTH", password) == b"+OK\r\n"
        assert await client.call("PING") == b"+PONG\r\n"
        assert await client.call("SET", "assert_serves", "a\r\nb") == b"+OK\r\n"
        await client.send(encode(["GET", "assert_serves"]) * 3)
        for _ in range(3):
            assert await client.receive() == b"$4\r\na\r\nb\r\n"
