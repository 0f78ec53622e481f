"""Finds out whether jobs still exist: waiting for a time or a place, in a stream, or ended with a stored result.

Job IDs are not indexed, since that would cost every job a command. So the streams are read in full, but only for
awaited jobs, for all of them together, and rarely.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from coredis.exceptions import RedisError

from consumers.connection import Command, Link, Reply
from consumers.jobs.flow_state import split_id
from consumers.jobs.names import Keys

__all__ = ["PAGE", "missing", "query"]

PAGE = 1000
"""Stream entries, or queries about jobs, per round trip."""


async def missing(link: Link, keys: Keys, ids: Iterable[str]) -> set[str]:
    """Return the IDs for which nothing was found.

    A job that moves at just the wrong time may be among them, so only a job that is missing twice is gone.
    """
    left = set(ids)
    await _strike(link, left, [_questions(keys, id) for id in left])
    for stream in keys.in_order:
        if left:
            await _strike_entries(link, stream, left)
    # one that failed meanwhile has left its stream for the place that was searched first
    await _strike(link, left, [_questions(keys, id) for id in left])
    return left


def _questions(keys: Keys, id: str) -> list[Command]:
    """Queries of which one is answered with 1 if the job has a result, or is in no stream but will be."""
    questions: list[Command] = [(b"HEXISTS", keys.bodies, id), (b"EXISTS", keys.result(id))]
    flow, node = split_id(id)
    # one that a workflow has not started yet, or a workflow
    questions.append((b"HEXISTS", keys.flow(flow), f"b:{node}") if node else (b"EXISTS", keys.flow(id)))
    return questions


async def _strike(link: Link, left: set[str], questions: Collection[list[Command]]) -> None:
    """Discard the IDs for which any query is answered with 1."""
    asked = list(zip(list(left), questions, strict=True))
    for begin in range(0, len(asked), PAGE):
        page = asked[begin : begin + PAGE]
        replies = await query(link, [one for _, some in page for one in some])
        for place, (id, some) in enumerate(page):
            if any(replies[place * len(some) : (place + 1) * len(some)]):
                left.discard(id)


async def _strike_entries(link: Link, stream: str, left: set[str]) -> None:
    """Discard the IDs that have an entry in the stream."""
    first = "-"
    while left:
        (entries,) = await query(link, [(b"XRANGE", stream, first, b"+", b"COUNT", PAGE)])
        for _, values in entries:
            fields = dict(zip(values[::2], values[1::2], strict=True))
            left.discard(fields.get(b"id", b"").decode("utf-8", "replace"))
        if len(entries) < PAGE:
            return
        first = f"({entries[-1][0].decode()}"


async def query(link: Link, commands: Sequence[Command]) -> list[Reply]:
    """Execute commands in one round trip and return their replies; raises the first that is an error."""
    replies = await link.execute(commands) if commands else []
    for reply in replies:
        if isinstance(reply, RedisError):
            raise reply
    return replies
