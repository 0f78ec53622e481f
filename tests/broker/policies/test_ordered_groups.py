"""ORDERBY: entries with one value of a field come one after the other."""

import re
from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from tests.broker.effects import journal, lines, replay
from tests.broker.inprocess import running
from tests.broker.policies.governing import dead_letters, governing, ids, pending
from tests.broker.policies.ordered import ALICE, BOB, ORDERED, READ, WAIT, facts, parked

TIMES = re.compile(rb"(seen-time|active-time)\r\n:-?\d+\r\n")


# In order, per value


async def test_entries_of_one_value_come_one_after_the_other(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED) as (_, client):
        assert ids(await client.call(ALICE)) == ["1-1", "3-1", "6-1", "7-1"]
        assert ids(await client.call(BOB)) == []
        assert await parked(client) == ["2-1", "4-1", "5-1"]
        await client.call("XACK s g 3-1")
        assert ids(await client.call(BOB)) == ["5-1"]
        await client.call("XACK s g 1-1 6-1 7-1")
        assert ids(await client.call(BOB)) == ["2-1"]
        assert ids(await client.call(BOB)) == []
        await client.call("XACK s g 2-1 5-1")
        assert ids(await client.call(BOB)) == ["4-1"]
        await client.call("XACK s g 4-1")
        assert await pending(client) == []


async def test_parked_entries_come_before_new_ones(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, ALICE, "XADD s 8-1 user d", "XADD s 9-1 user a", "XACK s g 1-1") as (_, client):
        assert ids(await client.call("XREADGROUP GROUP g bob COUNT 1 STREAMS s >")) == ["2-1"]
        assert ids(await client.call(BOB)) == ["8-1"]
        assert await parked(client) == ["4-1", "5-1", "9-1"]


async def test_what_passing_over_entries_propagates(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED) as (broker, client):
        effects = journal(broker.broker)
        await client.call("XREADGROUP GROUP g alice COUNT 2 STREAMS s >")
        now = broker.broker.clock.now
        assert lines(effects) == [
            f"XCLAIM s g alice 0 1-1 3-1 TIME {now} RETRYCOUNT 1 FORCE JUSTID",
            f"XCLAIM s g ~parked 0 2-1 TIME {now} RETRYCOUNT 0 FORCE JUSTID",
            "XGROUP SETID s g 3-1 ENTRIESREAD 3",
        ]
        del effects[:]
        # Nothing is found, but the group moves on.
        await client.call("XDEL s 6-1 7-1")
        del effects[:]
        assert ids(await client.call("XREADGROUP GROUP g bob STREAMS s >")) == []
        assert lines(effects) == [
            f"XCLAIM s g ~parked 0 4-1 5-1 TIME {now} RETRYCOUNT 0 FORCE JUSTID",
            "XGROUP SETID s g 5-1 ENTRIESREAD -1",
            "XGROUP CREATECONSUMER s g bob",
        ]
        await client.call("XACK s g 1-1")
        del effects[:]
        assert ids(await client.call("XREADGROUP GROUP g bob STREAMS s >")) == ["2-1"]
        assert lines(effects) == [f"XCLAIM s g bob 0 2-1 TIME {now} RETRYCOUNT 1 FORCE JUSTID"]
        assert (await pending(client))[0] == ("2-1", "bob", 0, 1)


async def test_a_retried_entry_stays_first_of_its_value(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, "XREADGROUP GROUP g alice COUNT 1 STREAMS s >") as (_, client):
        await client.call("XNACK s g FAIL IDS 1 1-1")
        assert ids(await client.call(BOB)) == ["1-1", "3-1", "6-1", "7-1"]
        await trio.sleep(1)
        assert ids(await client.call(BOB)) == ["1-1", "3-1", "6-1", "7-1"]
        assert await parked(client) == ["2-1", "4-1", "5-1"]


async def test_after_a_dead_letter_the_next_one_goes_on(autojump_clock: MockClock) -> None:
    setup = (*ORDERED, "XGROUP CFGSET s g MAXDELIVER 1 DEADLETTER dlq", ALICE, "XACK s g 3-1 6-1 7-1")
    async with governing(*setup, BOB, "XACK s g 5-1") as (broker, client):
        waiting = await broker.client()
        assert ids(await waiting.call(WAIT)) == ["2-1"]
        assert [letter["dead-id"] for letter in await dead_letters(client)] == ["1-1"]
        await waiting.send(WAIT)
        await trio.sleep(0.01)
        await client.call("XNACK s g FATAL IDS 1 2-1")
        assert ids(await waiting.receive()) == ["4-1"]


@pytest.mark.parametrize(
    "command",
    [
        "XACK s g 1-1",
        "XACKDEL s g IDS 1 1-1",
        "XDELEX s DELREF IDS 1 1-1",
        "XTRIM s MINID 2 DELREF",
        "XNACK s g FATAL IDS 1 1-1",
        "XGROUP DELCONSUMER s g alice",
    ],
)
async def test_what_wakes_those_that_wait_for_a_value(command: str, autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, ALICE) as (broker, client):
        waiting = await broker.client()
        await waiting.send(WAIT)
        await trio.sleep(0.01)
        began = trio.current_time()
        await client.call(command)
        assert ids(await waiting.receive())[0] == "2-1"
        assert trio.current_time() - began < 0.5


async def test_a_deleted_head_gives_way_when_it_is_due(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, ALICE, "XACK s g 3-1 6-1 7-1", "XDEL s 1-1 5-1") as (broker, client):
        assert ids(await client.call(BOB)) == []  # somebody may still work on 1-1; 5-1 is no more
        assert [row[0] for row in await pending(client)] == ["1-1", "2-1", "4-1"]
        waiting = await broker.client()
        began = trio.current_time()
        assert ids(await waiting.call(WAIT)) == ["2-1"]
        assert trio.current_time() - began == pytest.approx(1, abs=0.01)


async def test_trimmed_entries_are_passed_over(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, ALICE, "XTRIM s MINID 4", "XACK s g 1-1") as (broker, client):
        effects = journal(broker.broker)
        assert ids(await client.call(BOB)) == ["4-1"]
        assert lines(effects)[0] == "XACK s g 2-1"


async def test_parked_entries_may_be_claimed_by_hand(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, ALICE) as (_, client):
        assert b"4-1" in await client.call("XCLAIM s g bob 0 4-1")
        await client.call("XACK s g 1-1")
        # The value is in flight.
        assert ids(await client.call(BOB)) == []
        await client.call("XACK s g 4-1")
        assert ids(await client.call(BOB)) == ["2-1"]
        assert b"5-1" in await client.call("XAUTOCLAIM s g eve 0 5")
        assert await parked(client) == []


async def test_of_several_in_flight_only_the_first_comes_again(autojump_clock: MockClock) -> None:
    setup = (*ORDERED[:-1], ALICE, "XACK s g 3-1 5-1 6-1 7-1", ORDERED[-1])
    async with governing(*setup) as (_, client):
        await trio.sleep(1)
        assert ids(await client.call(BOB)) == ["1-1"]
        assert [row[1::2] for row in await pending(client)] == [("bob", 2), ("~parked", 1), ("~parked", 1)]
        await client.call("XACK s g 1-1")
        assert ids(await client.call(BOB)) == ["2-1"]
        await client.call("XNACK s g FAIL IDS 1 2-1")
        assert ids(await client.call(BOB)) == ["2-1"]
        assert (await pending(client))[0][3] == 3
        await client.call("XNACK s g FAIL IDS 2 4-1 2-1")
        assert ids(await client.call(BOB)) == ["2-1"]
        assert await parked(client) == ["4-1"]


async def test_the_first_field_of_the_name_counts(autojump_clock: MockClock) -> None:
    setup = ("XADD s 1-1 x user user a", "XADD s 2-1 user b user a", "XADD s 3-1 user a", "XADD s 4-1 a user")
    async with governing(*setup, *ORDERED[-2:], "XADD s 5-1 user " + "x" * 100, "XADD s 6-1 user " + "x" * 100) as (
        _, client,
    ):  # fmt: skip
        assert ids(await client.call(ALICE)) == ["1-1", "2-1", "4-1", "5-1"]


async def test_a_group_that_is_set_back(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, ALICE, "XACK s g 1-1 6-1 7-1", "XGROUP SETID s g 0") as (_, client):
        # 1-1 comes again, behind nothing; what is pending stays so; 7-1 has no value.
        assert ids(await client.call(BOB)) == ["2-1", "6-1", "7-1"]
        assert await parked(client) == ["1-1", "4-1", "5-1"]
        await client.call("XACK s g 2-1")
        assert ids(await client.call(BOB)) == ["1-1"]


# Limits


async def test_reading_stops_where_no_more_may_be_parked(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, stream_parked_max="1") as (broker, client):
        assert ids(await client.call(ALICE)) == ["1-1", "3-1"]
        assert await parked(client) == ["2-1"]
        waiting = await broker.client()
        await waiting.send(WAIT)
        await trio.sleep(0.01)
        await client.call("XACK s g 3-1")
        await trio.sleep(0.5)
        began = trio.current_time()
        await client.call("XACK s g 1-1")
        assert ids(await waiting.receive()) == ["2-1", "5-1", "6-1", "7-1"]
        assert trio.current_time() - began < 0.5
        assert await parked(client) == ["4-1"]


async def test_without_parking_the_first_blocked_entry_stops_all(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, stream_parked_max="0") as (broker, client):
        assert ids(await client.call(ALICE)) == ["1-1"]
        waiting = await broker.client()
        await waiting.send(WAIT)
        await trio.sleep(0.01)
        began = trio.current_time()
        await client.call("XACK s g 1-1")
        assert ids(await waiting.receive()) == ["2-1", "3-1"]
        assert trio.current_time() - began < 0.5
        assert await parked(client) == []


async def test_one_read_passes_over_a_bounded_number(autojump_clock: MockClock) -> None:
    fill = "for i = 1, 2500 do redis.call('XADD', 's', i .. '-1', 'user', 'a') end"
    async with governing("XGROUP CREATE s g 0 MKSTREAM", ORDERED[-1]) as (_, client):
        await client.call("EVAL", fill, 0)
        await client.call("XADD s 3000-1 user b")
        assert ids(await client.call("XREADGROUP GROUP g alice COUNT 1 STREAMS s >")) == ["1-1"]
        assert ids(await client.call(ALICE)) == []
        assert await facts(client, "parked") == [b"1000"]
        assert ids(await client.call("XREADGROUP GROUP g bob BLOCK 500 STREAMS s >")) == ["3000-1"]
        assert await facts(client, "parked") == [b"2499"]


async def test_many_pending_entries_are_looked_at_in_steps(autojump_clock: MockClock) -> None:
    fill = "for i = 1, 2500 do redis.call('XADD', 's', i .. '-1', 'user', i % 10) end"
    async with governing("XGROUP CREATE s g 0 MKSTREAM") as (broker, client):
        await client.call("EVAL", fill, 0)
        await client.call(ALICE)
        await client.call("XADD s 3000-1 user other")
        await client.call("XADD s 3001-1 user 5")
        await client.call("XGROUP CFGSET s g ORDERBY user")
        assert ids(await client.call(BOB)) == []
        waiting = await broker.client()
        await waiting.send(WAIT)
        await client.call("XACK", "s", "g", *(f"{number}-1" for number in range(5, 2500, 10)))
        assert ids(await waiting.receive()) == ["3000-1", "3001-1"]


# The consumer ~parked


async def test_the_consumer_is_hidden(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, ALICE) as (_, client):
        reply = await client.call("XINFO CONSUMERS s g")
        assert b"alice" in reply and b"~parked" not in reply
        assert await facts(client, "consumers", "pending", "inflight", "parked", "order-by") == [
            b"1", b"7", b"4", b"3", b"user",
        ]  # fmt: skip
        assert b"~parked" in await client.call("XPENDING s g")
        assert b"~parked" in await client.call("XINFO STREAM s FULL")


async def test_the_consumer_is_the_brokers(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, ALICE) as (_, client):
        error = b"-ERR the consumer ~parked has entries that wait for their turn\r\n"
        assert await client.call("XGROUP DELCONSUMER s g ~parked") == error
        assert await client.call(READ.format("~parked")) == b"-ERR the consumer ~parked is the broker's own\r\n"
        assert len(await pending(client)) == 7
        # By hand, anything may be parked.
        assert await client.call("XCLAIM s g ~parked 0 7-1 1-1 JUSTID") == b"*2\r\n$3\r\n7-1\r\n$3\r\n1-1\r\n"
        assert ids(await client.call(BOB)) == ["1-1", "7-1"]


async def test_without_the_extensions_it_is_a_consumer_like_others() -> None:
    async with running() as broker:
        client = await broker.client()
        for line in ("XADD s 1-1 a 1", "XGROUP CREATE s g 0", READ.format("~parked")):
            await client.call(line)
        assert b"~parked" in await client.call("XINFO CONSUMERS s g")
        assert await client.call("XGROUP DELCONSUMER s g ~parked") == b":1\r\n"


# The policy, the group or the role may change


async def test_without_the_option_parked_entries_come_at_once(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, ALICE) as (broker, client):
        waiting = await broker.client()
        await waiting.send(WAIT)
        await trio.sleep(0.01)
        await client.call('XGROUP CFGSET s g ORDERBY ""')
        assert ids(await waiting.receive()) == ["2-1", "4-1", "5-1"]
        await client.call("XADD s 8-1 user a")
        assert ids(await client.call(BOB)) == ["8-1"]


async def test_another_field(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, ALICE, "XGROUP CFGSET s g ORDERBY n", "XADD s 8-1 n 3", "XADD s 9-1 n 9") as (
        _, client,
    ):  # fmt: skip
        assert ids(await client.call(BOB)) == ["2-1", "4-1", "5-1", "9-1"]
        assert await parked(client) == ["8-1"]


@pytest.mark.parametrize("moves", [["RENAME s t", "RENAME t s"], ["COPY s t", "DEL s", "COPY t s"], ["DUMP"]])
async def test_another_stream_of_that_name(moves: Sequence[str], autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, ALICE) as (_, client):
        for move in moves:
            if move == "DUMP":
                payload = (await client.call("DUMP s")).split(b"\r\n", 1)[1][:-2]
                assert await client.call("RESTORE", "s", 0, payload, "REPLACE") == b"+OK\r\n"
            else:
                assert not (await client.call(move)).startswith(b"-")
        assert await parked(client) == ["2-1", "4-1", "5-1"]
        await client.call("XACK s g 1-1")
        assert ids(await client.call(BOB)) == ["2-1"]
        assert ids(await client.call(BOB)) == []


async def test_a_destroyed_group(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, ALICE, "XGROUP DESTROY s g", "XGROUP CREATE s g 0") as (_, client):
        assert ids(await client.call(BOB)) == ["1-1", "3-1", "6-1", "7-1"]


async def test_transactions_and_scripts(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED) as (broker, client):
        waiting = await broker.client()
        script = "return redis.call('XREADGROUP', 'GROUP', 'g', 'eve', 'STREAMS', KEYS[1], '>')"
        assert ids(await client.call("EVAL", script, 1, "s")) == ["1-1", "3-1", "6-1", "7-1"]
        await waiting.send(WAIT)
        await trio.sleep(0.01)
        await client.call("MULTI")
        await client.call("XACK s g 1-1")
        await client.call("XREADGROUP GROUP g bob COUNT 1 STREAMS s >")
        await client.call("XACK s g 3-1")
        reply = await client.call("EXEC")
        assert b"2-1" in reply and b"5-1" not in reply
        assert ids(await waiting.receive()) == ["5-1"]


async def test_replayed_elsewhere_it_is_the_same(autojump_clock: MockClock) -> None:
    question = "XINFO STREAM s FULL COUNT 0"
    async with governing(*ORDERED[:-1]) as (broker, client), running({"stream-extensions": "yes"}) as other:
        effects = journal(broker.broker)
        for line in ORDERED[:-1]:
            await (await other.client()).call(line)
        for line in (ORDERED[-1], "XGROUP CFGSET s g MAXINFLIGHT 4 MAXDELIVER 3 DEADLETTER dlq", ALICE):
            await client.call(line)
        await client.call("XACK s g 1-1")
        await client.call(BOB)
        await trio.sleep(1)
        await client.call("XREADGROUP GROUP g eve COUNT 2 STREAMS s >")
        await client.call("XNACK s g FATAL IDS 1 3-1")
        await client.call(BOB)
        await client.call("XREADGROUP GROUP g eve NOACK STREAMS s >")
        await client.call("XDEL s 4-1")
        await client.call("XACK s g 2-1")
        await client.call(BOB)
        await replay(effects, other)
        copy = await other.client()
        for command in (question, "XRANGE dlq - +", "HGETALL ~policy:{s}:s"):
            assert TIMES.sub(b"", await copy.call(command)) == TIMES.sub(b"", await client.call(command))
