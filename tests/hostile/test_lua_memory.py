"""Lua's memory filled to the last byte, and what crosses the border to Python then: nothing ends or hangs the process.

A hang would hold the interpreter's lock, so that nothing in the same process could notice: the attacks run in a child
that has a deadline. With TRIMARAN_SOAK=1 in the environment, it is filled to more different degrees.
"""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from broker.scripting import sandbox
from broker.scripting.running import KILLED, Interruption
from tests.broker.sessions import make_broker, make_session, run

ROOT = Path(__file__).resolve().parents[2]
DEADLINE: Final = 240.0

FILL: Final = """
local t, size = {}, 2 ^ 26
while size >= 1 do
  if not pcall(function() t[#t + 1] = ('x'):rep(size) .. #t end) then size = size / 2 end
end
while pcall(function() t = {t} end) do end
"""

NAMES: Final = """
local names = {}
for name, value in pairs(_G) do
  if type(value) == 'function' then names[#names + 1] = name end
  if type(value) == 'table' and value ~= _G then
    for inner, f in pairs(value) do if type(f) == 'function' then names[#names + 1] = name .. '.' .. inner end end
  end
end
return names
"""

CALL: Final = (
    """
local library, name = ARGV[1]:match('^(%w+)%.(.+)$')
local called = library and _G[library][name] or _G[ARGV[1]]
local hole = ('h'):rep(tonumber(ARGV[2]))
local given = {
  {}, {'abc'}, {'PING'}, {'GET', 'large'}, {'LRANGE', 'list', 0, -1}, {'HGETALL', 'hash'}, {{}}, {function() end},
  {coroutine.create(function() end)}, {3, 'text'}, {{1, 2, {a = 1}}}, {'%s %d', 'a', 1}, {'>d', 0 / 0}, {0 / 0},
  {'SET', {}}, {'nosuch', 1, 2}, {'[1, {"a": "b"}]'}, {'SET', 'k', 1.5}, {function() return 'return 1' end},
}
"""
    + FILL
    + """
hole = nil
collectgarbage()
for i = 1, #given do pcall(called, unpack(given[i])) end
return 1
"""
)

KEEPER: Final = """#!lua name=keeper
local kept = {}
redis.register_function('keep', function(keys, arguments)
  pcall(function() for i = 1, tonumber(arguments[1]) do kept[i] = ('x'):rep(40) .. i end end)
end)
"""

LARGE_LIBRARY: Final = """#!lua name=large
redis.register_function('large', function() return #{%s} end)
"""

SOAK: Final = bool(os.environ.get("TRIMARAN_SOAK"))
ROOM: Final = [0, 100, 1000, 4096, 16_384, 65_536] if SOAK else [0, 1000, 16_384]
"""Bytes that are left when a function is called."""


def every_function(cap: int, prefix: bytes) -> None:
    """Each function that scripts can reach, with a little memory left, and scripts again after each."""
    session = make_session(make_broker(lua_max_memory=cap))
    run(session, [b"SET", b"large", b"x" * 100_000], [b"RPUSH", b"list", *[b"%d" % i for i in range(5000)]])
    run(session, [b"HSET", b"hash", *[b"field%d" % i for i in range(100)]])
    reply = run(session, [b"EVAL", NAMES.encode(), b"0"])
    names = reply.split(b"\r\n")[2::2]
    assert b"redis.call" in names and b"struct.pack" in names
    for name in names:
        for room in ROOM if name.startswith(prefix) else ():
            run(session, [b"EVAL", CALL.encode(), b"0", name, b"%d" % room])
            assert run(session, [b"EVAL", b"return {1, cjson.encode({1})}", b"0"]) == b"*2\r\n:1\r\n$3\r\n[1]\r\n"


def a_small_cap() -> None:
    """Everything, where memory is small."""
    every_function(400_000, b"")


def the_default_cap() -> None:
    """What crosses the border, where memory is larger, and as large as it is without being told."""
    every_function(8 << 20, b"redis")
    session = make_session(make_broker())
    # One that goes to Python and one that does not: filling so much takes seconds, and the others are tried above.
    for last in ("redis.call('PING')", "cjson.encode({1})"):
        run(session, [b"EVAL", f"{FILL} return {last}".encode(), b"0"])
        assert run(session, [b"EVAL", b"return 1", b"0"]) == b":1\r\n"


def kills_at_any_time() -> None:
    """Hooks every few instructions, one of which now and then asks for the end, wherever that is."""
    chance = random.Random(7)
    is_on = False

    def check(self: Interruption) -> bytes | None:
        if self.current is None:
            return None
        self.current.killed |= is_on and chance.random() < 0.005
        return KILLED if self.current.killed else None

    Interruption.check = check  # type: ignore[method-assign]
    sandbox.HOOK_EVERY = 101  # type: ignore[misc]
    sandbox.HOOK_CLOSELY = 13  # type: ignore[misc]
    sandbox.LOOK_EVERY = 0  # type: ignore[misc]
    session = make_session(make_broker(lua_max_memory=400_000))
    names = run(session, [b"EVAL", NAMES.encode(), b"0"]).split(b"\r\n")[2::2]
    killed = 0
    for name in names:
        for room in (0, 1000, 20_000):
            is_on = True
            killed += b"killed" in run(session, [b"EVAL", CALL.encode(), b"0", name, b"%d" % room])
            is_on = False
            assert run(session, [b"EVAL", b"return {1, cjson.encode({1})}", b"0"]) == b"*2\r\n:1\r\n$3\r\n[1]\r\n"
    assert 20 < killed < 3 * len(names)
    reply = run(session, [b"EVAL", b"return #('x'):rep(1e6)", b"0"])
    assert b"not enough memory" in reply, "the cap was left lifted"


def many_arguments() -> None:
    """Arguments that take all of Lua's memory, at the default and at small caps."""
    random.seed(7)
    session = make_session(make_broker())
    for size in (118, 36, 7):
        words = [random.randbytes(size) for _ in range(1_048_000)]
        assert run(session, [b"EVAL", b"return #ARGV", b"0", *words]) == b":1048000\r\n"
        assert run(session, [b"EVAL", b"return 1", b"0"]) == b":1\r\n"
    numbers = [b"%07d" % i for i in range(1_000_000)]
    # What fits into a cap and what does not are both met; 64 MiB and a million are above, in more kinds.
    for cap in (32 << 20, 16 << 20, 1 << 20, 100_000) if SOAK else (16 << 20, 100_000):
        session = make_session(make_broker(lua_max_memory=cap))
        for count in (1_000_000, 500_000, 100_000, 1000):
            words = numbers[:count]
            for command in ([b"EVAL", b"return #ARGV", b"0"], [b"EVAL", b"error(#KEYS)", b"%d" % count]):
                assert run(session, [*command, *words])[:1] in b":-"
                assert run(session, [b"EVAL", b"return {ARGV[1], KEYS[1]}", b"0"]) == b"*0\r\n"


def hooks_while_python_allocates() -> None:
    """The clock read every few instructions, also in what Python calls itself to hand over arguments and code."""
    sandbox.HOOK_EVERY = 11  # type: ignore[misc]
    sandbox.LOOK_EVERY = 0  # type: ignore[misc]
    session = make_session(make_broker(lua_max_memory=4 << 20))
    assert run(session, [b"FUNCTION", b"LOAD", KEEPER.encode()]) == b"$6\r\nkeeper\r\n"
    for kept in (0, 5000, 12_000, 20_000):
        run(session, [b"FCALL", b"keep", b"0", b"%d" % kept])
        for count in range(10_000, 80_000, 5000):  # the last that are let in take more than they were estimated
            words = [b"%07d" % i for i in range(count)]
            for command in ([b"EVAL", b"return #ARGV", b"0"], [b"EVAL", b"return #KEYS", b"%d" % count]):
                assert run(session, [*command, *words])[:1] in b":-"
            library = LARGE_LIBRARY % (f"'{count}'," * 2000)
            assert run(session, [b"FUNCTION", b"LOAD", b"REPLACE", library.encode()])[:1] in b"$-"
        assert run(session, [b"EVAL", b"return 1", b"0"]) == b":1\r\n"


def attack(function: Callable[[], None]) -> None:
    program = f"from {__name__} import {function.__name__} as attack; attack()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, timeout=DEADLINE, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr.decode()[-2000:]) == (0, "")


@pytest.mark.parametrize(
    "function",
    [a_small_cap, the_default_cap, kills_at_any_time, many_arguments, hooks_while_python_allocates],
    ids=lambda f: f.__name__,
)
def test_memory_that_is_full(function: Callable[[], None]) -> None:
    attack(function)
