"""Removes jobs that may belong to workflows: their nodes end as cancelled, in the same transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, TypeVar

from consumers.connection import Command
from consumers.jobs.clock import Clock
from consumers.jobs.entries import JobEntry
from consumers.jobs.flow_state import Position
from consumers.jobs.flow_transitions import Ending, settle
from consumers.jobs.names import Keys
from consumers.jobs.outcomes import NONE, cancelled
from consumers.transactions import Ask, Transactions

__all__ = ["Removal", "remove"]

T = TypeVar("T")
Removal: TypeAlias = Callable[[Ask, list[JobEntry]], Awaitable[tuple[Sequence[Command], T]]]


async def remove(transactions: Transactions, keys: Keys, clock: Clock, watched: Sequence[str], decide: Removal[T]) -> T:
    """Transactions.run, for a decision that also appends the jobs that it removes to a list."""
    chosen = list(watched)
    unwatched: set[str] = set()

    async def attempt(ask: Ask) -> tuple[Sequence[Command], T]:
        removed: list[JobEntry] = []
        commands, value = await decide(ask, removed)
        now = clock()
        outcome = cancelled((*NONE[:3], now, *NONE[4:]))
        endings = [Ending(Position.read(entry.flow), entry.job, outcome) for entry in removed if entry.flow]
        unwatched.clear()
        if not endings:
            return commands, value
        unwatched.update({keys.flow(ending.at.flow) for ending in endings}.difference(chosen))
        if unwatched:
            return (), value
        return [*commands, *(await settle(ask, keys, endings, now)).commands], value

    while True:
        value = await transactions.run(chosen, attempt)
        if not unwatched:
            return value
        # which workflows it concerns is known only now
        chosen += unwatched
