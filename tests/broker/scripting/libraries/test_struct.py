"""The Lua library struct: formats, sizes, alignment, conversions and complaints."""

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.broker.scripting.libraries.snippets import Snippets, shown

LUA = Snippets()
PACK, UNPACK, SIZE = (LUA.lua.eval("struct." + name) for name in ("pack", "unpack", "size"))

# Options whose layout Python's struct module has too, as (Lua's, Python's, bits).
INTEGERS = [("b", "b", 8), ("B", "B", 8), ("h", "h", 16), ("H", "H", 16), ("i", "i", 32), ("I", "I", 32),
            ("i2", "h", 16), ("I8", "Q", 64), ("l", "q", 64), ("L", "Q", 64), ("T", "Q", 64)]  # fmt: skip


@st.composite
def items(draw: st.DrawFn) -> tuple[str, str, Any]:
    """An option of Lua's struct, the same of Python's, and a value for it that a double holds."""
    kind = draw(st.sampled_from(["integer", "f", "d", "x", "c"]))
    if kind == "integer":
        ours, theirs, width = draw(st.sampled_from(INTEGERS))
        width = min(width, 53)
        least, most = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if theirs.islower() else (0, 2**width - 1)
        return ours, theirs, draw(st.integers(least, most))
    if kind == "x":
        return "x", "x", None
    if kind == "c":
        text = draw(st.binary(min_size=1, max_size=9))
        return f"c{len(text)}", f"{len(text)}s", text
    return kind, kind, draw(st.floats(width=32 if kind == "f" else 64, allow_nan=False))


@given(st.sampled_from("<>"), st.lists(items(), max_size=8))
def test_layout_is_that_of_c(order: str, options: list[tuple[str, str, Any]]) -> None:
    format_ = (order + "".join(ours for ours, _, _ in options)).encode()
    values = [value for _, _, value in options if value is not None]
    expected = struct.pack(order + "".join(theirs for _, theirs, _ in options), *values)
    given_values = [float(value) if isinstance(value, int) else value for value in values]
    packed = PACK(format_, *given_values)
    if any(isinstance(value, float) and value == 0 for value in values):
        packed, expected = packed.replace(b"\x80", b"\0"), expected.replace(b"\x80", b"\0")  # lupa drops -0's sign
    assert packed == expected
    assert SIZE(format_) == len(expected)
    unpacked = UNPACK(format_, PACK(format_, *given_values))
    assert list(unpacked if isinstance(unpacked, tuple) else [unpacked]) == [*values, len(expected) + 1]


@given(st.sampled_from("fd"), st.sampled_from("<>"), st.binary(min_size=8, max_size=8))
def test_floating_point_bytes_come_back_as_they_were(option: str, order: str, data: bytes) -> None:
    data = data[: struct.calcsize(option)]
    (number,) = struct.unpack(order + option, data)
    again = LUA.value(f'struct.pack("{order}{option}", (struct.unpack("{order}{option}", ARGV[1])))', data)
    if not math.isnan(number) or option == "d":
        assert again == data
    (value, _) = UNPACK((order + option).encode(), data)
    assert value == number or (math.isnan(value) and math.isnan(number))


@given(st.floats(allow_nan=False))
def test_doubles_are_rounded_to_floats_as_c_does(number: float) -> None:
    try:
        expected = struct.pack(">f", number)
    except OverflowError:
        expected = struct.pack(">f", math.copysign(math.inf, number))
    if number == 0:
        return  # lupa drops the sign of -0: see test_zeros_keep_their_sign
    assert PACK(b">f", number) == expected


def test_zeros_keep_their_sign() -> None:
    assert shown('struct.unpack(">d", struct.pack(">d", 0 * -1))') == "-0 9"
    assert shown('struct.unpack("<f", struct.pack("<f", 0 * -1))') == "-0 5"


def test_nans_keep_sign_and_payload() -> None:
    for data in ("7ff8000000000001", "fff8000000000000", "7ff0000000000001", "fff4000000000123"):
        assert LUA.value('struct.pack(">d", (struct.unpack(">d", ARGV[1])))', bytes.fromhex(data)).hex() == data
    for data, quiet in (("7fc00000", "7fc00000"), ("ffa00001", "ffe00001"), ("7fffffff", "7fffffff")):
        assert LUA.value('struct.pack(">f", (struct.unpack(">f", ARGV[1])))', bytes.fromhex(data)).hex() == quiet


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # the fraction is dropped, and what does not fit a 64-bit integer becomes one as on x86-64
        ('struct.unpack("<l", struct.pack("<l", -1.9))', "-1 9"),
        ('struct.unpack("<l", struct.pack("<l", 1e300))', "0 9"),
        ('struct.unpack("<l", struct.pack("<l", -1e300))', "-9.2233720368547758e+18 9"),
        ('struct.unpack("<L", struct.pack("<L", 2^63 + 2048))', "9.2233720368547779e+18 9"),
        ('struct.unpack("<b", struct.pack("<b", 257))', "1 2"),
        # integers wider than a word are filled with zeros, and their sign is looked for in an odd place
        ('struct.pack("<i9", -1)', '"' + "\xff" * 8 + '\\000"'),
        ('struct.unpack("<i9", ("\\255"):rep(9))', "-1 10"),
        ('struct.unpack(">I32", ("\\0"):rep(31) .. "\\7")', "7 33"),
        ('struct.pack("i0", 5)', '""'),
        ('struct.unpack("i0", "")', "0 1"),
        ('struct.unpack("<I8", ("\\255"):rep(8))', "1.8446744073709552e+19 9"),
        ('struct.unpack("<i8", ("\\255"):rep(8))', "-1 9"),
        # alignment
        ('struct.size("!8bd")', "16"),
        ('struct.size("!4bd")', "12"),
        ('struct.size("!bhb i")', "12"),
        ('struct.size("!8bi6")', "12"),
        ('struct.size("bd")', "9"),
        # texts
        ('struct.pack("s", "ab")', '"ab\\000"'),
        ('struct.pack("c2", "abc")', '"ab"'),
        ('struct.pack("c0", "abc")', '"abc"'),
        ('struct.unpack("s", "ab\\0cd")', '"ab" 4'),
        ('struct.unpack("bc0", "\\2abc")', '"ab" 4'),
        ('struct.unpack("c2c0", "02abc")', '"ab" 5'),
        ('struct.unpack("b", "abc", 2)', "98 3"),
        ('struct.unpack("", "abc", -7)', "-7"),
        ('struct.pack("b\\0q", 65)', '"A"'),
        ('struct.pack("b", "0x41")', '"A"'),
        ('struct.size("q")', "0"),
    ],
)
def test_results(expression: str, expected: str) -> None:
    assert shown(expression) == expected


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("struct.pack()", "bad argument #1 to 'pack' (string expected, got no value)"),
        ("struct.pack('i')", "bad argument #2 to 'pack' (number expected, got nil)"),
        ("struct.pack('i', {})", "bad argument #2 to 'pack' (number expected, got table)"),
        ("struct.pack('s', true)", "bad argument #2 to 'pack' (string expected, got boolean)"),
        ("struct.pack('c4', 'abc')", "bad argument #3 to 'pack' (string too short)"),
        ("struct.pack('q', 1)", "bad argument #1 to 'pack' (invalid format option 'q')"),
        ("struct.pack('i33', 1)", "integral size 33 is larger than limit of 32"),
        ("struct.pack('i99999999999', 1)", "integral size overflow"),
        ("struct.pack('!3')", "alignment 3 is not a power of 2"),
        ("struct.pack('!0')", "alignment 0 is not a power of 2"),
        ("struct.unpack('i')", "bad argument #2 to 'unpack' (string expected, got no value)"),
        ("struct.unpack('i', 'abc')", "bad argument #2 to 'unpack' (data string too short)"),
        ("struct.unpack('b', 'abc', 4)", "bad argument #2 to 'unpack' (data string too short)"),
        ("struct.unpack('b', 'abc', 0)", "bad argument #3 to 'unpack' (offset must be 1 or greater)"),
        ("struct.unpack('b', 'abc', -1)", "bad argument #2 to 'unpack' (data string too short)"),
        ("struct.unpack('b', 'abc', 'x')", "bad argument #3 to 'unpack' (number expected, got string)"),
        ("struct.unpack('c0', 'abc')", "format 'c0' needs a previous size"),
        ("struct.unpack('bc0', 'zabc')", "bad argument #2 to 'unpack' (data string too short)"),
        ("struct.unpack('s', 'abc')", "unfinished string in data"),
        ("struct.size('s')", "bad argument #1 to 'size' (option 's' has no fixed size)"),
        ("struct.size('c0')", "bad argument #1 to 'size' (option 'c0' has no fixed size)"),
        ("struct.size('?')", "bad argument #1 to 'size' (invalid format option '?')"),
    ],
)
def test_complaints(expression: str, complaint: str) -> None:
    assert shown(expression) == "error: user_script:1: " + complaint


def test_unpack_gives_as_many_values_as_a_c_function_can() -> None:
    body = "return shown(pcall(function() return #kept({struct.unpack(('b'):rep(%d), ('a'):rep(9000))}) end))"
    assert LUA.run(body % 7997) == "7998"
    assert LUA.run(body % 7998) == "error: user_script:1: stack overflow (too many results)"


def test_formats_beyond_those_that_are_kept_work() -> None:
    for count in range(1, 500):
        assert SIZE(b"c%d" % count) == count
    assert SIZE(b"b" * 10_000) == 10_000
