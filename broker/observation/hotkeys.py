"""Which keys cost most processor time and network bytes, while an operator measures it (HOTKEYS).

While that goes on, all clients' requests take the dispatcher's checked path (State.restrict), so that the other has
nothing to ask. A request's cost is divided evenly among the keys that it names. A script's calls belong to the script,
and a request whose client had to wait is not measured, as in Redis.

Counters are exact up to COUNTERS different keys. Beyond, all are lowered by their median and half of them forgotten, so
that memory stays bounded, and a key that takes more than 1/1000 of the whole is still found. Names are kept of the
hottest keys only; the others are known by their hash.
"""

from __future__ import annotations

import random
import resource
from collections.abc import Callable
from statistics import median_high
from typing import Final, NamedTuple

from broker.clients.session import BLOCKED, REPLY_OFF, REPLY_SKIP, REPLY_SKIP_NEXT, Session
from broker.process.clock import Clock
from broker.process.timers import Deadlines, Timer
from broker.table.command import Command

COUNTERS: Final = 4096
"""Keys that are counted at a time."""

_NO_REPLY: Final = REPLY_OFF | REPLY_SKIP | REPLY_SKIP_NEXT
_LINE: Final = 2
"""Bytes of the end of a line."""


class Hottest:
    """The `most` keys with the largest sums, of any number of keys."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sums: dict[int, int] = {}
        self._names: dict[int, bytes] = {}
        self._least = 0
        """No named key has a smaller sum, once as many are named as may be."""

    def add(self, key: bytes, amount: int) -> None:
        """A key has cost so much."""
        if amount <= 0:
            return
        known = hash(key)
        sums = self._sums
        total = sums[known] = sums.get(known, 0) + amount
        names = self._names
        if known not in names:
            if len(names) < self._most:
                names[known] = key
            elif total > self._least:
                coldest = min(names, key=self._sum)
                self._least = self._sum(coldest)
                if total > self._least:
                    del names[coldest]
                    names[known] = key
        if len(sums) > COUNTERS:
            self._forget_half()

    def keys(self) -> list[tuple[bytes, int]]:
        """The keys with their sums, the hottest first."""
        found = [(name, self._sum(known)) for known, name in self._names.items()]
        return sorted([entry for entry in found if entry[1]], key=lambda entry: -entry[1])

    def _sum(self, known: int) -> int:
        return self._sums.get(known, 0)

    def _forget_half(self) -> None:
        floor = median_high(self._sums.values())
        self._sums = {known: total - floor for known, total in self._sums.items() if total > floor}
        self._least = 0


class Options(NamedTuple):
    """What HOTKEYS START asks for.

    `most` keys are reported; one of `sample` requests is measured; `seconds` is None if only STOP ends it.
    """

    cpu: bool
    net: bool
    most: int
    sample: int
    seconds: int | None


class Measurement:
    """What was measured from HOTKEYS START on: `microseconds` and `bytes` of all requests that name keys.

    `by_time` and `by_bytes` are None if that was not asked for; `bytes_counted` is the sum of what was attributed to
    keys. `milliseconds` is how long it has lasted, `user` and `system` the process's time meanwhile, in seconds;
    `spent` is the time that the measuring itself took, in seconds.
    """

    def __init__(self, options: Options, clock: Clock) -> None:
        self.options = options
        self._clock = clock
        self.active = True
        self.began = clock.read()
        self._usage = resource.getrusage(resource.RUSAGE_SELF)
        self.microseconds = 0
        self.bytes = 0
        self.bytes_counted = 0
        self.by_time = Hottest(options.most) if options.cpu else None
        self.by_bytes = Hottest(options.most) if options.net else None
        self.milliseconds = 0
        self.user = self.system = self.spent = 0.0

    def update(self) -> None:
        """Bring the times up to date, unless the measurement has ended."""
        if self.active:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            self.milliseconds = max(0, self._clock.read() - self.began)
            self.user = usage.ru_utime - self._usage.ru_utime
            self.system = usage.ru_stime - self._usage.ru_stime

    def add(self, keys: list[bytes], microseconds: int, size: int) -> None:
        """A request that names these keys took so long, and so many bytes with its reply."""
        self.microseconds += microseconds
        self.bytes += size
        # Not for secrets: which requests are in the sample need only be independent of what they do.
        if self.options.sample > 1 and random.randrange(self.options.sample):
            return
        if self.by_time is not None:
            share = microseconds // len(keys)
            for key in keys:
                self.by_time.add(key, share)
        if self.by_bytes is not None:
            share = size // len(keys)
            self.bytes_counted += share * len(keys)
            for key in keys:
                self.by_bytes.add(key, share)


class Hotkeys:
    """The measurement that goes on or is the last one, if any.

    `active` is whether one goes on. `changed` is called when that has changed.
    """

    def __init__(self, clock: Clock, timers: Deadlines, changed: Callable[[bool], None]) -> None:
        self._clock = clock
        self._timers = timers
        self._changed = changed
        self._ends: Timer | None = None
        self.active = False
        self.measurement: Measurement | None = None

    def start(self, options: Options) -> None:
        """Begin a measurement, and forget the one before."""
        self.measurement = Measurement(options, self._clock)
        self.active = True
        if options.seconds is not None:
            self._ends = self._timers.after(options.seconds * 1000, self.stop)
        self._changed(True)

    def stop(self) -> None:
        """End the measurement, if one goes on; its figures stay."""
        if self.measurement is None or not self.active:
            return
        self.measurement.update()
        self.measurement.active = self.active = False
        if self._ends is not None:
            self._ends.cancel()
            self._ends = None
        self._changed(False)

    def executed(self, session: Session, command: Command, args: list[bytes], reply: bytes, seconds: float) -> None:
        """A request has been executed, alone or in a transaction.

        In a transaction Redis charges each key with the replies to all commands before; here, only with its own.
        """
        measurement = self.measurement
        if measurement is None or not command.key_specs or session.flags & BLOCKED:
            return
        began = self._clock.stopwatch()
        keys = [args[position] for position in command.key_positions(args)]
        if not keys:
            return
        size = _header(len(args))
        for argument in args:
            size += _header(len(argument)) + len(argument) + _LINE
        if not session.flags & _NO_REPLY:
            size += len(reply)
        measurement.add(keys, max(0, int(seconds * 1e6)), size)
        measurement.spent += self._clock.stopwatch() - began


def _header(number: int) -> int:
    """The bytes of a line that is a sign and a number."""
    return 1 + len(b"%d" % number) + _LINE
