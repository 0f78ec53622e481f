"""The digits of a double by the Grisu2 algorithm, as Redis 8 writes scores.

Python's repr() returns the shortest text that reads back as the same double. Grisu2 (Florian Loitsch, "Printing
floating-point numbers quickly and accurately with integers", 2010) works on 64-bit approximations and narrows
the rounding interval by their error, so about one double in a thousand gets an extra digit or a different last
digit. Clients that compare scores as text see that, hence the same algorithm here, in exact integers.
"""

import struct
from functools import cache
from typing import Final

_MANTISSA_BITS: Final = 52
_MANTISSA_MASK: Final = (1 << _MANTISSA_BITS) - 1
_EXPONENT_BIAS: Final = 1023 + _MANTISSA_BITS
_HALF: Final = 1 << 63

# The cached powers of ten: every eighth from 10^-348 on. The scaled exponent has to be within -60 to -32.
POWERS: Final = 87
POWER_FIRST: Final = -348
POWER_STEP: Final = 8
_SCALED_MIN: Final = -60
_SCALED_MAX: Final = -32
_LOG10_OF_2: Final = 0.30102999566398114

# Units are tried from 10^9 down to 10^-18, as integers scaled by 10^18.
_UNIT_LARGEST: Final = 9
_SCALE_DIGITS: Final = 18
_SCALE: Final = 10**_SCALE_DIGITS
_UNITS: Final = [10**n for n in range(_UNIT_LARGEST + _SCALE_DIGITS, -1, -1)]

_pack = struct.Struct("<d").pack
_unpack = struct.Struct("<Q").unpack


def shortest_digits(x: float) -> tuple[int, int]:
    """Return the digits (as one integer) and the decimal exponent of `x`, which must be positive and finite.

    The value is digits * 10^exponent.
    """
    bits: int = _unpack(_pack(x))[0]
    fraction = bits & _MANTISSA_MASK
    exponent = bits >> _MANTISSA_BITS
    closer_below = False
    if exponent:
        closer_below = fraction == 0
        fraction += 1 << _MANTISSA_BITS
    else:
        exponent = 1
    shift = 64 - fraction.bit_length()
    exponent -= _EXPONENT_BIAS + shift
    power, power_exponent, decimal = _scaling(exponent)

    # The value and its two rounding boundaries, each as a multiple of 2^-point.
    value = fraction << shift
    half = 1 << (shift - 1)
    upper = (((value + half) * power + _HALF) >> 64) - 1
    lower = (((value - (half >> 1 if closer_below else half)) * power + _HALF) >> 64) + 1
    value = (value * power + _HALF) >> 64
    point = -(exponent + power_exponent + 64)

    # Find the largest unit that has a multiple within the boundaries; the remainder can only fall with the unit.
    width = (upper - lower) * _SCALE
    scaled = upper * _SCALE
    low, high = 0, len(_UNITS) - 1
    while low < high:
        middle = (low + high) >> 1
        if scaled % (_UNITS[middle] << point) <= width:
            high = middle
        else:
            low = middle + 1
    unit = _UNITS[low] << point
    digits, remainder = divmod(scaled, unit)
    while remainder == width and low > _UNIT_LARGEST:  # only units of 1 and more may hit the boundary itself
        low += 1
        unit = _UNITS[low] << point
        digits, remainder = divmod(scaled, unit)

    # Step down to the multiple nearest the value.
    target = (upper - value) * _SCALE
    while (
        remainder < target
        and width - remainder >= unit
        and (remainder + unit < target or target - remainder > remainder + unit - target)
    ):
        digits -= 1
        remainder += unit
    return digits, _UNIT_LARGEST - low - decimal


@cache
def _scaling(exponent: int) -> tuple[int, int, int]:
    """Return the cached power of ten for values with a binary exponent: 64-bit mantissa, exponent, decimal exponent.

    More than one power can fit, so the search starts from the same estimate as Redis's. The cache is bounded: there
    are 2,100 exponents.
    """
    index = (int(-(exponent + POWERS) * _LOG10_OF_2) - POWER_FIRST) // POWER_STEP
    while True:
        decimal = POWER_FIRST + index * POWER_STEP
        power, power_exponent = power_of_ten(decimal)
        scaled = exponent + power_exponent + 64
        if scaled < _SCALED_MIN:
            index += 1
        elif scaled > _SCALED_MAX:
            index -= 1
        else:
            return power, power_exponent, decimal


def power_of_ten(decimal: int) -> tuple[int, int]:
    """10^decimal as a 64-bit mantissa, rounded to nearest, and a binary exponent."""
    numerator, denominator = (10**decimal, 1) if decimal >= 0 else (1, 10**-decimal)
    exponent = numerator.bit_length() - denominator.bit_length() - 64
    while True:
        if exponent >= 0:
            mantissa, remainder = divmod(numerator, denominator << exponent)
            round_up = 2 * remainder >= denominator << exponent
        else:
            mantissa, remainder = divmod(numerator << -exponent, denominator)
            round_up = 2 * remainder >= denominator
        if mantissa.bit_length() <= 64:
            return mantissa + round_up, exponent
        exponent += 1
