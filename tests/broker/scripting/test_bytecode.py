"""Tail calls that become plain calls, stack that is reserved, and dumps that are none."""

from typing import Any

import pytest
from lupa import lua51

from broker.scripting.bytecode import SELECT, UnknownFormatError, patched


@pytest.fixture
def lua() -> Any:
    return lua51.LuaRuntime(encoding=None)


def dumped(lua: Any, source: bytes) -> bytes:
    found: bytes = lua.eval("function(source) return string.dump(assert(loadstring(source, '@script'))) end")(source)
    return found


def line_of_caller(lua: Any, source: bytes, *, patch: bool = True) -> int:
    """The line that a function called by the script's `library.f()` sees as its caller's; -1 where it was lost."""
    lua.execute("library = {f = function() return debug.getinfo(2, 'l').currentline end} f = library.f redis = library")
    lua.execute("redis.call = f")
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


@pytest.mark.parametrize(
    "source",
    [
        b"local rcall = redis.call local function g()\nreturn rcall() end local x = g() return x",
        b"local function g() local rcall = redis.call\nreturn rcall() end local x = g() return x",
        b"local r = redis local function g()\nreturn r.call() end local x = g() return x",
        b"local t = {call = f} local function g()\nreturn t:call() end local x = g() return x",
        b"local name = 'f' local function g()\nreturn redis[name]() end local x = g() return x",
        b"local call = redis.call local function g() local function h()\nreturn call() end local x = h() return x end"
        b" local x = g() return x",
    ],
)
def test_functions_of_libraries_are_known_by_other_names(lua: Any, source: bytes) -> None:
    assert line_of_caller(lua, source, patch=False) == -1
    assert line_of_caller(lua, source) == 2


@pytest.mark.parametrize(
    "source",
    [
        b"local r = ('').rep local function g(n) if n == 0 then return 'end' end return g(n - 1) end",
        b"local g g = function(n) if n == 0 then return 'end' end return g(n - 1) end",
        b"local t = {} function t.g(n) if n == 0 then return 'end' end return t.g(n - 1) end local g = t.g",
        b"local function g(n, f) if n == 0 then return 'end' end f = f or g return f(n - 1, f) end",
        b"local function g(n, a, b, c, d, ...) if n == 0 then return 'end' end return g(n - 1, a, b, c, d, ...) end",
    ],
)
def test_recursion_without_end_stays_possible(lua: Any, source: bytes) -> None:
    lua.globals()[SELECT] = lua.globals()[b"select"]
    code = patched(dumped(lua, source + b" return g(100000)"))
    assert lua.eval("function(code) return loadstring(code)() end")(code) == b"end"


def test_many_tail_calls_are_patched_in_no_time(lua: Any) -> None:
    calls = b" ".join([b"do return f() end"] * 20_000)
    source = b"local function g(f) local x = 1 " + calls + b" end return 1"
    code = patched(dumped(lua, source))
    assert lua.eval("function(code) return loadstring(code)() end")(code) == 1


@pytest.mark.parametrize("named", [0, 1, 3, 4, 5, 20, 150, 190])
def test_functions_with_dots_and_named_parameters(lua: Any, named: int) -> None:
    lua.globals()[SELECT] = lua.globals()[b"select"]
    names = [f"p{n}" for n in range(named)]
    source = (
        f"local up, calls = 'up', 0 local function f({', '.join([*names, '...'])}) calls = calls + 1"
        f" return up, calls, {', '.join([*names[-3:], 'select(chr, ...)', '...'])} end f() return f(...)"
    )
    code = patched(dumped(lua, source.replace("chr", "'#'").encode()))
    run = lua.eval("function(code, ...) return loadstring(code)(...) end")
    for given in range(max(named - 2, 0), named + 4):
        for arguments in ([b"%d" % n for n in range(given)], [None] * given):
            all_named = [*arguments, *[None] * named][:named]
            further = arguments[named:]
            assert run(code, *arguments) == (b"up", 2, *all_named[-3:], len(further), *further)


def test_the_stack_is_large_enough_for_parameters_that_are_not_given(lua: Any) -> None:
    lua.globals()[SELECT] = lua.globals()[b"select"]
    names = ", ".join(f"p{n}" for n in range(190))
    source = (
        f"local function f({names}, ...) return 1 end"
        " local function deep(n) if n == 0 then return f() end local x = deep(n - 1) return x + f() end"
        " for n = 1, 3000 do coroutine.wrap(deep)(n % 300) end return 1"
    )
    assert lua.eval("function(code) return loadstring(code)() end")(patched(dumped(lua, source.encode()))) == 1


def test_errors_in_functions_with_dots_name_their_line(lua: Any) -> None:
    lua.globals()[SELECT] = lua.globals()[b"select"]
    code = patched(dumped(lua, b"local function f(a, b, c, d, ...)\n\nerror('x') end\nf(1)"))
    assert lua.eval("function(code) return pcall(loadstring(code)) end")(code) == (False, b"script:3: x")


@pytest.mark.parametrize(
    "code",
    [b"", b"return 1", b"\x1bLua", b"\x1bLuaR\x00\x01\x04\x08\x04\x08\x00", b"\x1bLuaQ\x00\x01\x02\x08\x04\x08\x00"],
)
def test_other_formats_are_refused(code: bytes) -> None:
    with pytest.raises(UnknownFormatError):
        patched(code)
