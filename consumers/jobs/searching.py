"""Whether jobs are still anywhere: waiting for a time or a place, in a stream, or ended with a result that is kept.

A job's ID is in no index, since that would cost every job a command. So the streams are read through, which is done for
awaited jobs alone, all in one go, and seldom.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from coredis.exceptions import RedisError

from consumers.connection import Command, Link, Reply
from consumers.jobs.names import Keys

__all__ = ["missing"]

PAGE = 1000
"""Entries of a stream, or questions about jobs, in one round trip."""


async def missing(link: Link, keys: Keys, ids: Iterable[str]) -> set[str]:
    """Those of the IDs under which nothing was found.

    A job that changes its place at just the wrong time may be among them, so only who is missing twice is gone.
    """
    left = set(ids)
    await _strike(link, left, [[(b"HEXISTS", keys.bodies, id), (b"EXISTS", keys.result(id))] for id in left])
    for stream in keys.in_order:
        if left:
            await _strike_entries(link, stream, left)
    # one that failed meanwhile has left its stream for the place that was looked at first
    await _strike(link, left, [[(b"HEXISTS", keys.bodies, id), (b"EXISTS", keys.result(id))] for id in left])
    return left


async def _strike(link: Link, left: set[str], questions: Collection[list[Command]]) -> None:
    """Take those off the list of whom any of their questions is answered with 1."""
    asked = list(zip(list(left), questions, strict=True))
    for begin in range(0, len(asked), PAGE):
        page = asked[begin : begin + PAGE]
        replies = [_raised(reply) for reply in await link.execute([one for _, some in page for one in some])]
        for place, (id, some) in enumerate(page):
            if any(replies[place * len(some) : (place + 1) * len(some)]):
                left.discard(id)


async def _strike_entries(link: Link, stream: str, left: set[str]) -> None:
    """Take those off the list that a stream has entries of."""
    first = "-"
    while left:
        (reply,) = await link.execute([(b"XRANGE", stream, first, b"+", b"COUNT", PAGE)])
        entries = _raised(reply)
        for _, values in entries:
            fields = dict(zip(values[::2], values[1::2], strict=True))
            left.discard(fields.get(b"id", b"").decode("utf-8", "replace"))
        if len(entries) < PAGE:
            return
        first = f"({entries[-1][0].decode()}"


def _raised(reply: Reply) -> Reply:
    if isinstance(reply, RedisError):
        raise reply
    return reply
