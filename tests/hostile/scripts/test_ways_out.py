"""Scripts that try to leave their cage, or to leave something in it for the next one."""

import pytest

from tests.hostile.scripts.caged import answered, evaluated
from tests.oracle.wire import Connection

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


def test_nothing_is_left_for_the_next_script(client: Connection) -> None:
    evaluated(client, "KEYS.left = 1 ARGV.left = 2 error({err = 'X', left = KEYS})")
    assert evaluated(client, "return {KEYS.left == nil, ARGV.left == nil}") == b"*2\r\n:1\r\n:1\r\n"
    evaluated(client, "local e = redis.pcall('NOSUCH') e.left = 1 e.err = 'changed' return e")
    assert evaluated(client, "return redis.pcall('NOSUCH').left") == b"$-1\r\n"
    assert evaluated(client, "return redis.pcall('NOSUCH')") == b"-ERR Unknown Redis command called from script\r\n"
    evaluated(client, "local co = coroutine.create(function() coroutine.yield(1) end) coroutine.resume(co) return 1")
    assert evaluated(client, "return tostring(coroutine.running())") == b"$3\r\nnil\r\n"
