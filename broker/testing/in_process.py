"""coredis clients for a broker in the same program: no port, no settings, the same code as over TCP.

The only module of the broker that imports a client library. The broker itself never imports it, and runs without one.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import anyio
import coredis
import trio
from anyio.abc import ByteStream, TaskStatus
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from coredis.connection import BaseConnection
from coredis.connection._base import Location
from coredis.pool import ConnectionPool

if TYPE_CHECKING:
    from broker.server import Server


@dataclasses.dataclass(unsafe_hash=True)
class InProcessLocation(Location):
    """A broker in this program, in place of a host and a port."""

    server: Server

    def __repr__(self) -> str:
        return "in-process"

    async def check(self) -> bool:
        """Whether the broker is running."""
        return not self.server.stopping.is_set()


class InProcessConnection(BaseConnection):
    """A connection made by `Server.connect()`."""

    location: InProcessLocation

    async def _connect(self) -> ByteStream:
        if self.location.server.stopping.is_set():
            raise ConnectionRefusedError("the broker has been stopped")
        return _Stream(await self.location.server.connect())

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Connect and serve requests, and close the queues that coredis leaves open if it can't connect."""
        try:
            await super().run(task_status=task_status)
        finally:
            for part in vars(self).values():
                if isinstance(part, MemoryObjectSendStream | MemoryObjectReceiveStream):
                    part.close()

    def describe(self) -> str:
        return "InProcessConnection"


class _Stream(ByteStream):
    """A Trio stream as an anyio stream: the two differ only in their errors and in how they end."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def receive(self, max_bytes: int = 65536) -> bytes:
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            raise anyio.BrokenResourceError from error
        except trio.ClosedResourceError as error:
            raise anyio.ClosedResourceError from error
        if not data:
            raise anyio.EndOfStream
        return bytes(data)

    async def send(self, item: bytes) -> None:
        try:
            await self._stream.send_all(item)
        except trio.BrokenResourceError as error:
            raise anyio.BrokenResourceError from error
        except trio.ClosedResourceError as error:
            raise anyio.ClosedResourceError from error

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


def client(server: Server, **settings: Any) -> coredis.Redis[Any]:
    """Returns a coredis client for the broker, for use with `async with`.

    `settings` are those of coredis's connection pool: decode_responses, db, username, password, max_connections, ...
    """
    pool = ConnectionPool(connection_class=InProcessConnection, location=InProcessLocation(server), **settings)
    return coredis.Redis(connection_pool=pool)
