"""The one source of time.

The wall clock is read once per tick: all commands of a tick, a transaction or a script see the same `now`. Waits are
measured on Trio's clock, so that tests can skip them; `Clock` ties the two together.
"""

from __future__ import annotations

import time
from typing import ClassVar

import trio

from broker.class_options import mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class Clock:
    """Wall time in milliseconds, `now`, cached until the next `update`."""

    __slots__ = ("now",)

    stopwatch: ClassVar = staticmethod(time.perf_counter)
    """Seconds since an arbitrary moment, for differences. Not a method, since calling one would double the cost."""

    def __init__(self) -> None:
        self.now = 0
        self.update()

    def update(self) -> int:
        """Read the wall clock into `now` and return it."""
        self.now = now = time.time_ns() // 1_000_000
        return now

    def read(self) -> int:
        """The wall clock in milliseconds, leaving `now` alone."""
        return time.time_ns() // 1_000_000

    def microseconds(self) -> int:
        """The wall clock in microseconds, leaving `now` alone."""
        return time.time_ns() // 1_000

    def trio_deadline(self, wall_ms: int) -> float:
        """The time on Trio's clock when the wall clock will read `wall_ms`."""
        return trio.current_time() + (wall_ms - self.read()) / 1000


@mypyc_attr(allow_interpreted_subclasses=True)
class TrioClock(Clock):
    """Wall time derived from Trio's clock, for tests with `trio.testing.MockClock`: both jump together."""

    __slots__ = ("_epoch_ms",)

    stopwatch: ClassVar = staticmethod(trio.current_time)

    def __init__(self, epoch_ms: int = 1_700_000_000_000) -> None:
        """`epoch_ms` is the wall time at Trio's time 0."""
        self._epoch_ms = epoch_ms
        super().__init__()

    def update(self) -> int:
        self.now = now = self.read()
        return now

    def read(self) -> int:
        return self._epoch_ms + int(trio.current_time() * 1000)

    def microseconds(self) -> int:
        return self._epoch_ms * 1000 + int(trio.current_time() * 1_000_000)
