"""The last commands that took long, for SLOWLOG.

slowlog-log-slower-than says from how many microseconds on a command is kept (negative: none), slowlog-max-len how many
are. An entry keeps little of a long request: slowlog-entry-max-argc arguments of slowlog-entry-max-string-len bytes.
Its time is the time that the command ran, not the time that its client waited.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from broker.config import Config
from broker.process.clock import Clock

_MICROSECONDS: Final = 1e6


class Entry(NamedTuple):
    """A slow command: wall time in seconds, microseconds taken, the arguments that are kept, and who sent how many."""

    id: int
    at: int
    microseconds: int
    args: list[bytes]
    peer: bytes
    client: bytes
    argc: int


class Slow:
    """How many slow calls there were, with the seconds that they took together and the longest of them."""

    __slots__ = ("count", "longest", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds
        self.longest = max(self.longest, seconds)


class SlowLog:
    """`entries` are the slow commands, newest first; `total` and `by_command` count all since CONFIG RESETSTAT."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._next_id = 0
        self.entries: deque[Entry] = deque()
        self.reset_counters()

    def reset_counters(self) -> None:
        """Restart the counters at zero; the entries stay."""
        self.total = Slow()
        self.by_command: dict[bytes, Slow] = {}

    def threshold(self) -> float | None:
        """The seconds from which on commands are slow, None if none is."""
        microseconds = self._config.slowlog_log_slower_than
        return microseconds / _MICROSECONDS if microseconds >= 0 else None

    def add(self, name: bytes, args: list[bytes], seconds: float, peer: bytes, client: bytes) -> None:
        """A command took so long; keep it if that is slow. `args` must be fit to be shown."""
        threshold = self.threshold()
        longest_log = self._config.slowlog_max_len
        if threshold is None or seconds < threshold or not longest_log:
            return
        entries = self.entries
        at, microseconds = self._clock.read() // 1000, int(seconds * _MICROSECONDS)
        entries.appendleft(Entry(self._next_id, at, microseconds, self._kept(args), peer, client, len(args)))
        self._next_id += 1
        while len(entries) > longest_log:
            entries.pop()
        self.total.add(seconds)
        counter = self.by_command.get(name)
        if counter is None:
            counter = self.by_command[name] = Slow()
        counter.add(seconds)

    def _kept(self, args: list[bytes]) -> list[bytes]:
        most, longest = self._config.slowlog_entry_max_argc, self._config.slowlog_entry_max_string_len
        kept = [_shortened(argument, longest) for argument in args[:most]]
        if len(args) > most:
            kept[-1] = b"... (%d more arguments)" % (len(args) - most + 1)
        return kept


def _shortened(argument: bytes, longest: int) -> bytes:
    if len(argument) <= longest:
        return bytes(argument)
    return argument[:longest] + b"... (%d more bytes)" % (len(argument) - longest)
