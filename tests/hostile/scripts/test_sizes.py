"""Scripts that go deep, wide and large: the broker refuses or ends them, and its memory stays flat."""

import sys

import pytest

from tests.hostile.scripts.caged import LUA_MEMORY, answered, evaluated, resident, settled
from tests.oracle.servers import Server
from tests.oracle.wire import Connection

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


@pytest.mark.parametrize("source", DEEP)
def test_deep_wide_and_large(caged: Server, client: Connection, source: str) -> None:
    assert b"\n+FAKE" not in settled(caged, client, source)


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
