"""Converting encoded replies of commands to what scripts see, and scripts' numbers to arguments.

A reply becomes something that lupa can pass to Lua directly: a plain value, or a tuple of a value and its kind, from
which the cage makes a table. Nearly all replies are integers, bulk strings, nil, statuses, or flat arrays; those are
parsed here without building anything in between.
"""

from __future__ import annotations

from math import copysign
from typing import Any, Final

from protocol.numbers import format_double

Plain = bytes | int | float | bool | None
Result = Plain | tuple[Any, ...]
"""A result for Lua: a plain value, or (value, kind, ...) with one of the kinds below."""

STATUS: Final = 1
ERROR: Final = 2
ARRAY: Final = 3
"""(None, ARRAY, values...): a table of these values."""
ENCODED: Final = 4
"""(reply, ENCODED): the cage parses the encoded reply."""
HELD: Final = 5
"""(None, HELD): the reply is large, and must be fetched."""

LARGE: Final = 1 << 15
"""Size in bytes from which a reply is fetched only after checking that Lua has room for it."""

MOST_UNPACKED: Final = 2000
"""Most elements that are passed one by one; Lua's C stack has room for 8,000 values."""

_DOLLAR, _COLON, _PLUS, _MINUS, _STAR = b"$:+-*"
_NIL: Final = b"$-1\r\n"
_EXACT: Final = 2.0**62


def number_text(number: float) -> bytes:
    """Converts a Lua number to an argument of a command: integral ones without point or exponent."""
    if number.__class__ is int:
        return b"%d" % number if -_EXACT <= number <= _EXACT else format_double(float(number))
    if number != number:
        return b"-nan" if copysign(1.0, number) < 0 else b"nan"
    return format_double(number)


def result(reply: bytes) -> Result:
    """Converts a reply for a script; an empty one becomes nil."""
    if not reply:
        return False
    kind = reply[0]
    if kind == _DOLLAR:
        if reply == _NIL:
            return False
        return reply[reply.index(b"\n") + 1 : -2]
    if kind == _COLON:
        return int(reply[1:-2])
    if kind == _PLUS:
        return reply[1:-2], STATUS
    if kind == _MINUS:
        return reply[1:-2], ERROR
    if kind == _STAR:
        return _array(reply)
    return reply, ENCODED


def _array(reply: bytes) -> Result:
    """Converts an array: to its elements if these are bulk strings, integers and nils, and not too many."""
    find = reply.index
    at = find(b"\r") + 2
    count = int(reply[1 : at - 2])
    if count < 0:
        return False
    if count > MOST_UNPACKED:
        return reply, ENCODED
    values: list[Any] = [None, ARRAY]
    append = values.append
    for _ in range(count):
        kind = reply[at]
        end = find(b"\r", at)
        if kind == _DOLLAR:
            size = int(reply[at + 1 : end])
            if size < 0:
                append(False)
                at = end + 2
            else:
                at = end + 2 + size
                append(reply[end + 2 : at])
                at += 2
        elif kind == _COLON:
            append(int(reply[at + 1 : end]))
            at = end + 2
        else:
            return reply, ENCODED
    return tuple(values)
