"""The Lua state: its cage, its memory, and how it recovers."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import broker.scripting.sandbox as module
from broker.scripting.border import NoRoomError
from broker.scripting.sandbox import SLICE, LuaError, Sandbox
from protocol.native import IN_USE
from tests.twins import pure_module

STILL_HERE = b"$10\r\nstill here\r\n"


def nothing(*args: object) -> None:
    return None


def make(max_memory: int = 0, hook: Callable[..., object] = nothing) -> Sandbox:
    names = (
        "call call_with_many fetch acl_check_cmd setresp set_repl log sha1hex count_error number double read_double"
        " hook register_function"
    )
    callables = dict.fromkeys(names.split(), nothing) | {"hook": hook}
    return Sandbox(callables, {"version": b"1.2.3", "version_number": 66051}, max_memory)


@pytest.fixture(params=["lupa", "C"], autouse=True)
def border(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test with all crossings by lupa, and with those in C that the compiled build has."""
    if request.param == "lupa":
        pure = pure_module("broker.scripting.border")
        monkeypatch.setattr(module, "Border", pure.Border)
        monkeypatch.setattr(module, "UnsupportedError", pure.UnsupportedError)
    elif not IN_USE["broker.scripting._border"]:
        pytest.skip("nothing is compiled")


def run(sandbox: Sandbox, source: bytes, *arguments: bytes) -> Any:
    function, problem = sandbox.compile_script(source)
    assert function is not None, problem
    return sandbox.evaluate(function, 2, [b"EVAL", source, b"0", *arguments], 0)


def test_values_and_errors() -> None:
    sandbox = make()
    assert run(sandbox, b"return ARGV[1]", b"x") == b"$1\r\nx\r\n"
    assert run(sandbox, b"return {1, ARGV[2]}", b"x", b"y") == b"*2\r\n:1\r\n$1\r\ny\r\n"
    assert run(sandbox, b"return redis.REDIS_VERSION_NUM") == b":66051\r\n"
    assert run(sandbox, b"\nerror('no')") == (b"ERR user_script:2: no", 2, False, b"@user_script:2")
    assert sandbox.compile_script(b"return =") == (None, b"user_script:1: unexpected symbol near '='")


@pytest.mark.parametrize("keys", range(5))
def test_keys(keys: int) -> None:
    sandbox = make()
    function, _ = sandbox.compile_script(b"return #KEYS .. table.concat(KEYS) .. '|' .. table.concat(ARGV)")
    request = [b"EVAL", b"", b"", b"k", b"l", b"m", b"n"]
    assert sandbox.evaluate(function, 2, request, keys) == b"$6\r\n%d%b|%b\r\n" % (keys, b"klmn"[:keys], b"klmn"[keys:])


def test_many_arguments() -> None:
    sandbox = make()
    function, _ = sandbox.compile_script(b"return {#KEYS, #ARGV, KEYS[1], ARGV[#ARGV], ARGV[0]}")
    request = [b"EVAL", b"", b"", *[b"%d" % i for i in range(5 * SLICE)]]
    assert sandbox.evaluate(function, 2, request, SLICE + 1) == (
        b"*4\r\n:%d\r\n:%d\r\n$1\r\n0\r\n$4\r\n%d\r\n" % (SLICE + 1, 4 * SLICE - 1, 5 * SLICE - 1)
    )


@pytest.mark.parametrize("name", ["debug", "io", "package", "python", "require", "print", "setfenv"])
def test_what_was_taken_away(name: str) -> None:
    text, kind, *_ = run(make(), f"return {name}".encode())
    assert kind == 2 and b"nonexistent global variable" in text


def test_random_numbers_begin_as_in_a_new_redis() -> None:
    source = b"return {math.random(1000), math.random(1000)}"
    assert run(make(), source) == b"*2\r\n:397\r\n:841\r\n"


def test_libraries_are_loaded() -> None:
    sandbox = make()
    source = b"return {type(cjson.encode), type(cmsgpack.pack), type(struct.pack), type(bit.band)}"
    assert run(sandbox, source).count(b"function") == 4


def test_memory_has_an_end_and_comes_back() -> None:
    sandbox = make(32 << 20)
    outcome = run(sandbox, b"local t = {} while true do t[#t + 1] = {} end")
    assert b"not enough memory" in outcome[0]
    sandbox.tidy()
    assert run(sandbox, b"return 'still here'") == STILL_HERE
    assert sandbox.has_room(1 << 20) and not sandbox.has_room(1 << 30)


FILL = b"""
local t, size = {}, 2 ^ 20
while size >= 1 do if not pcall(function() t[#t + 1] = ('x'):rep(size) .. #t end) then size = size / 2 end end
while pcall(function() t = {t} end) do end
"""


@pytest.mark.parametrize("max_memory", [1, 10_000, 300_000, 1 << 20, 32 << 20])
@pytest.mark.parametrize("call", [b"redis.call('PING')", b"redis.sha1hex('abc')", b"redis.acl_check_cmd({}, 1)"])
def test_calls_succeed_where_memory_is_full_to_the_last_byte(max_memory: int, call: bytes) -> None:
    sandbox = make()
    function, _ = sandbox.compile_script(FILL + b"return " + call)
    sandbox.limit_memory(max_memory)
    with suppress(LuaError, NoRoomError):
        sandbox.evaluate(function, 2, [b"EVAL", b"", b"0"], 0)
    sandbox.recover()
    sandbox.limit_memory(32 << 20)
    assert run(sandbox, b"return 'still here'") == STILL_HERE


def test_what_a_run_was_given_is_let_go() -> None:
    sandbox = make(64 << 20)
    function, _ = sandbox.compile_script(b"error(#ARGV)")
    before = sandbox.memory_used()
    for _ in range(3):
        outcome = sandbox.evaluate(function, 2, [b"EVAL", b"", b"0", *[b"%d" % i for i in range(500_000)]], 0)
        assert outcome[0] == b"ERR user_script:1: 500000"
    sandbox.tidy()
    assert sandbox.memory_used() < before + (4 << 20)  # Lua's table of all strings is halved at each collection


def test_arguments_that_do_not_fit() -> None:
    sandbox = make(1 << 20)
    for many in ([b"x" * (1 << 20)], [b"x"] * 100_000, [b"%d" % i for i in range(30_000)]):
        with pytest.raises(NoRoomError):
            run(sandbox, b"return 1", *many)
    assert run(sandbox, b"return 'still here'") == STILL_HERE


def test_handing_over_many_arguments_can_be_interrupted() -> None:
    sandbox = make(hook=lambda: b"killed")
    with pytest.raises(NoRoomError):
        run(sandbox, b"return 1", *[b"x"] * (SLICE + 1))


def test_recovering_from_an_error_outside_of_the_script() -> None:
    sandbox = make(32 << 20)
    with pytest.raises(LuaError):
        run(sandbox, b"local t = {} for i = 1, 3e5 do t[i] = {i} end return {t, t, t, t}")
    sandbox.recover()
    assert run(sandbox, b"return 'still here'") == STILL_HERE


def test_a_library_registers_callbacks() -> None:
    callbacks, problem = make().load_library(b"redis.register_function('f', function(keys, args) return keys[1] end)")
    assert (list(callbacks), problem) == ([b"f"], b"")
    _, problem = make().load_library(b"redis.register_function('f')")
    assert problem.startswith(
        b"Error registering functions: ERR calling redis.register_function with a single argument"
    )
