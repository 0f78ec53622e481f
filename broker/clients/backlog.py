"""Bytes that wait for a socket to take them.

They lie in pieces: small ones are put together, so that a million replies of seven bytes that leave tick by tick cost
about what they weigh, and large ones are kept as they are. Nothing is copied when part of a piece has been sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

PIECE: Final = 64 << 10
"""Bytes below which data is appended to the piece before it, and below which a piece is appended to."""

SENT_AT_ONCE: Final = 1 << 20
"""Bytes after which `send` leaves the rest for the next tick: a client that reads as fast as it is sent to must not
hold up the others while hundreds of megabytes go to it."""


class Backlog:
    """A queue of bytes; `size` is how many have not been sent."""

    __slots__ = ("_pieces", "_sent", "size")

    def __init__(self) -> None:
        self._pieces: deque[bytes | bytearray] = deque()
        # Bytes of the first piece that have been sent.
        self._sent = 0
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def begin(self, data: bytes, sent: int) -> None:
        """Queue data of which the socket has already taken a part; only while nothing else is queued."""
        self._pieces.append(data)
        self._sent = sent
        self.size = len(data) - sent

    def append(self, data: bytes) -> None:
        """Queue data behind what is there."""
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
        """Hand over what `transmit`, a socket's `send`, takes; returns how many bytes. Raises OSError, as it does.

        Ends when the socket is full, or after about SENT_AT_ONCE.
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
        """Forget everything."""
        self._pieces.clear()
        self._sent = self.size = 0
