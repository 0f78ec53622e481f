"""CLIENT: effects on sessions. Replies are compared in tests/oracle."""

import pytest
import trio.testing

from broker.process.clock import TrioClock
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
    from broker.process.clock import TrioClock

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
        assert broker.broker.state.paused == "write"
        assert await client.call("GET k") == b"$-1\r\n"
        await client.send("SET k v")
        while not broker.broker.state.postponed:
            await trio.sleep(0.01)
        assert await admin.call("CLIENT UNPAUSE") == b"+OK\r\n"
        assert await client.receive() == b"+OK\r\n"


async def test_nothing_expires_during_a_pause(autojump_clock: trio.testing.MockClock) -> None:
    """Keys and fields that are due are there, but not found; they go, with their events, when it is over."""
    async with running({"notify-keyspace-events": "Exh"}, clock=TrioClock()) as broker:
        admin, client, listener = [await broker.client() for _ in range(3)]
        await listener.call("PSUBSCRIBE __keyevent@0__:*xpired")
        keyspace = broker.broker.keyspace
        for command in ("SET s v PX 100", "SET t v", "PEXPIRE t 300", "HSET h a 1 b 2", "HPEXPIRE h 100 FIELDS 1 a"):
            await client.call(command)
        await client.call("WATCH s")
        assert await admin.call("CLIENT PAUSE 100000 WRITE") == b"+OK\r\n"
        await trio.sleep(0.2)
        for command, reply in (
            ("DBSIZE", b":3\r\n"), ("GET s", b"$-1\r\n"), ("EXISTS s t h", b":2\r\n"), ("PTTL s", b":-2\r\n"),
            ("SCAN 0 TYPE string", b"*2\r\n$1\r\n0\r\n*1\r\n$1\r\nt\r\n"), ("HGET h a", b"$-1\r\n"),
            ("HGETALL h", b"*2\r\n$1\r\nb\r\n$1\r\n2\r\n"), ("MULTI", b"+OK\r\n"), ("PING", b"+QUEUED\r\n"),
            ("EXEC", b"*-1\r\n"), ("WATCH s", b"+OK\r\n"), ("MULTI", b"+OK\r\n"), ("PING", b"+QUEUED\r\n"),
            ("EXEC", b"*1\r\n+PONG\r\n"),
        ):  # fmt: skip
            assert await client.call(command) == reply, command
        await trio.sleep(0.2)
        assert await client.call("GET t") == b"$-1\r\n"
        assert await client.call("RANDOMKEY") == b"$1\r\nh\r\n"
        assert len(keyspace.databases[0].data) == 3 and set(keyspace.databases[0].data[b"h"]) == {b"a", b"b"}
        assert keyspace.expired == keyspace.expired_fields == 0
        await client.send("DEL h")
        await trio.sleep(1)
        assert await admin.call("CLIENT UNPAUSE") == b"+OK\r\n"
        assert await client.receive() == b":1\r\n"
        await trio.sleep(0.1)
        assert await client.call("DBSIZE") == b":0\r\n"
        assert keyspace.expired == 2 and keyspace.expired_fields == 1
        events = [(await listener.receive()).split(b"\r\n")[-2] for _ in range(3)]
        assert sorted(events) == [b"h", b"s", b"t"]
        assert not keyspace.hiding and not keyspace.shown and not keyspace.overdue


async def test_keys_expire_again_after_a_pause_of_all(autojump_clock: trio.testing.MockClock) -> None:
    async with running(clock=TrioClock()) as broker:
        client = await broker.client()
        data = broker.broker.keyspace.databases[0].data
        await client.call("SET a v PX 1500")
        await client.call("SET b v PX 3000")
        await client.call("CLIENT PAUSE 2000")
        await trio.sleep(1.9)
        assert set(data) == {b"a", b"b"}
        await trio.sleep(0.2)
        assert set(data) == {b"b"}
        await trio.sleep(1)
        assert not data


async def test_a_transaction_that_pauses_and_goes_on_writing(autojump_clock: trio.testing.MockClock) -> None:
    async with running(clock=TrioClock()) as broker:
        client = await broker.client()
        await client.call("HSET h a 1 b 2")
        await client.call("HPEXPIRE h 50 FIELDS 1 a")
        await client.call("SET s v PX 50")
        for command in ("MULTI", "CLIENT PAUSE 1000 WRITE", "HSET h c 3", "APPEND s w", "EXEC"):
            await client.call(command)
        await trio.sleep(0.1)
        assert await client.call("HKEYS h") == b"*2\r\n$1\r\nb\r\n$1\r\nc\r\n"
        await trio.sleep(1)
        assert await client.call("HKEYS h") == b"*2\r\n$1\r\nb\r\n$1\r\nc\r\n"
        assert await client.call("EXISTS s") == b":0\r\n"


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
