"""How far loading the keys is: INFO's figures, and for those who wait for a start, a line now and then.

A quick start says nothing. A slow one logs a line every few seconds; on a terminal, one line is kept up to date.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from broker.process.log import Log
from broker.process.memory import human

LOADING: Final = "Loading the data"

_TERMINAL_SECONDS: Final = 0.5
_LOG_SECONDS: Final = 5.0

_MINUTES_FROM: Final = 120
"""Up to so many seconds, the time left is given in seconds."""


class Progress:
    """`loaded` of `total` bytes have been loaded since `began` (wall seconds); all 0 before a load."""

    def __init__(self, log: Log) -> None:
        self.began = 0
        self.total = 0
        self.loaded = 0
        self._facts: Mapping[bytes, bytes] = {}
        self._log = log
        self._started = self._report_at = 0.0

    def begin(self, now: int) -> None:
        """A load begins at `now` (wall seconds)."""
        self.began = now
        self.total = self.loaded = 0
        self._facts = {}
        self._started = time.perf_counter()
        self._report_at = self._started + self._interval

    def rdb(self, facts: Mapping[bytes, bytes]) -> None:
        """An RDB file is loaded; its metadata is added to `facts` once it has been read."""
        self._facts = facts

    @property
    def rdb_used_memory(self) -> int:
        """The bytes of memory that the server which wrote the RDB file used; 0 if unknown."""
        text = self._facts.get(b"used-mem", b"")
        return int(text) if text.isdigit() else 0

    @property
    def percent(self) -> float:
        return 100 * self.loaded / max(1, self.total)

    def seconds_left(self, elapsed: float) -> float:
        """At the speed of the first `elapsed` seconds."""
        return elapsed * max(0, self.total - self.loaded) / (self.loaded + 1)

    def report(self) -> None:
        """Log how far loading is, if it is time to; cheap enough to be called all the time."""
        now = time.perf_counter()
        if now >= self._report_at:
            self._report_at = now + self._interval
            self._log.progress(str(self))

    def __str__(self) -> str:
        if not self.loaded:
            return LOADING
        left = self.seconds_left(time.perf_counter() - self._started)
        shown = f"{left:.0f} s" if left < _MINUTES_FROM else f"{left / 60:.0f} min"
        return f"{LOADING}: {self.percent:.0f} %, {human(self.loaded)} of {human(self.total)}, {shown} left"

    @property
    def _interval(self) -> float:
        return _TERMINAL_SECONDS if self._log.live else _LOG_SECONDS
