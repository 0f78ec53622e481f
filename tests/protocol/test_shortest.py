"""The digits of doubles, and that they are as few as Grisu2 finds."""

import math
import random
import struct

import pytest

from protocol.shortest import shortest_digits


@pytest.mark.parametrize(
    ("value", "digits", "exponent"),
    [
        (1.5, 15, -1),
        (0.1, 1, -1),
        (1e22, 1, 22),
        (1e23, 9999999999999999, 7),
        (5e-324, 5, -324),
        (2.2250738585072014e-308, 22250738585072014, -324),
        (1.7976931348623157e308, 17976931348623157, 292),
        (2.0**-1022, 22250738585072014, -324),
        (9007199254740993.0, 9007199254740992, 0),
        (0.4937, 4937, -4),  # a multiple of the unit falls on the boundary itself
        (5.21e-08, 521, -10),
    ],
)
def test_digits(value: float, digits: int, exponent: int) -> None:
    assert shortest_digits(value) == (digits, exponent)


def test_powers_of_two_have_a_narrower_interval_below() -> None:
    for power in range(-1074, 1024):
        value = 2.0**power
        digits, exponent = shortest_digits(value)
        assert float(f"{digits}e{exponent}") == value


def test_never_more_than_17_digits_and_seldom_more_than_repr() -> None:
    rng = random.Random(2)
    longer = 0
    for _ in range(20_000):
        value: float = abs(struct.unpack("<d", rng.randbytes(8))[0])
        if not math.isfinite(value) or not value:
            continue
        digits, exponent = shortest_digits(value)
        assert float(f"{digits}e{exponent}") == value
        assert digits < 10**17
        shortest = repr(value).split("e")[0].replace(".", "").strip("0")
        longer += len(str(digits).rstrip("0")) > len(shortest)
    assert longer < 200
