"""Pages of keys that match a pattern: a bounded number of keys of the server is looked at for each page.

A position is "number of the node:cursor". A page has all keys of a slice, so it may be longer than asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from coredis.exceptions import RedisError

from consumers.connecting import Client, Command
from consumers.console.asking import ask_node, nodes

__all__ = ["escaped", "scan"]

SLICE = 1000
"""Keys of the largest slice. The first one has as many as are wanted, in case that all of them match."""

SLICES = 12
"""Slices for one page, about 10,000 keys in all: a page may be empty, and not the last."""


async def scan(
    client: Client, pattern: str | bytes, after: str | None, limit: int, type: str = ""
) -> tuple[Sequence[bytes], str | None]:
    """Return up to about `limit` keys, in no order, and the position for the next page; None at the end.

    type: only keys of this type. Raises ValueError for another position, and the server's refusal.
    """
    here = nodes(client)
    number, cursor = _position(after)
    found: list[bytes] = []
    size = min(SLICE, limit)
    for _ in range(SLICES):
        if number >= len(here):
            return found, None
        command: Command = (b"SCAN", cursor, b"MATCH", pattern, b"COUNT", size, *((b"TYPE", type) if type else ()))
        (reply,) = await ask_node(client, here[number], [command])
        if isinstance(reply, RedisError):
            raise reply
        cursor = reply[0].decode() if isinstance(reply[0], bytes) else str(reply[0])
        found += reply[1]
        if cursor == "0":
            number += 1
        if len(found) >= limit:
            break
        size = min(SLICE, 4 * size)
    return found, None if number >= len(here) else f"{number}:{cursor}"


def _position(text: str | None) -> tuple[int, str]:
    if not text:
        return 0, "0"
    number, _, cursor = text.partition(":")
    if not (number.isascii() and number.isdecimal() and cursor.isascii() and cursor.isdecimal()):
        raise ValueError(f"{text!r} is not a position among the server's keys")
    return int(number[:9]), cursor


def escaped(text: str) -> str:
    """Return a part of a pattern that matches this text only."""
    return "".join(f"\\{one}" if one in "*?[]\\" else one for one in text)
