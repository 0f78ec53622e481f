"""Which entries a reader of a group under a policy gets: MAXINFLIGHT, and the options of XREADGROUP."""

import pytest
import trio
from trio.testing import MockClock

from tests.broker.effects import journal, lines
from tests.broker.policies.governing import GROUP, dead_letters, governing, ids, pending
from tests.broker.policies.ordered import ALICE, BOB, ORDERED, WAIT, facts, parked

# At most so many at a time


LIMITED = (*GROUP, "XGROUP CFGSET s g MAXINFLIGHT 2 ACKWAIT 1000")


async def test_no_more_than_so_many_are_in_flight(autojump_clock: MockClock) -> None:
    async with governing(*LIMITED) as (_, client):
        assert ids(await client.call(ALICE)) == ["1-1", "2-1"]
        assert await client.call(BOB) == b"*-1\r\n"
        assert await client.call("XREADGROUP GROUP g bob COUNT 1 STREAMS s >") == b"*-1\r\n"
        assert await facts(client, "max-inflight", "inflight", "parked") == [b"2", b"2", b"0"]
        await client.call("XACK s g 1-1")
        assert ids(await client.call("XREADGROUP GROUP g bob COUNT 1 STREAMS s >")) == ["3-1"]


@pytest.mark.parametrize(
    ("command", "read"),
    [
        ("XACK s g 1-1", ["3-1"]),
        ("XACKDEL s g IDS 1 1-1", ["3-1"]),
        ("XDELEX s DELREF IDS 1 1-1", ["3-1"]),
        ("XTRIM s MINID 2 DELREF", ["3-1"]),
        ("XNACK s g FATAL IDS 1 1-1", ["3-1"]),
        ("XNACK s g FAIL IDS 1 1-1", ["1-1"]),
        ("XGROUP DELCONSUMER s g alice", ["3-1"]),
        ("XGROUP CFGSET s g MAXINFLIGHT 3", ["3-1"]),
        ("XGROUP CFGSET s g MAXINFLIGHT 0", ["3-1"]),
        ("DEL ~policy:{s}:s", []),
    ],
)
async def test_what_wakes_those_that_wait_at_the_limit(
    command: str, read: list[str], autojump_clock: MockClock
) -> None:
    async with governing(*LIMITED, ALICE) as (broker, client):
        waiting = await broker.client()
        await waiting.send(WAIT)
        await trio.sleep(0.01)
        began = trio.current_time()
        assert not (await client.call(command)).startswith(b"-")
        if read:
            assert ids(await waiting.receive()) == read
            assert trio.current_time() - began < 0.5
        else:
            await client.call("XADD s 4-1 a 4")
            assert ids(await waiting.receive()) == ["3-1", "4-1"]


async def test_a_death_wakes_those_that_wait_at_the_limit(autojump_clock: MockClock) -> None:
    async with governing(*LIMITED, "XGROUP CFGSET s g MAXDELIVER 1 DEADLETTER dlq", ALICE) as (broker, client):
        waiting = await broker.client()
        assert ids(await waiting.call(WAIT)) == ["3-1"]
        assert len(await dead_letters(client)) == 2


async def test_those_that_are_due_come_again_at_the_limit(autojump_clock: MockClock) -> None:
    async with governing(*LIMITED, ALICE) as (_, client):
        await trio.sleep(1)
        assert ids(await client.call(BOB)) == ["1-1", "2-1"]
        await client.call("XNACK s g FAIL IDS 1 1-1")
        assert await facts(client, "inflight") == [b"1"]
        assert ids(await client.call("XREADGROUP GROUP g eve COUNT 5 STREAMS s >")) == ["1-1"]
        await client.call("XNACK s g FAIL IDS 2 1-1 2-1")
        await client.call("XGROUP CFGSET s g MAXINFLIGHT 1")
        assert ids(await client.call(ALICE)) == ["1-1"]
        assert ids(await client.call(ALICE)) == []
        await client.call("XACK s g 1-1")
        assert ids(await client.call(ALICE)) == ["2-1"]


async def test_a_waiting_client_gets_a_released_entry_once_there_is_room(autojump_clock: MockClock) -> None:
    setup = (*LIMITED, ALICE, "XNACK s g FAIL IDS 2 1-1 2-1", "XGROUP CFGSET s g MAXINFLIGHT 1")
    async with governing(*setup, "XREADGROUP GROUP g alice COUNT 1 STREAMS s >") as (broker, client):
        waiting = await broker.client()
        await waiting.send(WAIT)
        await trio.sleep(0.01)
        await client.call("XACK s g 1-1")
        began = trio.current_time()
        assert ids(await waiting.receive()) == ["2-1"]
        assert trio.current_time() - began < 0.5


async def test_the_limit_does_not_concern_readers_without_acknowledgements(autojump_clock: MockClock) -> None:
    async with governing(*LIMITED, ALICE) as (_, client):
        assert ids(await client.call("XREADGROUP GROUP g bob NOACK STREAMS s >")) == ["3-1"]
        assert ids(await client.call("XREADGROUP GROUP g bob NOACK COUNT 1 STREAMS s >")) == []


async def test_the_limit_holds_for_readers_with_claim(autojump_clock: MockClock) -> None:
    async with governing(*LIMITED, "XREADGROUP GROUP g alice COUNT 1 STREAMS s >") as (_, client):
        reply = await client.call("XREADGROUP GROUP g bob CLAIM 0 STREAMS s >")
        assert ids(reply) == ["1-1", "2-1"] and b":0\r\n:1\r\n" in reply and reply.endswith(b":0\r\n:0\r\n")
        assert [row[1] for row in await pending(client)] == ["bob", "bob"]


async def test_the_limit_counts_what_is_read_with_others(autojump_clock: MockClock) -> None:
    async with governing(*LIMITED, "XADD t 9-1 a 1", "XGROUP CREATE t g 0") as (_, client):
        reply = await client.call("XREADGROUP GROUP g bob STREAMS s t > >")
        assert b"2-1" in reply and b"3-1" not in reply and b"9-1" in reply


# Options of readers, in an ordered group


async def test_limits_of_a_read(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED) as (_, client):
        assert ids(await client.call("XREADGROUP GROUP g alice COUNT 3 STREAMS s >")) == ["1-1", "3-1", "6-1"]
        await client.call("XACK s g 1-1 3-1 6-1")
        assert ids(await client.call("XREADGROUP GROUP g alice MAXSIZE 1 STREAMS s >")) == ["2-1"]
        assert ids(await client.call("XREADGROUP GROUP g alice MAXCOUNT 1 STREAMS s >")) == ["5-1"]
        await client.call("XACK s g 2-1")
        reply = await client.call("XREADGROUP GROUP g alice MAXSIZE 100000 STREAMS s >")
        assert ids(reply) == ["4-1", "7-1"]


async def test_several_streams(autojump_clock: MockClock) -> None:
    more = ("XADD t 1-1 user a", "XGROUP CREATE t g 0", "XGROUP CFGSET t g ORDERBY user")
    async with governing(*ORDERED, *more, ALICE) as (_, client):
        # A stream without entries to read is not in the reply.
        reply = await client.call("XREADGROUP GROUP g bob STREAMS s t > >")
        assert reply.startswith(b"*1\r\n*2\r\n$1\r\nt\r\n*1\r\n")
        await client.call("HELLO", 3)
        await client.call("XACK s g 1-1")
        reply = await client.call("XREADGROUP GROUP g bob STREAMS s t > >")
        assert reply.startswith(b"%1\r\n$1\r\ns\r\n*1\r\n")


async def test_readers_without_acknowledgements_keep_the_order(autojump_clock: MockClock) -> None:
    noack = "XREADGROUP GROUP g bob NOACK STREAMS s >"
    async with governing(*ORDERED, "XREADGROUP GROUP g alice COUNT 1 STREAMS s >") as (broker, client):
        assert ids(await client.call(noack)) == ["3-1", "5-1", "6-1", "7-1"]
        assert await parked(client) == ["2-1", "4-1"]
        await client.call("XACK s g 1-1")
        effects = journal(broker.broker)
        assert ids(await client.call(noack)) == ["2-1", "4-1"]
        assert lines(effects) == ["XACK s g 2-1", "XACK s g 4-1", "XGROUP CREATECONSUMER s g bob"][:2]
        assert await pending(client) == []


async def test_readers_with_claim_keep_the_order(autojump_clock: MockClock) -> None:
    async with governing(*ORDERED, "XREADGROUP GROUP g alice COUNT 2 STREAMS s >") as (_, client):
        await trio.sleep(0.5)
        assert ids(await client.call("XREADGROUP GROUP g bob CLAIM 100 STREAMS s >")) == ["1-1", "3-1", "6-1", "7-1"]
        assert await parked(client) == ["2-1", "4-1", "5-1"]
        await client.call("XACK s g 1-1")
        reply = await client.call("XREADGROUP GROUP g bob CLAIM 100 STREAMS s >")
        assert ids(reply) == ["2-1"] and reply.endswith(b":0\r\n:0\r\n")
