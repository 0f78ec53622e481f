"""The Lua side of the libraries: cut off from the globals, hidden from error positions, safe at the end of memory."""

import re

import pytest
from lupa.lua51 import LuaMemoryError

from broker.scripting.libraries import sources
from tests.broker.scripting.libraries.snippets import Snippets, runtime


def test_every_lua_file_is_a_chunk() -> None:
    lua = runtime()
    names = sorted(path.stem for path in sources.FOLDER.glob("*.lua"))
    assert len(names) >= 10
    for name in names:
        assert lua.eval("type")(sources.chunk(lua, name)) == b"function"


def test_every_chunk_gives_up_its_globals() -> None:
    for path in sources.FOLDER.glob("*.lua"):
        if path.stem != "cmsgpack":  # which makes no functions
            assert re.search(r"^setfenv\(1, \{\}\)$", path.read_text(), re.M), path.name


@pytest.mark.parametrize("library", ["bit", "cjson", "cmsgpack", "struct"])
def test_functions_lead_to_no_globals(library: str) -> None:
    lua = runtime()
    named = lua.eval("function(f) return type(f) == 'function' and next(getfenv(f)) end")
    for name, value in lua.eval(library).items():
        assert not named(value), name


def test_functions_work_without_the_globals() -> None:
    lua = runtime()
    lua.execute("keep = { bit.tohex, cjson.decode, cjson.encode, cmsgpack.pack, cmsgpack.unpack, struct.pack }")
    lua.execute("local all, keep, next = _G, keep, next for name in next, all do all[name] = nil end all.keep = keep")
    keep = lua.globals()[b"keep"]
    assert keep[1](255.0) == b"000000ff"
    assert keep[3](keep[2](b'{"a":[1,null,"\\u00e9"]}')) == '{"a":[1,null,"é"]}'.encode()
    assert keep[5](keep[4](1.5)) == 1.5
    assert keep[6](b">d", 1.5) == b"?\xf8\0\0\0\0\0\0"


def test_nan_halves() -> None:
    assert sources.nan_bits(sources.nan_of(0xFFF80000, 0x123)) == (0xFFF80000, 0x123)


@pytest.mark.parametrize(
    "loop",
    [
        "local t = {} while true do t = { t, (cjson.decode('[1,[2,{}]]')) } end",
        "local t = {} while true do t[#t + 1] = cmsgpack.pack(#t, 0.1, 0/0) end",
        "local t = {} while true do t[#t + 1] = struct.pack('ddf', #t, 0.1, 0/0) end",
        "local s = '[1' while true do s = s .. s cjson.encode({ s }) end",
        "cjson.decode(('[1,'):rep(1000000))",
        "local t = {} for i = 1, 1e7 do t[i] = i end cjson.encode(t)",
    ],
)
def test_the_end_of_memory_is_an_error_and_no_more(loop: str) -> None:
    lua = Snippets(max_memory=6_000_000)
    collect = lua.lua.eval("collectgarbage")
    for _ in range(3):
        with pytest.raises(LuaMemoryError):
            lua.lua.execute(loop)
        collect()
    assert lua.shown("cjson.encode(cjson.decode(ARGV[1]))", b"[1,2]") == '"[1,2]"'
