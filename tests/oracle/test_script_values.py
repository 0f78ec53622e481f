"""What clients see of a script's values, and scripts of replies, beside redis-server."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.oracle.harness import Masked, agree, examples, requires, same
from tests.oracle.lua_scripts import evaluate, script

pytestmark = requires("8.10")


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


@examples(40)
@given(st.lists(st.tuples(_values, st.sampled_from(["", "redis.setresp(3) "])), min_size=1, max_size=8))
def test_generated_values(values: list[tuple[str, str]]) -> None:
    agree([script(f"{before}return {value}") for value, before in values], resp=(2, 3))
