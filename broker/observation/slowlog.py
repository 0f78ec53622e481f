"""The last commands that took long, for SLOWLOG.

slowlog-log-slower-than says from how many microseconds on a command is kept (negative: none), slowlog-max-len how many
are. A command's time is the time that it ran, not the time that its client waited.
"""

from __future__ import annotations

from typing import Final

from broker.config import Config
from broker.observation.command_log import CommandLog
from broker.process.clock import Clock

_MICROSECONDS: Final = 1e6


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


class SlowLog(CommandLog):
    """`total` and `by_command` count all slow commands since CONFIG RESETSTAT."""

    def __init__(self, config: Config, clock: Clock) -> None:
        super().__init__(config, clock)
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
        self.keep(args, int(seconds * _MICROSECONDS), peer, client, longest_log)
        self.total.add(seconds)
        counter = self.by_command.get(name)
        if counter is None:
            counter = self.by_command[name] = Slow()
        counter.add(seconds)
