"""The Lua library cmsgpack: encodings, streams of values, limits and complaints."""

import math
import struct
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.broker.scripting.libraries.snippets import Snippets, shown

LUA = Snippets()
PACK, UNPACK = LUA.lua.eval("cmsgpack.pack"), LUA.lua.eval("cmsgpack.unpack")

INTEGERS = st.integers(-(2**53), 2**53) | st.sampled_from(
    [sign * 2**power + more for power in (5, 7, 8, 15, 16, 31, 32) for more in (-1, 0, 1) for sign in (-1, 1)]
)
SCALARS = st.one_of(
    INTEGERS, st.booleans(), st.binary(max_size=40), st.integers(30, 300).map(bytes), st.floats(allow_nan=False)
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.binary(max_size=9), inner, max_size=20),
    max_leaves=40,
)  # fmt: skip


def as_lua_has_it(value: Any) -> Any:
    """A value as it is once it has been in Lua: integral numbers are one kind, and empty maps are arrays."""
    if isinstance(value, float) and value == int(value) if isinstance(value, float) and math.isfinite(value) else False:
        return int(value)
    if isinstance(value, list):
        return [as_lua_has_it(item) for item in value]
    if isinstance(value, dict):
        return {key: as_lua_has_it(item) for key, item in value.items()} or []
    return value


def to_lua(value: Any) -> Any:
    if isinstance(value, list):
        return LUA.lua.table(*map(to_lua, value))
    if isinstance(value, dict):
        table = LUA.lua.table()
        for key, item in value.items():
            table[key] = to_lua(item)
        return table
    return value


def to_python(value: Any) -> Any:
    if not hasattr(value, "items"):
        return value
    pairs = {key: to_python(item) for key, item in value.items()}
    if set(pairs) == set(range(1, len(pairs) + 1)):
        return [pairs[index] for index in range(1, len(pairs) + 1)]
    return pairs


@given(VALUES)
def test_others_read_what_is_packed(value: Any) -> None:
    packed = PACK(to_lua(value))
    assert msgpack.unpackb(packed, raw=True, strict_map_key=False) == as_lua_has_it(value)


@given(VALUES)
def test_what_others_pack_is_read(value: Any) -> None:
    packed = msgpack.packb(value, use_bin_type=False)
    assert to_python(UNPACK(packed)) == as_lua_has_it(value)


@given(INTEGERS)
def test_integers_take_their_shortest_form(number: int) -> None:
    assert PACK(float(number)) == msgpack.packb(number)


@given(st.floats(allow_nan=False))
def test_numbers_are_floats_where_that_is_exact(number: float) -> None:
    if math.isfinite(number) and number == int(number) and -(2**63) <= number < 2**63:
        expected = msgpack.packb(int(number))
    else:
        try:
            exact = struct.unpack(">f", struct.pack(">f", number))[0] == number
        except OverflowError:
            exact = False
        expected = msgpack.packb(number, use_single_float=exact)
    assert PACK(number) == expected


@given(st.binary(max_size=60))
def test_any_bytes_give_values_or_a_complaint(data: bytes) -> None:
    result = LUA.shown("cmsgpack.unpack(ARGV[1])", data)
    if result.startswith("error"):
        assert result.split("user_script:1: ")[-1].removeprefix("error: ") in (
            "Missing bytes in input.", "Bad data format in input.", "table index is nil", "table index is NaN"
        )  # fmt: skip


@given(st.lists(SCALARS, max_size=30))
def test_a_stream_is_read_whole_or_in_parts(values: list[Any]) -> None:
    packed = b"".join(PACK(value) for value in values)
    whole = LUA.shown("cmsgpack.unpack(ARGV[1])", packed)
    parts = LUA.run(
        """
        local found, at, n = {}, 0, 0
        while at >= 0 and #ARGV[1] > 0 do
            local results = { cmsgpack.unpack_limit(ARGV[1], 3, at) }
            at = results[1]
            for i = 2, #results do n = n + 1 found[n] = results[i] end
        end
        return shown(true, unpack(found, 1, n))
        """,
        packed,
    )
    assert parts == whole


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cmsgpack.pack(nil, true, false)", '"\xc0\xc3\xc2"'),
        ("cmsgpack.pack({})", '"\x90"'),
        ("cmsgpack.pack({1, nil, 3})", '"\x82\x01\x01\x03\x03"'),
        ("cmsgpack.pack({[2] = 1})", '"\x81\x02\x01"'),
        ("cmsgpack.pack({[1.5] = 1})", '"\x81\xca?\xc0\\000\\000\x01"'),
        ("cmsgpack.pack(cjson.null, print)", '"\xc0\xc0"'),
        ("cmsgpack.pack(0 * -1)", '"\\000"'),
        ("cmsgpack.pack(1/0)", '"\xca\x7f\x80\\000\\000"'),
        ("cmsgpack.pack(2^63)", '"\xca_\\000\\000\\000"'),
        ("cmsgpack.pack(-2^63)", '"\xd3\x80' + "\\000" * 7 + '"'),
        ("cmsgpack.pack(setmetatable({}, {__index = function() return 1 end}))", '"\x90"'),
        ("cmsgpack.unpack('')", ""),
        ("cmsgpack.unpack('\\207' .. ('\\255'):rep(8))", "-1"),
        ("cmsgpack.unpack('\\129\\1\\192')", "{}"),
        ("cmsgpack.unpack('\\147\\1\\192\\3')", "{[1]=1,[3]=3}"),
        ("cmsgpack.unpack(5)", "53"),
        ("cmsgpack.unpack_one('\\1\\2\\3')", "1 1"),
        ("cmsgpack.unpack_one('\\1\\2\\3', 2)", "-1 3"),
        ("cmsgpack.unpack_one('\\1\\2\\3', 3)", "-1"),
        ("cmsgpack.unpack_limit('\\1\\2\\3', 2)", "2 1 2"),
        ("cmsgpack.unpack_limit('\\1\\2\\3', 0)", "1 2 3"),
        ("cmsgpack.unpack_limit('\\1\\2\\3', 0, 1)", "1"),
        ("cmsgpack.unpack_limit('\\1\\2\\3', 9, '1')", "-1 2 3"),
    ],
)
def test_results(expression: str, expected: str) -> None:
    assert shown(expression) == expected


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("cmsgpack.pack()", "bad argument #0 to 'pack' (MessagePack pack needs input.)"),
        ("cmsgpack.unpack()", "bad argument #1 to 'unpack' (string expected, got no value)"),
        ("cmsgpack.unpack({})", "bad argument #1 to 'unpack' (string expected, got table)"),
        ("cmsgpack.unpack('\\193')", "Bad data format in input."),
        ("cmsgpack.unpack('\\196\\1a')", "Bad data format in input."),
        ("cmsgpack.unpack('\\147\\1')", "Missing bytes in input."),
        ("cmsgpack.unpack('\\219\\255\\255\\255\\255')", "Missing bytes in input."),
        ("cmsgpack.unpack('\\221\\255\\255\\255\\255')", "Missing bytes in input."),
        ("cmsgpack.unpack_one('abc', 4)", "Start offset 4 greater than input length 3."),
        ("cmsgpack.unpack_one('abc', -1)", "Invalid request to unpack with offset of -1 and limit of 3."),
        ("cmsgpack.unpack_limit('abc', -1)", "Invalid request to unpack with offset of 0 and limit of 3."),
        ("cmsgpack.unpack_limit('abc')", "bad argument #2 to 'unpack_limit' (number expected, got no value)"),
        ("cmsgpack.unpack_limit('abc', 1, {})", "bad argument #3 to 'unpack_limit' (number expected, got table)"),
    ],
)
def test_complaints(expression: str, complaint: str) -> None:
    assert shown(expression) == "error: user_script:1: " + complaint


def test_an_impossible_key_is_a_complaint_without_a_place() -> None:
    assert shown("cmsgpack.unpack('\\129\\192\\1')") == "error: table index is nil"
    assert shown("cmsgpack.unpack('\\129\\203\\127\\248\\0\\0\\0\\0\\0\\0\\1')") == "error: table index is NaN"


def test_what_is_nested_too_deep_is_packed_as_nil() -> None:
    assert LUA.value("cmsgpack.pack((function() local t = {} t[1] = t return t end)())") == b"\x91" * 16 + b"\xc0"


def test_what_is_nested_too_deep_is_not_unpacked() -> None:
    of_arrays = "error: user_script:1: stack overflow (in function mp_decode_to_lua_array)"
    assert LUA.shown("cmsgpack.unpack(ARGV[1])", b"\x91" * 100_000) == of_arrays
    assert LUA.shown("cmsgpack.unpack(ARGV[1])", b"\xdd\xff\xff\xff\xff" * 20_000) == of_arrays
    assert LUA.shown("cmsgpack.unpack(ARGV[1])", b"\x81" * 100_000) == (
        "error: user_script:1: stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)"
    )


def test_unpack_gives_as_many_values_as_a_c_function_can() -> None:
    assert LUA.shown("#{cmsgpack.unpack(ARGV[1])}", bytes(7999)) == "7999"
    assert "too many return values at once" in LUA.shown("#{cmsgpack.unpack(ARGV[1])}", bytes(8000))
    assert LUA.shown("#{cmsgpack.unpack_limit(ARGV[1], 7998)}", bytes(9000)) == "7999"


def test_more_arguments_than_can_be_packed_are_refused() -> None:
    assert LUA.run("return shown(pcall(function() return kept(cmsgpack.pack(unpack({}, 1, 4001))) end))") == (
        "error: user_script:1: bad argument #0 to 'pack' (Too many arguments for MessagePack pack.)"
    )
