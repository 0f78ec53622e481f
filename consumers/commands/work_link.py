"""What `trimaran work` and the processes that it has started tell each other: lines on a pair of sockets.

A process says READY when it takes jobs, REPLACE when it wants to be replaced, and DONE when it has nothing in hand any
more. It is told to FINISH once another one has taken over. When the other side is gone, the supervisor has died, and
nobody would stop or replace its processes any more: they end by themselves.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from typing import Self

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

__all__ = ["DONE", "FINISH", "READY", "REPLACE", "WorkLink"]

READY, REPLACE, FINISH, DONE = b"ready", b"replace", b"finish", b"done"
LONGEST = 100


class WorkLink:
    """One end. Made by opened()."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._lines = BufferedByteReceiveStream(stream)

    @classmethod
    async def opened(cls, end: socket.socket | int) -> Self:
        """From a socket, or the descriptor of an inherited one."""
        if isinstance(end, int):
            # a job's own child processes have nothing to do with it
            os.set_inheritable(end, False)
        return cls(await SocketStream.from_socket(end))

    async def say(self, line: bytes) -> None:
        """Send a line; nothing happens if the other side is gone."""
        try:
            await self._stream.send(line + b"\n")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return

    async def heard(self) -> AsyncIterator[bytes]:
        """Yield the other side's lines, until it is gone."""
        while True:
            try:
                line = await self._lines.receive_until(b"\n", LONGEST)
            except (anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return
            yield line

    async def aclose(self) -> None:
        await self._stream.aclose()
