"""IDs that the caller gives: a job is not added again while its ID is remembered.

The marker of an ID is a key of its own, set in the same transaction that adds the job, and watched by it. So an enqueue
whose outcome is unknown may be repeated, and rivals that enqueue the same ID add one job. A marker outlives its job:
it is kept for `remember_ids` seconds, from when the job is due.

Redis's own means for this, XADD with IDMP, would save a round trip (an enqueue with an ID takes three times as long as
one without), but is not used, since it can't keep the promise:

- It remembers 10,000 IDs of a producer at most, for a day at most. A producer for each ID has no such limit, but costs
  more memory than a marker: 219 bytes instead of 149 on Redis 8.10, 529 instead of 230 here (16-byte IDs, 10,000 of
  them; with one producer for all, 96 and 189).
- It belongs to a stream, and a queue has one for each priority. Jobs that wait for a time or a turn are in none, and
  when they come, no second answer to whoever enqueued them is possible.
- The reply is an entry's ID, whether the entry is new or not, so `job.created` would cost the round trip again.
- An ID can't be forgotten, as delete() promises.
- Servers before 8.6 don't have it, and programs on both sides of an upgrade would not know each other's IDs.
"""

from __future__ import annotations

from collections.abc import Sequence

from consumers.connection import Command
from consumers.jobs.names import Keys
from consumers.transactions import Ask

__all__ = ["check", "known", "marker_of", "remember", "time_of"]

LENGTH_LIMIT = 200


def check(id: object) -> str:
    """Return an ID that the caller has given. Raises TypeError or ValueError."""
    if not isinstance(id, str):
        raise TypeError(f"job_id is a str, not {type(id).__name__}: {id!r:.100}")
    if not id or len(id) > LENGTH_LIMIT or not id.isprintable() or " " in id:
        raise ValueError(f"job_id is {LENGTH_LIMIT} printable characters at most, without spaces: {id!r:.100}")
    return id


async def known(ask: Ask, keys: Keys, ids: Sequence[str]) -> tuple[dict[str, bytes], set[str]]:
    """Return the markers of those IDs that are remembered, and which IDs are on the list of cancelled jobs.

    Call it while the markers are watched.
    """
    if not ids:
        return {}, set()
    *markers, cancelled = await ask([*((b"GET", keys.own_id(id)) for id in ids), (b"ZMSCORE", keys.cancelled, *ids)])
    found = {id: marker for id, marker in zip(ids, markers, strict=True) if marker is not None}
    return found, {id for id, since in zip(ids, cancelled, strict=True) if since is not None}


def remember(keys: Keys, id: str, marker: bytes, seconds: float) -> Command:
    """The command that sets the marker of an ID."""
    return (b"SET", keys.own_id(id), marker, b"PX", max(1, round(seconds * 1000)))


def marker_of(now: float, token: str) -> bytes:
    """A marker: the time, and what tells one enqueue from all others."""
    return f"{now:.3f} {token}".encode()


def time_of(marker: bytes) -> float | None:
    """When the job was enqueued, in seconds since 1970."""
    try:
        return float(marker.split(b" ", 1)[0])
    except ValueError:
        return None
