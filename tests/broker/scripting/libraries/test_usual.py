"""cjson and cmsgpack in C and in Lua: the one does what is usual, and then the same as the other."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.scripting.libraries import cjson, cmsgpack
from protocol.native import IN_USE
from tests.broker.scripting.libraries.snippets import Snippets
from tests.twins import pure_module

pytestmark = pytest.mark.skipif(
    not (IN_USE["broker.scripting.libraries._cjson"] and IN_USE["broker.scripting.libraries._cmsgpack"]),
    reason="nothing is compiled",
)


def in_lua() -> Snippets:
    with pytest.MonkeyPatch.context() as patch:
        for module in (cjson, cmsgpack):
            patch.setattr(module, "usual", pure_module(module.__name__).usual)
        return Snippets()


IN_C, IN_LUA = Snippets(), in_lua()

# A Lua value for each text that Python's JSON writes: tables with holes, numbers as keys, what has no place in JSON.
numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, -0.0, 1e14, 1e15, 123456789.125, 2**53, -(2**63), 2**63, 1e300, 5e-324, 0.1, 1e22, 1e23]),
)
texts = st.text(st.characters(max_codepoint=0x10FFFF, exclude_categories=[]), max_size=12)
leaves = st.one_of(st.none(), st.booleans(), numbers, texts)
documents = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(texts, inner, max_size=5)),
    max_leaves=20,
)


def lua_text(value: Any) -> str:
    """The Lua expression of a document."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(f"\\{byte:03d}" for byte in value.encode(errors="surrogatepass")) + '"'
    if isinstance(value, list):
        return "{" + ",".join(map(lua_text, value)) + "}"
    if isinstance(value, dict):
        return "{" + ",".join(f"[{lua_text(key)}]={lua_text(item)}" for key, item in value.items()) + "}"
    return repr(float(value)) if abs(value) < 1e308 else "1e308"


def same(expression: str, *arguments: bytes) -> None:
    assert IN_C.shown(expression, *arguments) == IN_LUA.shown(expression, *arguments)


@given(documents)
def test_values_are_written_alike(document: Any) -> None:
    value = lua_text(document)
    for function in ("cjson.encode", "cmsgpack.pack"):
        same(f"{function}({value})")
    same(f"cmsgpack.pack(1, {value}, 'x')")


@given(documents, st.booleans(), st.integers(0, 200), st.sampled_from('\0"\\,:]}[{ x0-+.eEuDd8f/\t\n\x80'))
def test_texts_are_read_alike(document: Any, is_ascii: bool, place: int, other: str) -> None:
    try:
        text = json.dumps(document, ensure_ascii=is_ascii).encode()
    except UnicodeEncodeError:  # half a pair, which is only written as an escape
        text = json.dumps(document).encode()
    place %= len(text)
    broken = text[:place] + other.encode("latin-1") + text[place + 1 :]
    for given_text in (text, broken, text[:place], text + other.encode("latin-1"), b" " + text + b"\n"):
        same("cjson.decode(ARGV[1])", given_text)


@given(documents, st.integers(0, 200), st.integers(0, 255))
def test_packed_values_are_read_alike(document: Any, place: int, other: int) -> None:
    packed = IN_LUA.value(f"cmsgpack.pack({lua_text(document)})")
    place %= len(packed)
    for data in (packed, packed[:place] + bytes([other]) + packed[place + 1 :], packed[:place], packed + b"\x01"):
        same("cmsgpack.unpack(ARGV[1])", data)


@given(st.binary(min_size=1, max_size=30))
def test_any_bytes_are_read_alike(data: bytes) -> None:
    same("cmsgpack.unpack(ARGV[1])", data)
    same("cjson.decode(ARGV[1])", data)


@pytest.mark.parametrize(
    "expression",
    [
        "cjson.encode({1, 2, nil, 4})", "cjson.encode({[3] = 1, [5] = 2})", "cjson.encode({[1] = 1, [99] = 2})",
        "cjson.encode({[1.5] = 1})", "cjson.encode({[0] = 1})", "cjson.encode({[2^31] = 1})",
        "cjson.encode({[1/0] = 1})",
        "cjson.encode({[true] = 1})", "cjson.encode(0/0)", "cjson.encode(1/0)", "cjson.encode(print)",
        "cjson.encode(cjson.null)", "cjson.encode(newproxy())",
        "cjson.encode(setmetatable({}, {__is_cjson_array = true}))",
        "cjson.encode(('\\1\\127/'):rep(5000))", "cjson.encode({{{{{}}}}})", "cjson.encode(nil)", "cjson.encode()",
        "cmsgpack.pack(0/0)", "cmsgpack.pack(-1/0, 1e300, 1.5, -0)", "cmsgpack.pack(print, {[2] = 1}, {})",
        "cmsgpack.pack({[{}] = {}})", "cmsgpack.pack(('x'):rep(70000))", "cmsgpack.pack()",
        "cmsgpack.unpack(cmsgpack.pack(nil))", "cmsgpack.unpack(cmsgpack.pack(false))", "cmsgpack.unpack('')",
        "cmsgpack.unpack(cmsgpack.pack(1, 2, 3))", "cmsgpack.unpack(5)",
    ],
)  # fmt: skip
def test_what_is_odd_is_the_same(expression: str) -> None:
    same(expression)


@pytest.mark.parametrize("depth", [16, 17, 99, 100, 101, 500, 1001])
def test_nesting(depth: int) -> None:
    build = f"local t = {{}} for i = 1, {depth - 1} do t = {{t}} end return t"
    for function in ("cjson.encode", "cmsgpack.pack"):
        same(f"{function}((function() {build} end)())")
    same("cjson.decode(ARGV[1])", b"[" * depth + b"]" * depth)
    same("cmsgpack.unpack(ARGV[1])", b"\x91" * depth + b"\x01")


@pytest.mark.parametrize(
    "setting",
    ["encode_max_depth(3)", "decode_max_depth(3)", "encode_number_precision(5)", "encode_sparse_array(true)",
     "encode_sparse_array(false, 0)", "encode_sparse_array(false, 2147483647, 1)", "decode_array_with_array_mt(true)",
     "decode_invalid_numbers(false)", "encode_invalid_numbers(true)"],
)  # fmt: skip
def test_settings(setting: str) -> None:
    first, second = Snippets(), in_lua()
    for snippets in (first, second):
        snippets.shown(f"cjson.{setting}")
    for expression in (
        "cjson.encode({{{{1}}}})", "cjson.encode(0.123456789)", "cjson.encode({[1] = 1, [2] = 2, [50] = 1})",
        "cjson.decode('[[[[1]]]]')", "cjson.encode(cjson.decode('[[]]'))",
        "cjson.decode('0x10')", "cjson.decode('[01]')", "cjson.encode(1/0)",
    ):  # fmt: skip
        assert first.shown(expression) == second.shown(expression)


def test_what_is_usual_is_done_in_c() -> None:
    lua = Snippets().lua
    null = lua.execute("return cjson.null")
    encode, decode = cjson.usual(lua, null)
    pack, unpack = cmsgpack.usual(lua)
    text = b'{"a":[1,2.5,-3,"x\\ny",true,false,null,{"b":"\\u00e9\\ud83d\\ude00"}]}'
    value = decode(text, 1000)
    assert encode(value, 1000, False, 2, 10, 14) == text.replace(b"\\u00e9\\ud83d\\ude00", "é😀".encode())
    assert unpack(pack(b"text"))[1] == b"text"
    assert dict(unpack(pack(lua.table_from({b"k": 1.5})))[1].items()) == {b"k": 1.5}


@pytest.mark.parametrize(
    "call",
    ["cjson.decode(ARGV[1])", "cjson.encode(value)", "cmsgpack.pack(value)", "cmsgpack.unpack(cmsgpack.pack(value))"],
)
def test_long_work_can_be_interrupted(call: str) -> None:
    snippets = Snippets()
    text = b"[" + b",".join(b'{"key %d":[1,true,"text"]}' % i for i in range(100_000)) + b"]"
    script = f"""
    local value = cjson.decode(ARGV[1])
    debug.sethook(function() error("interrupted") end, "", 2 ^ 30)
    local worked, problem = pcall(function() return kept({call}) end)
    debug.sethook()
    return tostring(worked) .. tostring(problem)
    """
    assert snippets.run(script, text).startswith("false") and "interrupted" in snippets.run(script, text)
    assert snippets.shown("#cjson.decode(ARGV[1])", text) == "100000"


def test_a_hook_that_returns_leaves_no_trace() -> None:
    text = b"[" + b",".join(b'{"key %d":[1,true,"text"]}' % i for i in range(50_000)) + b"]"
    script = """
    local calls = 0
    debug.sethook(function() calls = calls + 1 end, "", 2 ^ 30)
    local value = cjson.decode(ARGV[1])
    local again = cjson.encode(value) == ARGV[1]
    local packed = cmsgpack.pack(value)
    local unpacked = cmsgpack.pack(cmsgpack.unpack(packed)) == packed
    debug.sethook()
    return tostring(calls > 0) .. tostring(again) .. tostring(unpacked)
    """
    assert Snippets().run(script, text) == "truetruetrue"
