"""Limits on how many jobs run at a time across all workers, by the values of some parameters.

The jobs that run under a limit are in a sorted set, by the end of their leases. A job that finds no free place is
parked: it leaves its stream in the same transaction that found this out, so it holds up neither a worker nor other
jobs. The worker that frees a place brings the next parked job back, in order of arrival; so does every worker every
SWEEP_SECONDS, for places whose holders have died. A job that comes back has to find a place like any other.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

import anyio

from consumers.connection import Command
from consumers.doorbell import Doorbell
from consumers.jobs.clock import Clock
from consumers.jobs.entries import JobEntry, body_of
from consumers.jobs.later import put_into_stream
from consumers.jobs.names import GROUP, Keys
from consumers.retry import Backoff, persist
from consumers.transactions import Ask, Transactions

__all__ = ["Limiter"]

logger = logging.getLogger("consumers.jobs")

SWEEP_SECONDS = 1.0
SWEEP_LIMITS = 100
"""Limits checked by one sweep, chosen at random."""

EVERY_SWEEP = Backoff(initial=SWEEP_SECONDS, factor=1, max=SWEEP_SECONDS, jitter=False)
"""Retries while the server is away: leases must be renewed as soon as it is back."""


class Limiter:
    """Assigns places. lease: seconds after which the place of a dead worker is free."""

    def __init__(self, keys: Keys, transactions: Transactions, lease: float, clock: Clock) -> None:
        self._keys = keys
        self._transactions = transactions
        self._lease = lease
        self._clock = clock
        self._held: dict[str, str] = {}
        self._freed: dict[str, int] = {}
        self._kept = 0.0
        self._swept = 0.0
        self._bell = Doorbell()

    async def admit(self, entry: JobEntry, limit: str, most: int, stream: str, entry_id: str) -> bool:
        """Give the job a place, or park it and acknowledge its entry (False). Waits for a server that is away.

        limit: selects the set of places. most: how many there are. entry_id: the job's entry in `stream`.
        """
        running, now = self._keys.running(limit), self._clock()

        async def decide(ask: Ask) -> tuple[list[Command], bool]:
            mine, others = await ask(
                [(b"ZSCORE", running, entry.id), (b"ZCOUNT", running, f"({now:.3f}", b"+inf")],
            )
            if (mine is None or mine <= now) and others >= most:
                return self._park(entry, limit, most, stream, entry_id), False
            return [
                (b"ZREMRANGEBYSCORE", running, b"-inf", f"{now:.3f}"),
                (b"ZADD", running, f"{now + self._lease:.3f}", entry.id),
                (b"PEXPIRE", running, round(self._lease * 4000)),
            ], True

        admitted = await persist(partial(self._transactions.run, [running], decide))
        if admitted:
            self._held[entry.id] = limit
        return admitted

    def _park(self, entry: JobEntry, limit: str, most: int, stream: str, entry_id: str) -> list[Command]:
        keys = self._keys
        milliseconds, _, sequence = entry_id.partition("-")
        since = entry.since or int(milliseconds) * 1000 + min(int(sequence), 999)
        parked = replace(entry, since=since)
        return [
            (b"HSET", keys.bodies, entry.id, body_of(keys.resumed, parked)),
            (b"ZADD", keys.parked(limit), since, entry.id),
            (b"HSET", keys.limits, limit, most),
            (b"XACK", stream, GROUP, entry_id),
            (b"XDEL", stream, entry_id),
        ]

    def leave(self, id: str, limit: str) -> Command:
        """The command that frees the job's place; execute it with the end of the job, then call freed()."""
        return (b"ZREM", self._keys.running(limit), id)

    def freed(self, id: str, limit: str, most: int) -> None:
        """Let the next job have the place, which has been freed."""
        self._held.pop(id, None)
        self._freed[limit] = most
        self._bell.ring()

    async def run(self) -> None:
        """Keep leases and bring parked jobs back, forever. Raises the server's permanent refusals."""
        self._kept = self._swept = anyio.current_time()
        while True:
            with anyio.move_on_after(SWEEP_SECONDS):
                await self._bell.wait()
            await persist(self._tend, EVERY_SWEEP)

    async def _tend(self) -> None:
        now = anyio.current_time()
        if now - self._kept >= self._lease / 3:
            await self._keep()
            self._kept = now
        if now - self._swept >= SWEEP_SECONDS:
            self._freed.update(await self._some_limits())
            self._swept = now
        while self._freed:
            limit, most = next(iter(self._freed.items()))
            await self._resume(limit, most)
            self._freed.pop(limit, None)

    async def _keep(self) -> None:
        until = f"{self._clock() + self._lease:.3f}"

        async def decide(ask: Ask) -> tuple[list[Command], None]:
            commands: list[Command] = []
            for id, limit in self._held.items():
                commands.append((b"ZADD", self._keys.running(limit), b"XX", until, id))
                commands.append((b"PEXPIRE", self._keys.running(limit), round(self._lease * 4000)))
            return commands, None

        await self._transactions.run([], decide)

    async def _some_limits(self) -> dict[str, int]:
        found: dict[str, int] = {}

        async def decide(ask: Ask) -> tuple[list[Command], None]:
            (reply,) = await ask([(b"HRANDFIELD", self._keys.limits, SWEEP_LIMITS, b"WITHVALUES")])
            found.update({limit.decode(): int(most) for limit, most in reply})
            return [], None

        await self._transactions.run([self._keys.limits], decide)
        return found

    async def _resume(self, limit: str, most: int) -> None:
        """Bring back as many parked jobs as there are free places."""
        keys = self._keys
        running, parked = keys.running(limit), keys.parked(limit)

        async def decide(ask: Ask) -> tuple[list[Command], None]:
            now = f"({self._clock():.3f}"
            taken, waiting = await ask([(b"ZCOUNT", running, now, b"+inf"), (b"ZCARD", parked)])
            if waiting == 0:
                return [(b"HDEL", keys.limits, limit)], None
            if taken >= most:
                return [], None
            (ids,) = await ask([(b"ZRANGE", parked, 0, most - taken - 1)])
            if not ids:
                # another worker was faster, between the two queries
                return [], None
            (bodies,) = await ask([(b"HMGET", keys.bodies, *ids)])
            return [*put_into_stream(bodies), (b"ZREM", parked, *ids), (b"HDEL", keys.bodies, *ids)], None

        await self._transactions.run([running, parked], decide)
