"""Functions beside redis-server: loading, calling, listing, dumping and restoring libraries."""

import re

import pytest

from tests.oracle.harness import Command, Masked, Unordered, requires, same

pytestmark = requires("8.10")

FLUSH = "FUNCTION FLUSH"


def library(code: str, name: str = "mine") -> str:
    return f"#!lua name={name}\n{code}"


def load(code: str, *options: str, name: str = "mine") -> Command:
    return ["FUNCTION", "LOAD", *options, library(code, name)]


ONE = "redis.register_function('one', function(keys, args) return 1 end)"


@pytest.mark.parametrize(
    "source",
    [
        "", "return 1", "#!lua", "#!lua\n", "#!lua name=x", "#!lua name=\n" + ONE, "#!lua name=a-b\n" + ONE,
        "#!LUA name=x\n" + ONE, "#!python name=x\n" + ONE, "#! name=x\n" + ONE, "#!lua name=x name=y\n" + ONE,
        "#!lua NAME=x\n" + ONE, "#!lua x=y\n" + ONE, "#!lua name=x y\n" + ONE, "#!lua name='x'\n" + ONE,
        "#!lua 'name=x\n" + ONE, '#!lua "name=x"\n' + ONE, "#!\n" + ONE, "#!lua name=x\x00y\n" + ONE,
    ],
)  # fmt: skip
def test_shebang_lines(source: str) -> None:
    _load_and_list(source)


@pytest.mark.parametrize(
    "body",
    [
        "return", "return =", "\n\nerror('text')", "error({err='ERR mine'})", "error({})", "redis.call('PING')",
        "return redis.nosuch", "string.x = 1", "return string", "return math.random()", "x = 1", "return KEYS",
        "return pcall(redis.register_function)", "local t = _G", "redis.x = 1",
        "redis.log(redis.LOG_NOTICE, 'x') " + ONE, "local v = redis.REDIS_VERSION_NUM " + ONE, "redis.setresp(3)",
        "redis.sha1hex('x')", "return type(redis)", "print(1)", "redis.register_function()",
        "redis.register_function(1)", "redis.register_function('a')", "redis.register_function('a', 1)",
        "redis.register_function({}, function() end)", "redis.register_function(1, function() end)",
        "redis.register_function('a', function() end, 1)", "redis.register_function('a-b', function() end)",
        "redis.register_function('', function() end)", ONE + ONE, "redis.register_function{}",
        "redis.register_function{function_name='a'}", "redis.register_function{callback=function() end}",
        "redis.register_function{function_name={}, callback=function() end}",
        "redis.register_function{function_name='a', callback=1}", "redis.register_function{nosuch=1}",
        "redis.register_function{function_name='a', callback=function() end, flags=1}",
        "redis.register_function{function_name='a', callback=function() end, flags={'nosuch'}}",
        "redis.register_function{function_name='a', callback=function() end, flags={1}}",
        "redis.register_function{function_name='a', callback=function() end, flags={{}}}",
        "redis.register_function{function_name='a', callback=function() end, description=1}",
        "redis.register_function{function_name='a', callback=function() end, description={}}",
        "redis.register_function{FUNCTION_NAME='a', Callback=function() end, FLAGS={'NO-WRITES'}}",
        "redis.register_function{[{}]=1}", "redis.register_function{[1]=1}",
        "redis.register_function{function_name=5, callback=function() end}", "while true do end",
        "while true do pcall(function() end) end",
    ],
)  # fmt: skip
def test_what_libraries_do_when_loaded(body: str) -> None:
    _load_and_list(f"#!lua name=x\n{body}")


def _load_and_list(source: str) -> None:
    same(
        [
            FLUSH,
            ["FUNCTION", "LOAD", source],
            "FUNCTION LIST",
            "FUNCTION LIST WITHCODE",
            ["FUNCTION", "LOAD", "REPLACE", source],
        ],
        cleanup=[FLUSH],
    )


def test_loading_twice() -> None:
    same(
        [
            FLUSH,
            load(ONE),
            load(ONE),
            load(ONE, "REPLACE"),
            load(ONE, "replace", "REPLACE"),
            load(ONE, name="other"),
            load(ONE.replace("'one'", "'ONE'"), name="other"),
            load(ONE.replace("'one'", "'two'"), "REPLACE"),
            "FCALL one 0",
            "FCALL two 0",
            "FCALL TWO 0",
            load(ONE, name="other"),
            load(ONE.replace("'one'", "'two'"), "REPLACE", name="other"),
            load("error('no')", "REPLACE"),
            "FCALL two 0",
            Unordered("FUNCTION LIST"),
            load(ONE, "NOSUCH"),
            "FUNCTION LOAD",
            "FUNCTION LOAD REPLACE",
            "FUNCTION DELETE mine",
            "FUNCTION DELETE mine",
            "FUNCTION DELETE Other",
            "FUNCTION DELETE",
            "FCALL two 0",
            "FUNCTION FLUSH x",
            "FUNCTION FLUSH SYNC x",
            "FUNCTION FLUSH async",
            "FUNCTION LIST",
        ],
        cleanup=[FLUSH],
    )


MANY = """
local shared = 0
redis.register_function('echo', function(keys, args) return {keys, args} end)
redis.register_function{function_name='reads', callback=function(keys, args) return redis.call('GET', keys[1]) end,
  flags={'no-writes'}, description='it reads'}
redis.register_function{function_name='writes_anyway',
  callback=function(keys, args) return redis.call('SET', keys[1], 1) end,
  flags={'no-writes', 'allow-oom', 'allow-stale', 'no-cluster', 'allow-cross-slot-keys'}}
redis.register_function('writes', function(keys, args) return redis.call('SET', keys[1], args[1]) end)
redis.register_function('counts', function() shared = shared + 1 return shared end)
redis.register_function('fails', function()

  return redis.call('NOSUCH') end)
redis.register_function('errs', function() error('text') end)
redis.register_function('errs_deep', function() local function f() error({err='MINE x'}) end f() end)
redis.register_function('globals', function() return KEYS end)
redis.register_function('assigns', function() x = 1 end)
redis.register_function('registers', function() return redis.register_function('late', function() end) end)
redis.register_function('names', function()
  local names = {} for name in pairs(redis) do names[#names + 1] = name end table.sort(names) return names end)
redis.register_function('all_names', function()
  local names = {} for name in pairs(_G) do names[#names + 1] = name end table.sort(names) return names end)
redis.register_function('resp', function() redis.setresp(3) return {true, {double=3}, redis.call('HGETALL', 'h')} end)
redis.register_function('raws', function() return {pcall(rawset, _G, 'x', 1)} end)
redis.register_function('loads', function() return loadstring('return redis.sha1hex("x")')() end)
redis.register_function('libraries', function()
  return {cjson.encode({1}), ('x'):rep(3), math.floor(1.5), bit.bor(1, 2)} end)
redis.register_function('mt', function() return type(getmetatable(_G)) end)
"""


def test_calling() -> None:
    names = [
        "echo", "reads", "writes_anyway", "writes", "counts", "counts", "fails", "errs", "errs_deep", "globals",
        "assigns", "registers", "names", "resp", "raws", "loads", "libraries", "nosuch", "ECHO", "mt",
    ]  # fmt: skip
    same(
        [
            FLUSH,
            load(MANY),
            *([by, name, 1, "key", "argument"] for name in names for by in ("FCALL", "FCALL_RO")),
            "FCALL echo 0",
            "FCALL echo 2 a b c",
            "FCALL echo 3 a b",
            "FCALL echo -1",
            "FCALL echo x",
            "FCALL echo",
            "FCALL nosuch x",
            "FCALL",
            ["FCALL", "echo", 500, *range(1000)],
            "EVAL \"return redis.call('FCALL', 'echo', 0)\" 0",
            "MULTI",
            "FCALL writes 1 k v",
            "FCALL fails 0",
            "FUNCTION LIST LIBRARYNAME nosuch",
            "EXEC",
        ],
        state=True,
        cleanup=[FLUSH],
    )


def test_listing() -> None:
    same(
        [
            FLUSH,
            "FUNCTION LIST",
            load(MANY),
            load("redis.register_function('f', function() end)", name="Other"),
            Unordered("FUNCTION LIST"),
            Unordered("FUNCTION LIST LIBRARYNAME MIN*"),
            Unordered("FUNCTION LIST LIBRARYNAME o* WITHCODE"),
            Unordered("FUNCTION LIST WITHCODE LIBRARYNAME *"),
            "FUNCTION LIST LIBRARYNAME",
            "FUNCTION LIST WITHCODE WITHCODE",
            "FUNCTION LIST LIBRARYNAME a LIBRARYNAME b",
            "FUNCTION LIST nosuch",
            "FUNCTION STATS",
            "FUNCTION STATS x",
            "FUNCTION KILL",
            "FUNCTION NOSUCH",
            "FUNCTION",
        ],
        cleanup=[FLUSH],
    )


def _restoring(*steps: Command) -> None:
    same([FLUSH, *(Masked(step, _any_library) for step in steps), Unordered("FUNCTION LIST")], cleanup=[FLUSH])


def _any_library(reply: bytes) -> bytes:
    """Of several libraries that exist already, the reference names the first of its hash table's."""
    return re.sub(rb"(Library|Function) \w+ already", rb"\1 <name> already", reply)


def _payload(*opcodes_and_sources: tuple[int, str]) -> bytes:
    from broker.formats.packed.crc64 import crc64
    from broker.formats.rdb.primitives import length_bytes

    body = b"".join(
        bytes((opcode,)) + length_bytes(len(source)) + source.encode() for opcode, source in opcodes_and_sources
    )
    body += (10).to_bytes(2, "little")
    return body + crc64(body).to_bytes(8, "little")


def test_restoring() -> None:
    one, two = library(ONE, "one"), library(ONE.replace("'one'", "'two'"), "two")
    both = _payload((245, one), (245, two))
    for policy in ([], ["APPEND"], ["REPLACE"], ["flush"], ["NOSUCH"], ["FLUSH", "x"]):
        _restoring(
            ["FUNCTION", "RESTORE", both, *policy],
            ["FUNCTION", "RESTORE", both, *policy],
            "FCALL two 0",
            ["FUNCTION", "RESTORE", _payload((245, library(ONE, "clash"))), *policy],
            ["FUNCTION", "RESTORE", _payload((245, library(ONE, "two"))), *policy],
            ["FUNCTION", "RESTORE", _payload(), *policy],
        )
    _restoring(["FUNCTION", "RESTORE", _payload((245, one), (245, one))])
    _restoring(["FUNCTION", "RESTORE", _payload((245, one), (245, library(ONE, "clash")))])
    _restoring(["FUNCTION", "RESTORE", _payload((246, one))], ["FUNCTION", "RESTORE", _payload((0, one))])
    _restoring(
        ["FUNCTION", "RESTORE", _payload((245, "nonsense"))],
        ["FUNCTION", "RESTORE", _payload((245, library("return =")))],
    )
    _restoring(
        ["FUNCTION", "RESTORE", both[:-1]],
        ["FUNCTION", "RESTORE", b""],
        ["FUNCTION", "RESTORE", both[:20] + both[-10:]],
    )
    _restoring("FUNCTION RESTORE", "FUNCTION RESTORE x y z")


def test_dumps_are_restored_by_the_other() -> None:
    from tests.oracle import servers

    sides = (servers.reference(), servers.broker())
    for theirs, ours in (sides, sides[::-1]):
        first, second = theirs.connect(), ours.connect()
        for connection in (first, second):
            assert connection.call("FUNCTION", "FLUSH") == b"+OK\r\n"
        for number in range(3):
            first.call(
                "FUNCTION",
                "LOAD",
                library(ONE.replace("one", f"f{number}") * 1 + "-- " + "padding " * 100 * number, f"l{number}"),
            )
        dump = first.call("FUNCTION", "DUMP")
        payload = dump[dump.index(b"\n") + 1 : -2]
        assert second.call("FUNCTION", "RESTORE", payload) == b"+OK\r\n"
        assert second.call("FCALL", "f2", "0") == b":1\r\n"
        for connection in (first, second):
            connection.call("FUNCTION", "FLUSH")
            connection.close()


def test_scripts_and_functions_share_nothing() -> None:
    same(
        [
            FLUSH,
            load(MANY),
            ["EVAL", "return 1", 1, "key", "argument"],
            "FCALL globals 0",
            ["EVAL", "return redis.call('FUNCTION', 'LIST')", 0],
            "FCALL resp 0",
            ["EVAL", "return true", 0],
        ],
        cleanup=[FLUSH],
    )
