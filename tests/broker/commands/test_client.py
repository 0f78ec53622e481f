"""CLIENT: effects on sessions. Replies are compared in tests/oracle."""

import pytest
import trio.testing

from tests.broker.inprocess import running


async def test_names_and_libraries() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("CLIENT SETNAME me")
        await client.call("CLIENT SETINFO lib-name redis-py")
        await client.call("CLIENT SETINFO LIB-VER 1.0")
        line = await client.text("CLIENT INFO")
        assert " name=me " in line
        assert " lib-name=redis-py lib-ver=1.0 " in line
        assert line.endswith("\n")
        await client.call("CLIENT", "SETNAME", "")
        assert await client.call("CLIENT GETNAME") == b"$-1\r\n"


@pytest.mark.parametrize("bad", [b"a b", b"a\n", b"\x7f", b"\xff", b" "])
async def test_names_can_not_break_a_line(bad: bytes) -> None:
    async with running() as broker:
        client = await broker.client()
        assert (await client.call("CLIENT", "SETNAME", bad)).startswith(b"-ERR Client names cannot contain")
        assert (await client.call("CLIENT", "SETINFO", "LIB-VER", bad)).startswith(b"-ERR LIB-VER cannot contain")


async def test_kill_others_and_oneself() -> None:
    async with running() as broker:
        client, first, second = [await broker.client() for _ in range(3)]
        for each in (client, first, second):
            await each.call("PING")
        assert await client.call("CLIENT KILL TYPE normal") == b":2\r\n"
        assert await first.receive() == b""
        assert await second.receive() == b""
        assert len(broker.broker.sessions) == 1
        assert await client.call("CLIENT KILL TYPE normal SKIPME no") == b":1\r\n"
        assert await client.receive() == b""


async def test_kill_counts_each_client_once() -> None:
    async with running() as broker:
        client, other = await broker.client(), await broker.client()
        await other.call("PING")
        await client.call("MULTI")
        await client.call("CLIENT KILL ID 2")
        await client.call("CLIENT KILL ID 2")
        assert await client.call("EXEC") == b"*2\r\n:1\r\n:0\r\n"


async def test_kill_by_age(autojump_clock: trio.testing.MockClock) -> None:
    from broker.clock import TrioClock

    async with running(clock=TrioClock()) as broker:
        old = await broker.client()
        await old.call("PING")
        await trio.sleep(5)
        young = await broker.client()
        assert await young.call("CLIENT KILL MAXAGE 10") == b":0\r\n"
        assert await young.call("CLIENT KILL MAXAGE 5") == b":1\r\n"
        assert await old.receive() == b""


async def test_replies_off_on_and_skipped() -> None:
    async with running() as broker:
        client = await broker.client()
        for command in ("CLIENT REPLY OFF", "PING a", "CLIENT REPLY SKIP", "CLIENT REPLY ON"):
            await client.send(command)
        assert await client.receive() == b"+OK\r\n"
        for command in ("CLIENT REPLY SKIP", "PING b", "PING c"):
            await client.send(command)
        assert await client.receive() == b"$1\r\nc\r\n"


async def test_unblock(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as broker:
        admin, waiting = await broker.client(), await broker.client()
        await admin.call("PING")
        await waiting.call("PING")
        assert await admin.call("CLIENT UNBLOCK 2") == b":0\r\n"
        await waiting.send("WAIT 1 0")
        while not broker.broker.blocking.sessions:
            await trio.sleep(0.01)
        assert await admin.call("CLIENT UNBLOCK 2 ERROR") == b":1\r\n"
        assert await waiting.receive() == b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"
        assert broker.broker.stats.errors == {b"UNBLOCKED": 1}
        assert broker.broker.commands.by_name[b"wait"].failed == 1


async def test_pause_and_unpause(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as broker:
        admin, client = await broker.client(), await broker.client()
        assert await admin.call("CLIENT PAUSE 100000 WRITE") == b"+OK\r\n"
        assert broker.broker.paused == "write"
        assert await client.call("GET k") == b"$-1\r\n"
        await client.send("SET k v")
        while not broker.broker.postponed:
            await trio.sleep(0.01)
        assert await admin.call("CLIENT UNPAUSE") == b"+OK\r\n"
        assert await client.receive() == b"+OK\r\n"


async def test_switches() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("CLIENT NO-EVICT on")
        await client.call("CLIENT NO-TOUCH ON")
        (session,) = broker.broker.sessions.values()
        assert session.no_evict and session.no_touch
        assert " flags=eT " in await client.text("CLIENT LIST")
        await client.call("CLIENT NO-TOUCH OFF")
        assert not session.no_touch
