"""Scripts without end: they are killed, others are answered meanwhile, and nobody is served in the middle of one."""

import re
import sys
import time

import pytest

from tests.hostile.scripts.caged import BUSY, BUSY_FUNCTION, answered, busy, evaluated
from tests.oracle.servers import Server, free_port, start
from tests.oracle.wire import CLOSED, Connection, encode

FILL = (
    "local t, size = {}, 2 ^ 20 while size >= 1 do if not pcall(function() t[#t + 1] = ('x'):rep(size) .. #t end) then "
    "size = size / 2 end end while pcall(function() t = {t} end) do end "
)

LOOPS = [
    "while true do end", "while true do pcall(function() end) end",
    "while true do pcall(function() while true do end end) end",
    "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "while true do pcall(redis.call, 'PING') end", "while true do redis.call('PING') end",
    "while true do coroutine.wrap(function() while true do end end)() end",
    "while true do pcall(coroutine.wrap(function() while true do pcall(function() while true do end end) end "
    "end)) end",
    "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "local function loop() return loop() end loop()", "while true do load(function() while true do end end) end",
    "while true do pcall(string.gsub, 'x', 'x', function() while true do end end) end",
    "while true do pcall(table.sort, {3, 2, 1}, function() while true do end end) end",
    "local t = setmetatable({}, {__index = function() while true do end end}) while true do pcall(function() "
    "return t.x end) end",
    "return setmetatable({}, {__tostring = 1, __index = 2}), (function() while true do end end)()",
    "repeat local ok = pcall(error) until ok",
    "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
    "while true do local ok, e = pcall(function() while true do end end) if ok == 'never' then break end end",
    FILL + "while true do end", FILL + "while true do pcall(function() while true do end end) end",
    FILL + "local function f() pcall(f) while true do end end while true do pcall(f) end",
]  # fmt: skip


@pytest.mark.parametrize("source", LOOPS)
def test_a_script_without_end_is_killed(caged: Server, client: Connection, source: str) -> None:
    looping, other = busy(caged, source)
    killed, reply = other.call("SCRIPT", "KILL"), looping.receive()
    if killed.startswith(b"-NOTBUSY"):
        # One that has filled its memory may have ended for want of it, between BUSY and the kill.
        assert source.startswith(FILL) and b"not enough memory" in reply, reply
    else:
        assert killed == b"+OK\r\n"
        assert reply.startswith(b"-ERR Script killed by user with SCRIPT KILL...")
    assert looping.call("PING") == b"+PONG\r\n"
    looping.close()
    other.close()


@pytest.mark.parametrize("source", LOOPS[:4])
def test_a_function_without_end_is_killed(caged: Server, client: Connection, source: str) -> None:
    looping, other = busy(caged, source, function=True)
    assert other.call("SCRIPT", "KILL") == BUSY_FUNCTION
    assert b"endless" in other.call("FUNCTION", "STATS")
    assert other.call("FUNCTION", "KILL") == b"+OK\r\n"
    assert looping.receive().startswith(b"-ERR Script killed by user with SCRIPT KILL...")
    assert other.call("FUNCTION", "DELETE", "endless") == b"+OK\r\n"
    looping.close()
    other.close()


KEPT = """#!lua name=kept
local function body(first)
  while true do if first then first = coroutine.yield('alive') else while true do end end end
end
local made, wrapped, late
redis.register_function('made', function(keys, args)
  made = made or coroutine.create(body)
  return select(2, coroutine.resume(made, args[1]))
end)
redis.register_function('wrapped', function(keys, args)
  wrapped = wrapped or coroutine.wrap(body)
  return wrapped(args[1])
end)
redis.register_function('inner', function(keys, args)
  late = late or coroutine.wrap(function(...)
    local inner = coroutine.create(body)
    local first = ...
    while true do first = coroutine.yield(select(2, coroutine.resume(inner, first))) end
  end)
  return late(args[1])
end)
redis.register_function('many', function()
  for i = 1, 3000 do coroutine.resume(coroutine.create(function() end)) end
end)
"""


@pytest.mark.parametrize("name", ["made", "wrapped", "inner"])
@pytest.mark.parametrize("others", [0, 2])
def test_a_coroutine_that_outlives_its_run_can_be_killed(
    caged: Server, client: Connection, name: str, others: int
) -> None:
    assert answered(client, "FUNCTION", "LOAD", "REPLACE", KEPT) == b"$4\r\nkept\r\n"
    assert answered(client, "FCALL", name, "0", "x") == b"$5\r\nalive\r\n"
    for _ in range(others):
        answered(client, "FCALL", "many", "0")
    assert answered(client, "FCALL", name, "0", "x") == b"$5\r\nalive\r\n"
    looping, other = caged.connect(), caged.connect()
    looping.send(encode(["FCALL", name, "0"]))
    deadline = time.monotonic() + 60
    while other.call("GET", "x") != BUSY_FUNCTION:
        assert time.monotonic() < deadline, "never busy"
    assert other.call("FUNCTION", "KILL") == b"+OK\r\n"
    assert looping.receive().startswith(b"-ERR Script killed by user with SCRIPT KILL...")
    assert other.call("FUNCTION", "DELETE", "kept") == b"+OK\r\n"
    looping.close()
    other.close()


def test_what_is_answered_while_a_script_runs(caged: Server, client: Connection) -> None:
    looping, other = busy(caged, "while true do end")
    assert other.call("FUNCTION", "KILL") == BUSY
    assert other.call("FUNCTION", "STATS") == BUSY
    for words in (
        ["SET", "a", "1"],
        ["EVAL", "return 1", "0"],
        ["FCALL", "x", "0"],
        ["SHUTDOWN"],
        ["PING"],
        ["SCRIPT", "FLUSH"],
    ):
        assert other.call(*words) == BUSY
    assert other.call("MULTI") == b"+OK\r\n"
    assert other.call("SET", "a", "1") == BUSY
    assert other.call("EXEC").startswith(b"-EXECABORT")
    third = caged.connect()
    assert third.call("HELLO", "3").startswith(b"%")
    assert third.call("INFO") == BUSY
    # A pipeline of the caller's own, and of others, is answered in its order afterwards.
    looping.send(encode(["PING"]) + encode(["ECHO", "x"]))
    assert other.call("SCRIPT", "KILL") == b"+OK\r\n"
    assert looping.receive().startswith(b"-ERR Script killed")
    assert (looping.receive(), looping.receive()) == (b"+PONG\r\n", b"$1\r\nx\r\n")
    assert other.call("SCRIPT", "KILL") == b"-NOTBUSY No scripts in execution right now.\r\n"
    assert other.call("GET", "a") == b"$-1\r\n"
    for connection in (looping, other, third):
        connection.close()


def test_a_pipeline_of_large_replies_is_answered_on_while_a_script_runs(caged: Server, client: Connection) -> None:
    """It gets its turn between two looks at the clock, as otherwise between two ticks."""
    assert client.call("SET", "large", "x" * 500_000) == b"+OK\r\n"
    looping, reading = caged.connect(), caged.connect()
    reading.send(encode(["GET", "large"]) * 200)
    looping.send(encode(["EVAL", "while true do end", "0"]))
    replies = [reading.receive() for _ in range(200)]
    assert {len(reply) for reply in replies} <= {500_011, len(BUSY)} and replies[-1] == BUSY
    assert client.call("SCRIPT", "KILL") == b"+OK\r\n"
    assert client.call("DEL", "large") == b":1\r\n"
    for connection in (looping, reading):
        connection.close()


def test_nobody_is_served_in_the_middle_of_a_script(caged: Server, client: Connection) -> None:
    waiting = caged.connect()
    waiting.send(encode(["BLPOP", "middle", "0"]))
    source = "redis.call('RPUSH', 'middle', 'a') for i = 1, 3e7 do end return redis.call('LPOP', 'middle')"
    looping, other = busy(caged, source)
    assert other.call("MULTI") == b"+OK\r\n"
    assert other.call("DISCARD") in (b"+OK\r\n", BUSY)
    assert looping.receive() == b"$1\r\na\r\n"
    assert other.call("LLEN", "middle") == b":0\r\n"
    assert not waiting.waiting()
    for connection in (waiting, looping, other):
        connection.close()


def test_the_caller_of_an_endless_script_goes(caged: Server, client: Connection) -> None:
    looping, other = busy(caged, "while true do end")
    looping.close()
    for _ in range(20):
        assert other.call("GET", "x") == BUSY
    assert other.call("SCRIPT", "KILL") == b"+OK\r\n"
    assert other.call("PING") == b"+PONG\r\n"
    other.close()


def alike(count: int) -> list[bytes]:
    """Texts of 64 bytes that differ in bytes alone that Lua's hash leaves out, so that all have the same."""
    left_out = [at for at in range(64) if at % 3 != 0][:17]
    texts = []
    for number in range(count):
        text = bytearray(b"a" * 64)
        for bit, at in enumerate(left_out):
            text[at] += number >> bit & 1
        texts.append(bytes(text))
    return texts


@pytest.mark.parametrize(
    "words",
    [
        ["EVAL", "local t, p = {}, ('x'):rep(1000) for i = 1, 1e6 do t[i] = p .. i end", "0"],
        ["EVAL", "local t = {} for i = 1, 1e6 do t[i % 1e5] = ('%s%010d%s'):format(('x'):rep(60), i, ARGV[1]) end",
         "0", "x" * 60],
        ["EVAL", "return #ARGV", "0", 1 << 17],
        ["EVAL", "while #redis.call('SMEMBERS', 'alike') do end", "0"],
    ],
    ids=["concatenated", "formatted", "arguments", "reply"],
)  # fmt: skip
def test_strings_that_lua_hashes_alike_stop_nobody_for_long(words: list[str | int]) -> None:
    """A number stands for so many strings: to make them takes a second, not to be spent where tests are collected."""
    sent = [text for word in words for text in (alike(word) if isinstance(word, int) else [word])]
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--busy-reply-threshold", "50"]
    server = start("broker", [sys.executable, "-m", "broker", "serve", *options], port)
    try:
        slow, other = server.connect(), server.connect()
        other.call("SADD", "alike", *alike(20_000))
        slow.send(encode(sent))
        deadline = time.monotonic() + 30
        while other.call("GET", "x") != BUSY:
            assert time.monotonic() < deadline, "never busy"
        for _ in range(50):
            assert other.call("GET", "x") == BUSY
        assert other.call("SCRIPT", "KILL") == b"+OK\r\n"
        assert slow.receive().startswith(b"-ERR Script killed by user with SCRIPT KILL...")
        assert other.call("PING") == b"+PONG\r\n"
        slow.close()
        other.close()
    finally:
        server.stop()


def test_after_a_write_only_shutdown_nosave_helps() -> None:
    port = free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--busy-reply-threshold", "50"]
    server = start("broker", [sys.executable, "-m", "broker", "serve", *words], port)
    try:
        looping, other = busy(server, "redis.call('SET', 'a', 1) while true do pcall(function() end) end")
        assert other.call("SCRIPT", "KILL").startswith(b"-UNKILLABLE Sorry the script already executed write commands")
        assert other.call("FUNCTION", "KILL").startswith(b"-UNKILLABLE")
        assert other.call("GET", "a") == BUSY
        assert other.call("SHUTDOWN") == BUSY
        assert other.call("SHUTDOWN", "SAVE") == BUSY
        assert other.call("SHUTDOWN", "NOSAVE") == CLOSED
        assert server.process is not None
        assert server.process.wait(60) == 0
        other.close()
        looping.close()
    finally:
        server.stop()


def test_writes_made_before_an_error_stay(client: Connection) -> None:
    assert evaluated(client, "redis.call('SET', 'kept', 1) error('x')").startswith(b"-ERR")
    assert answered(client, "GET", "kept") == b"$1\r\n1\r\n"


def test_a_library_that_never_ends_is_refused(client: Connection) -> None:
    for body in (
        "while true do end",
        "local function f() return f() end f()",
        "local s = 'x' while true do s = s .. s end",
    ):
        reply = answered(client, "FUNCTION", "LOAD", f"#!lua name=endless\n{body}")
        assert re.match(
            rb"-ERR (Error registering functions: .*(timeout|not enough memory)|not enough memory)", reply
        ), reply
    assert answered(client, "FUNCTION", "LIST") == b"*0\r\n"
