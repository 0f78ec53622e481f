"""Periodic jobs: a cron expression, a function without required arguments, and one occurrence scheduled ahead.

Every worker schedules, but each occurrence is scheduled only once: the server stores the last time for which a periodic
job was scheduled, and the transaction that schedules the next one watches it. The occurrence then waits among the
delayed jobs, so no worker is needed at its time, only afterwards: if all were down, a missed job runs once when one
comes back, or as its policy says (`missed`).

This state belongs to a schedule: to the job's name *and* its expression, time zone and stream. Stored with it is who
vouches for it: since when a worker with exactly this schedule has been running, and when one was last seen.

- A worker that has another schedule under the same name takes over if it was started later, or if no worker with the
  old one has been seen for ABANDONED_SECONDS. The waiting occurrence is replaced, unless it is already due. During a
  rolling deploy one schedule is in force at any time, the newer one, and each occurrence runs once.
- A job that no worker has any more is forgotten after ABANDONED_SECONDS, with its occurrence. An occurrence that has
  reached a stream by then is dropped by the worker that gets it (`is_abandoned`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import anyio
import msgspec
from cronsim import CronSim, CronSimError

from consumers.connection import Command
from consumers.jobs.clock import Clock
from consumers.jobs.entries import JobEntry
from consumers.jobs.later import postpone
from consumers.jobs.names import Keys
from consumers.jobs.states import Missed, Schedule
from consumers.names import decoded, encoded
from consumers.retry import persist
from consumers.transactions import Ask, Transactions

__all__ = ["ABANDONED_SECONDS", "CATCH_UP", "Periodic", "Scheduler", "missed", "read_due", "read_schedule"]

LOOK_SECONDS = 30.0
"""A worker wakes at least this often: for clocks that were set, machines that slept, and to vouch for its schedules."""

ABANDONED_SECONDS = 3 * LOOK_SECONDS
"""A schedule is abandoned after this long without a worker that vouches for it."""

PAUSED_SECONDS = 1.0
"""How often a worker checks its schedules while the queue is paused."""

LATEST = 253402300800.0
"""The year 10000, which no time of Python's reaches."""

MOST_JITTER = 86400.0

LATE_SECONDS = 60.0
"""How late an occurrence may begin if missed ones are skipped."""

CATCH_UP = 1000
"""Missed occurrences that are made up for in one transaction, at most."""

SKEW_SECONDS = 60.0
"""How much the hosts' clocks may differ before replacing a schedule may run an occurrence twice."""


@dataclass(frozen=True, slots=True)
class Periodic:
    """When a job runs: `expression` has cron's five fields (or six, seconds first), in the time zone `zone`.

    jitter: each occurrence begins up to so many seconds later, at random. missed: see Queue.job.
    """

    name: str
    job: str
    expression: str
    zone: tzinfo
    arguments: bytes
    stream: str
    jitter: float = 0.0
    missed: Missed = "once"

    def __post_init__(self) -> None:
        try:
            next(CronSim(self.expression, datetime.now(self.zone)))
        except (CronSimError, StopIteration) as error:
            raise ValueError(f"{self.expression!r} is not a cron expression that ever occurs: {error}") from None
        if not 0 <= self.jitter <= MOST_JITTER:
            raise ValueError(f"jitter is 0 to {MOST_JITTER:.0f} s")
        if self.missed not in ("skip", "once", "all"):
            raise ValueError(f'missed is "skip", "once" or "all", not {self.missed!r:.100}')

    @property
    def schedule(self) -> str:
        """Equal for schedules with the same times and the same stream, in any process."""
        zone = getattr(self.zone, "key", None) or self.zone.tzname(datetime(2000, 1, 1))
        return f"{self.expression} {zone} {self.stream}"

    def after(self, moment: float) -> float:
        """The first time after `moment`, both in seconds since 1970."""
        found: datetime = next(CronSim(self.expression, datetime.fromtimestamp(moment, UTC).astimezone(self.zone)))
        return found.timestamp()

    def begins(self, due: float) -> float:
        """When the occurrence that is due then begins."""
        return due + random.uniform(0.0, self.jitter) if self.jitter else due

    def expires(self, due: float) -> float:
        """When it is too late to begin it; 0.0: never."""
        return due + self.jitter + LATE_SECONDS if self.missed == "skip" else 0.0


def missed(periodic: Periodic, last: float, now: float) -> list[float]:
    """Return times just before the occurrences after `last`, up to now, that are still to be scheduled."""
    found: list[float] = []
    while periodic.missed == "all" and len(found) < CATCH_UP and (due := periodic.after(last)) <= now:
        found.append(last)
        last = due
    return found


class _Standing(msgspec.Struct, frozen=True):
    """What the server stores about a job's schedule. since: when the newest worker that has it was started."""

    schedule: str = ""
    since: float = 0.0
    seen: float = 0.0
    jitter: float = 0.0
    missed: Missed = "once"

    def abandoned(self, now: float) -> bool:
        return now - self.seen > ABANDONED_SECONDS


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Standing).decode


class Scheduler:
    """Schedules periodic jobs, each one occurrence ahead. scheduled: called after one has been scheduled."""

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
        self._names = frozenset(periodic.name for periodic in jobs)
        self._clock = clock
        self._scheduled = scheduled
        self._started = clock()
        self._swept = float("-inf")
        self._others: dict[str, _Standing] | None = None
        self.paused = False
        """Whether no further occurrences are scheduled, as nobody would run them. One is scheduled already."""

    async def run(self) -> None:
        """Schedule, forever. Raises the server's permanent refusals."""
        while True:
            following = await persist(self._schedule_all)
            await anyio.sleep(max(0.01, min(LOOK_SECONDS, following - self._clock())))

    async def _schedule_all(self) -> float:
        """Schedule every job's next occurrence; returns when to check the first of them again."""
        following = min([await self.schedule(periodic) for periodic in self._jobs], default=float("inf"))
        if self._clock() - self._swept >= LOOK_SECONDS:
            await self.sweep()
        return following

    def is_abandoned(self, name: str) -> bool:
        """Whether no worker has this periodic job any more. False as long as that is unknown."""
        if name in self._names or self._others is None:
            return False
        standing = self._others.get(name)
        return standing is None or standing.abandoned(self._clock())

    async def schedule(self, periodic: Periodic) -> float:
        """Make sure that the next occurrence is scheduled; returns when to check again."""
        keys = self._keys
        following, replaces = await self._transactions.run(
            [keys.periodic, keys.schedules], lambda ask: self._continue(periodic, ask)
        )
        if replaces:
            # only this watches the counter of moves, which rises constantly while jobs are delayed
            following = await self._transactions.run(
                [keys.periodic, keys.schedules, keys.moves], lambda ask: self._replace(periodic, ask)
            )
        self._scheduled()
        return following

    async def _continue(self, periodic: Periodic, ask: Ask) -> tuple[list[Command], tuple[float, bool]]:
        """Schedule the next occurrence of a schedule in force, or return that it has to replace another schedule."""
        now = self._clock()
        last, standing = await self._ask(ask, periodic.name)
        if last is not None and standing.schedule != periodic.schedule:
            passes = standing.since >= self._started and not standing.abandoned(now)
            return [], (now + LOOK_SECONDS, not passes)
        due = periodic.after(now)
        commands: list[Command] = []
        if (last is None or last < due) and not self.paused:
            moments = missed(periodic, last, now) if last is not None else []
            for moment in moments if len(moments) == CATCH_UP else [*moments, now]:
                due = periodic.after(moment)
                commands += self._occurrence(periodic, due)
        if commands or now - standing.seen >= LOOK_SECONDS / 2 or standing.since < self._started:
            commands.append(self._vouch(periodic, standing, now))
        # once the queue is resumed, it is this late at most
        return commands, (min(due, now + PAUSED_SECONDS) if self.paused else due, False)

    async def _replace(self, periodic: Periodic, ask: Ask) -> tuple[list[Command], float]:
        """Put a schedule in force, replacing another one of the same job."""
        now = self._clock()
        last, standing = await self._ask(ask, periodic.name)
        if last is None or standing.schedule == periodic.schedule:
            # another worker was faster
            return [], now
        due, commands = periodic.after(now), list[Command]()
        (waiting,) = await ask([(b"ZSCORE", self._keys.later, _id(periodic.name, last))])
        if waiting is not None and waiting > now:
            commands = self._withdrawal(periodic.name, last)
        elif now < last < now + SKEW_SECONDS:
            # it has run, by a clock that is ahead of ours
            due = periodic.after(last)
        return [*commands, *self._occurrence(periodic, due), self._vouch(periodic, _Standing(), now)], due

    async def _ask(self, ask: Ask, name: str | bytes) -> tuple[float | None, _Standing]:
        last, standing = await ask([(b"HGET", self._keys.periodic, name), (b"HGET", self._keys.schedules, name)])
        return read_due(last), _standing(standing) or _Standing()

    def _occurrence(self, periodic: Periodic, due: float) -> list[Command]:
        id, expires = _id(periodic.name, due), periodic.expires(due)
        entry = JobEntry(id, periodic.job, periodic.arguments, periodic=True, expires=expires)
        return [
            (b"HSET", self._keys.periodic, periodic.name, f"{due:.6f}"),
            *postpone(self._keys, periodic.stream, entry, periodic.begins(due)),
        ]

    def _vouch(self, periodic: Periodic, standing: _Standing, now: float) -> Command:
        since = max(standing.since, self._started)
        vouched = _Standing(periodic.schedule, since, now, periodic.jitter, periodic.missed)
        return (b"HSET", self._keys.schedules, periodic.name, _encode(vouched))

    def _withdrawal(self, name: str, due: float) -> list[Command]:
        id = encoded(_id(name, due))
        return [(b"INCR", self._keys.moves), (b"ZREM", self._keys.later, id), (b"HDEL", self._keys.bodies, id)]

    # Schedules of jobs that this worker does not have.

    async def sweep(self) -> None:
        """Find out which there are, and forget those that no worker has any more."""
        keys = self._keys
        found: dict[str, _Standing] = {}

        async def look(ask: Ask) -> tuple[list[Command], None]:
            found.clear()
            scheduled, standings = await ask([(b"HKEYS", keys.periodic), (b"HGETALL", keys.schedules)])
            # a worker of an earlier version does not vouch for its schedules: their time starts here
            first = _Standing(seen=self._clock())
            unknown: list[Command] = []
            for name in scheduled:
                if decoded(name) in self._names:
                    continue
                standing = _standing(standings.get(name))
                found[decoded(name)] = standing or first
                if standing is None:
                    unknown.append((b"HSET", keys.schedules, name, _encode(first)))
            return unknown, None

        await self._transactions.run([keys.periodic, keys.schedules], look)
        for name, standing in found.items():
            if standing.abandoned(self._clock()):
                await self._forget(name)
        self._others = found
        self._swept = self._clock()

    async def _forget(self, name: str) -> None:
        keys, field = self._keys, encoded(name)

        async def decide(ask: Ask) -> tuple[Sequence[Command], None]:
            last, standing = await self._ask(ask, field)
            if not standing.abandoned(self._clock()):
                return [], None
            withdrawal = self._withdrawal(name, last) if last is not None else []
            return [*withdrawal, (b"HDEL", keys.periodic, field), (b"HDEL", keys.schedules, field)], None

        await self._transactions.run([keys.periodic, keys.schedules, keys.moves], decide)


def _id(name: str, due: float) -> str:
    """The ID of the job that is an occurrence: the same whichever worker schedules it."""
    return f"{name}@{due:.0f}"


def read_due(stored: bytes | None) -> float | None:
    """The time for which an occurrence was scheduled last; None if there is none, or what is stored is damaged."""
    try:
        due = -1.0 if stored is None else float(stored)
    except ValueError:
        return None
    return due if 0.0 <= due < LATEST else None


def read_schedule(name: str, due: float | None, stored: bytes | None) -> Schedule:
    """A periodic job's schedule, from what the server stores."""
    standing = _standing(stored) or _Standing()
    expression, zone, _ = [*standing.schedule.rsplit(" ", 2), "", ""][:3]
    return Schedule(
        name=name, job=name, expression=expression, timezone=zone, due=due, jitter=standing.jitter,
        missed=standing.missed, paused=False, declared=True, seen=standing.seen,
    )  # fmt: skip


def _standing(stored: bytes | None) -> _Standing | None:
    """None if there is none, or what is stored is damaged: then nobody vouches for it yet."""
    try:
        return None if stored is None else _decode(stored)
    except msgspec.DecodeError:
        return None
