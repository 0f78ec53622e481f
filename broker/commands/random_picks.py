"""HRANDFIELD, SRANDMEMBER, ZRANDMEMBER: parsing their count, and picking keys of a dict by it.

A positive count asks for that many distinct keys, a negative one for that many independent draws.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from broker.table.arguments import MAX_INTEGER, integer
from broker.values.positions import draw_keys, sample_keys
from protocol.errors import OUT_OF_RANGE, SYNTAX, CommandError

MAX_DRAWS: Final = 2_000_000
"""Most draws per call, about a second's work. Redis streams any number to the client; here the reply is built first."""

COUNT_RANGE: Final = b"ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"

K = TypeVar("K")


def pick_arguments(args: list[bytes], word: bytes) -> tuple[int, bool]:
    """Returns the count, which must be present, and whether `word` follows it; errors come in Redis's order."""
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
    """Returns the keys that a nonzero count picks; raises for too many draws. The dict must not be empty."""
    return pick_by(partial(sample_keys, d), partial(draw_keys, d), count)


def pick_by(sample: Callable[[int], list[K]], draw: Callable[[int], list[K]], count: int) -> list[K]:
    """Does the same with functions that return that many distinct keys (`sample`) and draws (`draw`)."""
    if count > 0:
        return sample(count)
    if count < -MAX_DRAWS:
        raise CommandError(OUT_OF_RANGE)
    return draw(-count)
