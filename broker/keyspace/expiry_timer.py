"""Waking the broker when the next key expires, even if no client sends anything.

The timer itself removes nothing: expired keys are removed at the start of every tick and of every batch of timers.
"""

from __future__ import annotations

from collections.abc import Callable

from broker.process.clock import Clock
from broker.process.timers import Deadlines, Timer
from broker.values.deadline_queue import NEVER


class ExpiryTimer:
    """A timer for the earliest deadline of a keyspace, set only after `start`."""

    __slots__ = ("_clock", "_next_deadline", "_started", "_timer", "_timers")

    def __init__(self, timers: Deadlines, clock: Clock, next_deadline: Callable[[], int]) -> None:
        """`next_deadline()` returns the earliest deadline in wall milliseconds, or NEVER."""
        self._timers = timers
        self._clock = clock
        self._next_deadline = next_deadline
        self._timer: Timer | None = None
        self._started = False

    def start(self) -> None:
        """Start setting timers; must be called with Trio running."""
        self._started = True
        self.moved()

    def moved(self) -> None:
        """The earliest deadline has changed. Only an earlier one resets the timer; a later one is noticed when it
        fires."""
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
        # The batch of timers removed the expired keys when it began; set the timer for the rest, or the next.
        self._timer = None
        self.moved()
