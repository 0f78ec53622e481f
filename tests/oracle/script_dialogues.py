"""Dialogues with the script debugger: a script, its keys and arguments, and what is asked while it runs."""

from typing import Final

FEATURES: Final = """local a = 1
local t = {1,2,{x=3}}
local s = "he\\"l\\nlo"
redis.call('set', KEYS[1], ARGV[1])
local function f(n)
  local inner = n * 2
  redis.debug("dbg", n, {1,2}, nil, true)
  return inner
end
local r = f(4)
for i=1,3 do
  a = a + i
end
if redis.breakpoint() then a = a + 1 end
local g = redis.call('get', KEYS[1])
local e = redis.pcall('nosuch')
local h = redis.pcall('lpush', KEYS[1], 'x')
return {a, g, r}"""

VALUES: Final = """local f=1.5
local b=true
local n
local deep={1,{2,{3,{4,{5,{6,{7,{8,{9,{10,{11,{12}}}}}}}}}}}}
local m={1,2,nil,4,a=1}
local hole={[1]=1,[3]=3}
local bin="\\0\\1\\255\\t\\r\\a\\b\\\\'"
local big=1e15 local huge=1e300 local neg=-0.1 local inf=1/0 local nan=0/0
local long=string.rep("x",300)
local cyc={} cyc.me=cyc
local e={}
local nul=cjson.null
local sh=1 local sh=2
local six=1/3 local r=3.0 local many={} for i=1,200 do many[i]=i end
redis.breakpoint()
return {1,'a',f}"""

REPLIES: Final = """redis.call('del','L','h','z','s')
redis.call('rpush','L','a\\nb','c"d')
redis.call('hset','h','f','v')
redis.call('lrange','L',0,-1)
redis.call('lrange','nokey',0,-1)
redis.call('get','nokey')
redis.call('blpop','nokey',1)
redis.setresp(3)
redis.call('hgetall','h')
redis.call('get','nokey')
redis.call('zadd','z',1.5,'m')
redis.call('zscore','z','m')
redis.call('sadd','s','m')
redis.call('smembers','s')
redis.call('set','long',string.rep('y',500))
redis.call('get','long')
redis.pcall('foo','bar')
redis.pcall('get')
redis.pcall({})
redis.pcall('get',{})
redis.pcall()
redis.pcall('get',1.5)
redis.pcall('eval','return 1',0)
redis.pcall('mget','1','2','3','4','5','6','7','8','9','10','11')
redis.pcall('lpush','h','x')
redis.debug(string.rep('z',500))
redis.debug()
redis.debug('a\\nb', {1,x=2})
redis.error_reply('My x')
redis.error_reply()
pcall(redis.sha1hex)
pcall(redis.setresp, 7)
pcall(redis.acl_check_cmd, 'nosuch')
redis.call('lpush','h','x')
return redis.status_reply('FINE')"""

FRAMES: Final = """local function a(x)
  local function b(y)
    return redis.call('ping')
  end
  return b(x)
end
local function c(x)
  local v = a(x)
  return v
end
local q = c(1)
local co = coroutine.wrap(function() local z = 1
 redis.breakpoint()
 z = 2
 coroutine.yield(3) end)
co()
pcall(function()
  local w = 1
  error('x')
end)
local b = loadstring('local q=1\\nreturn 2')()
local t=setmetatable({},{__index=function(t,k)
  return k end})
local z = t.foo
string.gsub('abc','b',function(x)
 local v=1
 return 'z' end)
local o = {m=function(self)
 local v = 2
 return v end}
local u = o:m()
q = 1"""

LINES: Final = "local a=1\nlocal b=2\nlocal c=3\nreturn 5"

Dialogue = tuple[str, list[str], list[str], list[str]]

DIALOGUES: Final[dict[str, Dialogue]] = {
    "everything at once": (
        FEATURES, ["k1"], ["v1"],
        ["help", "s", "n", "step", "next", "p", "print a", "p t", "p s", "p nosuch", "p KEYS", "p ARGV", "print redis",
         "l", "list", "list 5", "list 5 2", "l 100", "l 0", "l x", "w", "whole", "b", "b 6", "b 10 14", "b", "b -6",
         "b -7", "break 99", "b x", "b 0", "b", "t", "trace", "e a", "e return 1+1", "eval redis.call('get','k1')",
         "e error('x')", "e x y z", "e", "r get k1", "redis set k1 zz", "r", "r nosuch", "r lpush k1 x", "m", "maxlen",
         "m 10", "p t", "p s", "m x", "m 0", "m 5", "m 70", "foo", "a"],
    ),
    "breakpoints": (
        FEATURES, ["k1"], ["v1"],
        ["b 6", "c", "t", "p", "p n", "p inner", "s", "p", "n", "n", "s", "s", "s", "s", "s", "c", "p a", "e a", "c"],
    ),
    "to the end": (FEATURES, ["k1"], ["v1"], ["c", "c"]),
    "abort": (FEATURES, ["k1"], ["v1"], ["abort"]),
    "values": (
        VALUES, [], ["a b", ""],
        ["c", "p", "p f", "p deep", "p m", "p long", "p cyc", "p sh", "p ARGV", "m 0", "p many", "p long", "P f",
         "p f g", "m 100", "p", "c"],
    ),
    "replies": (REPLIES, [], [], ["s"] * 34),
    "replies in full": (REPLIES, [], [], ["m 0", *["s"] * 34]),
    "frames": (
        FRAMES, [], [],
        ["b 3", "c", "t", "p", "p x", "s", "s", "t", *["s", "t"] * 36],
    ),
    "odd arguments": (
        LINES, [], [],
        ["h x", "s x", "w x", "t x", "m 1 2", "m -5", "m 61", "m 60", "m 59", "l 1 1 1", "l -1", "l 2 0", "b 2 x 3",
         "b -2 -3", "b 0 1", "b 1 0 2", "b", "b +5", "b - 2x --3 3.5", "a x"],
    ),
    "evaluating": (
        LINES, ["key"], [],
        ["s", "s", "e while", "e nil", "e {1,2}", "e redis.call('nosuch')", "e error({err='E x'})", "e error({a=1})",
         "e error()", "e error(5)", "e b=5", "e local z=1", "e redis.debug(1,{2})", "e KEYS", "e string.rep('x',400)",
         "e (function() return 1,2 end)()", "e 1,2", "e -- x", "e return", "e KEYS[1]", "e cjson.encode({1})",
         "e a=1 b=2", "e local r = 5 return r", "e nosuch.x", "e nil+1", "e redis.breakpoint()", "c", "c"],
    ),
    "commands": (
        LINES, [], [],
        ["r set a b c d e f g h i j k l m", "r mget 1 2 3 4 5 6 7 8 9", "r mget 1 2 3 4 5 6 7 8 9 10", "R GET a",
         "r eval x 0", "r subscribe x", "r client id", "r object freq nokey", "r set a", "c x"],
    ),
    "before the first line": (LINES, [], [], ["p", "p a", "ABORT"]),
    "too many breakpoints": (
        "\n" * 80 + "return 1", [], [], ["b " + " ".join(map(str, range(1, 62))), "b 62 63 64 65 66", "b 3", "b", "c"],
    ),
    "error": ("local x = 1\nerror('boom')\nreturn 1", [], [], ["s", "s"]),
    "error table": ("local x = 1\nerror({err='My err'})\nreturn 1", [], [], ["s", "s"]),
    "global": ("local a=1\nx=1\nreturn 1", [], [], ["s", "s"]),
    "nil arithmetic": ("local a=1\nlocal x=nil+1\nreturn 1", [], [], ["s", "s"]),
    "no command": ("local a=1\nredis.call()\nreturn 1", [], [], ["s", "s"]),
    "read-only": (
        "#!lua flags=no-writes\nlocal x = 1\nreturn redis.call('set','a','b')", [], [], ["w", "s", "r set a b", "s"],
    ),
    "shebang": (
        "#!lua\nlocal x = 1\n\n\nreturn redis.call('set','a','b')", [], [], ["w", "b 5", "b 3", "c", "s"],
    ),
    "empty": ("", [], [], ["w", "s"]),
    "empty lines": ("\n\nreturn 1", [], [], ["w", "s"]),
    "last newline": ("return 1\r\n", [], [], ["w", "s"]),
    "carriage returns": ("local a=1\r\nreturn 1\r\n", [], [], ["w", "s", "s"]),
    "does not compile": ("loca x = 1", [], [], []),
    "bad shebang": ("#!lua x=1\nreturn 1", [], [], []),
}  # fmt: skip
