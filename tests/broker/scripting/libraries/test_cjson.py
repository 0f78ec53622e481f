"""The Lua library cjson: texts, values, settings, limits and complaints."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.broker.scripting.libraries.snippets import Snippets, shown

LUA = Snippets()

NUMBERS = st.integers(-(10**13), 10**13) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=12)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=6), inner, max_size=6),
    max_leaves=30,
)

# Whether two Lua values are the same, down to the tables in them.
SAME = """
local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, item in pairs(a) do if not same(item, b[key]) then return false end end
  for key in pairs(b) do if a[key] == nil then return false end end
  return true
end
"""


def plain(value: Any) -> Any:
    """A value as cjson gives it back: numbers of 14 digits, and an empty list as an object."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return float(f"{value:.14g}")
    if isinstance(value, list):
        return [plain(item) for item in value] or {}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


@given(VALUES, st.booleans(), st.sampled_from([None, 1, "\t", "\r"]))
def test_values_survive(value: Any, ascii_only: bool, indent: int | str | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    again = LUA.value("cjson.encode(cjson.decode(ARGV[1]))", text)
    assert plain(json.loads(again.decode("utf-8", "surrogatepass"))) == plain(value)


@given(NUMBERS)
def test_numbers_are_read_exactly(number: float) -> None:
    assert LUA.value("cjson.decode(ARGV[1])", repr(number).encode()) == float(number)


@given(st.text(max_size=30))
def test_strings_have_the_same_bytes_escaped_or_not(text: str) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    assert LUA.value("cjson.decode(ARGV[1])", json.dumps(text, ensure_ascii=False).encode()) == raw
    assert LUA.value("cjson.decode(ARGV[1])", json.dumps(text).encode()) == raw
    assert json.loads(LUA.value("cjson.encode(ARGV[1])", raw)) == text


@given(st.binary(max_size=30))
def test_any_bytes_are_encoded_as_they_are(data: bytes) -> None:
    assert json.loads(LUA.value("cjson.encode(ARGV[1])", data).decode("latin-1")) == data.decode("latin-1")
    assert LUA.value("cjson.decode(cjson.encode(ARGV[1]))", data) == data


@given(st.lists(st.sampled_from('[]{},:"\\ 019eE+-.xntfu\0\n') | st.characters(max_codepoint=255), max_size=20))
def test_any_text_gives_a_value_or_a_complaint(characters: list[str]) -> None:
    result = LUA.shown("cjson.decode(ARGV[1])", "".join(characters).encode("latin-1"))
    if result.startswith("error"):
        assert "at character" in result or result.endswith("JSON parser does not support UTF-16 or UTF-32"), result


@given(VALUES, st.data())
def test_a_slip_in_a_text_gives_a_value_or_a_complaint(value: Any, data: st.DataObject) -> None:
    text = bytearray(json.dumps(value).encode())
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    result = LUA.shown("cjson.decode(ARGV[1])", bytes(text))
    assert not result.startswith("error") or "at character" in result or "UTF-16" in result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-0", "-0"),
        ("1e400", "inf"),
        (" 0x1F", "31"),
        ("0x1.8p3", "12"),
        ("+5", "5"),
        ("-.5", "-0.5"),
        ("007", "7"),
        ("Infinity", "inf"),
        ("-inf", "-inf"),
        ("12\0garbage", "12"),
        ("[]", "{}"),
        ("[1,\t2,\r3,\r\n4\t]", "{[1]=1,[2]=2,[3]=3,[4]=4}"),
        ('{\t"a"\r:\t1\r,\t"b":\r2\t}', '{["a"]=1,["b"]=2}'),
        ('{"a":1,"a":2}', '{["a"]=2}'),
        ('"\\u0041\\u00e9\\u20ac\\ud83d\\ude00"', '"A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"'),
        ('"\t\xff"', '"\t\xff"'),
        ("9007199254740993", "9007199254740992"),
        ("123456789012345678901234567890", "1.2345678901234568e+29"),
    ],
)
def test_decoded(text: str, expected: str) -> None:
    assert LUA.shown("cjson.decode(ARGV[1])", text.encode("latin-1")) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "Expected value but found T_END at character 1"),
        ("[1,]", "Expected value but found T_ARR_END at character 4"),
        ("[1 2]", "Expected comma or array end but found T_NUMBER at character 4"),
        ("[1", "Expected comma or array end but found T_END at character 3"),
        ('{"a":1', "Expected comma or object end but found T_END at character 7"),
        ('{"a" 1}', "Expected colon but found T_NUMBER at character 6"),
        ("{1:2}", "Expected object key string but found T_NUMBER at character 2"),
        ('{"a":1,}', "Expected object key string but found T_OBJ_END at character 8"),
        ("{true:1}", "Expected object key string but found T_BOOLEAN at character 2"),
        ("[nul]", "Expected value but found invalid token at character 2"),
        ("\f1", "Expected value but found invalid token at character 1"),
        ("1 x", "Expected the end but found invalid token at character 3"),
        ("1 null", "Expected the end but found T_NULL at character 3"),
        ("-", "Expected value but found invalid number at character 1"),
        ("[1e5,+x]", "Expected value but found invalid number at character 6"),
        ('"abc', "Expected value but found unexpected end of string at character 5"),
        ('"ab\0c"', "Expected value but found unexpected end of string at character 4"),
        ('"a\\x"', "Expected value but found invalid escape code at character 3"),
        ('"a\\u12g4"', "Expected value but found invalid unicode escape code at character 3"),
        ('"\\ud83d"', "Expected value but found invalid unicode escape code at character 2"),
        ('"\\ude00\\ud83d"', "Expected value but found invalid unicode escape code at character 2"),
        ('{"a\\q":1}', "Expected object key string but found invalid escape code at character 4"),
        ("[\0", "JSON parser does not support UTF-16 or UTF-32"),
        ("\0\0", "JSON parser does not support UTF-16 or UTF-32"),
    ],
)
def test_complaints_about_texts(text: str, complaint: str) -> None:
    assert LUA.shown("cjson.decode(ARGV[1])", text.encode("latin-1")) == "error: user_script:1: " + complaint


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{}", "{}"),
        ("{1, nil, 3}", "[1,null,3]"),
        ("{[10] = 1}", "[" + "null," * 9 + "1]"),
        ("{[0] = 1}", '{"0":1}'),
        ("{[1.5] = 1}", '{"1.5":1}'),
        ("{1, a = 2}", '{"1":1,"a":2}'),
        ("{[1e10] = 1}", '{"10000000000":1}'),
        ("{[2^31] = 1}", '{"2147483648":1}'),
        ("cjson.null", "null"),
        ("nil", "null"),
        ("0.1", "0.1"),
        ("1/3", "0.33333333333333"),
        ("123456789012345", "1.2345678901234e+14"),
        ("0 * -1", "-0"),
        ("'/\\\\\"\\n\\127\\0'", '"\\/\\\\\\"\\n\\u007f\\u0000"'),
        ("setmetatable({}, {__is_cjson_array = true})", "[]"),
        ("setmetatable({}, {__index = function() return 1 end})", "{}"),
        ("setmetatable({[2] = 1}, {__index = function() return 1 end})", "[null,1]"),
    ],
)
def test_encoded(value: str, expected: str) -> None:
    assert LUA.value(f"cjson.encode({value})") == expected.encode()


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("{[11] = 1}", "Cannot serialise table: excessively sparse array"),
        ("1/0", "Cannot serialise number: must not be NaN or Inf"),
        ("{x = 0/0}", "Cannot serialise number: must not be NaN or Inf"),
        ("{[1/0] = 1}", "Cannot serialise number: must not be NaN or Inf"),
        ("{[true] = 1}", "Cannot serialise boolean: table key must be a number or string"),
        ("{{print}}", "Cannot serialise function: type not supported"),
        ("coroutine.create(function() end)", "Cannot serialise thread: type not supported"),
        ("newproxy()", "Cannot serialise userdata: type not supported"),
    ],
)
def test_complaints_about_values(value: str, complaint: str) -> None:
    assert LUA.shown(f"cjson.encode({value})") == "error: user_script:1: " + complaint


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("cjson.decode()", "bad argument #1 to 'decode' (expected 1 argument)"),
        ("cjson.decode(nil)", "bad argument #1 to 'decode' (string expected, got nil)"),
        ("cjson.decode('1', nil)", "bad argument #1 to 'decode' (expected 1 argument)"),
        ("cjson.encode()", "bad argument #1 to 'encode' (expected 1 argument)"),
        ("cjson:encode(1)", "calling 'encode' on bad self (expected 1 argument)"),
        ("cjson.encode_max_depth(0)", "bad argument #1 to 'encode_max_depth' "
                                      "(expected integer between 1 and 2147483647)"),
        ("cjson.encode_number_precision(15)", "bad argument #1 to 'encode_number_precision' "
                                              "(expected integer between 1 and 14)"),
        ("cjson.encode_max_depth(1, 2)", "bad argument #2 to 'encode_max_depth' (found too many arguments)"),
        ("cjson.encode_max_depth('x')", "bad argument #1 to 'encode_max_depth' (number expected, got string)"),
        ("cjson.encode_keep_buffer('x')", "bad argument #1 to 'encode_keep_buffer' (invalid option 'x')"),
        ("cjson.encode_sparse_array(true, {})", "bad argument #2 to 'encode_sparse_array' "
                                                "(number expected, got table)"),
        ("cjson.encode_sparse_array(1, 2, 3, 4)", "bad argument #4 to 'encode_sparse_array' "
                                                  "(found too many arguments)"),
    ],
)  # fmt: skip
def test_complaints_about_arguments(expression: str, complaint: str) -> None:
    assert shown(expression) == "error: user_script:1: " + complaint


def test_null_is_one_value() -> None:
    assert LUA.shown("cjson.null == cjson.decode('null'), type(cjson.null), tostring(cjson.null)") == (
        'true "userdata" "userdata: (nil)"'
    )
    assert LUA.shown("cjson.null == nil, cjson.null == false, cjson.new().null == cjson.null") == "false false true"
    assert LUA.shown("not getmetatable(cjson.null), pcall(setmetatable, cjson.null, {})").startswith("true false")


def test_settings_are_kept_and_told() -> None:
    lua = Snippets()
    assert lua.shown("cjson.encode_sparse_array()") == "false 2 10"
    assert lua.shown("cjson.encode_sparse_array('on', 3, '4')") == "true 3 4"
    assert lua.shown("cjson.encode({[20] = 1})") == '"{\\"20\\":1}"'
    assert lua.shown("cjson.encode_number_precision(3), cjson.encode(1/3)") == '3 "0.333"'
    assert lua.shown("cjson.encode_invalid_numbers('null'), cjson.encode({1/0, 0/0})") == '"null" "[null,null]"'
    assert lua.shown("cjson.encode_invalid_numbers(true), cjson.encode({1/0, -1/0, 0/0})") == 'true "[inf,-inf,nan]"'
    assert lua.shown("cjson.decode_invalid_numbers('off'), cjson.decode('-5')") == "false -5"
    for text in ("0x5", "01", "-inf"):
        assert lua.shown("cjson.decode(ARGV[1])", text.encode()).endswith("invalid number at character 1")
    for text in ("inf", "nan", "+1"):
        assert lua.shown("cjson.decode(ARGV[1])", text.encode()).endswith("invalid token at character 1")
    assert lua.shown("cjson.encode_keep_buffer(false), cjson.encode_keep_buffer()") == "false false"
    assert lua.shown("cjson.encode_max_depth(2^32 + 7)") == "7"


def test_modules_have_settings_of_their_own() -> None:
    lua = Snippets()
    assert (
        lua.run(
            "local other = cjson.new() other.encode_max_depth(1) "
            "return shown(pcall(function() return cjson.encode({{}}), kept(other.encode({{}})) end))"
        )
        == "error: user_script:1: Cannot serialise, excessive nesting (2)"
    )
    assert lua.shown("cjson.encode_max_depth()") == "1000"


def test_arrays_can_be_marked_so_that_empty_ones_stay_arrays() -> None:
    lua = Snippets()
    assert lua.shown("cjson.decode_array_with_array_mt(true)") == "true"
    assert lua.shown("""cjson.encode(cjson.decode('{"a":[],"b":[[],{}]}').a)""") == '"[]"'
    assert lua.shown("cjson.encode(cjson.decode('[[],{}]'))") == '"[[],{}]"'
    assert lua.shown("getmetatable(cjson.decode('[]')) == getmetatable(cjson.decode('[]'))") == "false"


@pytest.mark.parametrize("size", [1001, 1_000_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_texts_nested_too_deep_are_refused(opening: str, size: int) -> None:
    assert LUA.shown("cjson.decode(ARGV[1])", opening.encode() * size) == (
        f"error: user_script:1: Found too many nested data structures (1001) at character {len(opening) * 1000 + 1}"
    )


def test_values_nested_too_deep_are_refused() -> None:
    body = "local t = {} t%s = t return shown(pcall(function() return kept(cjson.encode(t)) end))"
    for reference in ("[1]", ".a"):
        assert LUA.run(body % reference) == ("error: user_script:1: Cannot serialise, excessive nesting (1001)")


def test_without_a_limit_the_nesting_ends_with_the_c_stack() -> None:
    lua = Snippets()
    lua.shown("cjson.decode_max_depth(2^31 - 1), cjson.encode_max_depth(2^31 - 1)")
    deep = b"[" * 9000 + b"]" * 9000
    assert lua.shown("cjson.decode(ARGV[1])", deep) == (
        "error: user_script:1: Found too many nested data structures (7999) at character 7999"
    )
    body = "local t = {} for i = 1, %d do t = { a = t } end return shown(pcall(function() return #cjson.encode(t) end))"
    assert lua.run(body % 3998).isdigit()
    assert lua.run(body % 3999) == "error: user_script:1: Cannot serialise, excessive nesting (4000)"


def test_an_error_in_a_metamethod_is_the_scripts_own() -> None:
    body = "error('boo', 0)"
    value = "setmetatable({}, setmetatable({}, {__index = function() " + body + " end}))"
    assert LUA.shown(f"cjson.encode({value})") == "error: boo"


def test_infinities_do_not_read_as_arrays() -> None:
    assert math.isinf(LUA.value("cjson.decode('[1e999]')[1]"))
