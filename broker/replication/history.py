"""The replication history: the stream's identity and length, and its last part, kept for replicas that come back.

A stream is named by an ID, and a place in it by its offset, the number of bytes before it. A server that is promoted
continues under a new ID, and remembers the old one as its second up to the offset at which it took over: whoever
followed the old stream no further than that can continue here.

The backlog keeps what was streamed last in blocks, and a replica that lags behind holds the block that it reads. Each
block knows the next, so however many replicas lag, the bytes exist once, and as long as somebody needs them.
"""

from __future__ import annotations

import secrets
from typing import Final

NO_ID: Final = "0" * 40
"""The second ID while there is none."""

BLOCK: Final = 16 << 10
"""Bytes up to which what is appended joins the last block, so that a stream of small writes takes little more memory
than its bytes."""


def new_id() -> str:
    """Returns a random ID of 40 hexadecimal digits."""
    return secrets.token_hex(20)


class _Block:
    """A part of the stream. A bytearray may still grow; what is in it never changes."""

    __slots__ = ("data", "next")

    def __init__(self, data: bytes | bytearray) -> None:
        self.data = data
        self.next: _Block | None = None


class Backlog:
    """The last bytes of a stream: those from `start` to `end`, which are offsets.

    Blocks are dropped as a whole, so there are `limit` bytes or up to a block more, as soon as there have been so many.
    """

    def __init__(self, start: int, limit: int) -> None:
        self.start = self.end = start
        self.limit = limit
        self._first = self._last = _Block(bytearray())

    @property
    def length(self) -> int:
        """The number of bytes kept."""
        return self.end - self.start

    def append(self, data: bytes) -> None:
        """Add the stream's next bytes; what is beyond the limit is dropped."""
        last = self._last
        if isinstance(last.data, bytearray) and len(last.data) + len(data) <= BLOCK:
            last.data += data
        else:
            last.next = self._last = _Block(data if len(data) > BLOCK else bytearray(data))
        self.end += len(data)
        self.trim()

    def trim(self) -> None:
        """Drop the blocks that are not needed to have `limit` bytes."""
        first = self._first
        while first.next is not None and self.end - self.start - len(first.data) >= self.limit:
            self.start += len(first.data)
            self._first = first = first.next

    def reader(self, offset: int) -> Reader:
        """Returns a reader of what follows that offset, which must be in the backlog or at its end."""
        block, at = self._first, offset - self.start
        while at > len(block.data) and block.next is not None:
            at -= len(block.data)
            block = block.next
        return Reader(offset, block, at)


class Reader:
    """A place in a backlog's blocks, which keeps what follows even after the backlog has dropped it.

    `offset` is the number of the stream's bytes before it.
    """

    __slots__ = ("_at", "_block", "offset")

    def __init__(self, offset: int, block: _Block, at: int) -> None:
        self.offset = offset
        self._block = block
        self._at = at

    def part(self) -> bytes | memoryview:
        """Returns the next bytes, as many as are in one block; none at the end."""
        block = self._block
        while self._at == len(block.data) and block.next is not None:
            self._block = block = block.next
            self._at = 0
        data = block.data
        if isinstance(data, bytearray):
            # It could not grow while a view of it exists, and it is small.
            return bytes(memoryview(data)[self._at :])
        return memoryview(data)[self._at :] if self._at else data

    def advance(self, count: int) -> None:
        """Go on by so many of the bytes that `part` has returned."""
        self._at += count
        self.offset += count

    def skip_to_end(self, backlog: Backlog) -> None:
        """Go on to the end of the backlog: everything was read elsewhere."""
        self._block = backlog._last
        self._at = len(self._block.data)
        self.offset = backlog.end


class History:
    """What this broker's stream is called, how long it is, and its backlog; None while nobody could ask for it.

    `second_offset` is the first offset, as PSYNC counts (from 1), that the second ID's stream no longer shares.
    """

    def __init__(self, backlog_limit: int = 1 << 20) -> None:
        self.id = new_id()
        self.offset = 0
        self.second_id = NO_ID
        self.second_offset = -1
        self.backlog: Backlog | None = None
        self._limit = backlog_limit

    def append(self, data: bytes) -> None:
        """Count the stream's next bytes, and keep them if there is a backlog."""
        self.offset += len(data)
        if self.backlog is not None:
            self.backlog.append(data)

    def set_limit(self, limit: int) -> None:
        """Keep so many bytes (repl-backlog-size)."""
        self._limit = limit
        if self.backlog is not None:
            self.backlog.limit = limit
            self.backlog.trim()

    # The backlog

    def open_backlog(self) -> None:
        """Keep what follows, if that isn't the case yet."""
        if self.backlog is None:
            self.backlog = Backlog(self.offset, self._limit)

    def close_backlog(self) -> None:
        """Keep nothing any more. What follows can't be continued by anyone, so it gets another ID."""
        self.backlog = None
        self.change_id()

    def refusal(self, id: str, offset: int) -> str:
        """Returns why the stream of that ID can't be continued at an offset as PSYNC counts, "" if it can."""
        known = id.lower()
        if known != self.id and known != self.second_id:
            return (
                f"Replication ID mismatch (Replica asked for '{id}', my replication IDs are '{self.id}' and"
                f" '{self.second_id}')"
            )
        if known != self.id and offset > self.second_offset:
            return f"Requested offset for second ID was {offset}, but I can reply up to {self.second_offset}"
        backlog = self.backlog
        if backlog is None or not backlog.start < offset <= backlog.end + 1:
            return f"lack of backlog (Replica request was: {offset})"
        return ""

    def missing(self, id: str, offset: int) -> Reader | None:
        """Returns a reader of everything from a PSYNC's offset on; None if only a full synchronization helps."""
        if self.backlog is None or self.refusal(id, offset):
            return None
        return self.backlog.reader(offset - 1)

    # Identity

    def change_id(self) -> None:
        """Begin a history that shares nothing with what came before."""
        self.id = new_id()
        self.second_id, self.second_offset = NO_ID, -1

    def promote(self) -> None:
        """Continue under an ID of our own; who has followed the old one so far can follow this one."""
        self.rename(new_id())

    def rename(self, id: str) -> None:
        """Continue under another ID (that of the master, after a partial synchronization)."""
        self.second_id, self.second_offset = self.id, self.offset + 1
        self.id = id

    def adopt(self, id: str, offset: int) -> None:
        """Take over a master's ID and offset after a full synchronization, with an empty backlog."""
        self.id, self.offset = id, offset
        self.second_id, self.second_offset = NO_ID, -1
        self.backlog = Backlog(offset, self._limit)

    def restore(self, id: str, offset: int) -> None:
        """Continue a master's history after a restart that has loaded it up to this offset.

        What was streamed since (keys that have expired during loading) counts on from there.
        """
        self.second_id, self.second_offset = id, offset + 1
        self.id = new_id()
        self.offset = offset
        self.backlog = Backlog(offset, self._limit)
