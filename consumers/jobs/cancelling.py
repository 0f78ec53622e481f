"""Cancels waiting and running jobs, and withholds waiting ones: lists of IDs on the server, known to every worker.

A worker keeps a copy, so that starting a job takes no query. It reads the lists again when a cancellation is announced
on the queue's control channel, after a cut, and every LOOK_SECONDS. The worker that drops or stops the job removes its
ID from the list in the same transaction; an ID whose job ended meanwhile is forgotten after KEEP_SECONDS.

A waiting job can't be taken out of its stream by anyone but a worker: between a query and a removal it could be
delivered, which WATCH does not notice. So one that is rescheduled is put on a list as well, with its new time, and the
worker that gets it postpones it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import anyio

from consumers.connection import Command, Link
from consumers.doorbell import Doorbell
from consumers.jobs.clock import Clock
from consumers.jobs.entries import read_body
from consumers.jobs.flow_state import Position
from consumers.jobs.flow_transitions import Ending, settle
from consumers.jobs.names import Keys
from consumers.jobs.outcomes import NONE, cancelled, store
from consumers.jobs.searching import query
from consumers.jobs.uniqueness import release
from consumers.names import encoded
from consumers.retry import persist
from consumers.transactions import Ask, Transactions

__all__ = ["CANCEL", "KEEP_SECONDS", "LATER", "Cancelled", "cancel", "later", "listed", "taken_out"]

KEEP_SECONDS = 7 * 86400.0
LOOK_SECONDS = 5.0
CANCEL, LATER = b"cancel", b"later "
"""Announcements on a queue's control channel; LATER is followed by the time at which the job is due."""


def later(due: float) -> bytes:
    """The announcement of a job that is postponed until `due`."""
    return b"%s%.6f" % (LATER, due)


async def cancel(keys: Keys, transactions: Transactions, id: str, keep: float, clock: Clock) -> bool:
    """Remove the job if it waits for a time (returns True), or else put it on the list (False)."""

    watched = [keys.moves]

    async def decide(ask: Ask) -> tuple[list[Command], bool | None]:
        due, body, ended = await ask(
            [(b"ZSCORE", keys.later, id), (b"HGET", keys.bodies, id), (b"EXISTS", keys.result(id))]
        )
        if ended:
            return [], False
        if due is None or body is None:
            return listed(keys, [id], clock()), False
        outcome = cancelled((*NONE[:3], clock(), *NONE[4:]))
        commands = [(b"INCR", keys.moves), (b"ZREM", keys.later, id), *taken_out(keys, id, body, outcome, keep)]
        stored = read_body(body)
        if stored is None or not (entry := stored[1]).flow:
            return commands, True
        at = Position.read(entry.flow)
        if (flow := keys.flow(at.flow)) not in watched:
            watched.append(flow)
            return [], None
        ending = Ending(at, entry.job, outcome, always=commands)
        return (await settle(ask, keys, [ending], clock())).commands, True

    while (done := await transactions.run(watched, decide)) is None:
        # the job belongs to a workflow, which the transaction has to watch as well
        pass
    return done


def listed(keys: Keys, ids: Sequence[str], now: float) -> list[Command]:
    """Commands that put jobs on the list."""
    scores = (one for id in ids for one in (f"{now:.3f}", id))
    return [
        (b"ZADD", keys.cancelled, *scores),
        (b"ZREMRANGEBYSCORE", keys.cancelled, b"-inf", f"{now - KEEP_SECONDS:.3f}"),
        (b"SPUBLISH", keys.control, CANCEL),
    ]


def taken_out(keys: Keys, id: str, body: bytes, outcome: bytes, keep: float) -> list[Command]:
    """Commands that forget a job that is in no stream, store its outcome, and announce that it has ended.

    A damaged one is forgotten, too: who waits for it, and what it holds, can't be read.
    """
    field = encoded(id)
    commands: list[Command] = [(b"HDEL", keys.bodies, field)]
    commands += store(keys, field.decode("utf-8", "replace"), outcome, keep)
    if (stored := read_body(body)) is None:
        return commands
    entry = stored[1]
    commands += release(keys, entry.unique, entry.id)
    if entry.reply:
        commands.append((b"SPUBLISH", keys.replies(entry.reply), entry.id))
    return commands


class Cancelled:
    """A worker's copy of the lists. `stop` is called for each ID of a cancelled job that appears.

    ids: of jobs that were cancelled or rescheduled, since most jobs are neither. postponed: the latter's new times.
    """

    def __init__(self, keys: Keys, link: Link, stop: Callable[[str], None]) -> None:
        self._keys = keys
        self._link = link
        self._stop = stop
        self._bell = Doorbell()
        self.ids: frozenset[str] = frozenset()
        self.postponed: dict[str, float] = {}

    def poll(self) -> None:
        """Read the lists again: they have changed."""
        self._bell.ring()

    async def run(self) -> None:
        """Keep the copy up to date, forever. Raises the server's permanent refusals."""
        while True:
            cancelled, postponed = await persist(self._read)
            before = self.ids - self.postponed.keys()
            # a job that was rescheduled and then cancelled is cancelled
            self.postponed = {id: due for id, due in postponed.items() if id not in cancelled}
            self.ids = cancelled | postponed.keys()
            for id in cancelled - before:
                self._stop(id)
            with anyio.move_on_after(LOOK_SECONDS):
                await self._bell.wait()

    async def verify(self, id: str) -> tuple[bool, float | None]:
        """Whether the job is cancelled now, and to when it is postponed; the copy may be seconds old.

        Waits for a server that is away.
        """
        keys = self._keys
        commands: list[Command] = [(b"ZSCORE", keys.cancelled, id), (b"ZSCORE", keys.postponed, id)]
        cancelled, due = await persist(partial(query, self._link, commands))
        return cancelled is not None, due

    async def _read(self) -> tuple[frozenset[str], dict[str, float]]:
        keys = self._keys
        cancelled, postponed = await query(
            self._link,
            [(b"ZRANGE", keys.cancelled, 0, -1), (b"ZRANGE", keys.postponed, 0, -1, b"WITHSCORES")],
        )
        return frozenset(id.decode() for id in cancelled), {id.decode(): float(due) for id, due in postponed}
