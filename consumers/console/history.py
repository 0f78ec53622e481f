"""The last minutes of the server: sampled once for all viewers, and paced by what a sample costs.

A sample is of INFO, and of LATENCY HISTOGRAM and the slow log where the server has them and the user may ask for them.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from weakref import WeakKeyDictionary

import anyio
from coredis.exceptions import AuthenticationError, AuthorizationError, RedisError

from consumers.connecting import Command, Reply
from consumers.console.info import fields, number
from consumers.console.latency import Histogram, grown, histogram, percentile
from consumers.console.server import Server, Unreachable

__all__ = ["COMMANDS", "FIELDS", "Extra", "History", "Sample"]

INTERVAL = 2.0
"""Seconds between samples."""

KEPT = 300
"""Samples that are kept: ten minutes."""

SHARE = 0.02
"""The share of time that sampling may take: a server whose answer is slow is asked less often."""

LATENCY_SECONDS = 10.0
"""Over how long latencies are compared: few commands have no 99.9th percentile, and the answer takes milliseconds."""

REFUSED_SECONDS = 60.0
"""How long a user is not asked for what the server refuses."""

INFO: Command = (b"INFO", b"clients", b"memory", b"stats", b"replication", b"persistence")


Latencies = tuple[float | None, float | None, float | None]
"""Percentiles: p50, p99 and p999."""


class Extra(StrEnum):
    """What a sample has besides INFO, if the server has it and the user may ask for it."""

    LATENCY = "latency"
    SLOW = "slow"


COMMANDS: Mapping[Extra, Sequence[Command]] = {
    Extra.LATENCY: [(b"LATENCY", b"HISTOGRAM")],
    Extra.SLOW: [(b"SLOWLOG", b"GET", 1), (b"SLOWLOG", b"LEN")],
}

FIELDS: Mapping[Extra, Sequence[str]] = {Extra.LATENCY: ("p50", "p99", "p999"), Extra.SLOW: ("slow",)}
"""Those of Sample that are None where the extra is missing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The server at one moment (seconds since 1970). Rates are averages since the sample before.

    commands, received, sent, expired, evicted: per second, `received` and `sent` in bytes. memory: bytes. hits: the
    share of reads that found their key, in percent; None if there were no reads. p50, p99, p999: microseconds that this
    share of the commands of some seconds did not exceed; None if there were none. slow: commands a second that
    were put into the slow log.
    """

    time: float
    connections: float
    blocked: float
    memory: float
    commands: float
    received: float
    sent: float
    hits: float | None
    expired: float
    evicted: float
    p50: float | None
    p99: float | None
    p999: float | None
    slow: float | None


@dataclass(frozen=True, slots=True)
class _Reading:
    """Counters at one moment. slow: the ID of the latest entry of the slow log, and how many there are."""

    time: float
    info: Mapping[str, str]
    slow: tuple[int, int] | None


class History:
    """Samples of one server, in order.

    others: returns the server as other users see it, who are asked while the console's own may not use INFO. error: why
    there are no samples at the moment, None if all is well. missing: why samples lack an extra.
    """

    def __init__(
        self, server: Server, others: Callable[[], Iterable[Server]], clock: Callable[[], float] = time.time
    ) -> None:
        self._server = server
        self._others = others
        self._refused: WeakKeyDictionary[Server, dict[str, float]] = WeakKeyDictionary()
        self._clock = clock
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._added = anyio.Event()
        self._before: _Reading | None = None
        self._calls: tuple[float, Histogram] | None = None
        self._latencies: Latencies | None = None
        self.error: str | None = None
        self.missing: dict[Extra, str] = {}

    @property
    def samples(self) -> list[Sample]:
        return list(self._samples)

    async def run(self) -> None:
        """Take samples until cancelled."""
        while True:
            begun = anyio.current_time()
            try:
                await self.take()
                self.error = None
            except (Unreachable, RedisError) as error:
                self.error = str(error)
                self._before = self._calls = self._latencies = None
                self._wake()
            taken = anyio.current_time() - begun
            await anyio.sleep(max(INTERVAL - taken, taken / SHARE, 0.0))

    async def take(self) -> None:
        """Take one sample. The first only gives the counters that the next is compared with."""
        now = await self._read()
        before, self._before = self._before, now
        if before is not None and now.time > before.time:
            sample = _compared(before, now, self._latencies or (None, None, None))
            if sample is not None:
                self._samples.append(sample)
                self._wake()

    async def _read(self) -> _Reading:
        """Ask the first user who may use INFO. Raises the last one's refusal."""
        refusal: RedisError = AuthorizationError("nobody who is logged in may use INFO")
        for server in (self._server, *self._others()):
            refused = self._refused.setdefault(server, {})
            if refused.get("info", 0.0) > self._clock():
                continue
            wanted = [one for one in Extra if refused.get(one, 0.0) <= self._clock() and self._is_due(one)]
            try:
                info, *replies = await server.execute(INFO, *(command for one in wanted for command in COMMANDS[one]))
                if isinstance(info, RedisError):
                    raise info
            except (AuthenticationError, AuthorizationError) as error:
                # the server may log each refusal
                refused["info"] = self._clock() + REFUSED_SECONDS
                refusal = error
                continue
            found: dict[Extra, list[Reply]] = {}
            for one in wanted:
                found[one], replies = replies[: len(COMMANDS[one])], replies[len(COMMANDS[one]) :]
                if errors := [reply for reply in found[one] if isinstance(reply, RedisError)]:
                    del found[one]
                    refused[one] = self._clock() + REFUSED_SECONDS
                    self.missing[one] = f"The server refuses this: {errors[0]}"
            if Extra.LATENCY in found:
                self._compare_calls(found[Extra.LATENCY][0])
            elif refused.get(Extra.LATENCY, 0.0) > self._clock():
                self._calls = self._latencies = None
            return _Reading(self._clock(), fields(info), self._slow(found))
        raise refusal

    def _is_due(self, one: Extra) -> bool:
        if one is not Extra.LATENCY or self._calls is None or self._latencies is None:
            return True
        return self._clock() - self._calls[0] >= LATENCY_SECONDS

    def _compare_calls(self, reply: Reply) -> None:
        """Renew the percentiles."""
        self.missing.pop(Extra.LATENCY, None)
        if not reply:
            self.missing[Extra.LATENCY] = "The server does not count this: latency-tracking is off."
        before, self._calls = self._calls, (self._clock(), histogram(reply))
        if before is not None:
            calls = grown(before[1], self._calls[1]) or {}
            self._latencies = percentile(calls, 50), percentile(calls, 99), percentile(calls, 99.9)

    def _slow(self, found: Mapping[Extra, Sequence[Reply]]) -> tuple[int, int] | None:
        if Extra.SLOW not in found:
            return None
        self.missing.pop(Extra.SLOW, None)
        latest, length = found[Extra.SLOW]
        if latest:
            return latest[0][0], length
        # IDs go on after the log was cleared
        before = None if self._before is None else self._before.slow
        return (-1 if before is None else before[0]), 0

    def _wake(self) -> None:
        self._added.set()
        self._added = anyio.Event()

    async def follow(self) -> AsyncGenerator[Sample | None, None]:
        """Yield each new sample, or None when taking one has failed. A slow reader misses some."""
        while True:
            await self._added.wait()
            yield None if self.error is not None or not self._samples else self._samples[-1]


def _compared(before: _Reading, after: _Reading, latencies: Latencies) -> Sample | None:
    """Return a sample; None if the server was restarted, or its counters were reset, in between."""
    seconds, found = after.time - before.time, after.info

    def growth(name: str) -> float:
        return number(found, name) - number(before.info, name)

    hits, misses, commands = growth("keyspace_hits"), growth("keyspace_misses"), growth("total_commands_processed")
    if min(hits, misses, commands) < 0:
        return None
    return Sample(
        time=after.time,
        connections=number(found, "connected_clients"),
        blocked=number(found, "blocked_clients"),
        memory=number(found, "used_memory"),
        commands=commands / seconds,
        received=growth("total_net_input_bytes") / seconds,
        sent=growth("total_net_output_bytes") / seconds,
        hits=100 * hits / (hits + misses) if hits + misses else None,
        expired=growth("expired_keys") / seconds,
        evicted=growth("evicted_keys") / seconds,
        p50=latencies[0],
        p99=latencies[1],
        p999=latencies[2],
        slow=_slow_between(before.slow, after.slow, seconds),
    )


def _slow_between(before: tuple[int, int] | None, after: tuple[int, int] | None, seconds: float) -> float | None:
    if before is None or after is None:
        return None
    # of a log that was empty at first, only the length tells how many are new
    new = after[0] - before[0] if before[0] >= 0 else after[1]
    return None if new < 0 else new / seconds
