"""Arguments to Python values, with Redis's errors: numbers, time-outs, and options declared as text.

    _OPTIONS = Options("NX|XX", "GT|LT", "CH", "COUNT n", "LIMIT n n")
    given = _OPTIONS.parse(args, 2)
    given["NX"] -> bool, given["COUNT"] -> int | None, given["LIMIT"] -> tuple[int, int] | None

Each text declares tokens of which at most one may be given; a token may be followed by its values: `n` an
integer, `f` a float, `s` any bytes. Options come in any order and any case. A token given twice counts once for
flags and overrides for values, as in Redis; everything else is a syntax error.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any, Final

from protocol.errors import (
    NOT_FLOAT,
    NOT_INTEGER,
    SYNTAX,
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


def at_least(low: int, error: bytes) -> Callable[[bytes], int]:
    """A converter (see broker/table/parsers.py) for integers, of which those below `low` have an error of their own."""

    def convert(argument: bytes) -> int:
        value = integer(argument)
        if value < low:
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
    """A blocking command's time-out in seconds, as milliseconds (rounded up); 0 waits for ever.

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
    """A blocking command's time-out in milliseconds; 0 waits for ever."""
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


class Options:
    """A set of options, declared once at import and parsed for each request."""

    __slots__ = ("_defaults", "_tokens")

    def __init__(self, *declarations: str) -> None:
        # token -> (its values' kinds, the tokens it excludes)
        self._tokens: dict[bytes, tuple[str, tuple[str, ...]]] = {}
        self._defaults: dict[str, Any] = {}
        for declaration in declarations:
            alternatives = [alternative.split() for alternative in declaration.split("|")]
            names = [words[0] for words in alternatives]
            for name, *kinds in alternatives:
                others = tuple(other for other in names if other != name)
                self._tokens[name.encode()] = ("".join(kinds), others)
                self._defaults[name] = None if kinds else False

    def parse(self, args: list[bytes], start: int, stop: int | None = None) -> dict[str, Any]:
        """The options in `args[start:stop]`: flags as booleans, values as given, None where absent.

        Raises a syntax error for an unknown token, a missing value or two that exclude each other, and Redis's
        number errors for values that are no numbers.
        """
        found = dict(self._defaults)
        i = start
        end = len(args) if stop is None else stop
        while i < end:
            name = args[i].upper()
            declared = self._tokens.get(name)
            if declared is None:
                raise CommandError(SYNTAX)
            kinds, others = declared
            for other in others:
                if found[other] is not None and found[other] is not False:
                    raise CommandError(SYNTAX)
            i += 1
            if not kinds:
                found[name.decode()] = True
                continue
            if i + len(kinds) > end:
                raise CommandError(SYNTAX)
            values = tuple(_value(kind, args[i + k]) for k, kind in enumerate(kinds))
            found[name.decode()] = values[0] if len(values) == 1 else values
            i += len(kinds)
        return found


def _value(kind: str, argument: bytes) -> int | float | bytes:
    if kind == "n":
        return integer(argument)
    if kind == "f":
        return double(argument)
    return argument
