"""The Lua state: its cage, its memory, and how it recovers."""

from contextlib import suppress
from typing import Any

import pytest

from broker.scripting.sandbox import SLICE, LuaError, NoRoomError, Sandbox


def nothing(*args: object) -> None:
    return None


def make(max_memory: int = 0) -> Sandbox:
    names = (
        "call call_with_many fetch acl_check_cmd setresp set_repl log sha1hex count_error number double read_double"
        " hook register_function"
    )
    return Sandbox(dict.fromkeys(names.split(), nothing), {"version": b"1.2.3", "version_number": 66051}, max_memory)


def run(sandbox: Sandbox, source: bytes, *arguments: bytes) -> Any:
    function, problem = sandbox.compile_script(source)
    assert function is not None, problem
    return sandbox.enter(sandbox.run_without_keys, [function, 2, *arguments], 1000)


def test_values_and_errors() -> None:
    sandbox = make()
    assert run(sandbox, b"return ARGV[1]", b"x") == b"x"
    assert run(sandbox, b"return {1, ARGV[2]}", b"x", b"y") == (b"*2\r\n:1\r\n$1\r\ny\r\n", 1)
    assert run(sandbox, b"return redis.REDIS_VERSION_NUM") == (b":66051\r\n", 1)
    assert run(sandbox, b"\nerror('no')") == (b"ERR user_script:2: no", 2, False, b"@user_script:2")
    assert sandbox.compile_script(b"return =") == (None, b"user_script:1: unexpected symbol near '='")


def test_keys() -> None:
    sandbox = make()
    function, _ = sandbox.compile_script(b"return table.concat(KEYS) .. '|' .. table.concat(ARGV)")
    assert sandbox.run_with_key(function, 2, b"k", b"a", b"b") == b"k|ab"
    assert sandbox.run_with_two_keys(function, 2, b"k", b"l") == b"kl|"
    tables = sandbox.tables([b"k", b"l", b"m"], [], check=nothing)
    assert sandbox.enter(sandbox.run_with_tables, [function, 2, *tables], 0) == b"klm|"


@pytest.mark.parametrize("name", ["debug", "io", "package", "python", "require", "print", "setfenv"])
def test_what_was_taken_away(name: str) -> None:
    text, kind, *_ = run(make(), f"return {name}".encode())
    assert kind == 2 and b"nonexistent global variable" in text


def test_random_numbers_begin_as_in_a_new_redis() -> None:
    source = b"return {math.random(1000), math.random(1000)}"
    assert run(make(), source)[0] == b"*2\r\n:397\r\n:841\r\n"


def test_libraries_are_loaded() -> None:
    sandbox = make()
    source = b"return {type(cjson.encode), type(cmsgpack.pack), type(struct.pack), type(bit.band)}"
    assert run(sandbox, source)[0].count(b"function") == 4


def test_memory_has_an_end_and_comes_back() -> None:
    sandbox = make(32 << 20)
    outcome = run(sandbox, b"local t = {} while true do t[#t + 1] = {} end")
    assert b"not enough memory" in outcome[0]
    sandbox.tidy()
    assert run(sandbox, b"return 'still here'") == b"still here"
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
        sandbox.enter(sandbox.run_without_keys, [function, 2], 1000)
    sandbox.recover()
    sandbox.limit_memory(32 << 20)
    assert run(sandbox, b"return 'still here'") == b"still here"


def test_what_a_run_was_given_is_let_go() -> None:
    sandbox = make(64 << 20)
    function, _ = sandbox.compile_script(b"error(#ARGV)")
    before = sandbox.memory_used()
    for _ in range(3):
        tables = sandbox.tables([], [b"%d" % i for i in range(500_000)], check=nothing)
        assert sandbox.enter(sandbox.run_with_tables, [function, 2, *tables], 0)[0] == b"ERR user_script:1: 500000"
        del tables
    sandbox.tidy()
    assert sandbox.memory_used() < before + (4 << 20)  # Lua's table of all strings is halved at each collection


def test_arguments_that_do_not_fit() -> None:
    sandbox = make(1 << 20)
    for many in ([b"x" * (1 << 20)], [b"x"] * 100_000, [b"%d" % i for i in range(30_000)]):
        with pytest.raises(NoRoomError):
            sandbox.tables([], many, check=nothing)
    assert run(sandbox, b"return 'still here'") == b"still here"


def test_handing_over_many_arguments_can_be_interrupted() -> None:
    with pytest.raises(NoRoomError):
        make().tables([b"k"], [b"x"] * (SLICE + 1), check=lambda: b"killed")


def test_recovering_from_an_error_outside_of_the_script() -> None:
    sandbox = make(32 << 20)
    with pytest.raises(LuaError):
        run(sandbox, b"local t = {} for i = 1, 3e5 do t[i] = {i} end return {t, t, t, t}")
    sandbox.recover()
    assert run(sandbox, b"return 'still here'") == b"still here"


def test_a_library_registers_callbacks() -> None:
    callbacks, problem = make().load_library(b"redis.register_function('f', function(keys, args) return keys[1] end)")
    assert (list(callbacks), problem) == ([b"f"], b"")
    _, problem = make().load_library(b"redis.register_function('f')")
    assert problem.startswith(
        b"Error registering functions: ERR calling redis.register_function with a single argument"
    )
