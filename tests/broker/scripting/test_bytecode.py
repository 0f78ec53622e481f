"""Tail calls that become plain calls, stack that is reserved, and dumps that are none."""

from typing import Any

import pytest
from lupa import lua51

from broker.scripting.bytecode import UnknownFormatError, UnsafeFunctionError, patched


@pytest.fixture
def lua() -> Any:
    return lua51.LuaRuntime(encoding=None)


def dumped(lua: Any, source: bytes) -> bytes:
    found: bytes = lua.eval("function(source) return string.dump(assert(loadstring(source, '@script'))) end")(source)
    return found


def line_of_caller(lua: Any, source: bytes, *, patch: bool = True) -> int:
    """The line that a function called by the script's `library.f()` sees as its caller's; -1 where it was lost."""
    lua.execute("library = {f = function() return debug.getinfo(2, 'l').currentline end} f = library.f redis = library")
    code = dumped(lua, source)
    found: int = lua.eval("function(code) return loadstring(code)() end")(patched(code) if patch else code)
    return found


def test_tail_calls_of_the_main_chunk_keep_the_line(lua: Any) -> None:
    assert line_of_caller(lua, b"\nreturn library.f()", patch=False) == -1
    assert line_of_caller(lua, b"\nreturn library.f()") == 2
    assert line_of_caller(lua, b"local g = f\n\nreturn g()") == 3


def test_tail_calls_of_inner_functions_keep_the_line_for_libraries(lua: Any) -> None:
    assert line_of_caller(lua, b"local function g()\nreturn redis.f() end\nlocal x = g() return x") == 2
    assert (
        line_of_caller(lua, b"local function g(...)\nreturn redis.f(g and 1 or 2, ...) end\nlocal x = g(1) return x")
        == 2
    )


def test_other_tail_calls_of_inner_functions_stay(lua: Any) -> None:
    code = patched(
        dumped(lua, b"local function g(n) if n == 0 then return 'end' end return g(n - 1) end return g(100000)")
    )
    assert lua.eval("function(code) return loadstring(code)() end")(code) == b"end"


def test_results_stay_the_same(lua: Any) -> None:
    source = b"local function g(...) return select('#', ...), ... end return g(1, nil, 'x'), {g()}, -1.5, true, nil"
    run = lua.eval("function(code) return #{loadstring(code)()}, (loadstring(code)()) end")
    assert run(patched(dumped(lua, source))) == run(dumped(lua, source))


def test_names_and_lines_of_errors_stay(lua: Any) -> None:
    code = patched(dumped(lua, b"\n\nlocal missing\nmissing.x = 1"))
    ok, text = lua.eval("function(code) return pcall(loadstring(code)) end")(code)
    assert (ok, text) == (False, b"script:4: attempt to index local 'missing' (a nil value)")


def test_functions_with_dots_may_have_few_parameters_beside() -> None:
    lua: Any = lua51.LuaRuntime(encoding=None)
    run = lua.eval("function(code) return loadstring(code)() end")
    source = b"local function f(a, b, c, ...) return c, select('#', ...) end return f(1)"
    assert run(patched(dumped(lua, source))) == (None, 0)
    assert run(patched(dumped(lua, b"local function f(a, b, c, d) return d end return f(1, 2, 3, 4)"))) == 4
    for names in ("a, b, c, d", ", ".join(f"p{n}" for n in range(150))):
        code = dumped(lua, f"local x\nlocal function f({names}, ...) return 1 end return f(1)".encode())
        with pytest.raises(UnsafeFunctionError, match="user code:2: function has more than 3 parameters"):
            patched(code)


@pytest.mark.parametrize(
    "code",
    [b"", b"return 1", b"\x1bLua", b"\x1bLuaR\x00\x01\x04\x08\x04\x08\x00", b"\x1bLuaQ\x00\x01\x02\x08\x04\x08\x00"],
)
def test_other_formats_are_refused(code: bytes) -> None:
    with pytest.raises(UnknownFormatError):
        patched(code)
