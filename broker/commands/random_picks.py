"""HRANDFIELD, SRANDMEMBER, ZRANDMEMBER: their count, and the keys of a dict that it picks.

A count above 0 asks for that many different keys, one below 0 for so many draws from all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from broker.table.arguments import MAX_INTEGER, integer
from broker.values.positions import draw_keys, sample_keys
from protocol.errors import OUT_OF_RANGE, SYNTAX, CommandError

MAX_DRAWS: Final = 2_000_000
"""Draws at most, about a second's work. Redis streams any number of them to a client; here a reply is built first."""

COUNT_RANGE: Final = b"ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"

K = TypeVar("K")


def pick_arguments(args: list[bytes], word: bytes) -> tuple[int, bool]:
    """The count, which is there, and whether `word` follows it, in Redis's order of errors."""
    count = integer(args[2])
    if count < -MAX_INTEGER:
        raise CommandError(COUNT_RANGE)
    if len(args) == 3:
        return count, False
    if len(args) > 4 or args[3].upper() != word:
        raise CommandError(SYNTAX)
    if abs(count) > MAX_INTEGER // 2:
        raise CommandError(OUT_OF_RANGE)
    return count, True


def pick(d: dict[K, Any], count: int) -> list[K]:
    """The keys that a count other than 0 picks; raises for too many draws. The dict must not be empty."""
    return pick_by(partial(sample_keys, d), partial(draw_keys, d), count)


def pick_by(sample: Callable[[int], list[K]], draw: Callable[[int], list[K]], count: int) -> list[K]:
    """What a count other than 0 picks, by functions for so many different ones and for so many draws."""
    if count > 0:
        return sample(count)
    if count < -MAX_DRAWS:
        raise CommandError(OUT_OF_RANGE)
    return draw(-count)
