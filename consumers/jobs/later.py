"""Jobs that wait for a time: in a sorted set by due time, until a worker moves them to their stream.

Every worker moves due jobs. Moving is one transaction that watches the queue's counter of moves, so a job is moved
exactly once, and a worker that dies in between has moved nothing. Due times come from the enqueuing program's clock and
are compared with the worker's: delays are only as accurate as the hosts' clocks agree.
"""

from __future__ import annotations

import logging
import math

import anyio

from consumers.connection import Command
from consumers.doorbell import Doorbell
from consumers.jobs.clock import Clock, wall_clock
from consumers.jobs.entries import JobEntry, body_of, put_into_stream, read_body
from consumers.jobs.names import Keys
from consumers.jobs.turns import TURN, take_turns
from consumers.retry import persist
from consumers.transactions import Ask, Transactions

__all__ = ["DelayedScheduler", "postpone"]

logger = logging.getLogger("consumers.jobs")

BATCH = 200
"""Jobs moved in one transaction, at most."""

POLL_SECONDS = 2.0
"""How late a due job may be noticed if its announcement was lost."""

PAUSE = 0.01
"""The shortest time between two polls, in seconds."""


def postpone(keys: Keys, stream: str, entry: JobEntry, due: float) -> list[Command]:
    """Commands that store a job until it is due; to be executed in one transaction."""
    return [
        (b"HSET", keys.bodies, entry.id, body_of(stream, entry)),
        (b"ZADD", keys.later, f"{due:.6f}", entry.id),
    ]


class DelayedScheduler:
    """Moves due jobs of one queue."""

    def __init__(self, keys: Keys, transactions: Transactions, clock: Clock = wall_clock) -> None:
        self._keys = keys
        self._transactions = transactions
        self._clock = clock
        self._bell = Doorbell()
        self._next = 0.0

    def poll(self, due: float = 0.0) -> None:
        """Poll for a job that was postponed until `due`, unless an earlier poll is planned anyway."""
        if due < self._next:
            self._bell.ring()

    async def run(self) -> None:
        """Move jobs when they are due, forever. Raises the server's permanent refusals."""
        while True:
            # this poll may miss jobs that are postponed from here on
            self._next = math.inf
            due = await persist(self.move)
            now = self._clock()
            self._next = now + POLL_SECONDS if due is None else min(due, now + POLL_SECONDS)
            with anyio.move_on_after(max(0.0, self._next - now)):
                await self._bell.wait()
                # the next poll happens in any case: no need to ring for it
                self._next = 0.0
                # thousands may be postponed per second, each due before all earlier ones
                await anyio.sleep(PAUSE)

    async def move(self) -> float | None:
        """Move due jobs; returns when the next one is due (seconds since 1970), None if there is none."""
        while (due := await self._transactions.run([self._keys.moves], self._decide)) is not None:
            if due > self._clock():
                return due
        return None

    async def _decide(self, ask: Ask) -> tuple[list[Command], float | None]:
        keys, now = self._keys, self._clock()
        (first,) = await ask([(b"ZRANGE", keys.later, 0, BATCH, b"WITHSCORES")])
        ids = [id for id, due in first[:BATCH] if due <= now]
        rest = first[len(ids) :]
        following = rest[0][1] if rest else None
        if not ids:
            return [], following
        (bodies,) = await ask([(b"HMGET", keys.bodies, *ids)])
        commands: list[Command] = [(b"INCR", keys.moves), (b"ZREM", keys.later, *ids)]
        turns: list[Command] = []
        for (id, due), body in zip(first, bodies, strict=False):
            if body is not None and (waits := _turn_of(keys, body, due)):
                turns += waits
            else:
                commands += [*put_into_stream(keys, [id], [body]), (b"HDEL", keys.bodies, id)]
        if turns:
            turns.append((b"SPUBLISH", keys.control, TURN))
        return commands + turns, following


def _turn_of(keys: Keys, body: bytes, due: float) -> list[Command]:
    """Commands for a job that waits for its tenant's turn when it is due; none for others."""
    # most have none, and need not be read
    if b"turn" not in body or (stored := read_body(body)) is None:
        return []
    stream, entry = stored
    return take_turns(keys, stream, entry, due * 1e6) if entry.turn and stream != keys.resumed else []
