"""Sessions of the script debugger in a broker: whose they are, and how they end. The dialogues: tests/oracle."""

import os
import signal
from pathlib import Path

import pytest
import trio

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


def test_modes_are_forgotten_with_their_clients() -> None:
    broker = make_broker()
    session = make_session(broker)
    assert run(session, "SCRIPT DEBUG YES") == b"+OK\r\n"
    assert broker.scripting.debugging.modes == {session: b"YES"}
    broker.close_session(session)
    assert not broker.scripting.debugging.modes
