"""RQ's jobs that a rate limit holds back: they are in no queue, but in a sorted set of their limit's.

rq:rl-keys                 a set: the limits
rq:rl:LIMIT:rate_limited   a sorted set: IDs of the jobs that it holds back, of all queues

Which queue a job belongs to, its hash says.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from consumers.connecting import Client
from consumers.console.asking import ask, integer, known, text

__all__ = ["Held", "held_back"]

LIMITS = 500
"""Limits that are asked for, about."""

SAMPLE = 1000
"""Jobs that are read to find out whose they are."""


@dataclass(slots=True)
class Held:
    """total: jobs that are held back. read: of how many the queue is known. queues: their IDs, by queue."""

    total: int = 0
    read: int = 0
    queues: dict[str, list[str]] = field(default_factory=dict)

    def share(self, queue: str) -> int:
        """How many are this queue's; in proportion, if not all were read."""
        found = len(self.queues.get(queue, ()))
        return found if self.read >= self.total else round(found * self.total / max(1, self.read))


async def held_back(client: Client, prefix: str) -> Held:
    """Return the jobs that the limits under a prefix hold back."""
    (reply,) = await ask(client, [(b"SSCAN", f"{prefix}:rl-keys", 0, b"COUNT", LIMITS)])
    limits = [f"{prefix}:rl:{text(one)}:rate_limited" for one in (known(reply) or (b"0", ()))[1]]
    counts = [integer(count) for count in await ask(client, [(b"ZCARD", one) for one in limits])]
    found, ids = Held(total=sum(counts)), list[str]()
    for limit, count in zip(limits, counts, strict=True):
        if count and len(ids) < SAMPLE:
            (page,) = await ask(client, [(b"ZRANGE", limit, 0, SAMPLE - len(ids) - 1)])
            ids += [text(id) for id in known(page) or ()]
    found.read = len(ids)
    origins = await ask(client, [(b"HGET", f"{prefix}:job:{id}", b"origin") for id in ids])
    for id, origin in zip(ids, origins, strict=True):
        found.queues.setdefault(text(known(origin)), []).append(id)
    return found
