"""The last minutes of INFO: sampled once for all viewers, and paced by what a sample costs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import asdict, dataclass
from weakref import WeakKeyDictionary

import anyio
from coredis.exceptions import AuthenticationError, AuthorizationError, RedisError

from consumers.console.info import fields, number
from consumers.console.server import Server, Unreachable

__all__ = ["History", "Sample"]

INTERVAL = 2.0
"""Seconds between samples."""

KEPT = 300
"""Samples that are kept: ten minutes."""

SHARE = 0.02
"""The share of time that sampling may take: a server whose INFO is slow is asked less often."""

REFUSED_SECONDS = 60.0
"""How long a user is not asked who may not use INFO."""

COMMAND = (b"INFO", b"clients", b"memory", b"stats", b"replication", b"persistence")


@dataclass(frozen=True, slots=True)
class Sample:
    """The server at one moment (seconds since 1970). Rates are averages since the sample before.

    commands, received, sent, expired, evicted: per second, `received` and `sent` in bytes. memory: bytes. hits: the
    share of reads that found their key, in percent; None if there were no reads.
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


class History:
    """Samples of one server, in order.

    others: returns the server as other users see it, who are asked while the console's own may not use INFO. error: why
    there are no samples at the moment, None if all is well.
    """

    def __init__(
        self, server: Server, others: Callable[[], Iterable[Server]], clock: Callable[[], float] = time.time
    ) -> None:
        self._server = server
        self._others = others
        self._refused: WeakKeyDictionary[Server, float] = WeakKeyDictionary()
        self._clock = clock
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._added = anyio.Event()
        self._before: tuple[float, dict[str, str]] | None = None
        self.error: str | None = None

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
                self._before = None
                self._wake()
            taken = anyio.current_time() - begun
            await anyio.sleep(max(INTERVAL - taken, taken / SHARE, 0.0))

    async def take(self) -> None:
        """Take one sample. The first only gives the counters that the next is compared with."""
        found, now = fields(await self._ask()), self._clock()
        before, self._before = self._before, (now, found)
        if before is not None and now > before[0]:
            sample = _compared(before, (now, found))
            if sample is not None:
                self._samples.append(sample)
                self._wake()

    async def _ask(self) -> bytes:
        """Return INFO's reply to the first user who may use it. Raises the last one's refusal."""
        refusal: RedisError = AuthorizationError("nobody who is logged in may use INFO")
        for server in (self._server, *self._others()):
            if self._refused.get(server, 0.0) > self._clock():
                continue
            try:
                reply: bytes = await server.call(*COMMAND)
                return reply
            except (AuthenticationError, AuthorizationError) as error:
                # the server may log each refusal
                self._refused[server] = self._clock() + REFUSED_SECONDS
                refusal = error
        raise refusal

    def _wake(self) -> None:
        self._added.set()
        self._added = anyio.Event()

    async def follow(self) -> AsyncGenerator[Sample | None, None]:
        """Yield each new sample, or None when taking one has failed. A slow reader misses some."""
        while True:
            await self._added.wait()
            yield None if self.error is not None or not self._samples else self._samples[-1]

    def as_data(self) -> list[dict[str, float | None]]:
        """Return all samples for JSON."""
        return [asdict(sample) for sample in self._samples]


def _compared(before: tuple[float, dict[str, str]], after: tuple[float, dict[str, str]]) -> Sample | None:
    """Return a sample; None if the server was restarted, or its counters were reset, in between."""
    seconds, found = after[0] - before[0], after[1]

    def grown(name: str) -> float:
        return number(found, name) - number(before[1], name)

    hits, misses, commands = grown("keyspace_hits"), grown("keyspace_misses"), grown("total_commands_processed")
    if min(hits, misses, commands) < 0:
        return None
    return Sample(
        time=after[0],
        connections=number(found, "connected_clients"),
        blocked=number(found, "blocked_clients"),
        memory=number(found, "used_memory"),
        commands=commands / seconds,
        received=grown("total_net_input_bytes") / seconds,
        sent=grown("total_net_output_bytes") / seconds,
        hits=100 * hits / (hits + misses) if hits + misses else None,
        expired=grown("expired_keys") / seconds,
        evicted=grown("evicted_keys") / seconds,
    )
