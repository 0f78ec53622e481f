"""Errors of scripts beside redis-server: their texts, where they are said to be, and how they are counted."""

import re
from hashlib import sha1

import pytest

from tests.oracle.harness import Masked, Skip, requires, same
from tests.oracle.lua_scripts import evaluate, script, without_addresses
from tests.oracle.wire import parse

pytestmark = requires("8.10")


@pytest.mark.parametrize(
    "source",
    [
        "return redis.call('NOSUCH')", "redis.call('NOSUCH')", "return redis.pcall('NOSUCH')",
        "return redis.call('GET')", "local r = redis.call('INCR', 't') return r", "return {redis.call('INCR', 't')}",
        "return redis.call('INCR', 't')", "\n\nreturn redis.call('INCR', 't')",
        "local function f() return redis.call('INCR', 't') end\nreturn f()",
        "local function f()\nlocal x = redis.call('INCR', 't')\nreturn x end\nlocal y = f() return y",
        "local call = redis.call\nreturn call('INCR', 't')", "error('text')", "error('text', 0)", "error('text', 1)",
        "error('text', 2)", "error({})", "error({err='ERR mine'})", "error({err='mine'})", "error({err=1})",
        "error({err={}})", "error()", "error(nil)", "error(5)", "error(true)", "error({err='MINE a\\nb'})",
        "error({err='x', source='here', line=7})", "error(redis.error_reply('CODE text'))",
        "local function f() error('deep') end f()", "local function f() error('deep', 2) end\n\nf()",
        "local t = nil; t.x = 1", "return nil + 1", "return #nil", "return 1 .. {}", "return {} < {}",
        "return 1 < 'a'", "local t = {} t[nil] = 1", "nosuch()", "nosuch.x()", "return nosuch", "x = 1",
        "function f() end", "redis = 1", "KEYS = 1", "ARGV = {}", "_G.x = 1", "return _G.nosuch", "string.x = 1",
        "redis.call = 1", "math.pi = 3", "local s = 'x' s.y = 1", "return ('x'):nosuch()", "return string.rep()",
        "return string.format('%d', 'x')", "return tonumber()", "string.format('%y', 1)", "return string.char(256)",
        "return table.concat({{}})", "return table.concat({1,2,nil,4}, ',', 1, 4)", "return setmetatable(1, {})",
        "return select(0)", "return ipairs()", "return ipairs(nil)", "return math.floor('x')",
        "for i = 1, 'x' do end", "return unpack()", "return assert(false)", "return assert(nil, 'message')",
        "return assert(false, {err='ERR table'})", "return loadstring('return 1')()",
        "return loadstring('syntax error here')", "return (loadstring('return redis'))() ~= nil",
        "local f, e = loadstring('x =') return e", "local f, e = loadstring('x =', '=name') return e",
        "local f, e = loadstring('x =', '@name') return e", "loadstring('error(\"in chunk\")')()",
        "loadstring('return redis.call(\"NOSUCH\")', '@mine')()", "return load(function() return nil end) ~= nil",
        "local done = false return load(function() if done then return nil end done = true return 'return 42' end)()",
        "return rawset(_G, 'x', 1)", "return rawset(redis, 'x', 1)", "return rawset(string, 'x', 1)",
        "return setmetatable(_G, {})", "return setmetatable(string, {})", "return getmetatable(_G) == nil",
        "getmetatable(_G).__index = nil", "return getmetatable('').__index == string",
        "getmetatable('').__index = nil", "getmetatable('').x = 1", "return table.insert(redis, 1)",
        "return pcall(rawset, _G, 'x', 1)", "return {pcall(error, 'x')}", "return {pcall(error, {err='ERR x'})}",
        "return {pcall(redis.call, 'NOSUCH')}", "return {pcall(function() error('x') end)}",
        "return {pcall(function() error() end)}", "return {pcall(function() return 1, 2, 3 end)}",
        "return {pcall(1)}", "return {pcall(nil)}",
        "return {xpcall(function() error('x') end, function(m) return 'handled ' .. m end)}",
        "return {xpcall(function() redis.call('NOSUCH') end, function(m) return m.err end)}",
        "local ok, e = pcall(redis.call, 'NOSUCH') return type(e)",
        "local ok, e = pcall(function() error({1,2}) end) return e",
        "local co = coroutine.wrap(function() error('in coroutine') end) co()",
        "local co = coroutine.create(function() error('in coroutine') end) return {coroutine.resume(co)}",
        "local co = coroutine.create(function() redis.call('NOSUCH') end) local ok, e = coroutine.resume(co) "
        "return e.err",
        "local co = coroutine.wrap(function() redis.call('NOSUCH') end) co()",
        "local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return {co(1), "
        "co(5)}",
        "return {coroutine.resume(coroutine.create(function(...) return ... end), 1, 2)}", "coroutine.create(1)",
        "coroutine.wrap()", "coroutine.resume(1)", "coroutine.yield(1)", "return coroutine.running()",
        "return coroutine.status(coroutine.create(function() end))",
        "local function f() return f() + 1 end return f()", "local function f() f() end f()",
        "local function f(n) return n == 0 and 'done' or f(n - 1) end return f(15000)",
        "local function f(n) if n == 0 then return 'done' end return f(n - 1) end return f(100000)",
        "return table.sort({3, 1, 2}, function(a, b) return true end)", "table.sort({1, 'a'})",
        "string.gsub('x', '(', '')", "return string.find('a', '[a')", "return ('x'):gsub('x', {})",
        "string.gsub('x', 'x', '%2')", "return string.match('x', '%')", "return string.gmatch()", "string.find()",
        "string.find(nil, 'x')", "string.match('x')", "string.gsub('x', {}, '')", "('x').find({})", "break",
        "return return", "local x = ", "goto x", "if", "return 'unfinished", "return [[unfinished", "x = = 1", "}",
        "\0", "return 1 return 2", "local a <const> = 1", "return 1 // 2", "return 0x1p4", "return '\\u{41}'",
        "\27Lua", "\x7f", "é = 1", "for i = 1, 10 do end end", "local function f( end", "#!nope", "# comment",
        "return {err='x'} , 2", "return redis.call('SET', 'a')",
        "redis.call('SET', 'a', 'b') error('after a write')", "redis.call('SET', 'a', 'b') redis.call('INCR', 'a')",
        "return {redis.pcall('INCR', 't'), 'go on'}", "local e = redis.pcall('INCR', 't') return e.err",
        "local e = redis.pcall('INCR', 't') error(e)",
        "local e = redis.pcall('INCR', 't') e.err = 'changed' return e", "local e = redis.pcall('GET') return e.err",
        "return redis.pcall('INCR', 't').ignore_error_stats_update",
        "local t = redis.call('SET', 'a', 'b') return t.ok", "return redis.nosuch", "redis.nosuch()",
        "return redis['call'] == redis.call", "table.foreach({1}, function() error('in foreach') end)",
        "table.sort({2, 1}, function() error('in sort') end)", "table.sort({2, 1}, redis.call)",
        "return string.gsub('a', 'a', function() error('in gsub') end)",
        "return string.gsub('NOSUCH', '.*', redis.call)", "return {pcall(pcall, error, 'x')}",
        "local t = setmetatable({}, {__index = function(t, k) error('index ' .. k) end}) return t.x",
        "local t = setmetatable({}, {__index = function(t, k) return redis.call('NOSUCH') end}) return t.x",
        "return tostring(setmetatable({}, {__tostring = function() error('no text') end}))",
    ],
)  # fmt: skip
def test_errors(source: str) -> None:
    same(["SET t x", Masked(script(source), without_addresses)], state=True)


@pytest.mark.parametrize(
    "call",
    [
        "setmetatable(5, {})", "setmetatable()", "setmetatable({})", "setmetatable({}, 1)", "setmetatable({}, nil)",
        "setmetatable(setmetatable({}, {__metatable=1}), {})", "setmetatable(cjson.null, {})", "getmetatable()",
        "getmetatable(cjson.null)", "getmetatable(setmetatable({}, {__metatable=false}))", "rawset(5, 1, 1)",
        "rawget(5, 1)", "rawget()", "next(5)", "next()", "pairs(5)", "pairs()", "unpack(5)", "unpack()", "ipairs(5)",
        "string.rep()", "('x'):rep()", "('x').rep()", "('x'):find()", "string.match()", "math.random(0)",
        "loadstring(nil)", "load(5)", "xpcall(1)", "coroutine.create(5)", "coroutine.wrap(5)",
    ],
)  # fmt: skip
def test_complaints_about_arguments(call: str) -> None:
    name, _, arguments = call.partition("(")
    separator = ", " if arguments != ")" else ""
    evaluate(
        f"return {{{call}}}",
        f"{call} return 1" if "'" not in name else "return 1",
        f"local f = function() {'local x = '}{call} end f()",
        f"return {{pcall({name}{separator}{arguments}}}" if "'" not in name and name else "return 1",
        f"return {{pcall(function() local x = {call} end)}}",
        f"local called = {name} local x = called({arguments}" if name else "return 1",
    )


def test_what_pcall_gives() -> None:
    evaluate(*(
        f"local function count(...) return select('#', ...) end return count(pcall({arguments}))"
        for arguments in (
            "function() end", "function() return nil end", "function() return 1, nil end", "error", "error, nil",
            "error, 'x'", "error, {}", "error, {err='x'}", "error, {err={}}", "error, {err=5}", "error, 5", "5",
        )
    ))  # fmt: skip
    evaluate("local a, b, c = pcall(error, {err={'x'}}) return {type(b), c}")


def test_what_the_error_counts_are() -> None:
    same(
        [
            "SET t x",
            "CONFIG RESETSTAT",
            script("return redis.call('INCR', 't')"),
            script("return redis.pcall('INCR', 't')"),
            script("redis.pcall('INCR', 't') return 1"),
            script("return redis.call('NOSUCH')"),
            script("error('mine')"),
            script("return {err='MINE x'}"),
            script("return {{err='MINE x'}}"),
            script("error({err='OTHER x'})"),
            script("local e = redis.pcall('INCR', 't') error(e)"),
            script("return redis.call('GET')"),
            "EVALSHA 1234567890123456789012345678901234567890 0",
            "INFO errorstats",
        ],
        resp=(2,),
    )


@pytest.mark.parametrize(
    "function",
    [
        "local rcall = redis.call\nlocal function g()\nreturn rcall('GET')\nend",
        "local function g()\nlocal rcall = redis.call\nreturn rcall('GET')\nend",
        "local call = redis.call\nlocal function f(...)\nreturn call(...)\nend\nlocal function g() return f('GET') end",
        "local r = redis\nlocal function g()\nreturn r.call('GET')\nend",
        "local t = {call = redis.call}\nlocal function g()\nreturn t.call('GET')\nend",
        "local name = 'call'\nlocal function g()\nreturn redis[name]('GET')\nend",
        "local rcall = redis.call\nlocal function g()\nlocal function f()\nreturn rcall('GET')\nend\nreturn f()\nend",
        "local call = redis.pcall\ncall = redis.call\nlocal function g()\nreturn call('GET')\nend",
        "local decode = cjson.decode\nlocal function g()\nreturn decode('{')\nend",
        "local rep = string.rep\nlocal function g()\nreturn rep('x')\nend",
        "local function g()\nreturn ('x'):rep(nil)\nend", "local e = error\nlocal function g()\nreturn e('x')\nend",
        "local function f(a, b, c, d, ...)\nerror('x')\nend\nlocal function g() f(1) end",
    ],
)  # fmt: skip
def test_lines_of_errors_in_functions(function: str) -> None:
    evaluate(f"{function}\n\ng()", f"{function}\n\nreturn g()", f"{function}\n\nreturn {{pcall(g)}}")


@pytest.mark.parametrize("named", [3, 4, 5, 12, 100])
def test_functions_with_dots_and_named_parameters(named: int) -> None:
    names = [f"p{n}" for n in range(named)]
    body = f"return {{{', '.join([*names, 'cjson.encode({...})'])}, select('#', ...)}}"
    function = f"local up = 1 local function f({', '.join([*names, '...'])}) up = up + 1 {body} end "
    for count in (0, 1, named - 1, named, named + 1, 2 * named):
        evaluate(f"{function} return f({', '.join(map(str, range(count)))})", f"{function} return f(nil, nil)")


def _counted(reply: bytes) -> bytes:
    """commandstats and errorstats, without times and in an order of their own."""
    text = re.sub(rb"usec\S*?=[^,]*,|,slowlog_\w+=[\d.]+", b"", parse(reply).text)
    return b"\n".join(
        sorted(line for line in text.split(b"\r\n") if not line.startswith((b"cmdstat_config", b"cmdstat_info")))
    )


@pytest.mark.parametrize(
    "source",
    [
        "error('x')", "error({err='MY x'})", "return {err='MY y'}", "return redis.error_reply('MY z')",
        "return redis.call('GET')", "return redis.call('NOSUCH')", "return redis.pcall('NOSUCH')",
        "redis.pcall('LPUSH', 's', 'x') return 1", "return redis.call('LPUSH', 's', 'x')",
        "return redis.pcall('LPUSH', 's', 'x')", "redis.pcall('LPUSH', 's', 'x') error('again')",
        "redis.pcall('LPUSH', 's', 'x') return {err='MY t'}", "redis.pcall('GET') return {err='MY t'}",
        "return {{err='A x'}, {err='B x'}}", "local e = redis.pcall('LPUSH', 's', 'x') return {e, e}",
        "return {{err='A x'}, 1, redis.pcall('LPUSH', 's', 'x')}", "return cjson.decode('{')", "return nosuch",
        "return =", "#!lua flags=nosuch\nreturn 1", "#!lua flags=no-writes\nreturn redis.call('SET', 'a', 1)",
        "pcall(redis.call, 'LPUSH', 's', 'x') error({err='Q x'})",
        "local e = redis.pcall('LPUSH', 's', 'x') error(e)", "return 'fine'",
        "local e = redis.pcall('LPUSH', 's', 'x') return {err=e.err, ignore_error_stats_update=false}",
    ],
)  # fmt: skip
def test_calls_that_failed(source: str) -> None:
    library = f"#!lua name=x\nredis.register_function('f', function() {source} end)"
    same(
        [
            "SET s 1", Skip(["FUNCTION", "FLUSH"]), Skip(["SCRIPT", "FLUSH"]), "CONFIG RESETSTAT", script(source),
            script(source, by="EVAL_RO"), ["MULTI"], script(source), ["EXEC"], ["SCRIPT", "LOAD", source],
            ["EVALSHA", sha1(source.encode()).hexdigest(), 0], ["FUNCTION", "LOAD", library], ["FCALL", "f", 0],
            ["FCALL_RO", "f", 0], Masked("INFO commandstats errorstats", _counted),
        ],
        resp=(2,),
    )  # fmt: skip
