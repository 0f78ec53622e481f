"""Scripts as a whole: their effects, their limits, what waits for them."""

import pytest
import trio

from protocol.errors import CommandError
from tests.broker.effects import journal, replay_gives_the_same
from tests.broker.inprocess import running
from tests.broker.sessions import make_broker, make_session, run


def evaluate(source: str, *keys_and_arguments: str, keys: int = 0) -> list[bytes]:
    return [b"EVAL", source.encode(), b"%d" % keys, *(word.encode() for word in keys_and_arguments)]


def test_no_lua_state_without_scripts() -> None:
    broker = make_broker()
    run(make_session(broker), "PING", "SCRIPT EXISTS x", "SCRIPT FLUSH", "FUNCTION LIST")
    assert (broker.scripting.memory_of_scripts(), broker.scripting.memory_of_functions()) == (0, 0)
    run(make_session(broker), evaluate("return 1"))
    assert broker.scripting.memory_of_scripts() > 0
    assert broker.scripting.memory_of_functions() == 0


def test_scripts_and_functions_have_a_state_each() -> None:
    session = make_session(make_broker())
    source = b"#!lua name=x\nredis.register_function('f', function() return cjson.encode({1, [5] = 1}) end)"
    sparse = "return cjson.encode({1, [99] = 1})"
    run(session, [b"FUNCTION", b"LOAD", source], evaluate("cjson.encode_sparse_array(true, 1, 1) return 1"))
    assert run(session, evaluate(sparse)) == b'$14\r\n{"1":1,"99":1}\r\n'
    assert run(session, "FCALL f 0") == b"$20\r\n[1,null,null,null,1]\r\n"
    run(session, "SCRIPT FLUSH")
    assert run(session, evaluate(sparse)).startswith(
        b"-ERR user_script:1: Cannot serialise table: excessively sparse array"
    )
    run(session, "FUNCTION FLUSH")
    assert session.broker.scripting.memory_of_functions() == 0
    assert run(session, [b"FUNCTION", b"LOAD", source], "FCALL f 0").endswith(b"null,1]\r\n")


async def test_a_pause_of_writes_lets_scripts_run_that_do_not_write() -> None:
    function = "#!lua name=x\nredis.register_function{function_name='f', callback=function() return 1 end, flags={%s}}"
    reading = "#!lua flags=no-writes\nreturn 1"
    async with running() as broker:
        client, other = await broker.client(), await broker.client()
        sha = (await client.call("SCRIPT", "LOAD", reading))[5:-2].decode()
        await client.call("FUNCTION", "LOAD", function % "'no-writes'")
        await other.call("CLIENT PAUSE 100000 WRITE")
        for call in (["EVAL", reading, "0"], ["EVALSHA", sha, "0"], ["FCALL", "f", "0"], ["EVAL_RO", "return 1", "0"]):
            assert await client.call(*call) == b":1\r\n"
            for request in (["MULTI"], call, ["GET", "k"]):
                await client.call(*request)
            assert await client.call("EXEC") == b"*2\r\n:1\r\n$-1\r\n"
        # What may write waits before it is queued, as in Redis, so this is queued while nothing is paused.
        assert await other.call("CLIENT UNPAUSE") == b"+OK\r\n"
        for request in (["MULTI"], ["EVAL", "return 3", "0"]):
            await client.call(*request)
        for request, reply in ((["EXEC"], b"*1\r\n:3\r\n"), (["EVAL", "return 2", "0"], b":2\r\n")):
            await other.call("CLIENT PAUSE 100000 WRITE")
            await client.send(*request)
            with trio.fail_after(60):
                while not broker.broker.state.postponed:
                    await other.call("PING")
            assert await other.call("CLIENT UNPAUSE") == b"+OK\r\n"
            assert await client.receive() == reply


def test_writes_are_propagated_as_one() -> None:
    broker = make_broker()
    session = make_session(broker)
    units: list[list[list[bytes]]] = []
    broker.keyspace.effects.sinks.append(lambda effects: units.append([words for _, words in effects]))
    run(session, evaluate("redis.call('SET', 'a', 1) redis.call('GET', 'a') redis.call('INCR', 'a') return 1"))
    assert units == [[[b"SET", b"a", b"1"], [b"INCR", b"a"]]]
    units.clear()
    run(session, evaluate("redis.call('SET', 'a', 1) error('half-way')"))
    run(session, evaluate("return redis.call('GET', 'a')"))
    assert units == [[[b"SET", b"a", b"1"]]]
    units.clear()
    run(session, "MULTI", "INCR a", evaluate("return redis.call('INCR', 'a')"), "EXEC")
    assert units == [[[b"INCR", b"a"], [b"INCR", b"a"]]]


def test_what_set_repl_keeps_back() -> None:
    broker = make_broker()
    session = make_session(broker)
    seen = journal(broker)
    source = (
        "redis.call('SET', 'a', 1) redis.set_repl(redis.REPL_NONE) redis.call('SET', 'b', 1) redis.call('SPOP', 's') "
    )
    run(session, "SADD s x", evaluate(source + "redis.set_repl(redis.REPL_ALL) redis.call('SET', 'c', 1)"))
    run(session, evaluate("redis.set_repl(redis.REPL_NONE) return 1"), "SET d 1")
    assert [words[1] for _, words in seen] == [b"s", b"a", b"c", b"d"]
    seen.clear()
    for flag in ("REPL_AOF", "REPL_REPLICA", "REPL_SLAVE", "REPL_ALL"):
        run(session, evaluate(f"redis.set_repl(redis.{flag}) redis.call('SET', '{flag}', 1)"))
    assert [words[1] for _, words in seen] == [b"REPL_AOF", b"REPL_ALL"]


async def test_effects_done_again_give_the_same() -> None:
    scripts = [
        "redis.call('SADD', 's', 1, 2, 3) redis.call('SPOP', 's') redis.call('SET', 'k', 'v', 'EX', 100)",
        "redis.call('SELECT', 3) redis.call('HINCRBYFLOAT', 'h', 'a', 0.5) error('x')",
        "redis.call('RPUSH', 'l', 1) return redis.call('BLPOP', 'l', 0)",
    ]
    await replay_gives_the_same([["EVAL", source, "0"] for source in scripts])


def test_functions_are_propagated_as_they_came() -> None:
    broker = make_broker()
    session = make_session(broker)
    seen = journal(broker)
    source = b"#!lua name=x\nredis.register_function('f', function() return redis.call('SET', 'a', 1) end)"
    run(session, [b"FUNCTION", b"LOAD", source], "FCALL f 0", "FUNCTION DELETE x", "FUNCTION FLUSH")
    assert [words[0] for _, words in seen] == [b"FUNCTION", b"SET", b"FUNCTION", b"FUNCTION"]
    assert broker.functions.sources() == []


def test_libraries_of_a_file() -> None:
    broker = make_broker()
    broker.functions.load_source(b"#!lua name=x\nredis.register_function('f', function() return 'loaded' end)")
    assert run(make_session(broker), "FCALL f 0") == b"$6\r\nloaded\r\n"
    with pytest.raises(CommandError, match="Missing library metadata"):
        broker.functions.load_source(b"nonsense")


def test_flags() -> None:
    session = make_session(make_broker())
    assert run(session, evaluate("#!lua flags=no-writes\nreturn redis.call('SET', 'a', 1)")).startswith(
        b"-ERR Write commands are not allowed from read-only scripts. script: "
    )
    assert run(session, [b"EVAL_RO", b"#!lua\nreturn 1", b"0"]).startswith(
        b"-ERR Can not execute a script with write flag"
    )


def test_the_callers_database_and_version() -> None:
    session = make_session(make_broker())
    run(session, "SELECT 3", "SET k v")
    assert run(session, evaluate("return redis.call('GET', 'k')")) == b"$1\r\nv\r\n"
    run(session, evaluate("return redis.call('SELECT', 5)"))
    assert session.db.index == 3
    run(session, "HELLO 3")
    assert run(session, evaluate("return {map = {a = 1}}")) == b"%1\r\n$1\r\na\r\n:1\r\n"


def test_memory_has_a_limit_that_can_be_changed() -> None:
    broker = make_broker(lua_max_memory=32 << 20)
    session = make_session(broker)
    hog = evaluate("local t = {} while true do t[#t + 1] = {} end")
    assert b"not enough memory" in run(session, hog)
    assert b"not enough memory" in run(session, evaluate("return #ARGV[1]", "x" * (40 << 20)))
    broker.config.set([(b"lua-max-memory", b"100mb")])
    assert run(session, evaluate("return #ARGV[1]", "x" * (40 << 20))) == b":41943040\r\n"


def test_errors_are_counted_once() -> None:
    broker = make_broker()
    session = make_session(broker)
    run(session, evaluate("return redis.call('NOSUCH')"), evaluate("error('x')"), evaluate("return {err = 'MINE x'}"))
    assert broker.stats.errors == {b"ERR": 2, b"MINE": 1}
    assert broker.commands.by_name[b"eval"].failed == 3


async def test_clients_that_wait_are_served_after_the_script() -> None:
    async with running() as broker:
        waiting, client = await broker.client(), await broker.client()
        await waiting.send("BLPOP k 0")
        await client.call("PING")
        reply = await client.call("EVAL", "redis.call('RPUSH', 'k', 'a', 'b') return redis.call('LLEN', 'k')", "0")
        assert reply == b":2\r\n"
        assert await waiting.receive() == b"*2\r\n$1\r\nk\r\n$1\r\na\r\n"
