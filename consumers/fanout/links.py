"""One subscribed connection: subscribes, reads what the server pushes, and notices when the connection is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import anyio
from anyio import BrokenResourceError, ClosedResourceError, EndOfStream, WouldBlock
from coredis.connection import BaseConnection
from coredis.exceptions import ConnectionError

from consumers import given
from consumers.fanout.messages import Message
from consumers.names import encoded

Names = dict[bytes, set[bytes]]
"""Names by kind."""

CHANNELS, PATTERNS, SHARD_CHANNELS = KINDS = (b"", b"P", b"S")
"""The kinds of names: each one's prefix to SUBSCRIBE and UNSUBSCRIBE."""


def names(channels: Iterable[str | bytes], patterns: Iterable[str | bytes], shards: Iterable[str | bytes]) -> Names:
    """Names by kind, as bytes. Raises TypeError for a single name where several are expected."""
    for several in (patterns, shards):
        if isinstance(several, str | bytes):
            raise TypeError(f"expected several names, not {several!r}")
    return {kind: set(map(_checked, given)) for kind, given in zip(KINDS, (channels, patterns, shards), strict=True)}


def _checked(name: str | bytes) -> bytes:
    given.instance("the name of a channel", name, str, bytes)
    return encoded(name)


class Link:
    """A connection, used for nothing else. `receive` is called with each message, in order.

    `heartbeat` is how long the server may be silent before it is sent a PING, and how long it may take to answer, in
    seconds. `shard_channels` are those that are currently wanted.
    """

    def __init__(
        self,
        connection: BaseConnection,
        heartbeat: float,
        receive: Callable[[Message], None],
        shard_channels: set[bytes],
    ) -> None:
        self.connection = connection
        self._heartbeat = heartbeat
        self._receive = receive
        self._shard_channels = shard_channels
        self._last_received = anyio.current_time()

    async def send(self, verb: bytes, wanted: Names) -> None:
        """SUBSCRIBE to (or UNSUBSCRIBE from) names and wait until the server has done it, in one round trip.

        These commands have no reply but one push per name. A PING after them is answered when they are done; a command
        that is refused gets an error reply, which coredis takes for the PING's. Raises that error, ConnectionError or
        TimeoutError.
        """
        for kind, some in wanted.items():
            if kind == SHARD_CHANNELS:
                for name in sorted(some):  # in a cluster, names of different slots can't be in one command
                    self.connection.send_command(kind + verb, name)
            elif some:
                self.connection.send_command(kind + verb, *sorted(some))
        await self.connection.create_request(b"PING", timeout=self._heartbeat)

    async def beat(self) -> None:
        """Send a PING whenever the server has been silent for a while. Raises ConnectionError or TimeoutError."""
        while True:
            quiet = anyio.current_time() - self._last_received
            if quiet >= self._heartbeat:
                await self.connection.create_request(b"PING", timeout=self._heartbeat)
                self._last_received = anyio.current_time()
            else:
                await anyio.sleep(self._heartbeat - quiet)

    async def read(self) -> None:
        """Pass on messages as they arrive. Raises ConnectionError when the connection is lost, and what `receive` does.

        coredis's own generator yields one message per scheduler pass, while its reader may parse thousands into an
        unbounded buffer. So this reads directly from that buffer and takes everything each time: no more than one read
        of the socket (64 KiB) ever waits in it.
        """
        pushes = self.connection._push_message_buffer_out
        try:
            while True:
                push: Any = await pushes.receive()
                self._last_received = anyio.current_time()
                try:
                    while True:
                        self._take(push)
                        push = pushes.receive_nowait()
                except WouldBlock:
                    pass
        except (EndOfStream, BrokenResourceError, ClosedResourceError):
            raise ConnectionError("the connection was lost") from None

    def _take(self, push: list[Any]) -> None:
        kind = push[0]
        if kind in (b"message", b"smessage"):
            self._receive(Message(push[1].decode("utf-8", "surrogateescape"), push[2]))
        elif kind == b"pmessage":
            pattern, channel = (name.decode("utf-8", "surrogateescape") for name in push[1:3])
            self._receive(Message(channel, push[3], pattern))
        elif kind == b"sunsubscribe" and push[1] in self._shard_channels:
            raise ConnectionError("a shard channel has moved to another node")
