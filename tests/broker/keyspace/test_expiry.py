"""Fields of hashes that are due: removed on time, before any command sees them, with their events and effects."""

import trio
import trio.testing

from broker.process.clock import TrioClock
from tests.broker.effects import journal, lines
from tests.broker.inprocess import running


async def test_on_time_without_any_client(autojump_clock: trio.testing.MockClock) -> None:
    async with running(clock=TrioClock()) as broker:
        client = await broker.client()
        keyspace = broker.broker.keyspace
        await client.call("HSET h a 1 b 2 c 3")
        await client.call("HPEXPIRE h 100 FIELDS 1 a")
        await client.call("HPEXPIRE h 300 FIELDS 2 b c")
        seen = journal(broker.broker)
        value = keyspace.databases[0].data[b"h"]
        await trio.sleep(0.09)
        assert len(value) == 3
        await trio.sleep(0.05)
        assert set(value) == {b"b", b"c"}
        await trio.sleep(0.2)
        assert not keyspace.databases[0].data
        assert not keyspace.databases[0].field_deadlines
        assert lines(seen) == ["HDEL h a", "HDEL h b c"]
        assert keyspace.expired_fields == 3


async def test_a_moved_deadline_counts(autojump_clock: trio.testing.MockClock) -> None:
    async with running(clock=TrioClock()) as broker:
        client = await broker.client()
        await client.call("HSET h a 1 b 2 c 3 d 4")
        await client.call("HPEXPIRE h 100 FIELDS 4 a b c d")
        await client.call("HPEXPIRE h 500 FIELDS 1 a")
        await client.call("HPERSIST h FIELDS 1 b")
        await client.call("HSET h c 5")
        await trio.sleep(0.3)
        value = broker.broker.keyspace.databases[0].data[b"h"]
        assert set(value) == {b"a", b"b", b"c"}
        await trio.sleep(0.3)
        assert set(value) == {b"b", b"c"}


async def test_deadlines_go_with_the_hash(autojump_clock: trio.testing.MockClock) -> None:
    async with running(clock=TrioClock()) as broker:
        client = await broker.client()
        for command in ("HSET h a 1 b 2", "HPEXPIRE h 100 FIELDS 1 a", "COPY h c", "RENAME h r", "SET h x", "MOVE c 1"):
            await client.call(command)
        await trio.sleep(0.2)
        first, second = broker.broker.keyspace.databases[0], broker.broker.keyspace.databases[1]
        assert set(first.data[b"r"]) == {b"b"}
        assert set(second.data[b"c"]) == {b"b"}
        assert first.data[b"h"] == b"x"


async def test_watch_and_events(autojump_clock: trio.testing.MockClock) -> None:
    async with running({"notify-keyspace-events": "Ehg"}, clock=TrioClock()) as broker:
        client, listener = await broker.client(), await broker.client()
        await listener.call("PSUBSCRIBE *")
        await client.call("HSET h a 1")
        await client.call("HPEXPIRE h 100 FIELDS 1 a")
        await client.call("WATCH h")
        await client.call("MULTI")
        await client.call("PING")
        await trio.sleep(0.2)
        assert await client.call("EXEC") == b"*-1\r\n"
        events = [(await listener.receive()).split(b"\r\n")[6] for _ in range(4)]
        assert events == [b"__keyevent@0__:" + name for name in (b"hset", b"hexpire", b"hexpired", b"del")]


async def test_more_than_one_batch(autojump_clock: trio.testing.MockClock) -> None:
    async with running(clock=TrioClock()) as broker:
        client = await broker.client()
        fields = [f"f{number}" for number in range(5000)]
        await client.call("HSET", "h", *(text for field in fields for text in (field, "v")))
        await client.call("HPEXPIRE", "h", "100", "FIELDS", "5000", *fields)
        await trio.sleep(0.101)
        # Whatever is left of the due ones, a lookup does not see it.
        assert await client.call("HLEN h") == b":0\r\n"
        await trio.sleep(1)
        assert not broker.broker.keyspace.databases[0].data


async def test_without_active_expiry_lookups_remove_them() -> None:
    async with running() as broker:
        client = await broker.client()
        broker.broker.keyspace.set_active_expiry(False)
        await client.call("HSET h a 1 b 2")
        await client.call("HPEXPIRE h 10 FIELDS 1 a")
        await trio.sleep(0.03)
        assert len(broker.broker.keyspace.databases[0].data[b"h"]) == 2
        assert await client.call("HGET h a") == b"$-1\r\n"
        assert len(broker.broker.keyspace.databases[0].data[b"h"]) == 1
