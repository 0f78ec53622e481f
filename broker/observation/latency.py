"""Latency spikes by event, for the LATENCY command.

An event is a kind of work that keeps the broker from serving its clients: a command, a fork, a sync of the journal. A
spike is one that took latency-monitor-threshold or longer; 0 records none. Of each event the worst spikes of the last
160 seconds that had any are kept, as in Redis.

Redis's names: command, fast-command, fork, aof-write (with how it was written: aof-write-alone, -active-child,
-pending-fsync), aof-fsync-always, expire-cycle, eviction-cycle. Ours: garbage-collection, and tick, all that is done
before other clients get a turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final, TypeVar

from broker.config import Config
from broker.process.clock import Clock

T = TypeVar("T")

SAMPLES: Final = 160
"""The number of seconds with spikes that are remembered for each event."""


class Spikes:
    """One event's spikes: `samples` of (wall seconds, milliseconds), oldest first; `worst` is the longest there was."""

    __slots__ = ("samples", "worst")

    def __init__(self) -> None:
        self.samples: deque[tuple[int, int]] = deque(maxlen=SAMPLES)
        self.worst = 0

    def add(self, second: int, milliseconds: int) -> None:
        """Keep a spike, unless a longer one has occurred in the same second."""
        self.worst = max(self.worst, milliseconds)
        if self.samples and self.samples[-1][0] == second:
            milliseconds = max(milliseconds, self.samples.pop()[1])
        self.samples.append((second, milliseconds))


class Latency:
    """All spikes of a broker. `threshold` is in milliseconds, 0 while nothing is recorded."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._clock = clock
        self.events: dict[str, Spikes] = {}
        self.threshold: int = config.latency_monitor_threshold
        config.on_change("latency-monitor-threshold", self._set_threshold)

    def _set_threshold(self, milliseconds: int) -> None:
        self.threshold = milliseconds

    def add(self, event: str, milliseconds: float) -> None:
        """Something took this long; it is recorded if that is a spike."""
        if not self.threshold or milliseconds < self.threshold:
            return
        spikes = self.events.get(event)
        if spikes is None:
            spikes = self.events[event] = Spikes()
        spikes.add(self._clock.read() // 1000, int(milliseconds))

    def measure(self, event: str, work: Callable[[], T]) -> T:
        """Do some work, record it if it takes too long, and return its result."""
        if not self.threshold:
            return work()
        began = perf_counter()
        result = work()
        self.add(event, (perf_counter() - began) * 1000)
        return result

    def add_write(self, seconds: float, *, syncing: bool, child_runs: bool) -> None:
        """The journal was written, perhaps while it was being synced or a child was writing, too."""
        if self.threshold and seconds * 1000 >= self.threshold:
            beside = "pending-fsync" if syncing else "active-child" if child_runs else "alone"
            for event in (f"aof-write-{beside}", "aof-write"):
                self.add(event, seconds * 1000)

    def reset(self, names: list[str]) -> int:
        """Forget the spikes of these events, or of all; returns the number of events that had any."""
        return sum(self.events.pop(name, None) is not None for name in names or list(self.events))
