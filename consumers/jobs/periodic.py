"""Jobs by the clock: a cron expression, a function without required arguments, and one occurrence scheduled ahead.

Every worker schedules, but each time only once: the last time for which a periodic job was scheduled stands on the
server, and the transaction that schedules the next one watches it. The occurrence then waits among the delayed jobs,
so it needs no worker at its time but one afterwards: where all were down, what was due runs once when one comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import trio
from cronsim import CronSim, CronSimError

from consumers.connection import Command
from consumers.errors import transient
from consumers.jobs.clock import Clock
from consumers.jobs.entries import JobEntry
from consumers.jobs.later import postpone
from consumers.jobs.names import Keys
from consumers.retry import Backoff
from consumers.transactions import Ask, Transactions

__all__ = ["Periodic", "Scheduler"]

LOOK_SECONDS = 30.0
"""A worker wakes at least so often, for clocks that were set and machines that slept."""

RECONNECT = Backoff(initial=0.1, factor=2, max=10)


@dataclass(frozen=True, slots=True)
class Periodic:
    """When a job runs: `expression` in cron's five fields (or six, seconds first), in the time zone `zone`."""

    name: str
    job: str
    expression: str
    zone: tzinfo
    arguments: bytes
    stream: str

    def __post_init__(self) -> None:
        try:
            next(CronSim(self.expression, datetime.now(self.zone)))
        except (CronSimError, StopIteration) as error:
            raise ValueError(f"{self.expression!r} is no cron expression that ever comes: {error}") from None

    def after(self, moment: float) -> float:
        """The first time after `moment`, both in seconds since 1970."""
        found: datetime = next(CronSim(self.expression, datetime.fromtimestamp(moment, UTC).astimezone(self.zone)))
        return found.timestamp()


class Scheduler:
    """Schedules periodic jobs, each one occurrence ahead. scheduled: called when one was."""

    def __init__(
        self,
        keys: Keys,
        transactions: Transactions,
        jobs: list[Periodic],
        clock: Clock,
        scheduled: Callable[[], None],
    ) -> None:
        self._keys = keys
        self._transactions = transactions
        self._jobs = jobs
        self._clock = clock
        self._scheduled = scheduled

    async def run(self) -> None:
        """Schedule, for ever. Raises what the server refuses for good."""
        attempt = 0
        while self._jobs:
            try:
                following = min([await self.schedule(periodic) for periodic in self._jobs])
            except Exception as error:
                if not transient(error):
                    raise
                attempt += 1
                await trio.sleep(RECONNECT.delay(attempt))
                continue
            attempt = 0
            await trio.sleep(max(0.01, min(LOOK_SECONDS, following - self._clock())))

    async def schedule(self, periodic: Periodic) -> float:
        """See to it that the next occurrence is scheduled; returns its time."""
        keys, due = self._keys, periodic.after(self._clock())

        async def decide(ask: Ask) -> tuple[list[Command], None]:
            (last,) = await ask([(b"HGET", keys.periodic, periodic.name)])
            if last is not None and float(last) >= due:
                return [], None
            entry = JobEntry(f"{periodic.name}@{due:.0f}", periodic.job, periodic.arguments)
            return [
                (b"HSET", keys.periodic, periodic.name, f"{due:.6f}"),
                *postpone(keys, periodic.stream, entry, due),
            ], None

        await self._transactions.run([keys.periodic], decide)
        self._scheduled()
        return due
