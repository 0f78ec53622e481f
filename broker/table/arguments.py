"""Arguments to Python values, with Redis's errors: numbers and time-outs, and converters for numbers of options."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Final

from protocol.errors import (
    NOT_FLOAT,
    NOT_INTEGER,
    TIMEOUT_NEGATIVE,
    TIMEOUT_NOT_FLOAT,
    TIMEOUT_NOT_INTEGER,
    TIMEOUT_OUT_OF_RANGE,
    CommandError,
)
from protocol.long_doubles import parse_long_double
from protocol.numbers import parse_double, parse_integer

MAX_INTEGER: Final = (1 << 63) - 1


def integer(argument: bytes, error: bytes = NOT_INTEGER) -> int:
    """A signed 64-bit integer; raises with `error`."""
    value = parse_integer(argument)
    if value is None:
        raise CommandError(error)
    return value


def integer_between(argument: bytes, low: int, high: int, error: bytes) -> int:
    """An integer from `low` to `high`; raises with `error`."""
    value = parse_integer(argument)
    if value is None or not low <= value <= high:
        raise CommandError(error)
    return value


def at_least(low: int, error: bytes, most: int = MAX_INTEGER) -> Callable[[bytes], int]:
    """A converter (broker/table/parsers.py) for integers, of which those below `low` or above `most` raise `error`."""

    def convert(argument: bytes) -> int:
        value = parse_integer(argument)
        if value is None:
            raise CommandError(NOT_INTEGER)
        if not low <= value <= most:
            raise CommandError(error)
        return value

    return convert


def between(low: int, high: int, error: bytes) -> Callable[[bytes], int]:
    """`integer_between` as a converter: whatever is no integer from `low` to `high` raises `error`."""

    def convert(argument: bytes) -> int:
        value = parse_integer(argument)
        if value is None or not low <= value <= high:
            raise CommandError(error)
        return value

    return convert


def double(argument: bytes, error: bytes = NOT_FLOAT) -> float:
    """A floating-point number, not nan; raises with `error`."""
    value = parse_double(argument)
    if value is None:
        raise CommandError(error)
    return value


def timeout_seconds(argument: bytes, now: int) -> int:
    """A blocking command's time-out in seconds, as milliseconds (rounded up); 0 waits forever.

    `now` is the wall time in milliseconds: a time-out that would end past 2^63-1 is refused.
    """
    if argument == b"0":
        return 0
    seconds = parse_long_double(argument)
    if seconds is None:
        raise CommandError(TIMEOUT_NOT_FLOAT)
    if seconds > MAX_INTEGER // 1000:
        raise CommandError(TIMEOUT_OUT_OF_RANGE)
    return _timeout(ceil(max(seconds, -1) * 1000), now)


def timeout_milliseconds(argument: bytes, now: int) -> int:
    """A blocking command's time-out in milliseconds; 0 waits forever."""
    value = parse_integer(argument)
    if value is None:
        raise CommandError(TIMEOUT_NOT_INTEGER)
    # Not through _timeout: consumers send one with every read.
    if value < 0:
        raise CommandError(TIMEOUT_NEGATIVE)
    if value > MAX_INTEGER - now:
        raise CommandError(TIMEOUT_OUT_OF_RANGE)
    return value


def _timeout(milliseconds: int, now: int) -> int:
    if milliseconds < 0:
        raise CommandError(TIMEOUT_NEGATIVE)
    if milliseconds > MAX_INTEGER - now:
        raise CommandError(TIMEOUT_OUT_OF_RANGE)
    return milliseconds
