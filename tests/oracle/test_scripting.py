"""Scripts beside redis-server: what they may call, what they see of replies, what clients see of their values."""

import re
from hashlib import sha1

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.oracle.harness import Command, Masked, Skip, agree, examples, pair, requires, same
from tests.oracle.wire import parse

pytestmark = requires("8.10")


def script(source: str, *arguments: str | bytes | int, keys: int = 0, by: str = "EVAL") -> Command:
    return [by, source, keys, *arguments]


def evaluate(*sources: str, setup: tuple[str, ...] = ()) -> None:
    same([*setup, *(script(source) for source in sources)], state=True)


# Values that a script returns


@pytest.mark.parametrize(
    "value",
    [
        "1", "-1", "3.99", "-3.99", "1e15", "2^53", "2^62", "-2^63", "2^63", "1e300", "-1e300", "0/0", "1/0", "-1/0",
        "0.1", "'text'", "''", "'a\\0b'", "'\\r\\n'", "true", "false", "nil", "{}", "{1,2,3}", "{1,nil,3}",
        "{nil,1}", "{1,'a',{2,{3}},true,false}", "{a=1}", "{1,2,a=3}", "{{},{}}", "{[2]=1}", "{[1]='x',[3]='y'}",
        "print", "function() end", "coroutine.create(function() end)", "{function() end, 1}", "{1, coroutine, 2}",
        "{ok='fine'}", "{ok='a\\r\\nb'}", "{ok='a\\0b'}", "{ok=1}", "{ok='x', err='y'}", "{ok=''}",
        "{err='ERR bad'}", "{err='bad'}", "{err=''}", "{err='-X y'}", "{err='a\\nb\\r\\n'}", "{err=1}", "{err={}}",
        "{double=3.5}", "{double=1e100}", "{double=0/0}", "{double=1/0}", "{double=-1/0}", "{double=3}",
        "{double='3'}", "{double=0.1}", "{double=-0}", "{big_number='123456789012345678901234567890'}",
        "{big_number='a\\r\\nb'}", "{big_number=5}", "{verbatim_string={format='txt',string='hi'}}",
        "{verbatim_string={format='markdown',string='x'}}", "{verbatim_string={format='t',string='x'}}",
        "{verbatim_string={string='x'}}", "{verbatim_string={format='txt'}}", "{verbatim_string='x'}", "{map={a=1}}",
        "{map={[1]='one'}}", "{map={}}", "{map={a={map={b={set={c=true}}}}}}", "{map=1}", "{set={a=true}}",
        "{set={}}", "{set=1}", "{set={[3]=1}}", "{{err='ERR in array'},{ok='fine'},{double=1}}", "1,2", "'a','b'",
        "{1,{err='X y'},3}", "redis.error_reply('a')", "redis.status_reply('a')", "#'abc'",
        "setmetatable({}, {__index=function() return 1 end})[1]", "setmetatable({1}, {__index={1,2,3}})",
    ],
)  # fmt: skip
def test_values_returned(value: str) -> None:
    for version in ("", "redis.setresp(2) ", "redis.setresp(3) "):
        evaluate(f"{version}return {value}")


def test_no_value_returned() -> None:
    evaluate("", " ", "local x = 1", "-- nothing", "do return end")


@pytest.mark.parametrize("size", [1, 2, 3, 100, 5000])
def test_long_arrays_returned(size: int) -> None:
    evaluate(f"local t = {{}} for i = 1, {size} do t[i] = i end return t")


def test_tables_in_tables_without_end() -> None:
    evaluate("local t = {} t[1] = t return t")
    evaluate("local t = {} t[1] = t return {t, t}")
    evaluate("local t = {1} for i = 1, 7990 do t = {t} end return t")
    for depth in range(7990, 8002):
        evaluate(f"local t = {{1}} for i = 1, {depth} do t = {{t}} end return t")


@pytest.mark.parametrize("given", [1, 2, 3])
@pytest.mark.parametrize("size", [7990, 7996, 7997, 7998, 7999, 8000])
def test_unpacking(given: int, size: int) -> None:
    unpack = "unpack(" + ", ".join(("t", "1", "#t")[:given]) + ")"
    values = f"local t = {{}} for i = 1, {size} do t[i] = i % 100 end "
    evaluate(
        f"{values} return #{{{unpack}}}", f"{values} return #string.char({unpack})",
        f"{values} local function f(...) return ... end return select('#', f({unpack}))",
        f"{values} return {{pcall(unpack, t)}}", f"{values} t[1], t[2] = 'SADD', 'k' return redis.call({unpack})",
    )  # fmt: skip


# Replies that a script sees

_SEEN = """
local function show(value)
  if type(value) ~= 'table' then return type(value) .. ':' .. tostring(value) end
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  local parts = {}
  for _, name in ipairs(names) do parts[#parts + 1] = show(name) .. '=' .. show(value[name]) end
  return '{' .. table.concat(parts, ' ') .. '}'
end
redis.setresp(tonumber(ARGV[1]))
local args = {}
for i = 2, #ARGV do args[#args + 1] = ARGV[i] end
local before = show(redis.pcall(unpack(args)))
local reply = redis.pcall(unpack(args))
return {before, reply}
"""


@pytest.mark.parametrize(
    "command",
    [
        "PING", "PING text", "ECHO x", "GET text", "GET missing", "SET a 1", "SET a 1 NX", "INCR number",
        "INCR text", "DEL a b", "EXISTS text", "TYPE list", "LRANGE list 0 -1", "LRANGE missing 0 -1",
        "LPOP missing", "LPOP missing 2", "HGETALL hash", "HGETALL missing", "HMGET hash a b c", "HGET hash a",
        "HRANDFIELD one 1 WITHVALUES", "SMEMBERS set", "SMISMEMBER set a b", "SISMEMBER set a", "ZSCORE zset a",
        "ZSCORE zset none", "ZRANGE zset 0 -1", "ZRANGE zset 0 -1 WITHSCORES", "ZPOPMIN zset", "ZMSCORE zset a none",
        "ZINCRBY zset 1.5 a", "ZRANK zset a WITHSCORE", "GEOPOS geo Palermo none", "GEODIST geo Palermo Catania km",
        "GEOSEARCH geo FROMMEMBER Palermo BYRADIUS 9 km WITHCOORD", "XRANGE stream - +",
        "XREAD COUNT 1 STREAMS stream 0", "XINFO STREAM stream", "MGET text missing number list",
        "CONFIG GET maxmemory", "OBJECT ENCODING text", "LPOS list x", "LPOS list a COUNT 0",
        "INCRBYFLOAT number 1.5", "SSCAN set 0", "BITPOS text 1", "BITFIELD b GET u8 0", "LCS text number",
        "LCS text number IDX", "GETRANGE text 0 1", "SORT list ALPHA", "STRLEN text", "EXPIRE text 100",
        "PERSIST text", "SINTERCARD 1 set", "ZADD zset INCR 1 b", "ZADD zset NX INCR 1 a", "HSET hash x 1",
        "NOSUCH x", "GET", "GET a b", "SELECT 3", "SELECT 99999", "PUBLISH channel x", "BLPOP list 0",
        "BLPOP missing 0", "BRPOPLPUSH missing x 0", "BLMOVE missing x LEFT RIGHT 0", "BZPOPMIN missing 0",
        "BLMPOP 0 1 missing LEFT", "XREAD BLOCK 0 STREAMS missing $", "WAIT 1 0", "EVAL 'return 1' 0",
        "SCRIPT LOAD x", "MULTI", "EXEC", "WATCH a", "SUBSCRIBE x", "AUTH x", "HELLO 3", "CLIENT ID",
        "CLIENT NO-TOUCH ON", "SHUTDOWN", "QUIT", "RESET", "SAVE", "BGSAVE", "DEBUG sleep 0", "FCALL f 0",
        "FUNCTION LIST", "PSUBSCRIBE x", "UNSUBSCRIBE", "DISCARD", "CONFIG NOSUCH", "OBJECT NOSUCH x", "CONFIG",
        "OBJECT", "CONFIG GET", "TIME x", "FLUSHALL x", "SWAPDB 0 1", "MOVE text 5", "COPY text text2",
        "RENAME text t2", "RENAME missing x", "GETDEL text", "GETEX text PERSIST", "SETRANGE text 1 xx",
        "APPEND text y", "ZUNION 2 zset zset2 WITHSCORES", "ZDIFF 1 zset WITHSCORES",
        "ZRANGEBYSCORE zset -inf +inf WITHSCORES", "ZRANDMEMBER zset2 1 WITHSCORES", "DUMP missing",
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", [2, 3])
def test_replies_seen(command: str, version: int) -> None:
    same(
        [
            "SET text hello",
            "SET number 5",
            "RPUSH list a b c",
            "HSET hash a 1 b 2",
            "HSET one f v",
            "SADD set a",
            "ZADD zset 1 a 2.5 b",
            "ZADD zset2 3 c",
            "GEOADD geo 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
            "XADD stream 1-1 a b",
            "XADD stream 1-2 c d e f",
            Masked(["EVAL", _SEEN, 0, version, *command.replace("'return 1'", "return").split()], _without_order),
        ],
        state=True,
    )


def _without_order(reply: bytes) -> bytes:
    """Sorted bytes: where a map's order is the hash table's."""
    return bytes(sorted(reply))


def test_arguments_of_calls() -> None:
    numbers = [
        "1",
        "1.5",
        "-1",
        "1e10",
        "2^53",
        "2^62",
        "2^63",
        "1e20",
        "1e100",
        "0.1",
        "1/3",
        "0/0",
        "1/0",
        "-1/0",
        "-0",
    ]
    numbers += ["123456789012345680", "1e-10", "3.0", "1e15+0.5", "2^61", "-2^62", "-2^62-1024", "4611686018427387903"]
    evaluate(*(f"return redis.call('ECHO', {number})" for number in numbers))
    evaluate(
        "return redis.call()", "return redis.pcall()", "return redis.call({})", "return redis.pcall('GET', {})",
        "return redis.pcall('GET', nil)", "return redis.pcall(nil)", "return redis.pcall('GET', true)",
        "return redis.pcall('GET', print)", "return redis.call('ECHO', 'a\\0b')", "return redis.call(1)",
        "return redis.call('set', 'a', 'b', nil)", "return redis.pcall('SET', 'k', function() end)",
        "return redis.call('')", "return redis.call('  ')", "return redis.call('get ')",
    )  # fmt: skip


@pytest.mark.parametrize("count", [20, 23, 24, 25, 26, 100, 3000, 7000])
def test_many_arguments(count: int) -> None:
    evaluate(
        f"local t = {{}} for i = 1, {count} do t[i] = i % 3 == 0 and i or 'v' .. i end "
        "redis.call('RPUSH', 'l', unpack(t)) return redis.call('LRANGE', 'l', 0, -1)",
        f"local t = {{}} for i = 1, {count} do t[i] = i end t[{count}] = {{}} "
        "return redis.pcall('RPUSH', 'l', unpack(t))",
        f"local t = {{}} for i = 1, {count} do t[i] = i end t[5] = true return redis.call('RPUSH', 'l', unpack(t))",
    )


# Errors


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
    same(["SET t x", Masked(script(source), _without_addresses)], state=True)


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


def _without_addresses(reply: bytes) -> bytes:
    return re.sub(rb"0x[0-9a-f]+", b"<address>", reply)


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


@pytest.mark.parametrize(
    "options",
    [
        "'BY', 'nosort'", "'BY', 'nosort', 'DESC'", "'BY', 'nosort', 'LIMIT', 1, 2", "'BY', 'x', 'ALPHA'",
        "'BY', 'nosort', 'GET', '#', 'GET', 'w_*'", "'BY', 'nosort', 'STORE', 'stored'", "'BY', 'nosort', 'BY', 'w_*'",
        "'ALPHA'", "'BY', 'w_*'", "'BY', 'nosort', 'ALPHA', 'DESC', 'LIMIT', 0, 3",
    ],
)  # fmt: skip
def test_sets_have_an_order_in_scripts(options: str) -> None:
    setup = ("SADD strings pear apple fig kiwi 10 9 100", "SADD integers 10 9 100 3", "MSET w_pear 1 w_fig 2 w_10 3")
    for name in ("strings", "integers"):
        evaluate(
            f"return redis.pcall('SORT', '{name}', {options})", f"return redis.pcall('SORT_RO', '{name}', {options})",
            "return redis.call('LRANGE', 'stored', 0, -1)", setup=setup,
        )  # fmt: skip


def test_what_is_the_same_in_each_run_of_a_script() -> None:
    evaluate(
        "return {math.random(1000), math.random(1000)}", "return {math.random(1000), math.random(1000)}",
        "math.randomseed(7) return math.random(1000)", "return math.random(1000)",
        "local a = redis.call('TIME') for i = 1, 1e6 do end local b = redis.call('TIME') return a[2] == b[2]",
        "redis.call('SET', 'k', 1, 'PX', 1) for i = 1, 2e6 do end return redis.call('GET', 'k')",
        "return redis.call('KEYS', 'nosuch*')", "local t = {} for k in pairs({a=1, b=2, c=3, d=4}) do t[#t+1] = k end "
        "return t",
    )  # fmt: skip


def _counted(reply: bytes) -> bytes:
    """commandstats and errorstats, without times and in an order of their own."""
    text = re.sub(rb"usec\S*?=[^,]*,", b"", parse(reply).text)
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


# The API


@pytest.mark.parametrize(
    "source",
    [
        "return redis.sha1hex('')", "return redis.sha1hex('abc')", "return redis.sha1hex(1)",
        "return redis.sha1hex(1.5)", "return redis.sha1hex()", "return redis.sha1hex(1, 2)",
        "return redis.sha1hex('a\\0b')", "return redis.error_reply('text')", "return redis.error_reply('CODE text')",
        "return redis.error_reply('-CODE text')", "return redis.error_reply('-text')",
        "return redis.error_reply('')", "return redis.error_reply()", "return redis.error_reply(1)",
        "return redis.error_reply({})", "return redis.error_reply('a', 'b')",
        "return redis.error_reply('CODE a\\r\\nb\\r\\n')", "return redis.error_reply('\\r\\n')",
        "return redis.error_reply('a\\0b c')", "return redis.error_reply('CODE  two  spaces ')",
        "return redis.error_reply(' text')", "return redis.error_reply('- x')", "return redis.error_reply('x').err",
        "return redis.error_reply('My Err').err", "return redis.error_reply(1).err",
        "return redis.status_reply('FINE')", "return redis.status_reply('')", "return redis.status_reply(1)",
        "return redis.status_reply()", "return redis.status_reply('a', 'b')",
        "return redis.status_reply('a\\r\\nb')", "return redis.status_reply('x').ok",
        "redis.log(redis.LOG_NOTICE, 'text')", "redis.log(redis.LOG_DEBUG, 'a', 'b', 1)", "redis.log('1', 'text')",
        "redis.log()", "redis.log(1)", "redis.log('x', 'y')", "redis.log(4, 'y')", "redis.log(-1, 'y')",
        "redis.log({}, 'y')", "redis.log(1.9, 'y')", "redis.log(3, {})", "redis.log(3.5, 'x')",
        "redis.log(nil, 'x')", "return redis.log(3, 'x')",
        "return {redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING}", "redis.setresp()",
        "redis.setresp(4)", "redis.setresp('3') return true", "redis.setresp({})", "redis.setresp(3, 3)",
        "redis.setresp(2.9) return true", "redis.setresp(3) redis.setresp(2) return false",
        "return redis.setresp(3)", "redis.set_repl()", "redis.set_repl(4)", "redis.set_repl(-1)",
        "redis.set_repl({})", "redis.set_repl(1, 2)", "return redis.set_repl(redis.REPL_NONE)",
        "redis.set_repl(redis.REPL_ALL) return redis.call('SET', 'a', 1)",
        "redis.set_repl(redis.REPL_NONE) return redis.call('SET', 'a', 1)",
        "return {redis.REPL_NONE, redis.REPL_AOF, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.REPL_ALL}",
        "return redis.replicate_commands()", "return redis.breakpoint()", "return redis.debug('x')",
        "return {type(redis.REDIS_VERSION), type(redis.REDIS_VERSION_NUM)}",
        "return redis.acl_check_cmd('GET', 'k')", "return redis.acl_check_cmd('NOSUCH')",
        "return redis.acl_check_cmd('GET')", "return redis.acl_check_cmd()", "return redis.acl_check_cmd({})",
        "return redis.acl_check_cmd('SET', 'k', 1)", "return redis.acl_check_cmd('XINFO', 'HELP')",
        "return redis.acl_check_cmd('XINFO', 'NOSUCH')", "return redis.register_function",
        "return type(redis.register_function)",
        "local names = {} for name in pairs(redis) do names[#names + 1] = name end table.sort(names) return names",
        "local names = {} for name in pairs(_G) do if name:sub(1, 2) ~= '__' then names[#names + 1] = name end end"
        " table.sort(names) return names",
        "local names = {} for name in pairs(string) do names[#names + 1] = name end table.sort(names) return names",
        "local names = {} for name in pairs(table) do names[#names + 1] = name end table.sort(names) return names",
        "local names = {} for name in pairs(math) do names[#names + 1] = name end table.sort(names) return names",
        "local names = {} for name in pairs(os) do names[#names + 1] = name end table.sort(names) return names",
        "local names = {} for name in pairs(coroutine) do names[#names + 1] = name end table.sort(names) return "
        "names",
        "return {type(_G), type(redis), type(string), type(cjson), type(bit), type(struct), type(cmsgpack), "
        "type(os)}",
        "return {type(next(redis)), type(rawget(_G, 'redis')), type(rawget(redis, 'call')), type(rawget(_G, "
        "'nosuch'))}",
        "return {type(os.clock()), _VERSION, type(collectgarbage('count')), collectgarbage(), "
        "collectgarbage('step')}",
        "return collectgarbage('nosuch')", "return type(gcinfo())", "return rawequal(redis, redis)",
        "return _G._G == _G", "return os.time()", "return io", "return debug", "return package", "return require",
        "return python", "return print", "return dofile", "return loadfile", "return setfenv", "return getfenv",
        "return newproxy", "return module", "return arg", "return #KEYS + #ARGV", "KEYS[1] = 'x' return KEYS",
        "return {type(KEYS), type(ARGV)}", "return string.dump ~= nil",
        "math.randomseed(5) return {math.random(1000), math.random(5, 9), tostring(math.random())}",
        "math.randomseed(-5) return {math.random(2^31 - 1), math.random(1), tostring(math.random())}",
        "math.randomseed(2^31) return math.random(100000)", "math.randomseed(123456789) return math.random(100000)",
        "math.randomseed(0) local t = {} for i = 1, 200 do t[i] = math.random(1000000) end return t",
        "math.randomseed(1.9) return math.random(100000)", "math.randomseed('7') return math.random(100000)",
        "return math.random(0)", "return math.random(2, 1)", "return math.random(1, 2, 3)",
        "return math.random('x')", "return math.random({})", "math.randomseed()", "math.randomseed('x')",
        "math.randomseed({})",
        "local t = {} for i = 1, 10 do t[i] = ('%5.2f|%-5d|%05d|%x|%q'):format(i / 3, i, i, i, 'a\\nb') end return t",
        "return {('a,b,c'):find(',', 1, true), ('abc'):match('(a)(b)'), ('hello'):gsub('l', 'L')}",
        "local t = {} for w in ('one two'):gmatch('%a+') do t[#t + 1] = w end return t",
        "local t = {5, 2, 8} table.sort(t) table.insert(t, 1, 0) table.insert(t, 9) table.remove(t, 2) return t",
        "return {unpack({1, 2, 3}, 2)}", "return {unpack({1, 2, 3}, 2, 5)}", "return {unpack({}, 1, 0)}",
        "return unpack({1, 2})", "return {select('#', 1, nil, nil), select(2, 'a', 'b')}",
        "return {select(-1, 'a', 'b')}",
        "return {tostring(1e15), tostring(2^53), tostring(0.1), tostring(1/3), tostring(-0), tostring(1e100)}",
        "return {tonumber('0x10'), tonumber('10', 2), tonumber('z', 36), tonumber(' 5 '), tonumber('1e2')}",
        "return {math.floor(-1.5), math.ceil(1.2), math.max(1, 5, 3), math.fmod(7, 3), math.abs(-3)}",
        "return {next({}), next({10})}", "return {ipairs({})}",
        "local n = 0 for _ in pairs({1, 2, a = 3}) do n = n + 1 end return n",
    ],
)  # fmt: skip
def test_the_api(source: str) -> None:
    same([Masked(script(source), _without_addresses)], state=True)


def test_keys_and_arguments() -> None:
    source = "return {KEYS, ARGV, #KEYS, #ARGV}"
    same(
        [
            [*command.split()[:1], source, *command.split()[1:]]
            for command in (
                "EVAL 0", "EVAL 0 a b", "EVAL 1 a", "EVAL 1 a b", "EVAL 2 a b", "EVAL 2 a b c d", "EVAL 3 a b c",
                "EVAL 3 a b c d e", "EVAL 1", "EVAL -1", "EVAL -1 a", "EVAL x a", "EVAL 01 a",
                "EVAL 9223372036854775808", "EVAL 5 a b", "EVAL_RO 1 a b", "EVAL", "EVAL_RO", "EVALSHA 0",
                "EVALSHA_RO 0", "EVAL 1.0 a", "EVAL 99999999999999999999 a", "eval 1 a",
            )
        ]
    )  # fmt: skip
    many = [str(n) for n in range(1000)]
    same(
        [
            ["EVAL", source, 0, *many],
            ["EVAL", source, 1000, *many],
            ["EVAL", source, 500, *many],
            ["EVAL", source, 64, *many[:70]],
        ]
    )
    same([["EVAL", source, 1, b"\x00\xff\r\n", b""], ["EVAL", "return KEYS[1] .. ARGV[1]", 1, b"\x80", b"\x00"]])


def test_script_commands() -> None:
    one, two = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "7f923f79fe76194c868d7e1d0820de36700eb649"
    same(
        [
            "SCRIPT FLUSH",
            f"EVALSHA {one} 0",
            f"EVALSHA {one} x",
            "EVALSHA short 0",
            "EVALSHA short x",
            "SCRIPT LOAD 'return 1'",
            f"SCRIPT EXISTS {one} {two} {one.upper()} short",
            f"EVALSHA {one} 0",
            f"EVALSHA {one.upper()} 0",
            f"EVALSHA_RO {one} 0",
            f"EVALSHA {one} 1",
            f"EVALSHA {one} -1",
            "EVAL 'return 2' 0",
            f"EVALSHA {two} 0",
            "SCRIPT LOAD 'return ='",
            "SCRIPT LOAD",
            "SCRIPT LOAD a b",
            "SCRIPT EXISTS",
            "SCRIPT KILL",
            "SCRIPT KILL x",
            "SCRIPT NOSUCH",
            "SCRIPT",
            "SCRIPT FLUSH x",
            "SCRIPT FLUSH SYNC x",
            "SCRIPT FLUSH sync",
            f"SCRIPT EXISTS {one} {two}",
            "SCRIPT FLUSH ASYNC",
            "SCRIPT DEBUG x",
            "SCRIPT DEBUG NO",
            "SCRIPT DEBUG",
            "SCRIPT LOAD ''",
            "EVALSHA da39a3ee5e6b4b0d3255bfef95601890afd80709 0",
        ]
    )


@pytest.mark.parametrize(
    "line",
    [
        "#!lua", "#!lua ", "#!lua flags=", "#!lua flags=no-writes", "#!lua flags=no-writes,allow-oom",
        "#!lua flags=nosuch", "#!lua flags=no-writes,", "#!lua flags=NO-WRITES", "#!lua name=x", "#!python", "#!",
        "#! lua", "#!lua flags=no-writes flags=allow-oom", "#!lua 'flags=no-writes'", '#!lua "flags=no-writes"',
        "#!lua 'unfinished", "#!lua flags=allow-stale,no-cluster,allow-cross-slot-keys", "#!LUA",
        "#!lua\tflags=no-writes", "#!lua x", "#!lua\0", "#",
    ],
)  # fmt: skip
def test_shebang_lines(line: str) -> None:
    same(
        [
            script(f"{line}\nreturn 1"),
            script(line),
            script(f"{line}\nreturn redis.call('SET', 'a', 1)"),
            script(f"{line}\nreturn redis.call('GET', 'a')", by="EVAL_RO"),
            script(f"{line}\n\nreturn redis.call('NOSUCH')"),
            ["SCRIPT", "LOAD", f"{line}\nreturn 1"],
        ],
        state=True,
    )


def test_what_only_reads() -> None:
    same(
        [
            script("return redis.call('SET', 'a', 1)", by="EVAL_RO"),
            script("return redis.pcall('SET', 'a', 1)", by="EVAL_RO"),
            script("return redis.call('PUBLISH', 'a', 1)", by="EVAL_RO"),
            script("return redis.call('GET', 'a')", by="EVAL_RO"),
            script("return redis.call('PFCOUNT', 'a')", by="EVAL_RO"),
            script("return redis.call('SET', 'a')", by="EVAL_RO"),
            "MULTI",
            script("return redis.call('GET', 'a')", by="EVAL_RO"),
            script("return redis.call('SET', 'a', 1)", by="EVAL_RO"),
            script("return redis.call('SET', 'a', 1)"),
            "EXEC",
        ],
        state=True,
    )


def test_databases() -> None:
    same(
        [
            "SELECT 2",
            script("return redis.call('SET', 'a', 1)"),
            script("redis.call('SELECT', 3) redis.call('SET', 'b', 1) return redis.call('DBSIZE')"),
            "DBSIZE",
            script("return redis.call('DBSIZE')"),
            "SELECT 3",
            "KEYS *",
        ],
        state=True,
    )


def test_waiting_clients_are_served_after_the_script() -> None:
    with pair() as p:
        waiting, other, client = p.client(), p.client(), p.client()
        waiting.send("BLPOP k 0")
        p.settle()
        other.send("BRPOP k 0")
        p.settle()
        client.do(script("redis.call('RPUSH', 'k', 'a', 'b', 'c') return redis.call('LRANGE', 'k', 0, -1)"))
        waiting.receive()
        other.receive()
        client.do("LRANGE k 0 -1")
        waiting.send("BLPOP k 0")
        waiting.receive()
        waiting.send("BLPOP k 0")
        p.settle()
        client.do("MULTI")
        client.do(script("return redis.call('RPUSH', 'k', 'x')"))
        client.do(script("return redis.call('LPOP', 'k')"))
        client.do("RPUSH k y")
        client.do("EXEC")
        waiting.receive()


def test_watched_keys() -> None:
    with pair() as p:
        client, other = p.client(), p.client()
        for touched in ("k", "other"):
            client.do("WATCH k")
            other.do(script(f"return redis.call('SET', '{touched}', 1)"))
            client.do("MULTI")
            client.do("PING")
            client.do("EXEC")
        client.do("WATCH k")
        client.do(script("return redis.call('SET', 'k', 2)"))
        client.do("MULTI")
        client.do("PING")
        client.do("EXEC")


def test_messages_published() -> None:
    with pair() as p:
        listening, client = p.client(3), p.client()
        listening.do("SUBSCRIBE a")
        client.do(
            script("redis.call('PUBLISH', 'a', 1) redis.call('PUBLISH', 'b', 2) return redis.call('PUBLISH', 'a', 3)")
        )
        listening.drain()
        listening.do(script("return redis.call('PUBLISH', 'a', 'own')"))
        listening.drain()


def test_keyspace_events() -> None:
    with pair(cleanup=["CONFIG SET notify-keyspace-events ''"]) as p:
        listening, client = p.client(), p.client()
        client.do("CONFIG SET notify-keyspace-events AKE")
        listening.do("PSUBSCRIBE *")
        client.do(script("redis.call('SET', 'a', 1) redis.call('EXPIRE', 'a', 100) redis.call('DEL', 'a') return 1"))
        listening.drain()


def test_time_stands_still() -> None:
    same(
        [
            script(
                "local a = redis.call('TIME') local x = 0 for i = 1, 3000000 do x = x + 1 end "
                "local b = redis.call('TIME') return a[1] == b[1] and a[2] == b[2]"
            ),
            script(
                "redis.call('SET', 'k', 'v', 'PX', 5) local x = 0 for i = 1, 3000000 do x = x + 1 end "
                "return redis.call('GET', 'k')"
            ),
        ]
    )


def test_nothing_of_one_script_is_seen_by_the_next() -> None:
    same(
        [
            script("KEYS.hidden = 1 ARGV.hidden = 2 return 1", "a", keys=1),
            script("return {KEYS.hidden, ARGV.hidden}", "a", keys=1),
            script("redis.setresp(3) return true"),
            script("return true"),
            script("local t = redis.call('SET', 'a', 1) t.ok = 'changed' return t"),
            script("return redis.call('SET', 'a', 1)"),
            script("local ok, e = pcall(redis.call, 'GET') return e"),
            script("return pcall(function() mine = 1 end)"),
            script("return mine"),
            Skip("PING"),
        ]
    )


# Generated

_keys = st.sampled_from(["a", "b"])
_writes = st.one_of(
    _keys.map(lambda key: f"redis.call('INCR', '{key}')"),
    _keys.map(lambda key: f"redis.pcall('LPUSH', '{key}', 'x')"),
    _keys.map(lambda key: f"redis.pcall('HSET', '{key}', 'f', 1.5)"),
    _keys.map(lambda key: f"redis.pcall('DEL', '{key}')"),
    _keys.map(lambda key: f"redis.call('APPEND', '{key}', KEYS[1] or 'none')"),
    _keys.map(
        lambda key: f"local r = redis.pcall('GET', '{key}') if r then redis.pcall('SET', '{key}', ARGV[1] or 1) end"
    ),
    st.sampled_from(["redis.setresp(3)", "redis.call('SELECT', 1)", "for i = 1, 3 do redis.pcall('INCR', 'a') end"]),
)
_endings = st.one_of(
    _keys.map(lambda key: f"return redis.call('GET', '{key}')"),
    _keys.map(lambda key: f"return {{redis.pcall('INCR', '{key}'), redis.pcall('HGETALL', '{key}')}}"),
    st.sampled_from(
        ["", "return {KEYS, ARGV}", "error('x')", "return redis.call('NOSUCH')", "return {1, {2, 'x'}, false}"]
    ),
)
_scripts = st.tuples(st.lists(_writes, max_size=4), _endings).map(lambda parts: " ".join([*parts[0], parts[1]]))
_evaluations = st.tuples(
    _scripts, st.sampled_from(["EVAL", "EVAL", "EVAL_RO"]), st.lists(_keys, max_size=3), _keys
).map(lambda drawn: [drawn[1], drawn[0], len(drawn[2]), *drawn[2], drawn[3]])
_ordinary = st.one_of(
    _keys.map(lambda key: f"GET {key}"),
    _keys.map(lambda key: f"SET {key} 5"),
    _keys.map(lambda key: f"DEL {key}"),
    _keys.map(lambda key: f"WATCH {key}"),
    _keys.map(lambda key: f"RPUSH {key} z"),
    st.sampled_from(["MULTI", "EXEC", "DISCARD", "SELECT 0", "SELECT 1", "SWAPDB 0 1", "FLUSHALL"]),
)


@examples(60)
@given(st.lists(st.one_of(_evaluations, _ordinary), max_size=20))
def test_generated_sequences(commands: list[Command]) -> None:
    agree([*commands, "DISCARD", "SELECT 0"], resp=(2, 3))


_values = st.recursive(
    st.one_of(
        st.integers(-5, 5).map(str),
        st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda number: repr(number)),
        st.sampled_from(
            ["'x'", "''", "true", "false", "nil", "{ok='fine'}", "{err='E x'}", "{double=2.5}", "{map={a=1}}"]
        ),
    ),
    lambda inner: st.lists(inner, max_size=4).map(lambda parts: "{" + ", ".join(parts) + "}"),
    max_leaves=12,
)


@examples(60)
@given(st.lists(st.tuples(_values, st.sampled_from(["", "redis.setresp(3) "])), min_size=1, max_size=8))
def test_generated_values(values: list[tuple[str, str]]) -> None:
    agree([script(f"{before}return {value}") for value, before in values], resp=(2, 3))
