"""A heap of timers, and the single task that waits for the earliest.

A cancelled timer stays in the heap until its time, or until most of the heap is cancelled timers. Setting a timer from
the tick costs a heap push; the task is woken only if the earliest time has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf

import trio


class Timer:
    """An action that is called once, unless `cancel` is called first."""

    __slots__ = ("_deadlines", "action", "when")

    def __init__(self, when: float, action: Callable[[], None], deadlines: Deadlines) -> None:
        self.when = when
        self.action: Callable[[], None] | None = action
        self._deadlines = deadlines

    def cancel(self) -> None:
        """Cancel the timer; has no effect once it has fired."""
        if self.action is not None:
            self.action = None
            self._deadlines.forget()


class Deadlines:
    """Timers on Trio's clock.

    `run` is the task that calls them.
    """

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        """`failed` is called with an action's unexpected exception."""
        self._failed = failed
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._dead = 0
        self._scope: trio.CancelScope | None = None

    def after(self, milliseconds: int, action: Callable[[], None]) -> Timer:
        """Call `action` in `milliseconds` from now."""
        return self.at(trio.current_time() + milliseconds / 1000, action)

    def at(self, when: float, action: Callable[[], None]) -> Timer:
        """Call `action` when Trio's clock reads `when`, in seconds."""
        timer = Timer(when, action, self)
        heap = self._heap
        heappush(heap, (when, next(self._order), timer))
        scope = self._scope
        if scope is not None and when < scope.deadline:
            scope.deadline = when
        return timer

    def forget(self) -> None:
        """Count a cancelled timer, and rebuild the heap if most of it is cancelled."""
        self._dead += 1
        if self._dead > 64 and self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapify(self._heap)
            self._dead = 0

    async def run(self, before: Callable[[], None], after: Callable[[], None]) -> None:
        """Wait for timers and call their actions, until cancelled.

        `before` and `after` are called around each batch of actions (the tick's bookkeeping: reading the clock, and
        sending what they have queued).
        """
        while True:
            # Cancelled at the earliest deadline; a timer set meanwhile moves the deadline (see `at`).
            with trio.CancelScope(deadline=self._heap[0][0] if self._heap else inf) as self._scope:
                await trio.sleep_forever()
            self._scope = None
            self._call_due(before, after)

    def _call_due(self, before: Callable[[], None], after: Callable[[], None]) -> None:
        now = trio.current_time()
        heap = self._heap
        if not heap or heap[0][0] > now:
            return
        # Timers that an action sets for now are called next time, after everything else has had a turn.
        due = []
        while heap and heap[0][0] <= now:
            due.append(heappop(heap)[2])
        before()
        for timer in due:
            action = timer.action
            if action is None:
                self._dead -= 1
                continue
            timer.action = None
            try:
                action()
            except Exception as defect:
                # A bug costs its own timer, never those of all other clients.
                self._failed(defect)
        after()
