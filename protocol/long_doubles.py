"""The 80-bit long doubles that INCRBYFLOAT, HINCRBYFLOAT and similar commands compute with.

Redis uses the C compiler's long double, which on its common platforms is the x87 format: a 64-bit mantissa and a
15-bit exponent. Clients see its rounding (0.1 + 0.2 is 0.3, not 0.30000000000000004), and Python has no such
type. So a finite long double is a `Fraction` here, always rounded to 64 bits, and an infinity is a float;
both compare and order as numbers. The results are the same on every platform.
"""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final

LongDouble = Fraction | float

_INFINITY: Final = float("inf")
_MANTISSA_BITS: Final = 64
_EXPONENT_MAX: Final = 16384  # values are below 2^16384
_EXPONENT_MIN: Final = -16445  # the smallest positive value is 2^-16445
_TEXT_MAX: Final = 5 * 1024 - 1  # longer texts are refused, as by Redis
_FRACTION_DIGITS: Final = 17

# If the decimal exponent of a text's leading digit is outside these bounds, it over- or underflows whatever the digits.
_DECIMAL_EXPONENT_MAX: Final = 5000
_DECIMAL_EXPONENT_MIN: Final = -5000

# Python's int <-> str conversions refuse texts past 4,300 digits; Decimal does not.
_PLAIN_DIGITS: Final = 4000
_PLAIN_BITS: Final = 13_000

_DECIMAL: Final = re.compile(rb"([+-]?)(?=\.?[0-9])([0-9]*)\.?([0-9]*)(?:[eE]([+-]?)([0-9]+))?")
_HEXADECIMAL: Final = re.compile(
    rb"([+-]?)0[xX](?=\.?[0-9a-fA-F])([0-9a-fA-F]*)\.?([0-9a-fA-F]*)(?:[pP]([+-]?)([0-9]+))?"
)
_INFINITIES: Final = frozenset((b"inf", b"infinity"))


def parse_long_double(data: bytes) -> LongDouble | None:
    """Parse a long double like Redis's `string2ld`; None for a text that is not one, for nan, and out of range.

    Accepts what C's strtold does except white space, including infinities.
    """
    if len(data) > _TEXT_MAX:
        return None
    match = _DECIMAL.fullmatch(data)
    if match is not None:
        base, exponent_base = 10, 10
    else:
        match = _HEXADECIMAL.fullmatch(data)
        if match is None:
            sign = data[:1]
            if data[sign in (b"+", b"-") :].lower() in _INFINITIES:
                return -_INFINITY if sign == b"-" else _INFINITY
            return None
        base, exponent_base = 16, 2
    sign, whole, fraction, exponent_sign, exponent_digits = match.groups()
    digits = (whole + fraction).lstrip(b"0")
    if not digits:
        return Fraction(0)
    exponent_digits = (exponent_digits or b"0").lstrip(b"0") or b"0"
    if len(exponent_digits) > 9:
        return None
    exponent = int(exponent_digits) * (-1 if exponent_sign == b"-" else 1)
    exponent -= len(fraction) * (4 if base == 16 else 1)
    magnitude = _magnitude(digits, base, exponent_base, exponent)
    if magnitude is None or not magnitude:
        return None
    return -magnitude if sign == b"-" else magnitude


def _magnitude(digits: bytes, base: int, exponent_base: int, exponent: int) -> Fraction | None:
    """The rounded value of non-zero `digits` times a power; None when it overflows, 0 when it underflows."""
    if base == 10:
        leading = len(digits) + exponent
        if not _DECIMAL_EXPONENT_MIN < leading < _DECIMAL_EXPONENT_MAX:
            return None
        number = int(digits) if len(digits) <= _PLAIN_DIGITS else int(Decimal(digits.decode("ascii")))
    else:
        number = int(digits, 16)
        if not 2 * _EXPONENT_MIN < number.bit_length() + exponent < 2 * _EXPONENT_MAX:
            return None
    if exponent >= 0:
        return _rounded(number * exponent_base**exponent, 1)
    return _rounded(number, exponent_base**-exponent)


def _rounded(numerator: int, denominator: int) -> Fraction | None:
    """A non-negative ratio rounded to the nearest long double, ties to even; None when that overflows."""
    exponent = numerator.bit_length() - denominator.bit_length() - _MANTISSA_BITS
    exponent = max(exponent, _EXPONENT_MIN)
    while True:
        divisor = denominator << max(exponent, 0)
        mantissa, remainder = divmod(numerator << max(-exponent, 0), divisor)
        if mantissa.bit_length() <= _MANTISSA_BITS:
            break
        exponent += 1
    if 2 * remainder > divisor or (2 * remainder == divisor and mantissa & 1):
        mantissa += 1
    if mantissa.bit_length() + exponent > _EXPONENT_MAX:
        return None
    return Fraction(mantissa << exponent) if exponent >= 0 else Fraction(mantissa, 1 << -exponent)


def sum_long_doubles(a: LongDouble, b: LongDouble) -> LongDouble | None:
    """The rounded sum; None when it would be infinite or nan."""
    if not isinstance(a, Fraction) or not isinstance(b, Fraction):
        return None
    total = a + b
    magnitude = _rounded(abs(total.numerator), total.denominator)
    return magnitude if magnitude is None or total >= 0 else -magnitude


def format_long_double(value: LongDouble) -> bytes:
    """Redis's human-friendly text: 17 digits after the point, trailing zeros cut, never an exponent."""
    if not isinstance(value, Fraction):
        return b"inf" if value > 0 else b"-inf"
    numerator, denominator = abs(value.numerator) * 10**_FRACTION_DIGITS, value.denominator
    scaled, remainder = divmod(numerator, denominator)
    if 2 * remainder > denominator or (2 * remainder == denominator and scaled & 1):
        scaled += 1
    if not scaled:
        return b"0"
    text = str(scaled) if scaled.bit_length() < _PLAIN_BITS else str(Decimal(scaled))
    text = text.rjust(_FRACTION_DIGITS + 1, "0")
    text = f"{text[:-_FRACTION_DIGITS]}.{text[-_FRACTION_DIGITS:]}".rstrip("0").rstrip(".")
    return (f"-{text}" if value < 0 else text).encode("ascii")


def add_long_double(a: bytes, b: bytes) -> bytes | None:
    """The text of the sum of two long double texts; None when the sum would be infinite or nan.

    Raises:
        ValueError: one of the two texts is not a long double.
    """
    first, second = parse_long_double(a), parse_long_double(b)
    if first is None or second is None:
        raise ValueError("not a long double")
    total = sum_long_doubles(first, second)
    return None if total is None else format_long_double(total)
