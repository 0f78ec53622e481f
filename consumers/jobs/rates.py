"""Rate limits over all workers: at most so many runs of a job in any period, by the values of some parameters.

A run takes a place under its limit and keeps it for the period, by the server's clock, whatever becomes of it: so the
window slides, and is exact. A place is taken in the transaction that decides that the job may run (limits.py); a job
that finds none is parked, as under a limit on how many run at a time.

A parked job comes back when a place becomes free, which is known in advance. For each limit under which jobs are
parked, one worker waits for that moment; on the server stands when the others have to take over from it if it has done
nothing by then (`openings`). So the number of polls does not grow with that of the workers. The place is reserved for
the job that comes back: neither may a later one take it, nor are more jobs brought back than may run.
"""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from consumers import given
from consumers.connection import Command
from consumers.given import Duration
from consumers.jobs.entries import put_into_stream, read_body
from consumers.jobs.names import Keys
from consumers.transactions import Ask, Transactions

__all__ = ["Opener", "Place", "Rate", "server_time"]

BATCH = 200
"""Jobs brought back in one transaction, at most."""

PAUSE = 0.01
"""The shortest time between two looks at the same limit, in seconds."""

TAKE_OVER_SECONDS = 1.0
"""How late another worker does what the one that waits for a place has not done."""

HIGHEST = 100_000
"""The highest number of runs per period: each one that counts is stored on the server, in about 100 bytes."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` runs in any period of `per` seconds (or a timedelta), over all workers.

    by: parameters: at most so many for each combination of their values. One name, several, or True for all of them.
    """

    count: int
    per: Duration
    by: bool | str | tuple[str, ...] = False

    def __post_init__(self) -> None:
        if not 1 <= given.whole("a rate's count", self.count) <= HIGHEST:
            raise ValueError(f"a rate's count is 1 to {HIGHEST}")
        if not 0.001 <= given.duration("a rate's period", self.per) <= 366 * 86400:
            raise ValueError("a rate's period is a millisecond to a year")
        if not isinstance(self.by, bool | str):
            object.__setattr__(self, "by", given.texts("a rate's parameters", self.by))

    @property
    def period(self) -> float:
        """Seconds."""
        return given.duration("a rate's period", self.per)


@dataclass(frozen=True, slots=True)
class Place:
    """What a run needs: a place under `limit`, which has `most` of them. period: how many seconds the run keeps it,
    whatever becomes of it; 0.0: until the job leaves its worker."""

    limit: str
    most: int
    period: float = 0.0


def server_time(reply: list[bytes]) -> float:
    """Seconds since 1970, from a reply to TIME."""
    seconds, microseconds = reply
    return int(seconds) + int(microseconds) / 1e6


class Opener:
    """Brings jobs back that are parked under rates. lease: how long a place is reserved for a job that comes back, at
    least: seconds."""

    def __init__(self, keys: Keys, transactions: Transactions, lease: float) -> None:
        self._keys = keys
        self._transactions = transactions
        self._lease = lease
        self._looks: dict[str, tuple[float, bytes]] = {}
        """By limit: when to look (the loop's clock), and the time at which others take over, as this worker set it."""

    @property
    def next(self) -> float:
        """When the first place becomes free for which this worker waits, by the loop's clock."""
        return min((when for when, _ in self._looks.values()), default=float("inf"))

    def parking(self, place: Place, free: float) -> tuple[list[Command], bytes]:
        """Commands to execute with the parking of a job under a rate that has no others, and the deadline for watch().

        free: when a place may become free, by the server's clock.
        """
        keys, deadline = self._keys, _deadline(free)
        return [
            (b"ZADD", keys.openings, b"NX", deadline, place.limit),
            (b"HSET", keys.rates, place.limit, f"{place.most} {place.period!r}"),
        ], deadline

    def watch(self, limit: str, free: float, now: float, deadline: bytes) -> None:
        """Wait for the time at which a place becomes free; `free` and `now` by the server's clock."""
        self._looks[limit] = anyio.current_time() + max(PAUSE, free - now), deadline

    def overdue(self, openings: list[tuple[bytes, float]], now: float) -> None:
        """Take over from workers that have not done what they were to do; see `openings` in names.py."""
        for limit, deadline in openings:
            if deadline <= now and limit.decode() not in self._looks:
                self._looks[limit.decode()] = anyio.current_time(), _text(deadline)

    async def open(self) -> None:
        """Bring back the jobs for which there are places now."""
        now = anyio.current_time()
        for limit, (when, deadline) in list(self._looks.items()):
            if when <= now:
                await self._open(limit, deadline)

    async def _open(self, limit: str, deadline: bytes) -> None:
        keys = self._keys
        watched = [keys.running(limit), keys.parked(limit)]

        async def decide(ask: Ask) -> tuple[list[Command], tuple[float, float] | None]:
            time, score, rule, waiting = await ask(
                [
                    (b"TIME",), (b"ZSCORE", keys.openings, limit), (b"HGET", keys.rates, limit),
                    (b"ZCARD", keys.parked(limit)),
                ]
            )  # fmt: skip
            if score is None or rule is None or _text(score) != deadline:
                # another worker has taken over
                return [], None
            if not waiting:
                over = (b"HDEL", keys.rates, limit), (b"HDEL", keys.limits, limit)
                return [(b"ZREM", keys.openings, limit), *over], None
            now, (most, period) = server_time(time), rule.split()
            commands, free = await self._bring_back(ask, Place(limit, int(most), float(period)), waiting, now)
            return [*commands, (b"ZADD", keys.openings, _deadline(free), limit)], (now, free)

        following = await self._transactions.run(watched, decide)
        if following is None:
            self._looks.pop(limit, None)
        else:
            now, free = following
            self.watch(limit, free, now, _deadline(free))

    async def _bring_back(self, ask: Ask, place: Place, waiting: int, now: float) -> tuple[list[Command], float]:
        """Return commands, and when to look again."""
        keys, running, parked = self._keys, self._keys.running(place.limit), self._keys.parked(place.limit)
        taken, first = await ask(
            [
                (b"ZCOUNT", running, f"({now:.6f}", b"+inf"),
                (b"ZRANGE", running, f"({now:.6f}", b"+inf", b"BYSCORE", b"LIMIT", 0, 1, b"WITHSCORES"),
            ]
        )
        free = place.most - taken
        # a reservation ends later than the claim that follows it
        soon = min(float(first[0][1]), now + place.period) if first else now + place.period
        if free <= 0:
            return [], soon
        (ids,) = await ask([(b"ZRANGE", parked, 0, min(free, BATCH) - 1)])
        if not ids:
            return [], now
        bodies, cancelled = await ask([(b"HMGET", keys.bodies, *ids), (b"ZMSCORE", keys.cancelled, *ids)])
        # those that will only be dropped need no place
        runs = [
            id
            for id, body, since in zip(ids, bodies, cancelled, strict=True)
            if body is not None and since is None and not _expired(body, now)
        ]
        commands = [*put_into_stream(keys, ids, bodies), (b"ZREM", parked, *ids), (b"HDEL", keys.bodies, *ids)]
        if runs:
            until = f"{now + max(place.period, self._lease):.6f}"
            commands.append((b"ZADD", running, *(one for id in runs for one in (until, id))))
            commands.append((b"PEXPIRE", running, round(max(place.period, self._lease) * 1000) + 1000))
        if len(runs) < free:
            # at once: there are places left, or no jobs
            return commands, now
        return commands, soon


def _expired(body: bytes, now: float) -> bool:
    stored = read_body(body)
    return stored is not None and 0 < stored[1].expires < now


def _deadline(free: float) -> bytes:
    return _text(free + TAKE_OVER_SECONDS)


def _text(score: float) -> bytes:
    # in the form in which a score is both sent and compared
    return f"{score:.3f}".encode()
