"""Adds jobs: to a stream, or to those that wait for a time.

Jobs that are neither unique nor thinned out, and have no IDs of their own, are added in one round trip. For the others,
a transaction first finds out which of them exist. If all jobs of a call have IDs of their own, adding them may be
repeated, so it is after a lost connection; otherwise the caller gets the error, since it is unknown whether they were
added.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import anyio
from coredis.exceptions import RedisError

from consumers import tracing
from consumers.connection import Command, Link
from consumers.errors import transient
from consumers.jobs import cancelling, own_ids
from consumers.jobs.clock import Clock
from consumers.jobs.declarations import Call
from consumers.jobs.entries import JobEntry, new_ids, trace_of
from consumers.jobs.later import postpone
from consumers.jobs.locating import Hint
from consumers.jobs.names import Keys
from consumers.jobs.thinning import thinned
from consumers.jobs.turns import TURN, line_up
from consumers.jobs.uniqueness import claim, holders
from consumers.retry import RECONNECT
from consumers.transactions import Ask, Transactions

__all__ = ["Added", "Adder", "Positions"]

REPEAT_SECONDS = 30.0
"""How long after the first attempt jobs with IDs of their own are still added again."""


Added: TypeAlias = tuple[str, bool, Hint | None]
"""A job's ID, whether it was added (or else existed), and where it was put if that is known."""


class Positions:
    """Numbers that rise: the time in microseconds, so that those of several programs are in about the right order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        self._last = max(self._last + 1, round(self._clock() * 1e6))
        return self._last


@dataclass(frozen=True, slots=True)
class Adder:
    """Adds jobs to one queue. token: of this program, which listens for their ends.

    unique_for, remember_ids: as Queue's. positions: of its jobs in backlogs.
    """

    link: Link
    transactions: Transactions
    keys: Keys
    clock: Clock
    token: str
    unique_for: float
    remember_ids: float
    positions: Positions

    async def add(self, calls: Sequence[Call[Any]]) -> list[Added]:
        """Add jobs in one transaction. Raises ConnectionError or TimeoutError if it is unknown whether it was done."""
        if tracing.active() is None:
            return await self._add(calls, self._entries(calls))
        names = {call.function.name for call in calls}
        name = names.pop() if len(names) == 1 else self.keys.name
        with tracing.sending(name, self.keys.name, len(calls)) as sending:
            trace = trace_of(sending.headers)
            entries = [replace(entry, trace=trace) for entry in self._entries(calls)]
            added = await self._add(calls, entries)
            sending.sent([id for id, _, _ in added])
            return added

    async def _add(self, calls: Sequence[Call[Any]], entries: Sequence[JobEntry]) -> list[Added]:
        places = list({call.place for call in calls if call.place})
        ids = list({call.id for call in calls if call.id})
        thin = list({call.thin_place for call in calls if call.thin_place})
        if not places and not ids and not thin:
            return await self._add_all(calls, entries)
        nonce = os.urandom(6).hex()
        watched = [*(self.keys.unique(one) for one in places), *(self.keys.own_id(id) for id in ids)]
        if thin:
            watched += [self.keys.moves, *(self.keys.calls(one) for one in thin)]
        decide = partial(self._decide, calls=calls, entries=entries, places=places, ids=ids, thin=thin, nonce=nonce)
        deadline = anyio.current_time() + REPEAT_SECONDS
        failures = 0
        while True:
            try:
                return await self.transactions.run(watched, decide)
            except Exception as error:
                if not transient(error) or not all(call.id for call in calls) or anyio.current_time() >= deadline:
                    raise
            failures += 1
            await anyio.sleep(RECONNECT.delay(failures))

    def _entries(self, calls: Sequence[Call[Any]]) -> list[JobEntry]:
        now, token = self.clock(), self.token
        entries = [
            JobEntry(call.id or id, call.function.name, call.arguments, token, call.place)
            for call, id in zip(calls, new_ids(now, len(calls)), strict=True)
        ]
        for place, call in enumerate(calls):
            if call.expires is not None or call.expires_at is not None:
                expires = now + call.expires if call.expires is not None else call.expires_at or 0.0
                entries[place] = replace(entries[place], expires=expires)
            if call.turn:
                entries[place] = replace(entries[place], turn=call.turn)
        return entries

    async def _add_all(self, calls: Sequence[Call[Any]], entries: Sequence[JobEntry]) -> list[Added]:
        commands = self._additions(calls, entries)
        replies = await (self.link.execute(commands) if len(commands) == 1 else self.link.transaction(commands))
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
        if len(commands) != len(calls):
            # some are delayed or wait for a turn, and are found by their IDs
            return [(entry.id, True, None) for entry in entries]
        streams = self.keys.streams
        return [
            (entry.id, True, (streams[call.priority], reply))
            for call, entry, reply in zip(calls, entries, replies, strict=True)
        ]

    async def _decide(
        self,
        ask: Ask,
        calls: Sequence[Call[Any]],
        entries: Sequence[JobEntry],
        places: Sequence[str],
        ids: Sequence[str],
        thin: Sequence[str],
        nonce: str,
    ) -> tuple[list[Command], list[Added]]:
        now = self.clock()
        known, cancelled = await own_ids.known(ask, self.keys, ids)
        taken = await holders(ask, self.keys, places, now) if places else {}
        standing = await thinned(ask, self.keys, thin, now)
        commands: list[Command] = []
        result: list[Added] = []
        first = math.inf
        added: list[tuple[Call[Any], JobEntry]] = []
        here = set[str]()
        for call, entry in zip(calls, entries, strict=True):
            if call.id in known:
                # an attempt whose outcome was unknown may have added it
                result.append((call.id, call.id not in here and known[call.id].endswith(nonce.encode()), None))
                continue
            if call.place in taken:
                result.append((taken[call.place], False, None))
                continue
            if (rule := call.thinning) is not None:
                chosen = standing.take(call.thin_place, rule, self.keys.streams[call.priority], entry)
                result.append((chosen.id, chosen.created, None))
                commands += chosen.commands
                first = min(first, chosen.due or math.inf)
                added += [(call, entry)] if chosen.at_once else []
                continue
            result.append((entry.id, True, None))
            added.append((call, entry))
            wait = max(0.0, (self._due(call) or 0.0) - now)
            if call.place:
                taken[call.place] = entry.id
                commands += claim(self.keys, call.place, entry.id, now, self.unique_for + wait)
            if call.id:
                here.add(call.id)
                marker = known[call.id] = own_ids.marker_of(now, nonce)
                commands.append(own_ids.remember(self.keys, call.id, marker, self.remember_ids + wait))
        again = [call.id for call, _ in added if call.id in cancelled]
        if again:
            # of a job with this ID that was deleted, or has been forgotten
            commands += [(b"ZREM", self.keys.cancelled, *again), (b"SPUBLISH", self.keys.control, cancelling.CANCEL)]
        commands += self._additions([call for call, _ in added], [entry for _, entry in added])
        if first < math.inf:
            commands.append((b"SPUBLISH", self.keys.control, cancelling.later(first)))
        return commands, result

    def _due(self, call: Call[Any]) -> float | None:
        if call.due is not None:
            return call.due
        return self.clock() + call.delay if call.delay is not None and call.delay > 0 else None

    def _additions(self, calls: Sequence[Call[Any]], entries: Sequence[JobEntry]) -> list[Command]:
        commands: list[Command] = []
        first, turns = math.inf, 0
        for call, entry in zip(calls, entries, strict=True):
            stream = self.keys.streams[call.priority]
            due = self._due(call)
            if due is None and entry.turn:
                turns += 1
                commands += line_up(self.keys, stream, entry, self.positions.next())
            elif due is None:
                commands.append((b"XADD", stream, b"*", *entry.values()))
            else:
                commands += postpone(self.keys, stream, entry, due)
                first = min(first, due)
        if first < math.inf:
            commands.append((b"SPUBLISH", self.keys.control, cancelling.later(first)))
        if turns:
            commands.append((b"SPUBLISH", self.keys.control, TURN))
        return commands
