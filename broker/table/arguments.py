"""Converting arguments to Python values, with Redis's errors: numbers, timeouts, and converters for options."""

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
    """Parses a signed 64-bit integer; raises CommandError with `error`."""
    value = parse_integer(argument)
    if value is None:
        raise CommandError(error)
    return value


def integer_between(argument: bytes, low: int, high: int, error: bytes) -> int:
    """Parses an integer from `low` to `high`; raises CommandError with `error`."""
    value = parse_integer(argument)
    if value is None or not low <= value <= high:
        raise CommandError(error)
    return value


def at_least(low: int, error: bytes, most: int = MAX_INTEGER) -> Callable[[bytes], int]:
    """Returns a converter (broker/table/parsers.py) for integers that raises `error` below `low` or above `most`."""

    def convert(argument: bytes) -> int:
        value = parse_integer(argument)
        if value is None:
            raise CommandError(NOT_INTEGER)
        if not low <= value <= most:
            raise CommandError(error)
        return value

    return convert


def between(low: int, high: int, error: bytes) -> Callable[[bytes], int]:
    """`integer_between` as a converter: anything but an integer from `low` to `high` raises `error`."""

    def convert(argument: bytes) -> int:
        value = parse_integer(argument)
        if value is None or not low <= value <= high:
            raise CommandError(error)
        return value

    return convert


def double(argument: bytes, error: bytes = NOT_FLOAT) -> float:
    """Parses a floating-point number other than nan; raises CommandError with `error`."""
    value = parse_double(argument)
    if value is None:
        raise CommandError(error)
    return value


def timeout_seconds(argument: bytes, now: int) -> int:
    """Converts a blocking command's timeout in seconds to milliseconds (rounded up); 0 waits forever.

    `now` is the wall time in milliseconds; a timeout that would end after 2^63-1 is refused.
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
    """Parses a blocking command's timeout in milliseconds; 0 waits forever."""
    value = parse_integer(argument)
    if value is None:
        raise CommandError(TIMEOUT_NOT_INTEGER)
    # Inlines _timeout, since consumers send a timeout with every read.
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
