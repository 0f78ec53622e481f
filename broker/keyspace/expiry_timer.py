"""Waking the broker when the next key falls due, though no client asks for anything.

The timer itself removes nothing: what is due goes at the beginning of every tick, and a batch of timers is one.
"""

from __future__ import annotations

from collections.abc import Callable

from broker.process.clock import Clock
from broker.process.timers import Deadlines, Timer
from broker.values.deadline_queue import NEVER


class ExpiryTimer:
    """A timer for the earliest deadline of a keyspace; sets none before `start`."""

    __slots__ = ("_clock", "_next_deadline", "_started", "_timer", "_timers")

    def __init__(self, timers: Deadlines, clock: Clock, next_deadline: Callable[[], int]) -> None:
        """`next_deadline()` is the earliest deadline, in wall milliseconds, NEVER without one."""
        self._timers = timers
        self._clock = clock
        self._next_deadline = next_deadline
        self._timer: Timer | None = None
        self._started = False

    def start(self) -> None:
        """Begin to set timers: to be called where Trio runs."""
        self._started = True
        self.moved()

    def moved(self) -> None:
        """The earliest deadline has changed. Only an earlier one sets the timer again; a later one is seen when due."""
        deadline = self._next_deadline()
        if not self._started or deadline >= NEVER:
            return
        when = self._clock.trio_deadline(deadline + 1)
        if self._timer is not None:
            if self._timer.when <= when:
                return
            self._timer.cancel()
        self._timer = self._timers.at(when, self._due)

    def _due(self) -> None:
        # The batch of timers has removed what is due when it began; what is left or comes next sets the timer again.
        self._timer = None
        self.moved()
