"""What policies do to a stream: what it holds, what goes when, and what is refused."""

import pytest
import trio
from trio.testing import MockClock

from broker.policies import governed_stream
from tests.broker.effects import journal, lines
from tests.broker.inprocess import Client
from tests.broker.policies.governing import dead_letters, governing
from tests.oracle.wire import Node, parse
from tests.twins import needs_source

FULL = b"-STREAMFULL the stream holds all that it may\r\n"
THREE = ("XADD s 1-1 a 1", "XADD s 2-1 a 2", "XADD s 3-1 a 3")
READ_ALL = "XREADGROUP GROUP {} c STREAMS s >"


async def entries(client: Client, key: str = "s") -> list[str]:
    """The IDs of a stream's entries."""
    return [entry.items[0].text.decode() for entry in parse(await client.call("XRANGE", key, "-", "+")).items]


async def facts(client: Client, key: str = "s") -> dict[str, Node]:
    """What XINFO STREAM says."""
    items = parse(await client.call("XINFO", "STREAM", key)).items
    return {name.text.decode(): value for name, value in zip(items[::2], items[1::2], strict=True)}


# Limits


@pytest.mark.parametrize(
    "add",
    [
        "XADD s {} a 1",
        "XADD s * a {}",
        "XADD s MAXLEN 100 * a {}",
        "XADD s MAXLEN ~ 100 * a {}",
        "XADD s NOMKSTREAM KEEPREF MAXLEN ~ 100 {}-* a 1",
        "XADD s IDMP p {} * a 1",
    ],
)
async def test_every_form_of_xadd_keeps_the_length(add: str, autojump_clock: MockClock) -> None:
    async with governing("XADD s 1-1 a 1", "XCFGSET s MAXLEN 3") as (broker, client):
        effects = journal(broker.broker)
        for number in range(2, 6):
            assert (await client.call(add.format(number))).startswith(b"$")
        assert await client.call("XLEN s") == b":3\r\n"
        assert [line for line in lines(effects) if "XTRIM" in line] == ["XTRIM s MAXLEN = 3"] * 2


async def test_the_policy_governs_a_stream_from_its_first_entry(autojump_clock: MockClock) -> None:
    async with governing("XCFGSET s MAXLEN 2 MAXBYTES 60", *THREE) as (_, client):
        assert await entries(client) == ["3-1"]
        for replaced in ("DEL s", "FLUSHDB", "SET s x"):
            await client.call(replaced)
            await client.call("DEL s")
            if replaced == "FLUSHDB":
                await client.call("XCFGSET s MAXLEN 1")
            for line in THREE:
                await client.call(line)
            assert await entries(client) == ["3-1"]


async def test_the_policy_belongs_to_the_name(autojump_clock: MockClock) -> None:
    setup = ("XCFGSET s MAXLEN 2", *[line.replace(" s ", " t ") for line in THREE])
    async with governing(*setup) as (_, client):
        assert await entries(client, "t") == ["1-1", "2-1", "3-1"]
        for line in ("COPY t s", "RENAME t s", "RESTORE"):
            if line == "RESTORE":
                payload = parse(await client.call("DUMP s")).text
                await client.call("DEL s")
                await client.call("RESTORE", "s", 0, payload)
            else:
                await client.call("DEL s")
                await client.call(line)
            await client.call("XADD s 9-1 a 1")
            assert await entries(client) == ["3-1", "9-1"]
        await client.call("RENAME s t")
        await client.call("XADD t 10-1 a 1")
        assert await entries(client, "t") == ["3-1", "9-1", "10-1"]


async def test_what_is_put_there_is_looked_after(autojump_clock: MockClock) -> None:
    async with governing("XCFGSET s MAXLEN 1", *[line.replace(" s ", " t ") for line in THREE]) as (broker, client):
        effects = journal(broker.broker)
        await client.call("RENAME t s")
        await trio.sleep(1.1)
        assert await entries(client) == ["3-1"]
        assert lines(effects)[1:] == ["XTRIM s MAXLEN = 1"]


async def test_a_limit_takes_effect_when_it_is_set(autojump_clock: MockClock) -> None:
    async with governing(*THREE) as (broker, client):
        effects = journal(broker.broker)
        assert await client.call("XCFGSET s MAXLEN 2") == b"+OK\r\n"
        assert await entries(client) == ["2-1", "3-1"]
        assert lines(effects) == ["HSET ~policy:{s}:s maxlen 2", "XTRIM s MAXLEN = 2"]
        assert await client.call("XCFGSET s MAXLEN 0") == b"+OK\r\n"
        assert await client.call("EXISTS ~policy:{s}:s") == b":0\r\n"
        await client.call("XADD s 4-1 a 4")
        assert await entries(client) == ["2-1", "3-1", "4-1"]
        assert not broker.broker.keyspace.databases[0].governed


async def test_removing_the_hash_ends_the_policy(autojump_clock: MockClock) -> None:
    async with governing("XCFGSET s MAXLEN 1", *THREE, "DEL ~policy:{s}:s", "XADD s 4-1 a 1") as (_, client):
        assert await entries(client) == ["3-1", "4-1"]
        await client.call("XCFGSET s MAXLEN 1")
        await client.call("RENAME ~policy:{s}:s other")
        await client.call("XADD s 5-1 a 1")
        assert await entries(client) == ["4-1", "5-1"]


async def test_entries_go_when_they_are_too_old(autojump_clock: MockClock) -> None:
    async with governing("XCFGSET s MAXAGE 1000") as (broker, client):
        effects = journal(broker.broker)
        for _ in range(3):
            await client.call("XADD s * a 1")
            await trio.sleep(0.4)
        first, second, third = [line.split()[2] for line in lines(effects) if "XADD" in line]
        assert await entries(client) == [second, third]  # after 1.2 s
        await trio.sleep(0.19)
        assert await entries(client) == [second, third]
        await trio.sleep(0.02)
        assert await entries(client) == [third]
        await trio.sleep(0.4)
        assert await entries(client) == []
        assert [line for line in lines(effects) if "XTRIM" in line] == [f"XTRIM s MAXLEN = {n}" for n in (2, 1, 0)]
        assert first not in await entries(client)


async def test_the_timer_acts_ten_times_a_second_at_most(autojump_clock: MockClock) -> None:
    async with governing("XCFGSET s MAXAGE 1000") as (broker, client):
        for _ in range(100):
            await client.call("XADD s * a 1")
            await trio.sleep(0.005)
        effects = journal(broker.broker)
        await trio.sleep(2)
        assert await client.call("XLEN s") == b":0\r\n"
        assert 4 <= len(effects) <= 7


async def test_an_entry_that_is_too_old_already(autojump_clock: MockClock) -> None:
    async with governing("XCFGSET s MAXAGE 1000") as (broker, client):
        effects = journal(broker.broker)
        assert await client.call("XADD s 5-1 a 1") == b"$3\r\n5-1\r\n"
        assert await client.call("XLEN s") == b":0\r\n"
        assert lines(effects) == ["XADD s 5-1 a 1", "XTRIM s MAXLEN = 0"]
        await client.call("XADD s 99999999999999-1 a 1")  # of the year 5138
        await trio.sleep(10)
        assert await client.call("XLEN s") == b":1\r\n"


async def test_bytes_are_counted_whatever_adds_and_removes_entries(autojump_clock: MockClock) -> None:
    async with governing("XCFGSET s MAXBYTES 20000") as (broker, client):
        for number in range(1, 1001):
            await client.call("XADD", "s", f"{number}-1", "field", "x" * (number % 90), "other", number)
            if number % 7 == 0:
                await client.call("XDEL", "s", f"{number}-1")
            if number % 211 == 0:
                await client.call("XTRIM", "s", "MAXLEN", "150")
                await client.call("XTRIM", "s", "MAXLEN", "120", "DELREF")
        stream = broker.broker.keyspace.databases[0].data[b"s"]
        encoded = [text for _, text in stream.entries()]
        assert stream.measured == sum(map(len, encoded))
        assert 20_000 - 200 < stream.measured <= 20_000
        assert (await facts(client))["bytes"].text == b"%d" % stream.measured
        # The newest entry stays, whatever its size.
        await client.call("XADD", "s", "*", "large", "x" * 30_000)
        assert await client.call("XLEN s") == b":1\r\n"
        await client.call("XADD", "s", "*", "small", "x")
        assert await client.call("XLEN s") == b":1\r\n"
        await client.call("RENAME s t")
        await client.call("XCFGSET t MAXBYTES 10")
        await client.call("XADD", "t", "*", "small", "x")
        await trio.sleep(1.1)
        await client.call("XADD", "t", "*", "small", "x")
        assert await client.call("XLEN t") == b":1\r\n"


NODES = 3 * governed_stream.MEASURED_AT_ONCE
FILL = f"for i = 1, {NODES} do redis.call('XADD', 's', i .. '-1', 'field', 'value') end"


async def test_bytes_are_counted_in_steps(autojump_clock: MockClock) -> None:
    async with governing(stream_node_max_entries="1") as (broker, client):
        await client.call("EVAL", FILL, 0)
        await client.call("XCFGSET s MAXBYTES 1000000")
        stream = broker.broker.keyspace.databases[0].data[b"s"]
        assert "bytes" not in await facts(client)
        assert 0 < stream.measured < sum(len(text) for _, text in stream.entries())
        await client.call("XDEL", "s", "5-1", f"{NODES}-1")
        await client.call("XADD s * field value")
        await trio.sleep(0.1)
        size = sum(len(text) for _, text in stream.entries())
        assert (await facts(client))["bytes"].text == b"%d" % size
        # As soon as the last ones are too many, those before go, counted or not.
        await client.call(f"XCFGSET s MAXBYTES {size // 10}")
        assert stream.measured <= size // 10
        assert stream.length == NODES // 10 - 1


async def test_a_full_stream_refuses_entries_while_its_bytes_are_counted(autojump_clock: MockClock) -> None:
    async with governing(stream_node_max_entries="1") as (broker, client):
        await client.call("EVAL", FILL, 0)
        stream = broker.broker.keyspace.databases[0].data[b"s"]
        size = sum(len(text) for _, text in stream.entries())
        await client.call(f"XCFGSET s MAXBYTES {size} DISCARD NEW")
        assert await client.call("XADD s * field value") == FULL
        assert stream.length == NODES


async def test_a_full_stream_may_refuse_entries(autojump_clock: MockClock) -> None:
    setup = ("XCFGSET s MAXLEN 3 DISCARD NEW", *THREE)
    async with governing(*setup, notify_keyspace_events="Ep") as (broker, client):
        subscriber = await broker.client()
        await subscriber.call("SUBSCRIBE __keyevent@0__:refuse")
        effects = journal(broker.broker)
        for line in ("XADD s * a 1", "XADD s 9-1 a 1", "XADD s MAXLEN 2 * a 1", "XADD s IDMP p i * a 1"):
            assert await client.call(line) == FULL
        assert effects == []
        assert b"refuse" in await subscriber.receive()
        assert (await facts(client))["refused"].text == b"4"
        assert "entries_refused:4\r\n" in await client.text("INFO stats")
        await client.call("XDEL s 2-1")
        assert (await client.call("XADD s 9-1 a 1")).startswith(b"$")
        script = "return redis.call('XADD', KEYS[1], '*', 'a', '1')"
        assert (await client.call("EVAL", script, 1, "s")).startswith(b"-STREAMFULL")
        await client.call("MULTI")
        await client.call("XADD s * a 1")
        assert await client.call("EXEC") == b"*1\r\n" + FULL


async def test_refusing_by_bytes_and_after_an_age(autojump_clock: MockClock) -> None:
    async with governing("XCFGSET s MAXBYTES 100 MAXAGE 1000 DISCARD NEW") as (broker, client):
        await trio.sleep(0.5)  # out of step with what is done every second
        assert await client.call("XADD", "s", "*", "a", "x" * 100) == FULL
        assert await client.call("EXISTS s") == b":0\r\n"
        assert (await client.call("XADD", "s", "*", "a", "x" * 40)).startswith(b"$")
        assert await client.call("XADD", "s", "*", "a", "x" * 40) == FULL
        await trio.sleep(0.999)
        broker.broker.keyspace.databases[0].governed[b"s"]._disarm()  # so that XADD itself must find it
        await trio.sleep(0.002)
        effects = journal(broker.broker)
        assert (await client.call("XADD", "s", "*", "a", "x" * 40)).startswith(b"$")
        assert lines(effects)[0] == "XTRIM s MAXLEN = 0" and len(effects) == 2


async def test_dead_letters_are_not_refused(autojump_clock: MockClock) -> None:
    setup = (*THREE, "XCFGSET dlq MAXLEN 2 DISCARD NEW", "XGROUP CREATE s g 0", "XGROUP CFGSET s g DEADLETTER dlq",
             "XCFGSET s RETAIN WORKQUEUE", READ_ALL.format("g"))  # fmt: skip
    async with governing(*setup) as (broker, client):
        effects = journal(broker.broker)
        assert await client.call("XNACK s g FATAL IDS 3 1-1 2-1 3-1") == b":3\r\n"
        assert [each["dead-id"] for each in await dead_letters(client)] == ["2-1", "3-1"]
        assert await entries(client) == []
        words = [line.split()[0] for line in lines(effects)]
        assert words == ["XADD", "XACK", "XTRIM", "XADD", "XACK", "XTRIM", "XADD", "XACK", "XTRIM", "XTRIM"]


# What was acknowledged


async def test_an_acknowledged_entry_leaves_a_work_queue(autojump_clock: MockClock) -> None:
    setup = (*THREE, "XADD s 4-1 a 4", "XGROUP CREATE s g 0", "XCFGSET s RETAIN WORKQUEUE", READ_ALL.format("g"))
    async with governing(*setup) as (broker, client):
        effects = journal(broker.broker)
        assert await client.call("XACK s g 2-1 4-1") == b":2\r\n"
        assert await entries(client) == ["1-1", "3-1"]
        assert await client.call("XACK s g 1-1") == b":1\r\n"
        assert await entries(client) == ["3-1"]
        assert await client.call("XACK s g 9-1 1-1") == b":0\r\n"
        assert lines(effects) == [
            "XACK s g 2-1 4-1", "XDEL s 2-1 4-1", "XACK s g 1-1", "XTRIM s MAXLEN = 1",
        ]  # fmt: skip
        await client.call("XACKDEL s g ACKED IDS 1 3-1")
        assert await entries(client) == []
        await client.call("XADD s 5-1 a 5")
        assert await entries(client) == ["5-1"]  # not read yet
        assert await client.call("XGROUP CREATE s other 0") == b"-ERR a work queue has one group\r\n"
        assert (await facts(client))["discarded"].text == b"3"


async def test_an_entry_stays_until_the_last_group_has_acknowledged_it(autojump_clock: MockClock) -> None:
    setup = (*THREE, "XCFGSET s RETAIN INTEREST")
    async with governing(*setup) as (_, client):
        await trio.sleep(2)
        assert await entries(client) == ["1-1", "2-1", "3-1"]  # nobody is interested: nothing goes
        for group in "gh":
            await client.call(f"XGROUP CREATE s {group} 0")
        await client.call(READ_ALL.format("g"))
        await client.call("XACK s g 1-1 2-1 3-1")
        assert await entries(client) == ["1-1", "2-1", "3-1"]
        await client.call("XREADGROUP GROUP h c COUNT 2 STREAMS s >")
        await client.call("XACK s h 2-1")
        assert await entries(client) == ["1-1", "3-1"]
        await client.call("XACK s h 1-1")
        assert await entries(client) == ["3-1"]


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("XGROUP DESTROY s h", ["3-1"]),
        ("XGROUP DELCONSUMER s g c", ["2-1", "3-1"]),
        ("XGROUP SETID s h 3-1", ["3-1"]),
        ("XGROUP CREATE s i 1-1", ["2-1", "3-1"]),
        ("XCLAIM s h c 0 9-1 LASTID 2-1", ["3-1"]),
        ("XREADGROUP GROUP h c NOACK COUNT 1 STREAMS s >", ["3-1"]),
        ("XREADGROUP GROUP h c NOACK COUNT 1 STREAMS s s > >", ["3-1"]),
        ("XREADGROUP GROUP h c NOACK MAXCOUNT 1 STREAMS s >", ["3-1"]),
        ("XREADGROUP GROUP h c STREAMS s >", ["2-1", "3-1"]),
    ],
)
async def test_what_no_group_refers_to_goes(line: str, left: list[str], autojump_clock: MockClock) -> None:
    """Group g has read all and acknowledged 1-1 and 2-1; group h has passed over 1-1."""
    setup = (*THREE, "XGROUP CREATE s g 0", "XGROUP CREATE s h 1-1", READ_ALL.format("g"), "XACK s g 1-1 2-1")
    async with governing(*setup) as (broker, client):
        await client.call("XCFGSET s RETAIN INTEREST")
        assert await entries(client) == ["2-1", "3-1"]
        effects = journal(broker.broker)
        if "CREATE" in line:
            await client.call("XDEL s 9-1")
        assert not (await client.call(line)).startswith(b"-")
        assert await entries(client) == left
        if line.startswith("XGROUP"):
            assert lines(effects)[0] == line
        if left == ["3-1"]:
            assert lines(effects)[-1] == "XTRIM s MAXLEN = 1"


@needs_source("broker.policies.governed_stream")
async def test_a_long_search_gives_clients_a_turn(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(governed_stream, "SEARCHED_AT_ONCE", 10)
    async with governing("XGROUP CREATE s g 0 MKSTREAM") as (broker, client):
        for number in range(1, 101):
            await client.call(f"XADD s {number}-1 a 1")
        await client.call(READ_ALL.format("g"))
        for number in range(2, 100):
            await client.call(f"XACK s g {number}-1")
        effects = journal(broker.broker)
        await client.call("XCFGSET s RETAIN WORKQUEUE")
        assert len(await entries(client)) == 91
        await trio.sleep(0.1)
        assert await entries(client) == ["1-1", "100-1"]
        assert [len(line.split()) - 2 for line in lines(effects)[1:]] == [9, *[10] * 8, 9]


async def test_a_work_queue_has_one_group(autojump_clock: MockClock) -> None:
    setup = (*THREE, "XGROUP CREATE s g 0", "XGROUP CREATE s h 0")
    async with governing(*setup) as (_, client):
        assert await client.call("XCFGSET s RETAIN WORKQUEUE") == b"-ERR a work queue has one group\r\n"
        await client.call("XGROUP DESTROY s h")
        assert await client.call("XCFGSET s RETAIN WORKQUEUE") == b"+OK\r\n"
        assert (await client.call("XGROUP CREATE s g 0")).startswith(b"-BUSYGROUP")
        assert await client.call("XGROUP CREATE s h 0") == b"-ERR a work queue has one group\r\n"


# When nothing is done


async def test_a_replica_removes_nothing_until_it_is_promoted(autojump_clock: MockClock) -> None:
    async with governing("XCFGSET s MAXAGE 1000", "XADD s * a 1") as (broker, client):
        broker.broker.state.replica = True
        broker.broker.policies.reload()
        await trio.sleep(5)
        assert await client.call("XLEN s") == b":1\r\n"
        await client.call("XADD s * a 1")
        assert await client.call("XLEN s") == b":2\r\n"
        broker.broker.state.replica = False
        broker.broker.policies.reload()
        await trio.sleep(0.01)
        assert await client.call("XLEN s") == b":1\r\n"
        await trio.sleep(1)
        assert await client.call("XLEN s") == b":0\r\n"


async def test_nothing_is_removed_during_a_pause(autojump_clock: MockClock) -> None:
    async with governing("XCFGSET s MAXAGE 1000", "XADD s * a 1", "CLIENT PAUSE 5000 WRITE") as (_, client):
        await trio.sleep(4)
        assert await client.call("XLEN s") == b":1\r\n"
        await trio.sleep(2.5)
        assert await client.call("XLEN s") == b":0\r\n"


async def test_events(autojump_clock: MockClock) -> None:
    async with governing("XCFGSET s MAXLEN 1", "XADD s 1-1 a 1", notify_keyspace_events="Kpt") as (broker, client):
        subscriber = await broker.client()
        await subscriber.call("SUBSCRIBE __keyspace@0__:s")
        await client.call("XADD s 2-1 a 1")
        received = [parse(await subscriber.receive()).items[2].text for _ in range(3)]
        assert received == [b"xadd", b"xtrim", b"discard"]
        info = await client.text("INFO stats")
        assert "entries_discarded:1\r\n" in info
