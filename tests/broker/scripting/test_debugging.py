"""Sessions of the script debugger in a broker: whose they are, and how they end. The dialogues: tests/oracle."""

import os
import signal
from pathlib import Path

import pytest
import trio

from broker.scripting import debugging
from tests.broker.encrypted import serving
from tests.broker.inprocess import Broker, Client, running
from tests.broker.sessions import make_broker, make_session, run
from tests.certificates import Certificates

SCRIPT = "redis.call('set', KEYS[1], 'x')\nlocal a = 1\nreturn redis.call('get', KEYS[1])"
FIRST = b"*2\r\n+* Stopped at 1, stop reason = step over\r\n+-> 1   redis.call('set', KEYS[1], 'x')\r\n"
END = b"*1\r\n+<endsession>\r\n"


async def begin(client: Client) -> None:
    assert await client.call("SCRIPT DEBUG YES") == b"+OK\r\n"
    assert await client.call("EVAL", SCRIPT, 1, "k") == FIRST


async def until_ended(broker: Broker) -> None:
    with trio.fail_after(3600):  # of a clock that jumps
        while broker.broker.scripting.debugging.children:
            await trio.sleep(0.01)


async def test_a_session_in_a_child(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as broker:
        client, other = await broker.client(), await broker.client()
        await begin(client)
        assert broker.broker.scripting.debugging.children == 1
        assert list(broker.broker.sessions) == [2]
        assert await other.call("SET other 1") == b"+OK\r\n"
        assert b"+<reply> " in await client.call("s")
        assert await other.call("EXISTS k") == b":0\r\n"
        assert await client.call("c") == END
        assert await client.receive() == b"$1\r\nx\r\n"
        assert await client.receive() == b""
        await until_ended(broker)
        assert await other.call("EXISTS k") == b":0\r\n"
        assert not broker.broker.scripting.debugging.modes


async def test_a_client_that_vanishes(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as broker:
        client = await broker.client()
        await begin(client)
        await client.stream.aclose()
        await until_ended(broker)


async def test_a_child_that_is_killed(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as broker:
        client, other = await broker.client(), await broker.client()
        await begin(client)
        (pid,) = broker.broker.scripting.debugging._children.values()
        os.kill(pid, signal.SIGKILL)
        assert await client.receive() == b""
        await until_ended(broker)
        assert await other.call("PING") == b"+PONG\r\n"


async def test_children_end_with_the_broker() -> None:
    async with running() as broker:
        client = await broker.client()
        await begin(client)
        (pid,) = broker.broker.scripting.debugging._children.values()
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_an_encrypted_connection_is_taken_over(tmp_path: Path) -> None:
    async with serving(Certificates(tmp_path), tls_auth_clients="no") as encrypted:
        client, other = await encrypted.connect(), await encrypted.connect()
        await begin(client)
        assert await other.call("PING") == b"+PONG\r\n"
        assert b"Stopped at 2" in await client.call("s")
        assert await client.call("c") == END
        assert await client.receive() == b"$1\r\nx\r\n"
        assert await client.receive() == b""
        assert await other.call("EXISTS k") == b":0\r\n"


async def test_clients_in_the_same_process_would_never_answer() -> None:
    async with running() as broker:
        client = await broker.client()
        assert await client.call("SCRIPT DEBUG SYNC") == b"+OK\r\n"
        assert await client.call("EVAL 'return 1' 0") == b"-ERR scripts can't be debugged over this connection\r\n"
        assert await client.call("SCRIPT DEBUG NO") == b"+OK\r\n"
        assert await client.call("EVAL 'return 1' 0") == b":1\r\n"


async def test_transactions_are_not_left_to_a_child() -> None:
    async with running() as broker:
        client = await broker.client()
        for command in ("SCRIPT DEBUG YES", "MULTI", "EVAL 'return 1' 0"):
            await client.call(command)
        reply = await client.call("EXEC")
        assert reply == b"*1\r\n-ERR scripts in a transaction can only be debugged in mode SYNC\r\n"


async def test_no_process_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    async with running() as broker:
        client = await broker.client()
        await client.call("SCRIPT DEBUG YES")
        monkeypatch.setattr(os, "fork", fork)
        reply = await client.call("EVAL 'return 1' 0")
        assert reply == b"-ERR the debugging session can't be forked: Resource temporarily unavailable\r\n"


async def test_too_many_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debugging, "MAX_CHILDREN", 1)
    async with running() as broker:
        first, second = await broker.client(), await broker.client()
        await begin(first)
        await second.call("SCRIPT DEBUG YES")
        assert await second.call("EVAL 'return 1' 0") == b"-ERR too many scripts are being debugged\r\n"


async def test_nothing_of_a_child_reaches_files_or_other_clients(tmp_path: Path) -> None:
    script = """redis.call('flushall')
        for i = 1, 1000 do redis.call('set', 'k' .. i, string.rep('x', 1000), 'px', 60000) end
        redis.call('publish', 'channel', 'message')
        redis.call('rpush', 'list', 'x')
        redis.log(redis.LOG_WARNING, 'text')
        return redis.call('dbsize')"""
    directives = {"dir": str(tmp_path), "appendonly": "yes", "notify-keyspace-events": "KEA"}
    async with running(directives) as broker:
        client, other, waiting = [await broker.client() for _ in range(3)]
        await other.call("SET kept 1")
        await other.call("SUBSCRIBE channel __keyevent@0__:set")
        await other.receive()
        await waiting.send("BLPOP list 0")
        await client.call("SCRIPT DEBUG YES")
        await client.call("EVAL", script, 0)
        assert await client.call("c") == END
        assert await client.receive() == b":1001\r\n"
        last = await broker.client()
        assert await last.call("DBSIZE") == b":1\r\n"
        await last.call("PUBLISH channel real")
        assert (await other.receive()).endswith(b"real\r\n")
        await last.call("RPUSH list y")
        assert (await waiting.receive()).endswith(b"y\r\n")
    async with running(directives) as broker:
        client = await broker.client()
        assert await client.call("KEYS *") == b"*1\r\n$4\r\nkept\r\n"


async def test_a_script_that_has_filled_the_memory() -> None:
    async with running({"lua-max-memory": "2mb"}) as broker:
        client = await broker.client()
        await client.call("SCRIPT DEBUG YES")
        await client.call("EVAL", "local t = {}\nfor i = 1, 1e9 do t[i] = i .. 'x' end", 0)
        assert await client.call("c") == END
        assert b"not enough memory" in await client.receive()


async def test_code_that_does_not_end() -> None:
    async with running({"busy-reply-threshold": "50"}) as broker:
        client = await broker.client()
        await begin(client)
        expected = b"*1\r\n+<error> the code takes longer than busy-reply-threshold\r\n"
        assert await client.call("e", "while true do end") == expected
        assert await client.call("e", "coroutine.yield(1)") == (
            b"*1\r\n+<error> attempt to yield across metamethod/C-call boundary\r\n"
        )
        assert await client.call("e", "debug") == (
            b"*1\r\n+<error> ldb_eval:1: Script attempted to access nonexistent global variable 'debug'\r\n"
        )
        assert await client.call("a") == END


async def test_tables_that_hold_themselves_many_times() -> None:
    """Shown whole, this one would take hours."""
    script = "local t = {}\nfor i = 1, 100 do t[i] = t end\nredis.breakpoint()\nreturn 1"
    async with running() as broker:
        client = await broker.client()
        await client.call("SCRIPT DEBUG YES")
        await client.call("EVAL", script, 0)
        await client.call("c")
        assert (await client.call("p t")).startswith(b"*2\r\n+<value> {{{{{{{{{{<max recursion level reached!")
        assert await client.call("c") == END


def test_modes_are_forgotten_with_their_clients() -> None:
    broker = make_broker()
    session = make_session(broker)
    assert run(session, "SCRIPT DEBUG YES") == b"+OK\r\n"
    assert broker.scripting.debugging.modes == {session: b"YES"}
    broker.close_session(session)
    assert not broker.scripting.debugging.modes
