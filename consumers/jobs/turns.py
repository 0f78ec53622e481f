"""Fairness between tenants: each has a backlog on the server, and they take turns in adding a job to the stream.

A job that is enqueued is put into its tenant's backlog, a parked set like those of limits, and its tenant into the
rotation of the job's priority. A worker that has room fills the stream from there: one job of each tenant per round. It
never holds more than workers can take, so a new tenant's job waits for that and for one round, however many jobs
the others have waiting.

The rotation is a sorted set of tenants by the round in which each has its next turn. A tenant joins in the round after
the present one (as infinity, until a worker has seen it), so that newcomers can't keep others waiting either. One whose
backlog is empty keeps its place until its turn comes, so that coming back brings no advantage, and then leaves: what is
stored does not grow with the number of tenants that there ever were.

Filling the stream is one transaction that watches a counter raised by each such transaction, and by whoever else
removes jobs from backlogs; enqueueing disturbs it as little as it disturbs the other way round.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Awaitable, Callable, Sequence

import anyio
from coredis.exceptions import RedisError

from consumers.connection import Command
from consumers.doorbell import Doorbell
from consumers.groups import is_missing
from consumers.jobs.entries import JobEntry, body_of, put_into_stream
from consumers.jobs.names import GROUP, Keys
from consumers.retry import persist
from consumers.transactions import Ask, Transactions

__all__ = ["SHARED", "TURN", "Rotation", "line_up", "take_turns"]

SHARED = "-"
"""The tenant that the jobs without one share, in a queue in which others have one."""

TURN = b"turn"
"""The announcement on a queue's control channel that backlogs have grown."""

SWEEP_SECONDS = 1.0
"""How often a worker looks for backlogs whose announcement was lost."""

PAUSE = 0.01
"""How soon a worker with room looks again while there are backlogs, in seconds."""

NEWCOMERS = 1000
"""Tenants that join the rotation in one transaction, at most: far more than there is room for, so that it is all of
them, as their names are what is left to order them by until they have a round."""

LEAVING = 100
"""Tenants that leave the rotation in one transaction, at most."""


def backlog(keys: Keys, stream: str, tenant: str) -> str:
    """The name under which a tenant's jobs for this stream are parked."""
    return f"{stream.removeprefix(keys.prefix)}:{tenant}/turn"


def line_up(keys: Keys, stream: str, entry: JobEntry, position: float) -> list[Command]:
    """Commands that add a job to its tenant's backlog, of jobs by position. Announce TURN, too."""
    return [(b"HSET", keys.bodies, entry.id, body_of(stream, entry)), *take_turns(keys, stream, entry, position)]


def take_turns(keys: Keys, stream: str, entry: JobEntry, position: float) -> list[Command]:
    """The same for a job whose body is stored already."""
    name = backlog(keys, stream, entry.turn)
    return [
        (b"ZADD", keys.parked(name), f"{position:.0f}", entry.id),
        # what brings it back is no limit of any size
        (b"HSET", keys.limits, name, 0),
        (b"ZADD", keys.turns(stream), b"NX", b"+inf", entry.turn),
    ]


class Rotation:
    """Fills a queue's streams from the backlogs, for one worker.

    room: returns how many jobs it could take now. filled: called when there are jobs for it.
    """

    def __init__(
        self, keys: Keys, transactions: Transactions, room: Callable[[], int], filled: Callable[[], Awaitable[None]]
    ) -> None:
        self._keys = keys
        self._transactions = transactions
        self._room = room
        self._filled = filled
        self._bell = Doorbell()

    def poll(self) -> None:
        """Look for backlogs: they have grown, or the worker has room."""
        self._bell.ring()

    async def run(self) -> None:
        """Fill the streams, forever. Raises the server's permanent refusals."""
        while True:
            more = await persist(self.fill)
            if more:
                await anyio.sleep(PAUSE)
                continue
            with anyio.move_on_after(SWEEP_SECONDS):
                await self._bell.wait()

    async def fill(self) -> bool:
        """Let tenants take turns while there is room; returns whether there is still room, and some wait."""
        keys = self._keys
        if self._room() <= 0:
            return False
        try:
            waiting, idle, filled = await self._transactions.run([keys.admissions], self._fill)
        except RedisError as error:
            if not is_missing(error):
                raise
            # the worker's group is still to be created
            return False
        if filled:
            await self._filled()
        for stream, tenants in idle.items():
            await self._leave(stream, tenants)
        return (waiting or bool(idle)) and self._room() > 0

    async def _fill(self, ask: Ask) -> tuple[list[Command], tuple[bool, dict[str, list[str]], bool]]:
        keys, room = self._keys, self._room()
        streams = keys.in_order
        replies = await ask(
            [
                *((b"XLEN", stream) for stream in streams),
                *((b"ZRANGE", keys.turns(stream), 0, room, b"WITHSCORES") for stream in streams),
            ]
        )
        lengths, rotations = replies[: len(streams)], replies[len(streams) :]
        if not any(rotations):
            return [], (False, {}, False)
        pending = await ask([(b"XPENDING", stream, GROUP) for stream in streams])
        commands: list[Command] = []
        idle: dict[str, list[str]] = {}
        left = filled = False
        for stream, length, held, rotation in zip(streams, lengths, pending, rotations, strict=True):
            # what is in a stream and no worker has taken is taken first
            room -= max(0, length - held[0])
            if not rotation or room <= 0:
                left = left or bool(rotation)
                continue
            turns, idle[stream] = await self._turns(ask, stream, rotation, room)
            added, moved = await self._moves(ask, stream, turns)
            commands += added
            left = left or len(rotation) > len(idle[stream])
            room -= moved
            filled = filled or moved > 0
        if commands:
            commands.append((b"INCR", keys.admissions))
        return commands, (left, {stream: tenants for stream, tenants in idle.items() if tenants}, filled)

    async def _turns(
        self, ask: Ask, stream: str, rotation: Sequence[tuple[bytes, float]], room: int
    ) -> tuple[dict[str, tuple[int, float]], list[str]]:
        """Return how many turns each tenant has now, with the round of its next one, and tenants that have no jobs."""
        keys = self._keys
        (newcomers,) = await ask(
            [(b"ZRANGE", keys.turns(stream), b"+inf", b"+inf", b"BYSCORE", b"LIMIT", 0, NEWCOMERS)]
        )
        present = rotation[0][1] if rotation[0][1] < math.inf else 0.0
        rounds = {tenant.decode(): turn for tenant, turn in rotation if turn < math.inf}
        rounds |= {tenant.decode(): present + 1 for tenant in newcomers}
        tenants = list(rounds)
        if not tenants:
            # another worker has changed them between the two queries, so this is tried again
            return {}, []
        lengths = await ask([(b"ZCARD", keys.parked(backlog(keys, stream, tenant))) for tenant in tenants])
        waiting = dict(zip(tenants, lengths, strict=True))
        heap = [(turn, tenant) for tenant, turn in rounds.items()]
        heapq.heapify(heap)
        turns: dict[str, tuple[int, float]] = {tenant.decode(): (0, present + 1) for tenant in newcomers}
        idle: list[str] = []
        while heap and room > 0:
            turn, tenant = heap[0]
            taken = turns.get(tenant, (0, turn))[0]
            if taken == waiting[tenant]:
                heapq.heappop(heap)
                # one that has just had its turn stays until the next one
                idle += [tenant] if not taken else []
                continue
            turns[tenant] = taken + 1, turn + 1
            heapq.heapreplace(heap, (turn + 1, tenant))
            room -= 1
        return turns, idle

    async def _moves(self, ask: Ask, stream: str, turns: dict[str, tuple[int, float]]) -> tuple[list[Command], int]:
        """Return the commands for these turns, and how many jobs they add."""
        keys = self._keys
        taking = [(keys.parked(backlog(keys, stream, tenant)), count) for tenant, (count, _) in turns.items() if count]
        if not turns:
            return [], 0
        heads = await ask([(b"ZRANGE", parked, 0, count - 1) for parked, count in taking]) if taking else []
        ids = [id for head in heads for id in head]
        (bodies,) = await ask([(b"HMGET", keys.bodies, *ids)]) if ids else ([],)
        stored = dict(zip(ids, bodies, strict=True))
        # the first of each tenant come before the second of any
        order = sorted((place, number) for number, head in enumerate(heads) for place in range(len(head)))
        chosen = [id for place, number in order if stored[id := heads[number][place]] is not None]
        commands = put_into_stream(keys, chosen, [stored[id] for id in chosen])
        commands += [(b"ZREM", parked, *head) for (parked, _), head in zip(taking, heads, strict=True) if head]
        if ids:
            commands.append((b"HDEL", keys.bodies, *ids))
        scores = [one for tenant, (_, turn) in turns.items() for one in (f"{turn:.0f}", tenant)]
        return [*commands, (b"ZADD", keys.turns(stream), *scores)], len(chosen)

    async def _leave(self, stream: str, tenants: Sequence[str]) -> None:
        """Take tenants out of the rotation, unless they have jobs by now."""
        keys = self._keys
        for begin in range(0, len(tenants), LEAVING):
            names = {tenant: backlog(keys, stream, tenant) for tenant in tenants[begin : begin + LEAVING]}

            async def decide(ask: Ask, names: dict[str, str] = names) -> tuple[list[Command], None]:
                lengths = await ask([(b"ZCARD", keys.parked(name)) for name in names.values()])
                gone = [tenant for tenant, length in zip(names, lengths, strict=True) if not length]
                if not gone:
                    return [], None
                return [
                    (b"ZREM", keys.turns(stream), *gone), (b"HDEL", keys.limits, *(names[one] for one in gone)),
                    (b"INCR", keys.admissions),
                ], None  # fmt: skip

            await self._transactions.run([keys.admissions, *(keys.parked(name) for name in names.values())], decide)
