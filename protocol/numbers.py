"""Redis's strict number texts: what it accepts from a client, and how it writes numbers back.

Python's own int() and float() also accept `+5`, ` 5`, `05` and `1_0`, so client bytes go through these
functions and nothing else. Each returns None for a text that is not a valid number, and the caller has the
error text that fits its command.

Long doubles, which INCRBYFLOAT and similar commands compute with, come from `protocol.long_doubles`; `format_double` is
the compiled twin of `protocol.doubles` if that was built.
"""

import re
from typing import Final

from protocol.doubles import format_double
from protocol.long_doubles import (
    LongDouble,
    add_long_double,
    format_long_double,
    parse_long_double,
    sum_long_doubles,
)

__all__ = [
    "INFINITY",
    "INTEGER_MAX",
    "INTEGER_MIN",
    "UNSIGNED_MAX",
    "LongDouble",
    "add_long_double",
    "format_double",
    "format_long_double",
    "parse_double",
    "parse_integer",
    "parse_long_double",
    "parse_unsigned",
    "sum_long_doubles",
]

INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**63 - 1
UNSIGNED_MAX: Final = 2**64 - 1
INFINITY: Final = float("inf")

_SMALL: Final = {b"%d" % n: n for n in range(-1, 1024)}
_MINUS: Final = ord("-")
_ZERO: Final = ord("0")
_DECIMAL: Final = b"0123456789.+-eE"
_DECIMAL_PARTS: Final = re.compile(rb"[+-]?([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?")
_HEXADECIMAL: Final = re.compile(rb"[+-]?0[xX](?:([0-9a-fA-F]+)\.?([0-9a-fA-F]*)|\.([0-9a-fA-F]+))(?:[pP][+-]?[0-9]+)?")
_LENIENT_UNSIGNED: Final = re.compile(rb"[ \t\n\v\f\r]*([+-]?)([0-9]+)")
_INFINITIES: Final = {
    sign + name: -INFINITY if sign == b"-" else INFINITY for sign in (b"", b"+", b"-") for name in (b"inf", b"infinity")
}

# Redis parses a decimal text itself if it has at most 19 significant digits and a decimal exponent within
# these bounds, and otherwise calls the C library. Only the latter reports overflow and underflow.
_OWN_DIGITS: Final = 19
_OWN_EXPONENT_MIN: Final = -342
_OWN_EXPONENT_MAX: Final = 308


def parse_integer(data: bytes) -> int | None:
    """Parse a signed 64-bit integer like Redis's `string2ll`: an optional `-`, then digits without a leading zero.

    `+`, `-0`, spaces, underscores and values out of range are refused.
    """
    small = _SMALL.get(data)  # 45 ns instead of 130 for the checks below
    if small is not None:
        return small
    if data.isdigit():
        if data[0] == _ZERO or len(data) > 19:
            return None
        value = int(data)
        return value if value <= INTEGER_MAX else None
    if 2 <= len(data) <= 20 and data[0] == _MINUS and data[1] != _ZERO and data[1:].isdigit():
        value = int(data)
        return value if value >= INTEGER_MIN else None
    return None


def parse_unsigned(data: bytes) -> int | None:
    """Parse an unsigned 64-bit integer like Redis's `string2ull`, which parses the two parts of a stream ID.

    A negative number that `string2ll` accepts is refused. A text that it does not accept goes to the C library's
    strtoull, so leading white space, `+` and leading zeros are accepted, the text ends at a NUL, and a `-` that gets
    that far (`-0`, `-03`, ` -3`) negates modulo 2^64.
    """
    if data.isdigit() and len(data) <= 19:
        return int(data)
    text = data.split(b"\0", 1)[0]
    match = _LENIENT_UNSIGNED.fullmatch(text)
    if match is None:
        return None
    number = parse_integer(text)
    if number is not None:
        return number if number >= 0 else None
    sign, digits = match.groups()
    digits = digits.lstrip(b"0")
    if len(digits) > 20:
        return None
    value = int(digits or b"0")
    if value > UNSIGNED_MAX:
        return None
    return -value & UNSIGNED_MAX if sign == b"-" else value


def parse_double(data: bytes) -> float | None:
    """Parse a double like Redis's `string2d`: scores, coordinates, weights.

    Accepts what C's strtod does except white space: `3`, `-.5`, `1.`, `1e5`, hexadecimal floats, and `inf`
    or `infinity` in any case, with or without a sign. Refuses nan and texts out of range, with Redis's exception: short
    texts at the edge of the range (`9e308`, `1e-330`) become infinity or zero instead.
    """
    if data.isdigit() and len(data) <= _OWN_DIGITS:
        return float(data)  # needs none of the checks, which cost 0.2 us
    if data.translate(None, _DECIMAL):
        return _parse_special_double(data)
    try:
        value = float(data)
    except ValueError:
        return None
    if value != 0 and -INFINITY < value < INFINITY:
        return value
    return value if _parsed_by_redis_itself(data) else None


def _parse_special_double(data: bytes) -> float | None:
    infinity = _INFINITIES.get(data.lower())
    if infinity is not None:
        return infinity
    match = _HEXADECIMAL.fullmatch(data)
    if match is None:
        return None
    try:
        value = float.fromhex(data.decode("ascii"))
    except OverflowError:
        return None
    if value == 0 and any(part is not None and part.strip(b"0") for part in match.groups()):
        return None
    return value


def _parsed_by_redis_itself(data: bytes) -> bool:
    """Whether a decimal text that evaluated to zero or infinity is one that Redis does not check for range."""
    match = _DECIMAL_PARTS.fullmatch(data)
    if match is None:
        return False
    whole, fraction, exponent_text = match.groups()
    digits = (whole + fraction).lstrip(b"0")
    if not digits:
        return True
    if len(digits) > _OWN_DIGITS or (exponent_text is not None and len(exponent_text) > 9):
        return False
    exponent = int(exponent_text or b"0") - len(fraction)
    return _OWN_EXPONENT_MIN <= exponent <= _OWN_EXPONENT_MAX
