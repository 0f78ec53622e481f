"""Places of unique jobs: while a job holds one, no other job is added for it.

A place is a sorted set of the jobs that have claimed it, by the end of their claim. So the end of a job removes that
job's claim and no other: neither its successor's, if its own claim had already run out, nor that of a job added after
it was cancelled. A job on the list of cancelled ones holds no place: enqueueing after a cancellation adds another job.

A workflow's job claims its place when it is started, whether or not others hold it, since its workflow can't go on with
another job. When its turn comes it waits for those with earlier claims.
"""

from __future__ import annotations

from collections.abc import Sequence

from consumers.connection import Command
from consumers.jobs.names import Keys
from consumers.transactions import Ask

__all__ = ["claim", "holders", "precedes", "prolong", "release"]


async def holders(ask: Ask, keys: Keys, places: Sequence[str], now: float) -> dict[str, str]:
    """Return the IDs of the jobs that hold these places, by place. Call it while the places are watched."""
    claims = await ask([(b"ZRANGE", keys.unique(place), f"{now:.3f}", b"+inf", b"BYSCORE") for place in places])
    found = {place: [id.decode() for id in ids] for place, ids in zip(places, claims, strict=True) if ids}
    if not found:
        return {}
    cancelled = await ask([(b"ZMSCORE", keys.cancelled, *ids) for ids in found.values()])
    living = {
        place: [id for id, since in zip(ids, scores, strict=True) if since is None]
        for (place, ids), scores in zip(found.items(), cancelled, strict=True)
    }
    return {place: ids[-1] for place, ids in living.items() if ids}


def claim(keys: Keys, place: str, id: str, now: float, seconds: float) -> list[Command]:
    """Commands that give the job the place, for at most `seconds`."""
    return [
        (b"ZREMRANGEBYSCORE", keys.unique(place), b"-inf", f"({now:.3f}"),
        (b"ZADD", keys.unique(place), f"{now + seconds:.3f}", id),
        (b"PEXPIRE", keys.unique(place), round(seconds * 1000)),
    ]


def prolong(keys: Keys, place: str, id: str, now: float, seconds: float) -> list[Command]:
    """Commands that let the job's claim last for `seconds` at least, if it has one."""
    if not place:
        return []
    return [
        (b"ZADD", keys.unique(place), b"XX", b"GT", f"{now + seconds:.3f}", id),
        (b"PEXPIRE", keys.unique(place), round(seconds * 1000), b"GT"),
    ]


def release(keys: Keys, place: str, id: str) -> list[Command]:
    """The command that ends the job's claim; none for a job that is not unique (place: "")."""
    return [(b"ZREM", keys.unique(place), id)] if place else []


async def precedes(ask: Ask, keys: Keys, place: str, id: str, now: float) -> bool:
    """Whether another job has an earlier claim to the place. Claims are ordered by their end."""
    (claims,) = await ask([(b"ZRANGE", keys.unique(place), f"{now:.3f}", b"+inf", b"BYSCORE")])
    ids = [one.decode() for one in claims]
    earlier = ids[: ids.index(id)] if id in ids else ids
    if not earlier:
        return False
    (cancelled,) = await ask([(b"ZMSCORE", keys.cancelled, *earlier)])
    return any(since is None for since in cancelled)
