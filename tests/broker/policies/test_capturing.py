"""Streams that capture messages: what is added, what publishers are told, and what replicas and files get."""

import pytest
import trio
from trio.testing import MockClock

from tests.broker.effects import journal, lines
from tests.broker.inprocess import Broker, Client
from tests.broker.policies.governing import governing
from tests.oracle.wire import parse

CAPTURE = "XCFGSET s CHANNELS 2 news.* jobs"


async def messages(client: Client, key: str = "s") -> list[tuple[str, str]]:
    """The channels and messages in a stream."""
    found = []
    for entry in parse(await client.call("XRANGE", key, "-", "+")).items:
        words = [word.text.decode() for word in entry.items[1].items]
        assert words[::2] == ["channel", "message"]
        found.append((words[1], words[3]))
    return found


def replicated(broker: Broker) -> list[list[str]]:
    """The units that replicas receive from now on."""
    units: list[list[str]] = []
    effects = broker.broker.keyspace.effects

    def sink(unit: list[tuple[int, list[bytes]]]) -> None:
        units.append(lines(unit))

    effects.sinks.append(sink)
    effects.replica_sinks.append(sink)
    return units


async def test_messages_are_added_and_counted(autojump_clock: MockClock) -> None:
    async with governing(CAPTURE, "XCFGSET t CHANNELS 2 news.* *.sports") as (broker, client):
        subscriber = await broker.client()
        await subscriber.call("SUBSCRIBE news.sports")
        assert await client.call("PUBLISH news.sports goal") == b":3\r\n"  # one subscriber, two streams
        assert await client.call("PUBLISH news.world hello") == b":2\r\n"
        assert await client.call("PUBLISH jobs 17") == b":1\r\n"
        assert await client.call("PUBLISH jobs.more 18") == b":0\r\n"
        assert b"goal" in await subscriber.receive()
        assert await messages(client) == [("news.sports", "goal"), ("news.world", "hello"), ("jobs", "17")]
        assert await messages(client, "t") == [("news.sports", "goal"), ("news.world", "hello")]
        assert "captured_messages:5\r\n" in await client.text("INFO stats")
        info = parse(await client.call("XINFO STREAM s")).items
        facts = dict(zip([name.text for name in info[::2]], info[1::2], strict=True))
        assert facts[b"captured"].text == b"3"
        assert [item.text for item in facts[b"channels"].items] == [b"news.*", b"jobs"]
        # No subscriptions.
        assert await client.call("PUBSUB NUMPAT") == b":0\r\n"
        assert await client.call("PUBSUB CHANNELS") == b"*1\r\n$11\r\nnews.sports\r\n"


async def test_shard_channels_are_captured_by_their_names(autojump_clock: MockClock) -> None:
    async with governing(CAPTURE) as (broker, client):
        subscriber = await broker.client()
        await subscriber.call("SSUBSCRIBE jobs")
        assert await client.call("SPUBLISH jobs 17") == b":2\r\n"
        assert await client.call("SPUBLISH news.world hello") == b":0\r\n"
        assert await messages(client) == [("jobs", "17")]


async def test_patterns_are_replaced_and_removed(autojump_clock: MockClock) -> None:
    async with governing(CAPTURE, "XCFGSET s MAXLEN 5") as (broker, client):
        await client.call("XCFGSET", "s", "CHANNELS", 3, b"\xff\0*", "", b"\xff\0*")
        assert await client.call("PUBLISH news.world hello") == b":0\r\n"
        assert await client.call("PUBLISH", b"\xff\0a", "x") == b":1\r\n"
        assert await client.call("PUBLISH", "", "empty") == b":1\r\n"
        assert await client.call("HGET ~policy:{s}:s channels") == b"$9\r\n3:\xff\0*,0:,\r\n"
        await client.call("XCFGSET s CHANNELS 0")
        assert await client.call("PUBLISH", "", "empty") == b":0\r\n"
        pubsub = broker.broker.pubsub
        assert not pubsub.captors and not pubsub.event_captors
        await client.call(CAPTURE)
        for line in ("FLUSHALL", "DEL ~policy:{s}:s"):
            await client.call(CAPTURE)
            assert await client.call("PUBLISH jobs 1") == b":1\r\n"
            await client.call(line)
            assert await client.call("PUBLISH jobs 1") == b":0\r\n"
            assert not pubsub.captors


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("CHANNELS -1", b"-ERR CHANNELS must have between 0 and 64 patterns\r\n"),
        ("CHANNELS 65 a", b"-ERR CHANNELS must have between 0 and 64 patterns\r\n"),
        ("CHANNELS 2 a", b"-ERR number of patterns doesn't match CHANNELS\r\n"),
        ("CHANNELS x a", b"-ERR value is not an integer or out of range\r\n"),
        ("CHANNELS", b"-ERR syntax error\r\n"),
    ],
)
async def test_errors(options: str, error: bytes, autojump_clock: MockClock) -> None:
    async with governing() as (_, client):
        assert await client.call(f"XCFGSET s {options}") == error
        assert await client.call("DBSIZE") == b":0\r\n"


async def test_effects(autojump_clock: MockClock) -> None:
    async with governing(CAPTURE, "XCFGSET s MAXLEN 1", "XADD s 1-1 a 1") as (broker, client):
        recorded, units = journal(broker.broker), replicated(broker)
        subscriber = await broker.client()
        await subscriber.call("SUBSCRIBE jobs")
        await client.call("SELECT 3")
        await client.call("PUBLISH jobs 17")
        [added, trimmed, published] = units.pop()
        assert added.split()[0:2] == ["XADD", "s"] and added.split()[3:] == ["channel", "jobs", "message", "17"]
        assert (trimmed, published) == ("XTRIM s MAXLEN = 1", "PUBLISH jobs 17")
        assert lines(recorded) == [added, trimmed]
        assert [database for database, _ in recorded] == [0, 0]
        recorded.clear()
        await client.call("MULTI")
        for line in ("SET a 1", "PUBLISH jobs 18", "PUBLISH other 1", "SET b 2"):
            await client.call(line)
        assert await client.call("EXEC") == b"*4\r\n+OK\r\n:2\r\n:0\r\n+OK\r\n"
        [unit] = units
        words = ["SET", "XADD", "XTRIM", "PUBLISH", "PUBLISH", "SET"]
        assert [line.split()[0] for line in unit] == words
        assert [line.split()[0] for line in lines(recorded)] == ["SET", "XADD", "XTRIM", "SET"]
        script = "return redis.call('PUBLISH', 'jobs', ARGV[1]) + redis.call('INCR', 'n')"
        assert await client.call("EVAL", script, 0, 19) == b":3\r\n"
        assert [line.split()[0] for line in units[-1]] == ["XADD", "XTRIM", "PUBLISH", "INCR"]
        await client.call("SELECT 0")
        assert await messages(client) == [("jobs", "19")]


async def test_the_reply_waits_for_the_disk_like_that_of_a_write(autojump_clock: MockClock) -> None:
    async with governing(CAPTURE) as (broker, client):
        journal(broker.broker)
        session = next(reversed(broker.broker.sessions.values()))
        effects = broker.broker.keyspace.effects
        for line in ("PUBLISH jobs 1", "SPUBLISH jobs 1"):
            before = session.last_write_position
            await client.call(line)
            assert before < session.last_write_position == effects.position
        await client.call("PUBLISH other 1")
        assert session.last_write_position == effects.position


async def test_readers_wait_for_messages(autojump_clock: MockClock) -> None:
    async with governing(CAPTURE, "XGROUP CREATE s g $ MKSTREAM") as (broker, client):
        reader = await broker.client()
        await reader.send("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")
        await trio.sleep(0.01)
        assert await client.call("PUBLISH jobs 17") == b":1\r\n"
        assert b"$2\r\n17\r\n" in await reader.receive()
        await reader.send("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")
        await trio.sleep(0.01)
        await client.call("MULTI")
        await client.call("PUBLISH jobs 18")
        await client.call("EXEC")
        assert b"$2\r\n18\r\n" in await reader.receive()


async def test_what_can_not_be_captured(autojump_clock: MockClock) -> None:
    async with governing(CAPTURE, "SET s x") as (broker, client):
        subscriber = await broker.client()
        await subscriber.call("SUBSCRIBE jobs")
        effects = journal(broker.broker)
        assert await client.call("PUBLISH jobs 17") == b":1\r\n"  # the subscriber
        assert effects == []
        await client.call("DEL s")
        assert await client.call("PUBLISH jobs 17") == b":2\r\n"
        state = broker.broker.state
        before = await client.call("XLEN s")
        await subscriber.receive()
        await subscriber.receive()
        for name, value in (("write_refusal", b"MISCONF no disk"), ("too_few_replicas", True)):
            off = getattr(state, name)
            setattr(state, name, value)
            assert (await client.call("PUBLISH jobs 18")).startswith((b"-MISCONF", b"-NOREPLICAS"))
            assert await client.call("PUBLISH other 18") == b":0\r\n"
            setattr(state, name, off)
        await client.call("CONFIG SET maxmemory 1")
        await client.call("SET big x")
        assert (await client.call("PUBLISH jobs 18")).startswith(b"-OOM")
        await client.call("CONFIG SET maxmemory 0")
        assert await client.call("XLEN s") == before
        await client.call("PUBLISH jobs end")
        assert b"end" in await subscriber.receive()  # and none of those that were refused


async def test_a_full_stream_refuses_no_message(autojump_clock: MockClock) -> None:
    async with governing(CAPTURE, "XCFGSET s MAXLEN 2 DISCARD NEW") as (_, client):
        for number in range(4):
            assert await client.call(f"PUBLISH jobs {number}") == b":1\r\n"
        assert await messages(client) == [("jobs", "2"), ("jobs", "3")]
        assert (await client.call("XADD s * a 1")).startswith(b"-STREAMFULL")


async def test_a_replica_captures_nothing(autojump_clock: MockClock) -> None:
    async with governing(CAPTURE, "PUBLISH jobs 1") as (broker, client):
        broker.broker.state.replica = True
        broker.broker.policies.reload()
        assert await client.call("PUBLISH jobs 2") == b":0\r\n"
        assert not broker.broker.pubsub.captors
        broker.broker.state.replica = False
        broker.broker.policies.reload()
        assert await client.call("PUBLISH jobs 3") == b":1\r\n"
        assert await messages(client) == [("jobs", "1"), ("jobs", "3")]


# Keyspace events


async def test_only_patterns_that_say_so_capture_events(autojump_clock: MockClock) -> None:
    setup = ("XCFGSET s CHANNELS 1 *", "XCFGSET e CHANNELS 2 __keyspace@0__:a __keyevent@*")
    async with governing(*setup, notify_keyspace_events="KEA") as (broker, client):
        subscriber = await broker.client()
        await subscriber.call("PSUBSCRIBE __key*@0__:a")
        units = journal(broker.broker)
        await client.call("SET a 1")
        await client.call("GET a")
        await trio.sleep(0.01)
        assert b"set" in await subscriber.receive()
        assert await messages(client, "s") == []
        assert await messages(client, "e") == [("__keyspace@0__:a", "set"), ("__keyevent@0__:set", "a")]
        assert [line.split()[0] for line in lines(units)] == ["SET", "XADD", "XADD"]
        await client.call("PUBLISH __keyevent@0__:forged a")
        assert await messages(client, "s") == [("__keyevent@0__:forged", "a")]


def commands(units: list[list[str]]) -> list[list[str]]:
    return [[line.split()[0] for line in unit] for unit in units]


async def test_events_are_part_of_the_write_that_caused_them(autojump_clock: MockClock) -> None:
    async with governing("XCFGSET e CHANNELS 1 __key*@*__:*", notify_keyspace_events="KEA") as (broker, client):
        waiting = await broker.client()
        await waiting.send("XREAD BLOCK 0 STREAMS e $")
        await trio.sleep(0.1)
        units = replicated(broker)
        assert await client.call("SELECT 1") == b"+OK\r\n"
        await client.call("SET a 1")
        assert commands(units)[0] == ["SET", "XADD", "XADD"]
        assert b"__keyspace@1__:a" in await waiting.receive()
        units.clear()
        # Commands that name their effects, and those that nobody is told of.
        await client.call("SADD s x y")
        await client.call("GET a")
        await client.call("SPOP s")
        assert commands(units) == [["SADD", "XADD", "XADD"], ["SREM", "XADD", "XADD"]]
        units.clear()
        await client.call("MULTI")
        await client.call("SET a 2")
        await client.call("INCR b")
        await client.call("EXEC")
        await client.call("EVAL", "redis.call('SET', 'c', 1) return redis.call('DEL', 'c')", 0)
        assert [unit.count("XADD") for unit in commands(units)] == [4, 4]
        assert [[word for word in unit if word[0] != "X"] for unit in commands(units)] == [
            ["SET", "INCR"],
            ["SET", "DEL"],
        ]
        assert commands(units)[0][:3] == ["SET", "XADD", "XADD"]


async def test_events_without_a_write_have_a_unit_of_their_own(autojump_clock: MockClock) -> None:
    async with governing("XCFGSET e CHANNELS 1 __keyevent@*", notify_keyspace_events="EAm") as (broker, client):
        await client.call("SET a 1 PX 100")
        await trio.sleep(0.01)
        units = replicated(broker)
        await trio.sleep(0.2)
        assert commands(units) == [["DEL"], ["XADD"]]
        units.clear()
        # One that is not added yet goes with the next write.
        await client.send("GET missing")
        await client.send("SET b 1")
        await client.receive()
        await trio.sleep(0.1)
        assert sorted(word for unit in commands(units) for word in unit) == ["SET", "XADD", "XADD"]
        units.clear()
        await client.call("DEL missing")
        await client.call("SET b 2")
        assert commands(units) == [["SET", "XADD"]]


async def test_reads_with_events_propagate_nothing_else(autojump_clock: MockClock) -> None:
    async with governing("XCFGSET e CHANNELS 1 __keyevent@*", notify_keyspace_events="Em") as (broker, client):
        units = journal(broker.broker)
        await client.call("GET missing")
        await trio.sleep(0.01)
        assert [line.split()[0] for line in lines(units)] == ["XADD"]
        assert await messages(client, "e") == [("__keyevent@0__:keymiss", "missing")]


async def test_a_stream_does_not_capture_what_capturing_causes(autojump_clock: MockClock) -> None:
    setup = ("XCFGSET e CHANNELS 1 __key* MAXLEN 3 MAXAGE 1000", "XCFGSET f CHANNELS 1 __key*")
    async with governing(*setup, notify_keyspace_events="KEAnp") as (_, client):
        await client.call("SET a 1")
        await trio.sleep(0.5)
        assert len(await messages(client, "f")) == 4  # new and set, on both kinds of channels
        assert len(await messages(client, "e")) == 3
        await trio.sleep(5)
        assert await client.call("XLEN e") == b":0\r\n"
        assert await client.call("XLEN f") == b":4\r\n"
        await client.call("XADD f * channel c message m")
        await trio.sleep(0.5)
        assert await client.call("XLEN f") == b":7\r\n"  # itself, and its two messages


# Permissions


@pytest.mark.parametrize(
    ("options", "permitted"),
    [
        ("CHANNELS 1 news.*", True),
        ("CHANNELS 1 news.world", True),
        ("CHANNELS 1 news.w*", False),
        ("CHANNELS 2 news.* jobs", False),
        ("MAXLEN 5 channels 1 *", False),
        ("MAXLEN 5", True),
        ("CHANNELS 0", True),
        ("CHANNELS 1 news.* CHANNELS 1 jobs", False),
    ],
)
async def test_permissions(options: str, permitted: bool, autojump_clock: MockClock) -> None:
    async with governing("ACL SETUSER eve on nopass +@all ~s resetchannels &news.*") as (broker, client):
        eve = await broker.client()
        await eve.call("AUTH eve x")
        reply = await eve.call(f"XCFGSET s {options}")
        assert reply == b"+OK\r\n" if permitted else reply.startswith(b"-NOPERM")
        dry = await client.call(f"ACL DRYRUN eve XCFGSET s {options}")
        assert dry == b"+OK\r\n" if permitted else b"channel" in dry
