"""A queue's clock, which determines when delayed jobs are due and leases end.

It is the wall clock, because several programs have to agree on it and it goes on while a machine sleeps. In a test
under trio.testing's MockClock it is the test's clock: a job that is delayed by an hour, or retried after a back-off, is
then due when the test's time has jumped there, not after an hour of real time.
"""

import sys
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["Clock", "wall_clock"]

Clock = Callable[[], float]
"""Returns the time in seconds since 1970."""

_beginnings: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
"""The wall clock's time at which each mock clock was at 0."""


def wall_clock() -> float:
    """Seconds since 1970."""
    testing = sys.modules.get("trio.testing")
    if testing is None:
        return time.time()
    lowlevel = sys.modules["trio"].lowlevel
    if not lowlevel.in_trio_run() or not isinstance(clock := lowlevel.current_clock(), testing.MockClock):
        return time.time()
    now: float = clock.current_time()
    return _beginnings.setdefault(clock, time.time() - now) + now
