"""Number texts: the expected values were taken from redis-server 8.10.2 (ZADD, ZSCORE, INCRBY, XADD)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.numbers import parse_double, parse_integer, parse_unsigned


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"0", 0),
        (b"7", 7),
        (b"-1", -1),
        (b"1023", 1023),
        (b"1024", 1024),
        (b"-1024", -1024),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
    ],
)
def test_integers(text: bytes, value: int) -> None:
    assert parse_integer(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"-",
        b"+5",
        b"05",
        b"00",
        b"-0",
        b"-05",
        b"--5",
        b" 5",
        b"5 ",
        b"5\n",
        b"5\0",
        b"1_0",
        b"1.0",
        b"1e3",
        b"0x10",
        b"\xd9\xa5",
        b"9223372036854775808",
        b"-9223372036854775809",
        b"18446744073709551616",
        b"9" * 5000,
        b"-" + b"9" * 5000,
    ],
)
def test_integers_refused(text: bytes) -> None:
    assert parse_integer(text) is None


@given(st.integers(-(2**64), 2**64))
def test_an_integer_is_read_back_iff_it_fits(number: int) -> None:
    expected = number if -(2**63) <= number < 2**63 else None
    assert parse_integer(b"%d" % number) == expected


@given(st.binary(max_size=24))
def test_integers_agree_with_int_on_what_they_accept(text: bytes) -> None:
    number = parse_integer(text)
    assert number is None or b"%d" % number == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"0", 0),
        (b"18446744073709551615", 2**64 - 1),
        (b"0005", 5),
        (b"+5", 5),
        (b" \t5", 5),
        (b"5\0junk", 5),
        (b" -3", 2**64 - 3),
        (b"-0", 0),
        (b"-03", 2**64 - 3),
        (b"-9223372036854775809", 2**63 - 1),
        (b"0" * 100 + b"7", 7),
    ],
)
def test_unsigned(text: bytes, value: int) -> None:
    assert parse_unsigned(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"-3",
        b"-3\0",
        b"-18446744073709551616",
        b"\0005",
        b"+",
        b" ",
        b"5 ",
        b"18446744073709551616",
        b"1_0",
        b"x",
        b"9" * 5000,
    ],
)
def test_unsigned_refused(text: bytes) -> None:
    assert parse_unsigned(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1", 1.0),
        (b"+1", 1.0),
        (b"-1.5", -1.5),
        (b"007", 7.0),
        (b".5", 0.5),
        (b"-.5", -0.5),
        (b"1.", 1.0),
        (b"1.e5", 1e5),
        (b"1e5", 1e5),
        (b"1E+5", 1e5),
        (b"1e-5", 1e-5),
        (b"inf", math.inf),
        (b"+INF", math.inf),
        (b"-Infinity", -math.inf),
        (b"0x10", 16.0),
        (b"-0X1.8p1", -3.0),
        (b"0x.8", 0.5),
        (b"0x0p99999", 0.0),
        (b"0e999999999999", 0.0),
        (b"1.7976931348623157e308", 1.7976931348623157e308),
        (b"5e-324", 5e-324),
        (b"9e308", math.inf),  # out of range, but short: not checked
        (b"1e-330", 0.0),
        (b"12345678901234567890", 12345678901234567890.0),
    ],
)
def test_doubles(text: bytes, value: float) -> None:
    assert parse_double(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nan",
        b"-NaN",
        b"nan(1)",
        b" 1",
        b"1 ",
        b"1\0",
        b"\0001",
        b"1_0",
        b".",
        b"-",
        b"+-1",
        b"1e",
        b"1e+",
        b".e5",
        b"e5",
        b"1.2.3",
        b"infinit",
        b"0x",
        b"0x.p1",
        b"0x1p",
        b"1p5",
        b"\xd9\xa1",
        b"1e309",
        b"1e400",
        b"-1e999999999999",
        b"1e-343",
        b"1e-400",
        b"123456789012345678901234567890e300",
        b"0x1p5000",
        b"0x1p-5000",
    ],
)
def test_doubles_refused(text: bytes) -> None:
    assert parse_double(text) is None
