"""Bytes waiting for a socket to take them.

They are kept in pieces: small ones are merged, so that a million seven-byte replies queued tick by tick take little
more memory than their contents, and large ones are kept as they are. Sending part of a piece copies nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

PIECE: Final = 64 << 10
"""Size in bytes below which data is merged into the last piece, and below which a piece can take more."""

SENT_AT_ONCE: Final = 1 << 20
"""Bytes after which `send` leaves the rest for the next tick: a client that reads as fast as the broker sends must not
hold up the others for hundreds of megabytes."""


class Backlog:
    """A queue of bytes; `size` is the number not yet sent.

    While it is `eager`, what is in it is sent at the end of each tick that queues something, not only when the socket
    reports that it takes output again.
    """

    __slots__ = ("_pieces", "_sent", "eager", "size")

    def __init__(self) -> None:
        self._pieces: deque[bytes | bytearray] = deque()
        # Bytes of the first piece that have already been sent.
        self._sent = 0
        self.size = 0
        self.eager = False

    def __len__(self) -> int:
        return self.size

    def limited(self) -> int:
        """The number of bytes that count for client-output-buffer-limit."""
        return self.size

    def pieces(self) -> int:
        """The number of pieces that the bytes are kept in."""
        return len(self._pieces)

    def begin(self, data: bytes, sent: int) -> None:
        """Queue data of which the socket has already taken `sent` bytes; only while nothing else is queued."""
        self._pieces.append(data)
        self._sent = sent
        self.size = len(data) - sent

    def append(self, data: bytes) -> None:
        """Queue data at the end."""
        size = len(data)
        self.size += size
        pieces = self._pieces
        if size >= PIECE:
            pieces.append(data)
            return
        last = pieces[-1] if pieces else None
        if isinstance(last, bytearray) and len(last) < PIECE:
            last += data
        else:
            pieces.append(bytearray(data))

    def send(self, transmit: Callable[[bytes | bytearray | memoryview], int]) -> int:
        """Send through `transmit`, a socket's `send`, until the socket is full or about SENT_AT_ONCE bytes are sent.

        Returns the number of bytes sent. Raises the OSError that `transmit` raises.
        """
        pieces = self._pieces
        total = 0
        try:
            while pieces and total < SENT_AT_ONCE:
                first = pieces[0]
                taken = transmit(memoryview(first)[self._sent :] if self._sent else first)
                total += taken
                self._sent += taken
                if self._sent < len(first):
                    break
                pieces.popleft()
                self._sent = 0
        except BlockingIOError:
            pass
        self.size -= total
        return total

    def clear(self) -> None:
        """Discard everything."""
        self._pieces.clear()
        self._sent = self.size = 0
