"""The last minutes of queues, from readings that were made anyway: rates, and samples for charts.

Nothing is read for this. So the past of a queue is what somebody has looked at, and there are gaps where nobody has.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isnan, nan
from typing import NamedTuple

from consumers.console.queues.library import Figures
from consumers.jobs.clock import Clock, wall_clock

__all__ = ["Past", "Rates"]

WINDOW = 60.0
"""Seconds over which rates are averaged."""

SHORTEST = 10.0
"""Seconds over which a change is known well enough to be told by the minute."""

APART = 1.0
"""Seconds between two readings that are kept: of those closer to each other, rates would be chance."""

KEPT_SECONDS = 600.0

MOST = 20_000
"""Queues that are remembered."""


class _Point(NamedTuple):
    time: float
    waiting: float
    running: float
    added: float
    finished: float


WIDTH = len(_Point._fields)


@dataclass(frozen=True, slots=True)
class Rates:
    """added, finished: a second. change: of the waiting jobs, a minute. None if it is not known, or not yet."""

    added: float | None = None
    finished: float | None = None
    change: float | None = None


class Past:
    """Of all queues of one server. clock: seconds since 1970."""

    def __init__(self, clock: Clock = wall_clock) -> None:
        self._clock = clock
        # numbers side by side: thousands of queues are read hundreds of times
        self._points: dict[tuple[str, str], array[float]] = {}

    def note(self, read: Iterable[Figures]) -> None:
        """Remember what was read just now."""
        now = self._clock()
        for one in read:
            queue = one.library, one.name
            if queue not in self._points and len(self._points) >= MOST:
                continue
            points = self._points.setdefault(queue, array("d"))
            if points and now - points[-WIDTH] < APART:
                continue
            points.extend(_Point(now, one.waiting, _or_nan(one.running), _or_nan(one.added), _or_nan(one.finished)))
            while points[0] < now - KEPT_SECONDS:
                del points[:WIDTH]
        self._points = {queue: points for queue, points in self._points.items() if points[-WIDTH] >= now - KEPT_SECONDS}

    def rates(self, library: str, name: str) -> Rates:
        """Return the rates of the last minute, or of the time since somebody began to look."""
        points = list(self._of(library, name))
        if len(points) < 2:
            return Rates()
        last = points[-1]
        first = next(one for one in points if one.time >= last.time - WINDOW)
        if first is last:
            # readings are rarer than that
            first = points[-2]
        seconds = last.time - first.time
        change = 60 * (last.waiting - first.waiting) / seconds if seconds >= SHORTEST else None
        return Rates(_rate(first, last, "added"), _rate(first, last, "finished"), change)

    def samples(self, library: str, name: str, after: float = 0.0) -> list[dict[str, float | None]]:
        """Return what charts show: the jobs at each moment after this one, and rates since the moment before."""
        points = list(self._of(library, name))
        return [
            {
                "time": one.time, "waiting": one.waiting, "running": None if isnan(one.running) else one.running,
                "added": _rate(before, one, "added"), "finished": _rate(before, one, "finished"),
            }
            for before, one in zip([None, *points], points, strict=False)
            if one.time > after
        ]  # fmt: skip

    def _of(self, library: str, name: str) -> Iterator[_Point]:
        points = self._points.get((library, name), array("d"))
        for begin in range(0, len(points), WIDTH):
            yield _Point(*points[begin : begin + WIDTH])


def _or_nan(count: int | None) -> float:
    return nan if count is None else count


def _rate(before: _Point | None, after: _Point, field: str) -> float | None:
    """Growth a second; None if the counter is not known, or has begun again."""
    if before is None:
        return None
    grown: float = getattr(after, field) - getattr(before, field)
    return grown / (after.time - before.time) if grown >= 0 else None
