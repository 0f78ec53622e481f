"""How doubles are written: scores and other floating-point numbers in replies of both protocol versions.

`_doubles.pyx` is the compiled twin, since a reply may hold a score for each of its members.
"""

from typing import Final

from protocol.native import prefer
from protocol.shortest import shortest_digits

_INFINITY: Final = float("inf")

# Integral values up to here are written as integers (Redis's double2ll).
_INTEGRAL_MAX: Final = float(2**62)


def format_double(x: float) -> bytes:
    """The text of a double: Redis's `d2string`.

    Integral values up to 2^62 have no point and no exponent. Others have the form of the Grisu2 algorithm, which now
    and then has one digit more than Python's repr().
    """
    if x.is_integer():
        if x == 0:
            return b"-0" if str(x)[0] == "-" else b"0"
        if -_INTEGRAL_MAX <= x <= _INTEGRAL_MAX:
            return b"%d" % x
    elif x != x:
        return b"nan"
    elif x == _INFINITY:
        return b"inf"
    elif x == -_INFINITY:
        return b"-inf"
    # 0.5 us instead of 3 for the digits. With up to three digits after the point and 15 in all, the decimal is never
    # nearer than 1/250 of the last bit's value to a rounding boundary, and Grisu2's error is half of that.
    text = repr(x)
    if len(text) - text.find(".") <= 4 and len(text) <= 16:
        return text.encode()
    if x < 0:
        return b"-" + _positive_text(-x, 17)
    return _positive_text(x, 18)


def _positive_text(x: float, most_digits: int) -> bytes:
    """Lay out a positive double's digits: plain if that stays short, otherwise with an exponent.

    `most_digits` bounds the digits of the exponent form only, as in Redis, whose buffer is 24 bytes.
    """
    number, exponent = shortest_digits(x)
    digits = b"%d" % number
    count = len(digits)
    magnitude = count + exponent - 1
    if exponent >= 0 and abs(magnitude) < count + 7:
        return digits + b"0" * exponent
    if exponent < 0 and (exponent > -7 or abs(magnitude) < 4):
        point = count + exponent
        if point <= 0:
            return b"0." + b"0" * -point + digits
        return digits[:point] + b"." + digits[point:]
    point_and_rest = b"." + digits[1:most_digits] if count > 1 else b""
    return b"%b%be%b%d" % (digits[:1], point_and_rest, b"-" if magnitude < 0 else b"+", abs(magnitude))


prefer(globals(), "protocol._doubles", "format_double")
