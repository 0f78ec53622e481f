"""The Lua library bit: 32-bit arithmetic on doubles, and its complaints."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.broker.scripting.libraries.snippets import Snippets, shown

LUA = Snippets()

NUMBERS = st.one_of(
    st.integers(-(2**31), 2**32 - 1),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False),
    st.sampled_from([0.5, 1.5, 2.5, -0.5, -1.5, 2.0**51, 2.0**52 + 1, -6755399441055744.0]),
)


def bits(number: float) -> int:
    """What BitOp's trick makes of a number: the low half of the double that is 2^52 + 2^51 more."""
    low: int = struct.unpack("<II", struct.pack("<d", number + 6755399441055744.0))[0]
    return low


def signed(number: int) -> int:
    return (number + 2**31) % 2**32 - 2**31


def call(name: str, *numbers: float) -> object:
    return LUA.lua.eval(f"bit.{name}")(*map(float, numbers))


@given(NUMBERS, NUMBERS)
def test_results_are_those_of_32_bit_integers(a: float, b: float) -> None:
    a, b = float(a), float(b)
    x, y, by = bits(a), bits(b), bits(b) % 32
    assert call("tobit", a) == signed(x)
    assert call("bnot", a) == signed(~x)
    assert call("band", a, b) == signed(x & y)
    assert call("bor", a, b) == signed(x | y)
    assert call("bxor", a, b) == signed(x ^ y)
    assert call("lshift", a, b) == signed(x << by)
    assert call("rshift", a, b) == signed(x >> by)
    assert call("arshift", a, b) == signed(x) >> by
    assert call("rol", a, b) == signed(x << by | x >> (32 - by))
    assert call("ror", a, b) == signed(x >> by | x << (32 - by))
    assert call("bswap", a) == signed(int.from_bytes(x.to_bytes(4, "little"), "big"))
    assert call("tohex", a) == b"%08x" % x


@given(st.lists(NUMBERS, min_size=1, max_size=9))
def test_any_number_of_operands(numbers: list[float]) -> None:
    every = [bits(float(number)) for number in numbers]
    conjunction, disjunction, parity = 2**32 - 1, 0, 0
    for each in every:
        conjunction, disjunction, parity = conjunction & each, disjunction | each, parity ^ each
    assert call("band", *numbers) == signed(conjunction)
    assert call("bor", *numbers) == signed(disjunction)
    assert call("bxor", *numbers) == signed(parity)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_has_no_bits(number: float) -> None:
    assert call("tobit", number) == 0
    assert call("bor", number, 5) == 5


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("bit.tohex(0x1234abcd)", '"1234abcd"'),
        ("bit.tohex(0x1234abcd, 4)", '"abcd"'),
        ("bit.tohex(0x1234abcd, -4)", '"ABCD"'),
        ("bit.tohex(-1, 9)", '"ffffffff"'),
        ("bit.tohex(-1, -2^31)", '"FFFFFFFF"'),
        ("bit.tohex(-1, 0)", '""'),
        ('bit.band("0x10", " 24 ")', "16"),
    ],
)
def test_texts(expression: str, expected: str) -> None:
    assert shown(expression) == expected


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("bit.band()", "bad argument #1 to 'band' (number expected, got no value)"),
        ("bit.band(1, nil)", "bad argument #2 to 'band' (number expected, got nil)"),
        ("bit.bxor('z', 'y')", "bad argument #1 to 'bxor' (number expected, got string)"),
        ("bit.bor(1, 'y', {})", "bad argument #3 to 'bor' (number expected, got table)"),
        ("bit.lshift(1)", "bad argument #2 to 'lshift' (number expected, got no value)"),
        ("bit.tohex(1, nil)", "bad argument #2 to 'tohex' (number expected, got nil)"),
        ("bit:bnot()", "calling 'bnot' on bad self (number expected, got table)"),
        ("bit.rol(1, true)", "bad argument #2 to 'rol' (number expected, got boolean)"),
    ],
)
def test_complaints_name_the_function_and_the_line(expression: str, complaint: str) -> None:
    assert shown(expression) == "error: user_script:1: " + complaint


def test_the_first_bad_operand_is_named_before_the_last() -> None:
    assert "bad argument #1" in shown("bit.band('a', 1, 'b')")
    assert "bad argument #3" in shown("bit.band(1, 'a', 'b')")


def test_a_function_called_by_another_name_is_called_so() -> None:
    assert LUA.run("local f = bit.band return shown(pcall(function() return kept(f('x')) end))") == (
        "error: user_script:1: bad argument #1 to 'f' (number expected, got string)"
    )
    assert LUA.run("return shown(pcall(bit.band, 'x'))") == (
        "error: bad argument #1 to '?' (number expected, got string)"
    )
