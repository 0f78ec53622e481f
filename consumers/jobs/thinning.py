"""Debouncing and throttling: of many calls with the same values, few become jobs.

Both are decided while enqueueing, in the transaction that adds the jobs. Under a key for each combination of values
stands the job that takes the place of further calls, and when the first of these came. While that job still waits for
its time, a later call replaces its arguments, as if the earlier one had never been made; a throttle that keeps the
first call drops the later ones instead, for as long as the key lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from consumers import given
from consumers.connection import Command
from consumers.given import Duration
from consumers.jobs.entries import JobEntry, read_body
from consumers.jobs.later import postpone
from consumers.jobs.names import Keys
from consumers.jobs.options import Unique
from consumers.transactions import Ask

__all__ = ["Debounce", "Thinned", "Thinning", "Throttle", "thinned"]

OVERDUE_SECONDS = 3600.0
"""How long a job that is due, and that no worker has moved to its stream yet, still takes the place of new calls."""


@dataclass(frozen=True, slots=True)
class Debounce:
    """Run once there has been no call for `quiet` seconds, with the arguments of the last one.

    by: the parameters whose values tell calls apart: one name, several, or True for all; False: all calls are alike.
    max_wait: how many seconds after the first call it runs even if there are more; None: whenever they end.
    """

    quiet: Duration
    by: Unique = False
    max_wait: Duration | None = None

    def __post_init__(self) -> None:
        _check_by("debounce", self.by)
        if not 0 < given.duration("quiet", self.quiet) <= 366 * 86400:
            raise ValueError("a debounce's quiet period is more than 0 s, and a year at most")
        if self.max_wait is not None and given.duration("max_wait", self.max_wait) < given.duration(
            "quiet", self.quiet
        ):
            raise ValueError("max_wait is at least as long as the quiet period")

    @property
    def rule(self) -> Thinning:
        """What enqueueing needs."""
        quiet = given.duration("quiet", self.quiet)
        return Thinning(quiet, None if self.max_wait is None else given.duration("max_wait", self.max_wait))


@dataclass(frozen=True, slots=True)
class Throttle:
    """One job in `per` seconds, for the first call in that time, or for the last.

    by: as for Debounce. keep: "first": enqueued at once, and further calls are dropped until `per` seconds after it.
    "last": it runs `per` seconds after the first call, with the arguments of the last one until then.
    """

    per: Duration
    by: Unique = False
    keep: Literal["first", "last"] = "first"

    def __post_init__(self) -> None:
        _check_by("throttle", self.by)
        if not 0.001 <= given.duration("per", self.per) <= 366 * 86400:
            raise ValueError("a throttle's period is a millisecond to a year")
        if self.keep not in ("first", "last"):
            raise ValueError(f'keep is "first" or "last", not {self.keep!r:.100}')

    @property
    def rule(self) -> Thinning:
        """What enqueueing needs."""
        per = given.duration("per", self.per)
        return Thinning(per, per, drops=self.keep == "first")


def _check_by(what: str, by: object) -> None:
    if not isinstance(by, bool | str):
        given.texts(f"a {what}'s parameters", by)


@dataclass(frozen=True, slots=True)
class Thinning:
    """seconds: from a call to its job. at_most: from the first call that this job stands for; None: no limit.

    drops: instead, the first call's job is added at once, and others are dropped for so many seconds.
    """

    seconds: float
    at_most: float | None
    drops: bool = False

    def due(self, first: float, now: float) -> float:
        """When the job of a call that is made now runs, if `first` is the time of the first one."""
        due = now + self.seconds
        return due if self.at_most is None else min(due, first + self.at_most)


@dataclass(frozen=True, slots=True)
class Thinned:
    """What becomes of a call. id: of its job. created: or else this job existed. commands: add or change it.

    at_once: the job is to be added like any other. due: otherwise, when it runs.
    """

    id: str
    created: bool
    commands: list[Command] = field(default_factory=list)
    at_once: bool = False
    due: float = 0.0


@dataclass(frozen=True, slots=True)
class _Standing:
    """The job that stands for further calls. waits: for its time."""

    id: str
    first: float
    waits: bool


async def thinned(ask: Ask, keys: Keys, places: Sequence[str], now: float) -> Places:
    """Return the jobs that stand for calls. Call it while keys.calls(place) and keys.moves are watched."""
    found: dict[str, _Standing] = {}
    if not places:
        return Places(keys, found, now)
    stored = await ask([(b"GET", keys.calls(place)) for place in places])
    for place, value in zip(places, stored, strict=True):
        if value is not None:
            id, first = value.decode().rsplit(" ", 1)
            found[place] = _Standing(id, float(first), waits=False)
    ids = [one.id for one in found.values()]
    if ids:
        dues, bodies = await ask([(b"ZMSCORE", keys.later, *ids), (b"HMGET", keys.bodies, *ids)])
        for (place, one), due, body in zip(list(found.items()), dues, bodies, strict=True):
            job = read_body(body) if due is not None and body is not None else None
            # one that waits for its next attempt has begun
            found[place] = replace(one, waits=job is not None and not job[1].failed)
    return Places(keys, found, now)


class Places:
    """The jobs that stand for further calls, by the calls' places."""

    def __init__(self, keys: Keys, found: dict[str, _Standing], now: float) -> None:
        self._keys = keys
        self._found = found
        self._now = now

    def take(self, place: str, rule: Thinning, stream: str, entry: JobEntry) -> Thinned:
        """Decide about a call, whose job this is if it gets one of its own."""
        keys, now, standing = self._keys, self._now, self._found.get(place)
        if rule.drops:
            if standing is not None:
                return Thinned(standing.id, created=False)
            self._found[place] = _Standing(entry.id, now, waits=False)
            return Thinned(entry.id, True, [self._note(place, entry.id, now, rule.seconds)], at_once=True)
        if standing is None or not standing.waits:
            standing = self._found[place] = _Standing(entry.id, now, waits=True)
        due = max(now, rule.due(standing.first, now))
        commands = [
            (b"INCR", keys.moves),
            *postpone(keys, stream, replace(entry, id=standing.id), due),
            self._note(place, standing.id, standing.first, due - now + OVERDUE_SECONDS),
        ]
        return Thinned(standing.id, standing.id == entry.id, commands, due=due)

    def _note(self, place: str, id: str, first: float, seconds: float) -> Command:
        return (b"SET", self._keys.calls(place), f"{id} {first!r}", b"PX", round(seconds * 1000))
