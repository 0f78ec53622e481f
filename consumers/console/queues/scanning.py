"""Pages of keys that match a pattern, for what a library keeps in no list: a bounded number of keys for each page.

A position is "number of the node:cursor". A page has all keys of a slice, so it may be longer than asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from coredis.exceptions import RedisError

from consumers.connecting import Client
from consumers.console.asking import ask_node, nodes

__all__ = ["scan"]

SLICE = 1000
SLICES = 10
"""So many keys of the server are looked at for one page, 10,000 in all: a page may be empty, and not the last."""


async def scan(client: Client, pattern: str, after: str | None, limit: int) -> tuple[Sequence[bytes], str | None]:
    """Return up to about `limit` keys, in no order, and the position for the next page; None at the end.

    Raises ValueError for another position, and the server's refusal.
    """
    here = nodes(client)
    number, cursor = _position(after)
    found: list[bytes] = []
    for _ in range(SLICES):
        if number >= len(here):
            return found, None
        (reply,) = await ask_node(client, here[number], [(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", SLICE)])
        if isinstance(reply, RedisError):
            raise reply
        cursor = reply[0].decode() if isinstance(reply[0], bytes) else str(reply[0])
        found += reply[1]
        if cursor == "0":
            number += 1
        if len(found) >= limit:
            break
    return found, None if number >= len(here) else f"{number}:{cursor}"


def _position(text: str | None) -> tuple[int, str]:
    if not text:
        return 0, "0"
    number, _, cursor = text.partition(":")
    if not (number.isascii() and number.isdecimal() and cursor.isascii() and cursor.isdecimal()):
        raise ValueError(f"{text!r} is not a position in a list of jobs")
    return int(number[:9]), cursor
