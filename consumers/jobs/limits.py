"""Limits on how many jobs run at a time across all workers, and how often (rates.py), by the values of some parameters.

The runs that hold places under a limit are in a sorted set, by the end of their claims: the end of a lease that the
worker renews, or of a rate's period. A job that finds no free place is parked: it leaves its stream in the same
transaction that found this out, so it holds up neither a worker nor other jobs. The worker that frees a place brings
the next parked job back, in order of arrival; so does every worker every SWEEP_SECONDS, for places whose holders have
died. A job that comes back has to find a place like any other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import anyio

from consumers.connection import Command
from consumers.doorbell import Doorbell
from consumers.jobs.clock import Clock
from consumers.jobs.entries import JobEntry, body_of, put_into_stream
from consumers.jobs.names import GROUP, Keys
from consumers.jobs.rates import Opener, Place, server_time
from consumers.retry import Backoff, persist
from consumers.transactions import Ask, Transactions

__all__ = ["Limiter"]

logger = logging.getLogger("consumers.jobs")

SWEEP_SECONDS = 1.0
SWEEP_LIMITS = 100
"""Limits checked by one sweep, chosen at random; and rates, the longest overdue."""

EVERY_SWEEP = Backoff(initial=SWEEP_SECONDS, factor=1, max=SWEEP_SECONDS, jitter=False)
"""Retries while the server is away: leases must be renewed as soon as it is back."""


class Limiter:
    """Assigns places. lease: seconds after which the place of a dead worker is free."""

    def __init__(self, keys: Keys, transactions: Transactions, lease: float, clock: Clock) -> None:
        self._keys = keys
        self._transactions = transactions
        self._lease = lease
        self._clock = clock
        self._opener = Opener(keys, transactions, lease)
        self._held: dict[str, str] = {}
        self._freed: dict[str, int] = {}
        self._kept = 0.0
        self._swept = 0.0
        self._bell = Doorbell()

    async def admit(self, entry: JobEntry, places: Sequence[Place], stream: str, entry_id: str, delivery: int) -> bool:
        """Give the job its places, or park it and acknowledge its entry (False). Waits for a server that is away.

        entry_id: the job's entry in `stream`. delivery: the count of its deliveries.
        """
        keys, opener = self._keys, self._opener
        since, run = entry.since or _arrival(entry_id), f"{entry.id} {entry_id} {delivery}"

        async def decide(ask: Ask) -> tuple[list[Command], tuple[Place | None, float, float, bytes]]:
            (time, *replies) = await ask([(b"TIME",), *(query for one in places for query in self._queries(one, run))])
            now, commands = server_time(time), list[Command]()
            for number, place in enumerate(places):
                claims, blocking, first, opening = replies[number * 4 : number * 4 + 4]
                # a claim of its own: of a run whose transaction had an unknown outcome, or one that was reserved for it
                if place.period:
                    own = any(end is not None and end > now for end in claims)
                    blocked = not own and (bool(first) and first[0][1] < since)
                else:
                    own, blocked = claims[1] is not None and claims[1] > now, False
                free = float(blocking[0][1]) if blocking else now
                if not own and (blocked or free > now):
                    commands = self._park(entry, since, place.limit, 0 if place.period else place.most)
                    commands += [(b"ZREM", keys.running(one.limit), run, entry.id) for one in places if one.period]
                    commands += [(b"XACK", stream, GROUP, entry_id), (b"XDEL", stream, entry_id)]
                    if not place.period:
                        return commands, (place, 0.0, now, b"")
                    free = min(free, now + place.period) if free > now else now
                    announced, deadline = opener.parking(place, free)
                    return commands + announced, (place, free, now, deadline if opening is None else b"")
                commands += self._taking(place, entry.id, run, now)
            return commands, (None, 0.0, now, b"")

        watched = [keys.running(place.limit) for place in places]
        parked, free, now, deadline = await persist(partial(self._transactions.run, watched, decide))
        if parked is None:
            for place in places:
                if not place.period:
                    self._held[entry.id] = place.limit
        elif deadline:
            opener.watch(parked.limit, free, now, deadline)
            self._bell.ring()
        return parked is None

    def _queries(self, place: Place, run: str) -> list[Command]:
        keys, running = self._keys, self._keys.running(place.limit)
        return [
            (b"ZMSCORE", running, run, run.split(" ", 1)[0]),
            # all places are taken until the last but so many of the claims ends
            (b"ZRANGE", running, -place.most, -place.most, b"WITHSCORES"),
            (b"ZRANGE", keys.parked(place.limit), 0, 0, b"WITHSCORES"),
            (b"ZSCORE", keys.openings, place.limit),
        ]

    def _taking(self, place: Place, id: str, run: str, now: float) -> list[Command]:
        running = self._keys.running(place.limit)
        commands: list[Command] = [(b"ZREMRANGEBYSCORE", running, b"-inf", f"{now:.6f}")]
        if place.period:
            commands.append((b"ZREM", running, id))
            commands.append((b"ZADD", running, f"{now + place.period:.6f}", run))
            # the claim of another job may be a reservation, which lasts for the lease
            commands.append((b"PEXPIRE", running, round(max(place.period, self._lease) * 1000) + 1000))
        else:
            commands.append((b"ZADD", running, f"{now + self._lease:.3f}", id))
            commands.append((b"PEXPIRE", running, round(self._lease * 4000)))
        return commands

    def _park(self, entry: JobEntry, since: int, limit: str, most: int) -> list[Command]:
        keys = self._keys
        return [
            (b"HSET", keys.bodies, entry.id, body_of(keys.resumed, replace(entry, since=since))),
            (b"ZADD", keys.parked(limit), since, entry.id),
            (b"HSET", keys.limits, limit, most),
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
            with anyio.move_on_at(min(self._opener.next, anyio.current_time() + SWEEP_SECONDS)):
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
        await self._opener.open()
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
            some, openings, time = await ask(
                [
                    (b"HRANDFIELD", self._keys.limits, SWEEP_LIMITS, b"WITHVALUES"),
                    (b"ZRANGE", self._keys.openings, 0, SWEEP_LIMITS - 1, b"WITHSCORES"), (b"TIME",),
                ]
            )  # fmt: skip
            # 0: parked there are jobs that come back in another way
            found.update({limit.decode(): int(most) for limit, most in some if int(most)})
            self._opener.overdue(openings, server_time(time))
            return [], None

        await self._transactions.run([], decide)
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
            return [*put_into_stream(keys, ids, bodies), (b"ZREM", parked, *ids), (b"HDEL", keys.bodies, *ids)], None

        await self._transactions.run([running, parked], decide)


def _arrival(entry_id: str) -> int:
    """The position among parked jobs of one that was never parked: when it was added, in microseconds."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds) * 1000 + min(int(sequence), 999)
