"""The Lua state: its cage, its memory, and how it recovers."""

from typing import Any

import pytest

from broker.scripting.sandbox import RESERVE, LuaError, Sandbox


def nothing(*args: object) -> None:
    return None


def make(max_memory: int = 0) -> Sandbox:
    names = (
        "call call_with_many acl_check_cmd setresp set_repl log sha1hex count_error number double read_double hook"
        " register_function"
    )
    return Sandbox(dict.fromkeys(names.split(), nothing), {"version": b"1.2.3", "version_number": 66051}, max_memory)


def run(sandbox: Sandbox, source: bytes, *arguments: bytes) -> Any:
    function, problem = sandbox.compile_script(source)
    assert function is not None, problem
    return sandbox.run_without_keys(function, 2, *arguments)


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
    assert sandbox.run_with_tables(function, 2, sandbox.table([b"k", b"l", b"m"]), sandbox.table([])) == b"klm|"


@pytest.mark.parametrize("name", ["debug", "io", "package", "python", "require", "print", "setfenv"])
def test_what_was_taken_away(name: str) -> None:
    text, kind, *_ = run(make(), f"return {name}".encode())
    assert kind == 2 and b"nonexistent global variable" in text


def test_libraries_are_loaded() -> None:
    sandbox = make()
    source = b"return {type(cjson.encode), type(cmsgpack.pack), type(struct.pack), type(bit.band)}"
    assert run(sandbox, source)[0].count(b"function") == 4


def test_memory_has_an_end_and_comes_back() -> None:
    sandbox = make(32 << 20)
    outcome = run(sandbox, b"local t = {} while true do t[#t + 1] = {} end")
    assert b"not enough memory" in outcome[0]
    sandbox.tidy()
    assert not sandbox.is_full
    assert run(sandbox, b"return 'still here'") == b"still here"
    assert sandbox.has_room(1 << 20) and not sandbox.has_room(1 << 30)


def test_scripts_can_not_take_the_reserve() -> None:
    sandbox = make(32 << 20)
    outcome = run(
        sandbox, b"local t = {} pcall(function() while true do t[#t + 1] = {} end end) return redis.call('PING')"
    )
    assert b"not enough memory" in outcome[0]
    assert RESERVE < 32 << 20


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
