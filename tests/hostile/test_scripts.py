"""Scripts that try to leave their cage, to stay in it forever, or to fill it: the broker lives, and serves the next.

The broker is a process of its own with a small cap on Lua's memory, so that an escape that ends it fails a test.
"""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle.servers import Server, free_port, start
from tests.oracle.wire import CLOSED, SILENT, Connection, encode

LUA_MEMORY = 32 << 20

BUSY = b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"
BUSY_FUNCTION = b"-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.\r\n"


@pytest.fixture(scope="module")
def caged() -> Iterator[Server]:
    port = free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--lua-max-memory", str(LUA_MEMORY)]
    server = start("broker", [sys.executable, "-m", "broker", "serve", *words, "--busy-reply-threshold", "50"], port)
    yield server
    server.stop()


@pytest.fixture
def client(caged: Server) -> Iterator[Connection]:
    connection = caged.connect()
    yield connection
    connection.close()
    assert caged.alive(), caged.log()
    other = caged.connect()
    assert other.call("PING") == b"+PONG\r\n"
    assert other.call("EVAL", "return {1, {2}, redis.call('ECHO', 'x'), cjson.encode({1})}", "0") == (
        b"*4\r\n:1\r\n*1\r\n:2\r\n$1\r\nx\r\n$3\r\n[1]\r\n"
    )
    other.close()
    assert "Traceback" not in caged.log()


def answered(client: Connection, *words: str | bytes) -> bytes:
    reply = client.call(*words)
    assert reply not in (CLOSED, SILENT), words
    assert b"internal error" not in reply
    return reply


def evaluated(client: Connection, source: str, *arguments: str) -> bytes:
    return answered(client, "EVAL", source, "0", *arguments)


# Ways out

REACH = [
    "io", "debug", "package", "require", "dofile", "loadfile", "python", "newproxy", "setfenv", "getfenv", "module",
    "print", "os.execute", "os.exit", "os.getenv", "os.remove", "os.rename", "os.tmpname", "os.date", "os.time",
    "os.setlocale", "_G.io", "_G.debug", "_G.python", "string.nosuch", "redis.python", "cjson.python",
    "coroutine.debug", "math.nosuch",
]  # fmt: skip


@pytest.mark.parametrize("name", REACH)
def test_what_is_not_there(client: Connection, name: str) -> None:
    reply = evaluated(client, f"return type({name})")
    assert b"nonexistent global variable" in reply or reply == b"$3\r\nnil\r\n"
    assert b"userdata" not in evaluated(client, f"local ok, v = pcall(function() return {name} end) return type(v)")


def test_only_the_clock_of_os(client: Connection) -> None:
    assert (
        evaluated(client, "local n = {} for k in pairs(os) do n[#n + 1] = k end return n") == b"*1\r\n$5\r\nclock\r\n"
    )


WALK = """
local seen, found = {}, {}
local function walk(value, path)
  local kind = type(value)
  if kind == 'userdata' and path ~= '_G.cjson.null' then found[#found + 1] = path end
  if (kind ~= 'table' and kind ~= 'string') or seen[value] then return end
  seen[value] = true
  local metatable = getmetatable(value)
  if metatable then walk(metatable, path .. '<metatable>') end
  if kind == 'string' then return end
  for name, inner in pairs(value) do
    walk(name, path .. '<key>')
    walk(inner, path .. '.' .. tostring(name))
  end
end
walk(_G, '_G')
walk('text', 'text')
walk(redis.pcall('NOSUCH'), 'error')
walk(select(2, pcall(redis.call, 'NOSUCH')), 'error')
walk(select(2, pcall(redis.call)), 'error')
walk(select(2, pcall(redis.call, {})), 'error')
walk(select(2, pcall(redis.sha1hex)), 'error')
walk(select(2, pcall(cjson.decode, '{')), 'error')
walk(redis.pcall('CONFIG', 'GET', '*'), 'reply')
return found
"""


def test_no_object_of_python_is_in_reach(client: Connection) -> None:
    assert evaluated(client, WALK) == b"*0\r\n"


CODE = "('\\27Lua' .. string.dump(function() return 42 end):sub(5))"


@pytest.mark.parametrize(
    "source",
    [
        f"return loadstring({CODE})()",
        f"local code = {CODE} return load(function() local c = code code = nil return c end)()",
        "local code = string.dump(function() return 42 end) return loadstring(code)()",
        f"return assert(loadstring({CODE}, '=name'))()",
        f"return (loadstring('return loadstring(...)'))({CODE})()",
    ],
)
def test_byte_code_is_not_loaded(client: Connection, source: str) -> None:
    assert evaluated(client, source).startswith(b"-ERR ")


def test_byte_code_as_a_script(client: Connection) -> None:
    code = b"\x1bLuaQ\x00\x01\x04\x08\x04\x08\x00" + b"\xff" * 100
    for command in (("EVAL", code, "0"), ("SCRIPT", "LOAD", code)):
        assert answered(client, *command).startswith(b"-ERR Error compiling script")
    assert answered(client, "FUNCTION", "LOAD", b"#!lua name=x\n" + code).startswith(b"-ERR Error compiling function")


WRITES = [
    "x = 1", "_G.x = 1", "redis.call = 1", "redis.x = 1", "string.x = 1", "string.rep = nil", "math.pi = 3",
    "table.insert = 1", "cjson.encode = 1", "cjson.null = 1", "bit.bor = 1", "struct.pack = 1", "cmsgpack.pack = 1",
    "os.clock = 1", "coroutine.create = 1", "KEYS = 1", "ARGV = 1", "pcall = error", "rawset(_G, 'x', 1)",
    "rawset(redis, 'call', 1)", "rawset(string, 'rep', 1)", "setmetatable(_G, {})", "setmetatable(_G, nil)",
    "setmetatable(redis, {__index = {}})", "setmetatable(string, {})", "getmetatable('').__index = {}",
    "getmetatable('').__index.rep = 1", "rawset(getmetatable(''), '__index', {})", "getmetatable(_G).__index = {}",
    "rawset(getmetatable(_G), '__index', {})", "getmetatable(_G).__newindex = nil", "table.insert(_G, 1)",
    "table.insert(redis, 1, 1)", "table.insert(string, 'x')", "rawset(cjson, 'x', 1)",
    "for _, library in pairs(_G) do if type(library) == 'table' then rawset(library, 'x', 1) end end",
    "setmetatable(cjson, {})", "getmetatable('').__metatable = nil", "local t = next, _G t.x = 1",
]  # fmt: skip


@pytest.mark.parametrize("source", WRITES)
def test_nothing_shared_can_be_written(client: Connection, source: str) -> None:
    before = evaluated(client, NAMES)
    assert evaluated(client, source).startswith(b"-ERR ")
    evaluated(client, f"pcall(function() {source} end)")
    evaluated(client, f"coroutine.wrap(function() {source} end)()")
    assert evaluated(client, NAMES) == before
    assert evaluated(client, "return {('x'):rep(2), redis.call('ECHO', 'x'), math.floor(math.pi * 100)}") == (
        b"*3\r\n$2\r\nxx\r\n$1\r\nx\r\n:314\r\n"
    )


NAMES = """
local names = {}
for name, library in pairs(_G) do
  names[#names + 1] = name
  if type(library) == 'table' and library ~= _G and name ~= 'KEYS' and name ~= 'ARGV' then
    for inner, value in pairs(library) do names[#names + 1] = name .. '.' .. tostring(inner) .. type(value) end
  end
end
table.sort(names)
return names
"""


def test_what_pairs_gives_of_a_library_is_a_copy(client: Connection) -> None:
    source = "local step, t = pairs(redis) t.call = 1 t.x = 1 return {type(redis.call), type(redis.x)}"
    assert evaluated(client, source) == b"*2\r\n$8\r\nfunction\r\n$3\r\nnil\r\n"
    source = "local step, t = pairs(_G) t.x = 1 rawset(t, 'redis', 1) return {type(redis), type(rawget(_G, 'x'))}"
    assert evaluated(client, source) == b"*2\r\n$5\r\ntable\r\n$3\r\nnil\r\n"


# Tables and errors of one script


def test_nothing_is_left_for_the_next_script(client: Connection) -> None:
    evaluated(client, "KEYS.left = 1 ARGV.left = 2 error({err = 'X', left = KEYS})")
    assert evaluated(client, "return {KEYS.left == nil, ARGV.left == nil}") == b"*2\r\n:1\r\n:1\r\n"
    evaluated(client, "local e = redis.pcall('NOSUCH') e.left = 1 e.err = 'changed' return e")
    assert evaluated(client, "return redis.pcall('NOSUCH').left") == b"$-1\r\n"
    assert evaluated(client, "return redis.pcall('NOSUCH')") == b"-ERR Unknown Redis command called from script\r\n"
    evaluated(client, "local co = coroutine.create(function() coroutine.yield(1) end) coroutine.resume(co) return 1")
    assert evaluated(client, "return tostring(coroutine.running())") == b"$3\r\nnil\r\n"


# Deep, wide, and large

DEEP = [
    "local function f() return f() + 1 end return f()", "local function f() f() end f()",
    "local function f() return pcall(f) end return f()",
    "local function f() return coroutine.wrap(f)() end return f()",
    "local function f() return coroutine.resume(coroutine.create(f)) end return f()",
    "local t = setmetatable({}, {__index = function(t, k) return t[k .. 'x'] end}) return t.x",
    "local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x",
    "local function f(s) return s:gsub('.', f) end return f('x')",
    "local function f() table.sort({2, 1}, f) end f()",
    "return loadstring(('('):rep(100000) .. '1' .. (')'):rep(100000))", "return loadstring(('{'):rep(100000))",
    "return loadstring('return ' .. ('-'):rep(100000):gsub('-', '- ') .. '1')",
    "return loadstring(('do '):rep(100000) .. ('end '):rep(100000))",
    "return loadstring('local a = ' .. ('function() '):rep(1000) .. ('end '):rep(1000))",
    "return loadstring('return ' .. ('a..'):rep(100000) .. 'a')",
    "local t = {} for i = 1, 100000 do t = {t} end return t",
    "local t = {} for i = 1, 100000 do t = {t} end return cjson.encode(t)",
    "local t = {} for i = 1, 100000 do t = {t} end return cmsgpack.pack(t)",
    "local t = {} t[1] = t return cjson.encode(t)", "local t = {} t[1] = t return cmsgpack.pack(t)",
    "local t = {} t[1] = t return t", "return cjson.decode(('['):rep(100000))",
    "return cjson.decode(('{\"a\":'):rep(100000))", "return cmsgpack.unpack(('\\145'):rep(100000))",
    "return {unpack({}, 1, 1e8)}", "return {unpack({}, 1, 8000)}", "return {unpack({}, -2^31, 2^31 - 1)}",
    "return {unpack({}, 0, 2^31 - 1)}", "return {unpack({}, -1e9, 1e9)}", "return {unpack({}, 1, 1e308)}",
    "return {unpack({}, 1, 0/0)}", "return {unpack({}, 0/0, 1)}", "return {unpack({}, '1', '100000000')}",
    "return select(2^31, 1)", "return select(-2^31, 1)", "return select('#', unpack({}, 1, 7990))",
    "return ('x'):rep(2^40)", "return ('x'):rep(2^31 - 1)", "return (''):rep(2^31 - 1)",
    "return (('x'):rep(2^20)):rep(2^20)", "local s = 'x' while true do s = s .. s end",
    "local t = {} while true do t[#t + 1] = #t end", "local t = {} while true do t[#t + 1] = {} end",
    "local t = {} local i = 0 while true do i = i + 1 t['key' .. i] = i end",
    "local t = {} while true do t[#t + 1] = coroutine.create(function() end) end",
    "local t = {} while true do t[#t + 1] = function() return t end end",
    "local t = {} for i = 1, 1e5 do t[i] = ('x'):rep(1000) .. i end return t", "return string.format('%99999d', 1)",
    "return string.format(('%s'):rep(10000), unpack({}, 1, 7000))", "return string.format('%s', ('x'):rep(2^28))",
    "return table.concat({}, 'x', 1, 2^31 - 1)",
    "return table.concat(setmetatable({}, {__index = function() return 'x' end}), '', 1, 1e9)",
    "return string.find(('a'):rep(300000), ('a?'):rep(300000))",
    "return string.find(('a'):rep(300000), ('(a'):rep(300000))",
    "return string.find(('a'):rep(5000), ('a?'):rep(2000))",
    "return string.match(('a'):rep(300000), ('a-'):rep(300000))",
    "return string.gsub(('a'):rep(300000), ('a*'):rep(300000), '')",
    "for w in string.gmatch(('a'):rep(300000), ('a?'):rep(300000)) do return w end",
    "return string.find('a', '%f[' .. ('a'):rep(1e6) .. ']')",
    "return string.find(('('):rep(100), ('%b()'):rep(1000))",
    "return table.sort({3, 2, 1, 5, 4, 7, 6}, function() return true end)",
    "local t = {} for i = 1, 1000 do t[i] = i % 7 end table.sort(t, function() return math.random() < 0.5 end) "
    "return 1",
    "local f = loadstring('local a = ... return ' .. ('a,'):rep(300) .. 'a') return f and select('#', f(1))",
    "local n = {} for i = 1, 180 do n[i] = 'p' .. i end return loadstring('local function f(' .. table.concat(n, "
    "',') .. ', ...) return 1 end"
    " local function deep(n) if n == 0 then return f() end return deep(n - 1) + f() end return deep(15000)')()",
    "local n = {} for i = 1, 240 do n[i] = 'p' .. i end return assert(loadstring('return function(' .. "
    "table.concat(n, ',') .. ', ...) end'))",
    "return struct.pack(('i'):rep(1e6), 1)", "return struct.pack('c' .. 1e9, 'x')", "return struct.unpack('c0', '')",
    "return struct.unpack(('s'):rep(100000), ('\\0'):rep(100000))", "return bit.lshift(1, 1e308)",
    "return bit.tohex(0/0, -2^31)", "return redis.call('ECHO', ('x'):rep(5e7))",
    "return redis.sha1hex(('x'):rep(5e7))", "redis.log(3, ('x'):rep(1e6))",
    "redis.log(3, 'line\\r\\nbreak\\27[31m')", "return redis.call(unpack({}, 1, 7000))",
    "local t = {} for i = 1, 7000 do t[i] = {} end return redis.pcall(unpack(t))",
    "return redis.call(('x'):rep(1e6))", "return redis.error_reply(('x'):rep(1e6))",
    "return redis.status_reply('a\\r\\n+FAKE')", "return {err = 'a\\r\\n+FAKE'}", "return {ok = 'a\\r\\n+FAKE'}",
    "error('a\\r\\n+FAKE')", "error({err = 'a\\r\\n+FAKE'})", "return {big_number = '1\\r\\n+FAKE'}",
    "return {verbatim_string = {format = 'a\\r\\n+FAKE', string = 'x'}}",
    "return setmetatable({}, {__index = function(t, k) return k end})",
    "error(setmetatable({}, {__index = function() error('again') end}))",
    "error(setmetatable({}, {__newindex = function() error('again') end}))",
    "error(setmetatable({}, {__tostring = function() error('again') end}))",
    "error(coroutine.create(print or error))", "error(redis)", "error(_G)", "error(cjson.null)", "return cjson.null",
    "xpcall(error, error)", "xpcall(error, function() error('again') end)",
    "return {xpcall(error, function() return redis end)}",
    "local function h() error('x') end return {xpcall(function() error('y') end, h)}", "pcall(coroutine.yield)",
    "coroutine.yield()", "coroutine.wrap(coroutine.yield)()", "return coroutine.resume(coroutine.running())",
    "local co co = coroutine.create(function() return coroutine.resume(co) end) return coroutine.resume(co)",
    "collectgarbage('stop') local t = {} for i = 1, 1e6 do t = {} end return 1",
    "collectgarbage('setpause', 1e9) collectgarbage('setstepmul', 0) return collectgarbage('count') > 0",
    "for i = 1, 1000 do collectgarbage() end return 1",
]  # fmt: skip


PATIENCE = 2.0
"""Seconds that a script may run before it is killed as an operator would kill it."""


def settled(caged: Server, client: Connection, source: str) -> bytes:
    """The reply to a script, which is killed if it goes on for long."""
    client.send(encode(["EVAL", source, "0"]))
    deadline = time.monotonic() + PATIENCE
    while not client.waiting() and time.monotonic() < deadline:
        time.sleep(0.005)
    if not client.waiting():
        other = caged.connect()
        assert other.call("SCRIPT", "KILL") in (b"+OK\r\n", b"-NOTBUSY No scripts in execution right now.\r\n")
        other.close()
    reply = client.receive()
    assert reply not in (CLOSED, SILENT), source
    assert b"internal error" not in reply
    return reply


@pytest.mark.parametrize("source", DEEP)
def test_deep_wide_and_large(caged: Server, client: Connection, source: str) -> None:
    assert b"\n+FAKE" not in settled(caged, client, source)


def resident(server: Server) -> int:
    """The broker's memory in bytes."""
    assert server.process is not None
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * 4096


HOGS = [
    "local s = 'x' while true do s = s .. s end", "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
    "local t = {} while true do if not pcall(function() t[#t + 1] = {} end) then return #t end end",
    "local t = {} for i = 1, 1e5 do t[i] = coroutine.wrap(function() coroutine.yield() end) t[i]() end return #t",
    "local t = {} pcall(function() while true do t[#t + 1] = ('x'):rep(100) .. #t end end) return "
    "redis.call('ECHO', 'x')",
    "local t = {} pcall(function() while true do t[#t + 1] = {} end end) return {redis.pcall('ECHO', "
    "('x'):rep(10000))}",
    "local t = {} pcall(function() while true do t[#t + 1] = {} end end) return {redis.pcall(t)}",
    "local t = {} pcall(function() while true do t[#t + 1] = {} end end) redis.log(3, t) return redis.sha1hex(t)",
    "local t = {} pcall(function() while true do t[#t + 1] = {} end end) return t",
    "local t = {} pcall(function() while true do t[#t + 1] = {} end end) error(t)",
    "local t = {} pcall(function() while true do t[#t + 1] = {} end end) return loadstring('return ' .. ('1 + "
    "'):rep(1000) .. '1')()",
    "local t = {} pcall(function() while true do t[#t + 1] = 'a' .. #t end end) return cjson.encode(t)",
    "local t = {} while true do t[#t + 1] = redis.call('GET', 'big') .. #t end",
    "local t = {} pcall(function() while true do t[#t + 1] = {} end end)"
    " return redis.call('GET', 'big')",
    "local t = {} while true do t[#t + 1] = redis.call('LRANGE', 'list', 0, -1) end",
]  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_flat(caged: Server, client: Connection) -> None:
    answered(client, "SET", "big", b"x" * (16 << 20))
    answered(client, "RPUSH", "list", *map(str, range(20_000)))
    for source in HOGS:
        settled(caged, client, source)
    before = resident(caged)
    for source in HOGS:
        settled(caged, client, source)
        assert resident(caged) < before + 4 * LUA_MEMORY
    assert resident(caged) < before + LUA_MEMORY // 2


def test_many_scripts_are_not_kept(caged: Server, client: Connection) -> None:
    for number in range(1000):
        evaluated(client, f"return {number} -- {'x' * 1000}")
    before = resident(caged)
    for number in range(1000, 4000):
        evaluated(client, f"return {number} -- {'x' * 1000}")
    assert resident(caged) < before + (8 << 20)


def test_errors_do_not_pile_up(caged: Server, client: Connection) -> None:
    source = "for i = 1, 1000 do pcall(redis.call, 'NOSUCH') pcall(redis.call) pcall(error, {}) end return 1"
    evaluated(client, source)
    before = resident(caged)
    for _ in range(50):
        assert evaluated(client, source) == b":1\r\n"
    assert resident(caged) < before + (8 << 20)


# Without end

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


def busy(caged: Server, source: str, *, function: bool = False) -> tuple[Connection, Connection]:
    """A client whose script runs without end, and another, once it has been told BUSY."""
    looping, other = caged.connect(), caged.connect()
    if function:
        code = f"#!lua name=endless\nredis.register_function('endless', function(keys) {source} end)"
        assert other.call("FUNCTION", "LOAD", "REPLACE", code) == b"$7\r\nendless\r\n"
        looping.send(encode(["FCALL", "endless", "1", "key"]))
    else:
        looping.send(encode(["EVAL", source, "0"]))
    deadline = time.monotonic() + 5
    while other.call("GET", "x") != (BUSY_FUNCTION if function else BUSY):
        assert time.monotonic() < deadline, "never busy"
    return looping, other


@pytest.mark.parametrize("source", LOOPS)
def test_a_script_without_end_is_killed(caged: Server, client: Connection, source: str) -> None:
    looping, other = busy(caged, source)
    assert other.call("SCRIPT", "KILL") == b"+OK\r\n"
    reply = looping.receive()
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
    deadline = time.monotonic() + 5
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
        ["EVAL", "return #ARGV", "0", *alike(1 << 17)],
        ["EVAL", "while #redis.call('SMEMBERS', 'alike') do end", "0"],
    ],
    ids=["concatenated", "formatted", "arguments", "reply"],
)  # fmt: skip
def test_strings_that_lua_hashes_alike_stop_nobody_for_long(words: list[str | bytes]) -> None:
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--busy-reply-threshold", "50"]
    server = start("broker", [sys.executable, "-m", "broker", "serve", *options], port)
    try:
        slow, other = server.connect(), server.connect()
        other.call("SADD", "alike", *alike(20_000))
        slow.send(encode(words))
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
        assert server.process.wait(10) == 0
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


def test_large_arguments(client: Connection) -> None:
    big = b"x" * (48 << 20)
    for words in (
        ["EVAL", "return #ARGV[1]", "0", big],
        ["EVAL", "return #KEYS[1]", "1", big],
        ["EVAL", big, "0"],
        ["SCRIPT", "LOAD", b"return '" + big + b"'"],
        ["FUNCTION", "LOAD", b"#!lua name=x\n" + big],
        ["EVAL", "return #ARGV", "0", *["x"] * 100_000],
    ):
        answered(client, *words)
