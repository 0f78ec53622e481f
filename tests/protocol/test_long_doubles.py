"""Long double texts and sums: the expected values were taken from redis-server 8.10.2 (INCRBYFLOAT)."""

from fractions import Fraction

import pytest

from protocol.numbers import add_long_double, format_long_double, parse_long_double, sum_long_doubles


@pytest.mark.parametrize(
    ("a", "b", "total"),
    [
        (b"10.5", b"0.1", b"10.6"),
        (b"0.1", b"0.2", b"0.3"),
        (b"5.0e3", b"2.0e2", b"5200"),
        (b"3", b"-3", b"0"),
        (b"1", b"1e-17", b"1.00000000000000001"),
        (b"1", b"4e-18", b"1"),
        (b"1", b"1e-20", b"1"),
        (b"0.3", b"-0.1", b"0.2"),
        (b"1e15", b"0.001", b"1000000000000000.0009765625"),
        (b"12345678901234567890", b"0.5", b"12345678901234567890"),
        (b"9223372036854775807", b"1", b"9223372036854775808"),
        (b"1e20", b"1", b"100000000000000000000"),
        (b"1e30", b"1", b"1000000000000000000024696061952"),
        (b"-1e-18", b"0", b"0"),
        (b"-6e-18", b"0", b"-0.00000000000000001"),
        (b"0x1p-1", b"0X1.8P1", b"3.5"),
        (b".5", b"1.", b"1.5"),
        (b"+5", b"0005", b"10"),
        (b"3.14159265358979323846", b"0", b"3.14159265358979324"),
        (b"-1.1", b"2.2", b"1.1"),
        (b"99999999999999999", b"0.99", b"99999999999999999.9921875"),
        (b"1e40", b"-1e22", b"9999999999999999989748657316172260179968"),
    ],
)
def test_sums(a: bytes, b: bytes, total: bytes) -> None:
    assert add_long_double(a, b) == total


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nan",
        b" 1",
        b"1 ",
        b"1\0",
        b"1_0",
        b".",
        b"1e",
        b"1e+",
        b"+-1",
        b"0x",
        b"0x.p1",
        b"0x1p",
        b"infinit",
        b"2e4932",
        b"1e999999999999",
        b"-1e999999999999",
        b"1e-99999999999",
        b"1e-4960",
        b"0x1p16384",
        b"0x1p-16447",
        b"0." + b"0" * 5000 + b"1",
        b"9" * 5119,
        b"0" * 5120,
    ],
)
def test_refused(text: bytes) -> None:
    assert parse_long_double(text) is None
    with pytest.raises(ValueError, match="not a long double"):
        add_long_double(b"1", text)


def test_the_range_of_the_type() -> None:
    largest = parse_long_double(b"1.18973149535723176502e+4932")
    smallest = parse_long_double(b"3.6e-4951")
    assert largest == Fraction(2**64 - 1) * 2 ** (16384 - 64)
    assert smallest == Fraction(1, 2**16445)
    assert largest is not None and sum_long_doubles(largest, largest) is None
    assert len(format_long_double(largest)) == 4933


def test_rounds_to_64_bits() -> None:
    assert parse_long_double(b"18446744073709551617") == 2**64  # a tie, to even
    assert parse_long_double(b"18446744073709551619") == 2**64 + 4
    assert parse_long_double(b"0.1") != Fraction(1, 10)


def test_infinities_are_numbers_but_not_sums() -> None:
    infinity = parse_long_double(b"-Infinity")
    assert infinity is not None and infinity < Fraction(-(2**10000))
    assert format_long_double(infinity) == b"-inf"
    assert format_long_double(-infinity) == b"inf"
    assert add_long_double(b"inf", b"-inf") is None
    assert add_long_double(b"inf", b"1") is None


def test_long_zeros_are_zero() -> None:
    for text in (b"0" * 5119, b"-0", b"0e999999999999", b"0x0p-999999999999", b"0." + b"0" * 5000):
        assert parse_long_double(text) == 0
        assert add_long_double(text, b"-0") == b"0"
