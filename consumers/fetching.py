"""Fetches entries while there is room for them: its own pending ones first, then orphans, due ones, and new ones.

A starting consumer first fetches what is pending under its own names: the entries it had in hand when it crashed. It
does so again after every read whose reply was lost, since entries may have been delivered in it. An entry given back
with a delay becomes due at a time that is known here, so the waiting read is woken then. Entries that others gave back
are found by each read (on servers with claiming reads) or by a sweep every SWEEP_SECONDS. In between, the fetcher looks
for entries that dead consumers left behind, see orphans.py. The only consumer of a stream begins with what all others
left behind, see succession.py.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Container
from datetime import datetime
from functools import partial
from heapq import heappop, heappush
from typing import TypeVar

import anyio
from coredis.exceptions import RedisError

from consumers.doorbell import Doorbell
from consumers.errors import transient
from consumers.groups import PAGE, Entry, Group, Start, is_missing
from consumers.options import Succession
from consumers.orphans import Orphan, Orphans
from consumers.owners import Phase, owner_of
from consumers.retry import Backoff, persist
from consumers.succession import Inheritance

__all__ = ["Fetcher"]

T = TypeVar("T")

logger = logging.getLogger("consumers")

SWEEP_SECONDS = 0.5
"""How often a server without claiming reads is polled for entries that are due."""

DUE_GRID = 100
"""Times at which entries become due are rounded up to this fraction of a second: one wake-up for all within 10 ms."""


class Fetcher:
    """Reads a group. `room` waits until entries are wanted and returns how many (0: no more); `receive` gets them.

    holds: the (stream, ID) pairs in hand. succession: of a stream's only consumer, whose name none of its
    predecessors had. block: how long one read waits at most, in seconds. strict: earlier streams
    first. `uncertain` is true while entries may have been delivered in a reply that was not seen, `cut` once a read's
    outcome was unknown.
    """

    def __init__(
        self,
        group: Group,
        orphans: Orphans,
        *,
        start: Start | str | datetime,
        strict: bool,
        block: float,
        reconnect: Backoff,
        room: Callable[[], Awaitable[int]],
        receive: Callable[[list[Entry]], None],
        holds: Container[tuple[str, str]],
        succession: Succession | None = None,
    ) -> None:
        self._group = group
        self._orphans = orphans
        self._start = start
        self._strict = strict
        self._block = block
        self._reconnect = reconnect
        self._room = room
        self._receive = receive
        self._holds = holds
        # Where entries may be pending for us that are not in hand, and from which ID on; None: anywhere. At the start
        # these are orphans as well; later they are what a lost reply delivered, for which no handler has begun.
        self._own: dict[tuple[str, Phase], str] | None = None
        self._orphaned = succession is None
        self._inheritance = Inheritance(group, orphans, succession) if succession is not None else None
        self._sweep_at = 0.0
        self._due: list[float] = []
        self._due_added = Doorbell()
        self._failed = False
        self.uncertain = False
        self.cut = False

    @property
    def recovered(self) -> bool:
        """Whether all that was pending under our own name is in hand, except for what an uncertain read took."""
        return self._own == {}

    async def begin(self) -> None:
        """Create the group if it is missing; waits for a server that is away. Raises permanent refusals."""
        await self._persist(partial(self._group.ensure, self._start))

    async def run(self) -> None:
        """Fetch until no more entries are wanted. Raises the server's permanent refusals."""
        while (entries := await self._persist(self._fetch)) is not None:
            self._receive(entries)

    async def _fetch(self) -> list[Entry] | None:
        """Read once; returns None when no more entries are wanted."""
        if not (room := await self._room()):
            return None
        try:
            if self._failed:
                await self._group.ensure(self._start)
            self.uncertain = True
            entries = await self._take(room)
        except Exception:
            # entries delivered in a lost reply are pending under our own names
            self._own = None
            self.cut = self._failed = True
            raise
        self._failed = self.uncertain = False
        return entries

    async def _take(self, room: int) -> list[Entry]:
        if not self.recovered:
            return await self._recover(room)
        if self._inheritance is not None and not self._inheritance.taken:
            return await self._inheritance.take(room)
        return await self._read(room)

    async def _persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        def passing(error: Exception) -> bool:
            return transient(error) or is_missing(error)

        return await persist(attempt, self._reconnect, passing=passing, failed=self._note_failure)

    def _note_failure(self, error: Exception, failures: int, delay: float) -> None:
        logger.warning(
            "reading %s failed, trying again in %.2f s: %s", ", ".join(self._group.streams), delay, error,
            extra={"stream": self._group.streams[0], "group": self._group.group, "attempt": failures},
        )  # fmt: skip

    async def _read(self, room: int) -> list[Entry]:
        now = anyio.current_time()
        if now >= self._orphans.look_at and (found := await self._orphans.find(room)):
            return found
        block = min(self._block, max(0.0, self._orphans.look_at - now))
        if self._due:
            block = min(block, max(0.0, self._due[0] - now))
        sweep = now >= self._sweep_at
        await self._group.query_for_reading()
        if not self._group.capabilities.claiming_reads:
            if sweep:
                self._sweep_at = now + SWEEP_SECONDS
            block = min(block, self._sweep_at - now)
        return await self._group.read(room, block, self._strict, sweep)

    async def _recover(self, room: int) -> list[Entry]:
        """Return entries that are pending under our own names and not in hand, one page at a time."""
        if self._own is None:
            self._own = dict.fromkeys(await self._group.occupied(), "-")
        if not self._own:
            self._orphaned = False
            return []
        (stream, phase), first = place, _ = next(iter(self._own.items()))
        counts = await self._group.pending(stream, phase, first)
        unseen = {id: count for id, count in counts.items() if (stream, id.decode()) not in self._holds}
        chosen = dict(list(unseen.items())[:room])
        if len(chosen) < len(unseen):
            self._own[place] = f"({list(chosen)[-1].decode()}"
        elif len(counts) < PAGE:
            del self._own[place]
        else:
            self._own[place] = f"({list(counts)[-1].decode()}"
        owner, orphaned = owner_of(self._group.consumer, phase), self._orphaned
        self._orphaned = orphaned and bool(self._own)
        mine = [Orphan(stream, id, owner, count) for id, count in chosen.items()]
        return await (self._orphans.take(mine, 0) if orphaned else self._orphans.resume(mine))

    async def unseen(self) -> list[tuple[str, str, int]]:
        """Return stream, ID and delivery count of entries that the last read delivered, if its reply was lost.

        None if there is a successor, who finds them.
        """
        found: list[tuple[str, str, int]] = []
        for stream in self._group.streams if self.uncertain and self._inheritance is None else ():
            try:
                pending = await self._group.pending(stream)
            except RedisError as error:
                if not is_missing(error):
                    raise
                continue
            found += [(stream, id.decode(), n) for id, n in pending.items() if (stream, id.decode()) not in self._holds]
        return found

    def expect(self, delay: float) -> None:
        """Look for an entry that becomes due after `delay` seconds."""
        due = math.ceil((anyio.current_time() + delay) * DUE_GRID) / DUE_GRID
        if due not in self._due:
            heappush(self._due, due)
            self._due_added.ring()

    async def wake_when_due(self) -> None:
        """Wake the waiting read whenever an entry becomes due, forever."""
        while True:
            while not self._due:
                await self._due_added.wait()
            with anyio.CancelScope(deadline=self._due[0]):
                # an earlier one may be added meanwhile
                await self._due_added.wait()
                continue
            now = anyio.current_time()
            while self._due and self._due[0] <= now:
                heappop(self._due)
            self._sweep_at = now
            await self._group.link.wake()
