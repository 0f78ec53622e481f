"""How doubles are written, pure and compiled: the expected texts were taken from redis-server 8.10.2 (ZADD, ZSCORE)."""

import math
import random
import struct
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import doubles
from protocol.native import IN_USE
from protocol.numbers import parse_double
from protocol.shortest import shortest_digits
from tests.twins import pure_module

Format = Callable[[float], bytes]


@pytest.fixture(scope="module", params=["pure", "compiled"])
def format_double(request: pytest.FixtureRequest) -> Format:
    if request.param == "pure":
        pure: Format = pure_module("protocol.doubles").format_double
        return pure
    if not IN_USE["protocol._doubles"]:
        pytest.skip("the compiled twin is not in use")
    return doubles.format_double


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"-0"),
        (3.0, b"3"),
        (-3.0, b"-3"),
        (0.1, b"0.1"),
        (3.14, b"3.14"),
        (-17.25, b"-17.25"),
        (1e21, b"1e+21"),
        (1e20, b"1e+20"),
        (1e17, b"100000000000000000"),
        (2.0**62, b"4611686018427387904"),
        (-(2.0**62), b"-4611686018427387904"),
        (2.0**63, b"9223372036854776000"),
        (2.0**64, b"18446744073709552000"),
        (1e-5, b"0.00001"),
        (1e-7, b"1e-7"),
        (1.5e-7, b"1.5e-7"),
        (0.000123, b"0.000123"),
        (1.7976931348623157e308, b"1.7976931348623157e+308"),
        (5e-324, b"5e-324"),
        (2.2250738585072014e-308, b"2.2250738585072014e-308"),
        (1700000000.123456, b"1700000000.123456"),
        (5.21e-08, b"5.21e-8"),
        (0.4937, b"0.4937"),
        # seven digits behind the point and a value from 10,000 on: an exponent
        (544229.2252959518, b"5.442292252959518e+5"),
        (65528.85923981311, b"6.552885923981311e+4"),
        (-30250.88807341683, b"-3.025088807341683e+4"),
        # a digit more than repr() writes
        (-2906443722.43908, b"-2.9064437224390802e+9"),
        (math.inf, b"inf"),
        (-math.inf, b"-inf"),
        (math.nan, b"nan"),
    ],
)
def test_texts(format_double: Format, value: float, text: bytes) -> None:
    assert format_double(value) == text


@given(value=st.floats(allow_nan=False))
def test_a_text_is_read_back(format_double: Format, value: float) -> None:
    text = format_double(value)
    assert parse_double(text) == value
    assert text == doubles.format_double(value)


def test_few_decimals_are_written_as_repr_does() -> None:
    rng = random.Random(3)
    for _ in range(20_000):
        number = rng.randrange(1, 10 ** rng.randrange(1, 15))
        value = rng.choice([number / 1000, number / 100, number / 10, number / 8])
        digits, exponent = shortest_digits(value)
        assert float(doubles.format_double(value)) == value
        assert Decimal(doubles.format_double(value).decode()) == Decimal(digits).scaleb(exponent)


def random_double(rng: random.Random) -> float:
    """Of any magnitude, or one that people and programs write: a time, an amount, a power of two."""
    choice = rng.randrange(6)
    if choice == 0:
        value: float = struct.unpack("<d", rng.randbytes(8))[0]
        return value if math.isfinite(value) else 1.5
    if choice == 1:
        return rng.uniform(-2e9, 2e9)
    if choice == 2:
        return round(rng.uniform(0, 10 ** rng.randrange(-8, 12)), rng.randrange(12))
    if choice == 3:
        return float(rng.randrange(-(10**19), 10**19))
    if choice == 4:
        return 2.0 ** rng.randrange(-1074, 1023)
    return rng.randrange(2**53) * 10.0 ** rng.randrange(-30, 30)


def test_the_twins_write_the_same(format_double: Format) -> None:
    rng = random.Random(1)
    for _ in range(20_000):
        value = random_double(rng)
        text = format_double(value)
        assert text == doubles.format_double(value)
        assert float(text) == value
