"""Scripts by Lua's C interface and by lupa: the same replies, errors and traces."""

from typing import Any

import pytest

import broker.scripting.sandbox as sandbox_module
from broker.clients.session import Session
from broker.scripting.running import KILLED, Interruption
from broker.scripting.sandbox import SLICE
from protocol.native import IN_USE
from tests.broker.sessions import make_broker, make_session, run
from tests.twins import pure_module

pytestmark = pytest.mark.skipif(not IN_USE["broker.scripting._border"], reason="nothing is compiled")


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """Two of different brokers, whose scripts run by Lua's C interface and by lupa."""
    made = [make_session(make_broker()) for _ in range(2)]
    pure = pure_module("broker.scripting.border")
    with monkeypatch.context() as patch:
        run(made[0], [b"EVAL", b"return 1", b"0"])
        patch.setattr(sandbox_module, "Border", pure.Border)
        patch.setattr(sandbox_module, "UnsupportedError", pure.UnsupportedError)
        run(made[1], [b"EVAL", b"return 1", b"0"])
    states = [session.broker.scripting._of_scripts.sandbox for session in made]  # type: ignore[attr-defined]
    assert [state._border is not None for state in states] == [True, False]
    for session in made:
        run(session, "SET k v", "RPUSH l a b c", "HSET h f 1 g 2", "ZADD z 1.5 a 2 b", "XADD s 1-1 f v", "SADD t x")
    return made


RETURNED = [
    "return", "return nil", "return 1", "return -7", "return 3.99", "return -3.99", "return 2^53", "return 2^62",
    "return 'text'", "return ''", "return 'a\\0b\\r\\n'", "return true", "return false", "return {}",
    "return {1, 'a', {2, {}}}", "return {1, nil, 3}", "return {true, false, 2.5}", "return {ok='FINE'}",
    "return {ok='a\\r\\nb\\0c'}", "return {ok=1}", "return {err='MINE x'}", "return {err=1, 2}",
    "return {err='x\\r\\n'}", "return {1, {err='inner'}, {ok='y'}}", "return {x=1}", "return {1, 2, x=1}",
    "return {1, ok='yes'}", "return {double=1.5}", "return {double='x'}", "return {big_number='123'}",
    "return {map={a=1}}", "return {set={a=true}}", "return {map=1, 5}",
    "return {verbatim_string={format='txt', string='abc'}}", "return redis.call", "return print", "return cjson.null",
    "return setmetatable({1}, {__index = function() return 2 end})", "return coroutine.create(function() end)",
    "local t = {} for i = 1, 31 do t = {t} end return t", "local t = {} for i = 1, 40 do t = {t} end return t",
    "local t = {} for i = 1, 9000 do t = {t} end return t", "local t = {} for i = 1, 3000 do t[i] = i end return t",
    "local t = {} for i = 1, 300 do t[i] = ('x'):rep(5000) end return t", "redis.setresp(3) return {true, false}",
    "redis.setresp(3) return 1", "local x = 0 for i = 1, 100000 do x = x + i end return {x, true}",
]  # fmt: skip

CALLED = [
    "'GET', 'k'", "'GET', 'nosuch'", "'SET', 'k', 'w'", "'LRANGE', 'l', 0, -1", "'LLEN', 'k'", "'HGETALL', 'h'",
    "'NOSUCH'", "'GET'", "", "{}", "true", "nil", "'GET', nil", "'ECHO', 3", "'ECHO', -3", "'ECHO', 1.5",
    "'ECHO', 1e15", "'ECHO', 2^53", "'ECHO', -2^62", "'ECHO', 2^62", "'ECHO', 2^63", "'ECHO', 1e300", "'ECHO', 1/0",
    "'ECHO', 0/0", "'ECHO', -0", "'ECHO', ''", "'COMMAND', 'DOCS', 'GET'", "'XRANGE', 's', '-', '+'",
    "'XINFO', 'STREAM', 's', 'FULL'", "'ZRANGE', 'z', 0, -1, 'WITHSCORES'", "'ZSCORE', 'z', 'a'", "'SMEMBERS', 't'",
    "'CONFIG', 'GET', 'maxmemory'", "'EVAL', 'return 1', 0", "'INCR', 'k'", "'BLPOP', 'nosuch', 0",
    "'MGET', 'k', 'nosuch', 'k'", "'PING'", "'OBJECT', 'HELP'", "'LOLWUT', 'VERSION', 5", "'GEOPOS', 'nosuch', 'x'",
    "'GETRANGE', 'big', 0, -1", "'LRANGE', 'many', 0, -1",
]  # fmt: skip

SHOW = """
local function show(value)
  if type(value) ~= 'table' then return type(value) .. ':' .. string.format('%q', tostring(value)) end
  local texts = {}
  for key, item in pairs(value) do texts[#texts + 1] = tostring(key) .. '=' .. show(item) end
  table.sort(texts)
  return '{' .. table.concat(texts, ',') .. '}'
end
"""


def same(sessions: list[Session], *request: bytes) -> None:
    replies = [run(session, list(request)) for session in sessions]
    assert replies[0] == replies[1]
    brokers: list[Any] = [session.broker for session in sessions]
    assert brokers[0].stats.errors == brokers[1].stats.errors
    counts = [
        [(command.calls, command.failed, command.rejected) for command in set(broker.commands.by_name.values())]
        for broker in brokers
    ]
    assert sorted(counts[0]) == sorted(counts[1])


@pytest.mark.parametrize("hello", ["HELLO 2", "HELLO 3"])
def test_what_scripts_return(sessions: list[Session], hello: str) -> None:
    for session in sessions:
        run(session, hello)
    for source in RETURNED:
        same(sessions, b"EVAL", source.encode(), b"0")


@pytest.mark.parametrize("version", [2, 3])
def test_what_scripts_call(sessions: list[Session], version: int) -> None:
    for session in sessions:
        run(session, [b"SET", b"big", b"x" * 100_000], [b"RPUSH", b"many", *[b"%d" % i for i in range(5000)]])
    for words in CALLED:
        for call in ("redis.call", "redis.pcall"):
            same(sessions, b"EVAL", f"{SHOW} redis.setresp({version}) return show({call}({words}))".encode(), b"0")
        same(sessions, b"EVAL", f"return redis.call({words})".encode(), b"0")
        same(sessions, b"EVAL", f"{SHOW} return show({{pcall(redis.call, {words or 'nil'})}})".encode(), b"0")


@pytest.mark.parametrize(
    "source",
    [
        "return {redis.call('GET', KEYS[1]), redis.call('SET', KEYS[2], 1), redis.call('GET', 'k')}",
        "KEYS[1] = 'm' redis.call('SET', KEYS[1], 2) return {redis.call('GET', 'k'), redis.call('GET', 'm')}",
        "KEYS = nil collectgarbage() redis.call('APPEND', ('k'):rep(1), 3) return redis.call('GET', ARGV[1])",
        "return {redis.call('GET', 'kk'), redis.call('GET', ''), redis.call('ECHO', 'k'), redis.call('STRLEN', 'K')}",
    ],
)
def test_keys_that_calls_name(sessions: list[Session], source: str) -> None:
    for request in ([b"2", b"k", b"m", b"k"], [b"0", b"k"], [b"1", b"k"], [b"1", b"", b"k"]):
        same(sessions, b"EVAL", source.encode(), *request)


@pytest.mark.parametrize("request_", [[b"0", b"x" * 1_000_000], [b"1", b"x" * 1_000_000], [b"0", *[b"x"] * 30_000]])
def test_large_arguments_do_not_outlive_their_run(sessions: list[Session], request_: list[bytes]) -> None:
    for session in sessions:
        sandbox = session.broker.scripting._of_scripts.sandbox  # type: ignore[attr-defined]
        run(session, [b"EVAL", b"return 1", *request_])
        sandbox.tidy()
        assert sandbox.memory_used() < 300_000


def test_commands_alike_in_size_and_ends(sessions: list[Session]) -> None:
    source = b"local t = {} for i = 1, 4 do t[i] = redis.pcall(ARGV[i], KEYS[1]) end return t"
    same(sessions, b"EVAL", source, b"1", b"z", b"get", b"gXt", b"GET", b"get")
    same(sessions, b"EVAL", source, b"1", b"z", b"zcard", b"zXXXd", b"zcard", b"")
    same(sessions, b"EVAL", source, b"1", b"k", b"strlen", b"sXXXXn", b"Strlen", b"strlen")


@pytest.mark.parametrize(
    "source",
    [
        "error('x')", "error({err='MINE x'})", "error({1})", "error()", "error(nil)", "error('x', 2)", "nosuch()",
        "local x = 1 + {}", "return redis.error_reply('x')", "redis.call('LPUSH', 'k', 1)",
        "\n\nredis.call('NOSUCH')", "x = 1", "local function f() redis.call('LLEN', 'k') end f()",
        "return pcall(error)", "return {pcall(redis.call, 'LLEN', 'k')}",
        "return tostring(select(2, pcall(redis.call)))", "return {xpcall(redis.call, function(p) return p.err end)}",
        "local co = coroutine.wrap(function() return redis.call('LLEN', 'k') end) return co()",
        "KEYS[1] = 1 return KEYS", "local f = function() return f() end return ('x'):rep(-1) .. #ARGV .. #KEYS",
        "return redis.call(unpack(ARGV))",
        "return {coroutine.resume(coroutine.create(function() redis.call('GET') end))}",
        "return redis.call('GET', KEYS[1])",
        "local function deep(n) return n > 0 and 1 + deep(n - 1) or 0 end return deep(1e6)",
        "local t = setmetatable({}, {__tostring = function() return redis.call('GET', 'k') end}) return tostring(t)",
    ],
)  # fmt: skip
def test_errors(sessions: list[Session], source: str) -> None:
    for arguments in ((b"0",), (b"1", b"k", b"GET", b"k"), (b"3", b"k", b"l", b"m")):
        same(sessions, b"EVAL", source.encode(), *arguments)


def test_many_arguments(sessions: list[Session]) -> None:
    words = [b"%d" % i for i in range(3 * SLICE)]
    for keys in (0, 1, SLICE, 3 * SLICE):
        same(sessions, b"EVAL", b"return {#KEYS, #ARGV, KEYS[#KEYS], ARGV[#ARGV], ARGV[1]}", b"%d" % keys, *words)


def used(session: Session) -> int:
    """Bytes that Lua has allocated when it has been tidied."""
    state: Any = session.broker.scripting._of_scripts.sandbox  # type: ignore[attr-defined]
    state.tidy()
    size: int = state._used()
    return size


@pytest.mark.parametrize(
    "source", [b"return 1", b"error('x')", b"return {map = {1}}", b"return {1, 2}", b"return ARGV[1]"]
)
def test_what_a_run_was_given_is_let_go(sessions: list[Session], source: bytes) -> None:
    for session in sessions:
        run(session, [b"EVAL", source, b"1", b"k", b"x"])
        before = used(session)
        run(session, [b"EVAL", source, b"1", b"k" * 10**6, b"x" * 10**6])
        assert used(session) < before + 100_000


def test_functions_that_nobody_has_are_let_go(sessions: list[Session]) -> None:
    for session in sessions:
        run(session, [b"EVAL", b"return 1", b"0"])
        before = used(session)
        for i in range(600):
            run(session, [b"EVAL", b"return #'%d%b'" % (i, b"x" * 10_000), b"0"])
        assert used(session) < before + 550 * 11_000  # 500 of EVAL's scripts are kept
        run(session, "SCRIPT FLUSH")


def test_long_work_can_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    is_killed = False
    monkeypatch.setattr(Interruption, "check", lambda self: KILLED if is_killed else None)
    session = make_session(make_broker())
    run(session, [b"RPUSH", b"many", *[b"%d" % i for i in range(400_000)]])
    reading = [b"EVAL", b"return #redis.call('LRANGE', 'many', 0, -1)", b"0"]
    assert run(session, reading) == b":400000\r\n"
    is_killed = True
    assert run(session, reading).startswith(b"-ERR Script killed")
    many = [b"EVAL", b"return #ARGV", b"0", *[b"x"] * SLICE]
    assert run(session, many).startswith(b"-ERR not enough memory for")
    is_killed = False
    assert run(session, reading) == b":400000\r\n"
    assert run(session, many) == b":512\r\n"


def test_what_lua_has_allocated_is_known() -> None:
    session = make_session(make_broker())
    run(session, [b"EVAL", b"return 1", b"0"])
    state: Any = session.broker.scripting._of_scripts.sandbox  # type: ignore[attr-defined]
    used = run(session, [b"EVAL", b"return collectgarbage('count') * 1024", b"0"])
    assert abs(int(used[1:-2]) - state._border.used()) < 4096


def test_a_defect_of_ours_and_an_end_from_outside(sessions: list[Session]) -> None:
    def defect(session: Session, args: list[bytes]) -> bytes:
        raise problem

    for session in sessions:
        session.broker.commands.by_name[b"echo"].handler = defect  # type: ignore[attr-defined]
    problem: BaseException = RuntimeError()
    same(sessions, b"EVAL", b"return redis.call('ECHO', 1)", b"0")
    problem = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run(sessions[0], [b"EVAL", b"return redis.call('ECHO', 1)", b"0"])
    assert run(sessions[0], [b"EVAL", b"return 1", b"0"]) == b":1\r\n"


def test_the_reference_says_that_it_can_not() -> None:
    pure = pure_module("broker.scripting.border")
    with pytest.raises(pure.UnsupportedError):
        pure.Border(None, None, lambda: None)
