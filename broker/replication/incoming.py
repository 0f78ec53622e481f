"""What arrives from the master: lines during the handshake, and then pieces of whatever follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

LINE_MAX: Final = 64 << 10
"""The longest line in bytes. Replies to the handshake are far shorter."""

PIECE: Final = 64 << 10
"""Bytes received at once, so that applying them does not hold up the clients for long."""


class LinkLost(Exception):
    """The link can't go on; the message is the line for the log.

    `later` says that the master only asks to be tried again, `hopeless` that trying again soon will not help.
    """

    def __init__(self, reason: str, *, later: bool = False, hopeless: bool = False) -> None:
        super().__init__(reason)
        self.later = later
        self.hopeless = hopeless


class Incoming:
    """The receiving side of a connection. Everything raises LinkLost with what the operator is to read."""

    def __init__(self, stream: trio.abc.ReceiveStream, timeout: Callable[[], float], heard: Callable[[], None]) -> None:
        """`timeout()` is how many seconds of silence are too many; `heard()` is called when something arrives."""
        self._stream = stream
        self._timeout = timeout
        self._heard = heard
        self._rest = bytearray()

    async def _receive(self, lost: str, silent: str) -> bytes:
        try:
            with trio.fail_after(self._timeout()):
                data = await self._stream.receive_some(PIECE)
        except trio.TooSlowError:
            raise LinkLost(silent) from None
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as problem:
            raise LinkLost(f"{lost}: {problem.__cause__ or problem}") from None
        # Whoever has cancelled this meanwhile must not see it act on what it has received.
        await trio.lowlevel.checkpoint_if_cancelled()
        if not data:
            raise LinkLost(lost)
        self._heard()
        return bytes(data)

    async def line(self, lost: str, silent: str) -> bytes:
        """Returns the next line, without its end; `lost` and `silent` are the messages if none arrives."""
        rest = self._rest
        searched = 0
        while (end := rest.find(b"\n", searched)) < 0:
            searched = len(rest)
            if searched > LINE_MAX:
                raise LinkLost(f"{lost}: the line is too long")
            rest += await self._receive(lost, silent)
        line = bytes(rest[:end]).removesuffix(b"\r")
        del rest[: end + 1]
        return line

    async def some(self, lost: str, silent: str) -> bytes:
        """Returns what has arrived, at least one byte."""
        if self._rest:
            data = bytes(self._rest)
            self._rest.clear()
            return data
        return await self._receive(lost, silent)

    def push_back(self, data: bytes) -> None:
        """Return `data` again: it belongs to what follows."""
        self._rest[:0] = data
