"""Schedules that programs make at run time: on the server, where every worker finds them.

A plan is a field of a hash, with all that its occurrences need; nobody has to declare it, and no worker vouches for it:
it is in force as long as it is there. Making, changing, pausing or removing it is one transaction that also withdraws
the occurrence that waits, and schedules the next one; so it takes effect at once, whether workers run or not. After
that, each occurrence is scheduled by whichever worker is first, as periodic jobs are (periodic.py).

Each change gives the plan a new revision, which its occurrences carry. A worker that gets an occurrence asks whether
the plan still has it, and drops it otherwise: so one that has reached a stream, or that waits for its next attempt,
never begins after the plan has been changed, paused or removed.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import anyio
import msgspec

from consumers.connection import Command, Link
from consumers.doorbell import Doorbell
from consumers.jobs.cancelling import later
from consumers.jobs.clock import Clock
from consumers.jobs.entries import JobEntry
from consumers.jobs.later import postpone
from consumers.jobs.names import Keys
from consumers.jobs.periodic import CATCH_UP, Periodic, missed, read_due
from consumers.jobs.searching import query
from consumers.jobs.states import Missed, Schedule
from consumers.retry import persist
from consumers.transactions import Ask, Transactions

__all__ = ["PLANS", "Plan", "Planner", "Plans", "listed", "zone_name"]

logger = logging.getLogger("consumers.jobs")

LOOK_SECONDS = 30.0
"""How often a worker reads the plans, at least: for announcements that were lost, and clocks that were set."""

PAUSED_SECONDS = 1.0
"""How often, while the queue is paused."""

MOST = 10_000
"""Plans that a queue may have."""

PLANS = b"plans"
"""The announcement on a queue's control channel that a plan has changed."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as it is stored. zone: "UTC", or a name in the time zone database. stream: to which occurrences are added.

    turn: see JobEntry. revision: of the last change; it is "" until the plan is stored.
    """

    job: str
    arguments: bytes
    stream: str
    expression: str
    zone: str
    jitter: float
    missed: Missed
    turn: str = ""
    paused: bool = False
    revision: str = ""

    def periodic(self, name: str) -> Periodic:
        """The times of its occurrences. Raises ValueError if this machine can't tell them."""
        try:
            zone: tzinfo = UTC if self.zone == "UTC" else ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, OSError) as error:
            raise ValueError(f"the time zone {self.zone!r} is unknown here: {error}") from None
        return Periodic(
            name, self.job, self.expression, zone, self.arguments, self.stream, jitter=self.jitter, missed=self.missed
        )


def zone_name(zone: tzinfo) -> str:
    """The name under which a time zone is stored. Raises ValueError for one that other programs could not look up."""
    name: str | None = "UTC" if zone is UTC else getattr(zone, "key", None)
    if name is None:
        raise ValueError(f"the time zone of a schedule is datetime.UTC or a ZoneInfo with a name, not {zone!r}")
    return name


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Plan).decode


def _same(plan: Plan, other: Plan) -> bool:
    return plan == msgspec.structs.replace(other, revision=plan.revision)


def _plan(stored: bytes | None) -> Plan | None:
    """None if there is none, or what is stored is damaged: that schedules nothing, and can be replaced."""
    try:
        return None if stored is None else _decode(stored)
    except msgspec.DecodeError:
        return None


def _read(stored: Mapping[bytes, bytes]) -> dict[str, Plan]:
    """The plans by name. A name that is no text is none of ours."""
    found: dict[str, Plan] = {}
    for name, one in stored.items():
        with contextlib.suppress(UnicodeDecodeError):
            if (plan := _plan(one)) is not None:
                found[name.decode()] = plan
    return found


def _due(planned: bytes | None) -> float | None:
    """The time for which an occurrence was scheduled last; None if there is none, or what is stored is damaged."""
    return None if planned is None else read_due(planned.partition(b" ")[0])


def _id(name: str, due: float, revision: str) -> str:
    return f"{name}@{due:.0f}.{revision}"


class Plans:
    """A queue's plans, and the commands that their changes and occurrences take."""

    def __init__(self, keys: Keys, transactions: Transactions, clock: Clock) -> None:
        self._keys = keys
        self._transactions = transactions
        self._clock = clock

    async def put(self, name: str, plan: Plan) -> bool:
        """Make a plan, or change the one with this name; returns whether it is a new one, or differs from that.

        Raises ValueError if there are too many.
        """
        return await self._change(name, lambda standing: plan)

    async def pause(self, name: str, paused: bool) -> bool:
        """Stop or resume the occurrences of a plan; False if there is none, or nothing to do."""
        return await self._change(
            name, lambda standing: None if standing is None else msgspec.structs.replace(standing, paused=paused)
        )

    async def _change(self, name: str, change: Callable[[Plan | None], Plan | None]) -> bool:
        keys, revision = self._keys, os.urandom(4).hex()

        async def decide(ask: Ask) -> tuple[list[Command], bool]:
            stored, last, count = await ask(
                [(b"HGET", keys.plans, name), (b"HGET", keys.planned, name), (b"HLEN", keys.plans)]
            )
            standing = _plan(stored)
            plan = change(standing)
            if plan is None or (standing is not None and _same(plan, standing)):
                return [], False
            if standing is None and count >= MOST:
                raise ValueError(f"a queue has {MOST} schedules at most")
            plan = msgspec.structs.replace(plan, revision=revision)
            commands = [*self._withdrawal(name, last), (b"HSET", keys.plans, name, _encode(plan))]
            if plan.paused:
                commands.append((b"HDEL", keys.planned, name))
            else:
                due, start = self._occurrence(plan.periodic(name), plan, self._clock())
                commands += [*start, (b"SPUBLISH", keys.control, later(due))]
            return [*commands, (b"SPUBLISH", keys.control, PLANS)], True

        return await self._transactions.run([keys.plans, keys.planned, keys.moves], decide)

    async def remove(self, name: str) -> bool:
        """Remove a plan, so that it never runs again; False if there is none."""
        keys = self._keys

        async def decide(ask: Ask) -> tuple[list[Command], bool]:
            exists, last = await ask([(b"HEXISTS", keys.plans, name), (b"HGET", keys.planned, name)])
            if not exists:
                return [], False
            commands = [*self._withdrawal(name, last), (b"HDEL", keys.plans, name), (b"HDEL", keys.planned, name)]
            return [*commands, (b"SPUBLISH", keys.control, PLANS)], True

        return await self._transactions.run([keys.plans, keys.planned, keys.moves], decide)

    def _withdrawal(self, name: str, last: bytes | None) -> list[Command]:
        due = _due(last)
        if last is None or due is None:
            return []
        id = _id(name, due, last.partition(b" ")[2].decode(errors="replace"))
        return [(b"INCR", self._keys.moves), (b"ZREM", self._keys.later, id), (b"HDEL", self._keys.bodies, id)]

    def _occurrence(self, periodic: Periodic, plan: Plan, moment: float) -> tuple[float, list[Command]]:
        """When the first occurrence after `moment` is due, and the commands that schedule it."""
        keys, due = self._keys, periodic.after(moment)
        entry = JobEntry(
            _id(periodic.name, due, plan.revision), plan.job, plan.arguments, expires=periodic.expires(due),
            turn=plan.turn, plan=f"{plan.revision} {periodic.name}",
        )  # fmt: skip
        return due, [
            (b"HSET", keys.planned, periodic.name, f"{due:.6f} {plan.revision}"),
            *postpone(keys, plan.stream, entry, periodic.begins(due)),
        ]

    async def continue_all(self, paused: bool) -> float:
        """Schedule the occurrences that follow those whose time has come; returns when that is to be done again.

        paused: the queue is, so nothing would run.
        """
        keys = self._keys

        async def decide(ask: Ask) -> tuple[list[Command], float]:
            now, commands, following = self._clock(), list[Command](), float("inf")
            stored, planned = await ask([(b"HGETALL", keys.plans), (b"HGETALL", keys.planned)])
            for name, plan in _read(stored).items():
                last = _due(planned.get(name.encode()))
                due = 0.0 if last is None else last
                if plan.paused or paused:
                    continue
                if due <= now:
                    try:
                        periodic = plan.periodic(name)
                    except ValueError as error:
                        logger.error("the schedule %s is left to other workers: %s", name, error)
                        continue
                    moments = missed(periodic, due, now) if last is not None else []
                    # if there are more, they follow
                    for moment in moments if len(moments) == CATCH_UP else [*moments, now]:
                        due, occurrence = self._occurrence(periodic, plan, moment)
                        commands += occurrence
                following = min(following, due)
            return commands, following

        return await self._transactions.run([keys.plans, keys.planned], decide)


async def listed(link: Link, keys: Keys) -> list[Schedule]:
    """All plans, by name."""
    stored, planned = await query(link, [(b"HGETALL", keys.plans), (b"HGETALL", keys.planned)])
    found: list[Schedule] = []
    for name, plan in sorted(_read(stored).items()):
        found.append(
            Schedule(
                name=name, job=plan.job, expression=plan.expression, timezone=plan.zone,
                due=_due(planned.get(name.encode())), jitter=plan.jitter, missed=plan.missed,
                paused=plan.paused, declared=False, seen=None,
            )
        )  # fmt: skip
    return found


class Planner:
    """Continues the plans, for one worker. scheduled: called after occurrences may have been scheduled."""

    def __init__(
        self, keys: Keys, link: Link, transactions: Transactions, clock: Clock, scheduled: Callable[[], None]
    ) -> None:
        self._keys = keys
        self._link = link
        self._plans = Plans(keys, transactions, clock)
        self._clock = clock
        self._scheduled = scheduled
        self._bell = Doorbell()
        self.paused = False
        """Whether no occurrences are scheduled, because the queue is paused."""

    def poll(self) -> None:
        """Read the plans: one has changed."""
        self._bell.ring()

    async def run(self) -> None:
        """Schedule, forever. Raises the server's permanent refusals."""
        while True:
            following = await persist(lambda: self._plans.continue_all(self.paused))
            self._scheduled()
            wait = min(PAUSED_SECONDS if self.paused else LOOK_SECONDS, following - self._clock())
            with anyio.move_on_after(max(0.01, wait)):
                await self._bell.wait()

    async def has(self, plan: str) -> bool:
        """Whether the occurrence of a job's entry may begin. Waits for a server that is away."""
        revision, name = plan.split(" ", 1)
        (stored,) = await persist(lambda: query(self._link, [(b"HGET", self._keys.plans, name)]))
        standing = _plan(stored)
        return standing is not None and standing.revision == revision and not standing.paused
