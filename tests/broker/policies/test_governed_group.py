"""What policies do to a group: entries come again, in which order, to whom, how often, and what happens in the end."""

import pytest
import trio
from trio.testing import MockClock

from broker.policies.governed_group import ORDERED_AT_ONCE
from tests.broker.effects import journal, lines
from tests.broker.policies.governing import GROUP, dead_letters, governing, group_facts, ids, pending

READ = "XREADGROUP GROUP g {} STREAMS s >"
ALICE, BOB = READ.format("alice"), READ.format("bob")


async def test_an_entry_comes_again_after_the_ack_wait(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g ACKWAIT 1000") as (_, client):
        assert ids(await client.call(ALICE)) == ["1-1", "2-1", "3-1"]
        await trio.sleep(0.999)
        assert ids(await client.call(BOB)) == []
        await trio.sleep(0.001)
        await client.call("XADD s 4-1 a 4")
        reply = await client.call(BOB)
        assert ids(reply) == ["1-1", "2-1", "3-1", "4-1"]  # those that are due first
        assert reply.startswith(b"*1\r\n*2\r\n$1\r\ns\r\n*4\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n")
        assert await pending(client) == [
            ("1-1", "bob", 0, 2),
            ("2-1", "bob", 0, 2),
            ("3-1", "bob", 0, 2),
            ("4-1", "bob", 0, 1),
        ]


async def test_what_is_acknowledged_does_not_come_again(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g ACKWAIT 1000", ALICE) as (_, client):
        await client.call("XACK s g 2-1")
        await trio.sleep(1)
        assert ids(await client.call(BOB)) == ["1-1", "3-1"]


async def test_the_count_limits_both_kinds_together(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g ACKWAIT 1000") as (_, client):
        one = "XREADGROUP GROUP g alice COUNT 1 STREAMS s >"
        two = "XREADGROUP GROUP g bob COUNT 2 STREAMS s >"
        assert ids(await client.call(one)) == ["1-1"]
        await trio.sleep(0.5)
        assert ids(await client.call(one)) == ["2-1"]
        await trio.sleep(0.5)
        assert ids(await client.call(two)) == ["1-1", "3-1"]
        await trio.sleep(1)
        assert ids(await client.call(two)) == ["2-1", "1-1"]  # the longest pending first
        assert ids(await client.call(two)) == ["3-1"]


async def test_a_waiting_client_gets_it_when_it_is_due(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g ACKWAIT 1000") as (broker, client):
        waiting = await broker.client()
        await client.call("XREADGROUP GROUP g alice COUNT 2 STREAMS s >")
        await client.call("XACK s g 1-1")
        await waiting.call("XREADGROUP GROUP g bob BLOCK 0 STREAMS s >")
        began = trio.current_time()
        assert ids(await waiting.call("XREADGROUP GROUP g bob BLOCK 0 STREAMS s >")) == ["2-1", "3-1"]
        assert trio.current_time() - began == pytest.approx(1, abs=0.01)
        # An entry that another client gets while this one waits is watched as well.
        await waiting.call("XACK s g 2-1 3-1")
        await waiting.send("XREADGROUP GROUP g bob BLOCK 0 STREAMS s >")
        await trio.sleep(0.1)
        await client.call("XCLAIM s g alice 0 1-1 FORCE")
        assert ids(await waiting.receive()) == ["1-1"]


async def test_backoff(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g BACKOFF 2 1000 5000") as (_, client):
        await client.call("XREADGROUP GROUP g alice COUNT 1 STREAMS s >")
        await client.call("XGROUP SETID s g $")
        times = []
        for _ in range(4):
            began = trio.current_time()
            assert ids(await client.call("XREADGROUP GROUP g alice BLOCK 0 STREAMS s >")) == ["1-1"]
            times.append(round(trio.current_time() - began))
        assert times == [1, 5, 5, 5]


async def test_an_entry_without_an_owner_is_due_at_once(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g ACKWAIT 1000", ALICE) as (broker, client):
        waiting = await broker.client()
        await waiting.send("XREADGROUP GROUP g bob BLOCK 0 STREAMS s >")
        await trio.sleep(0.01)
        assert await client.call("XNACK s g FAIL IDS 1 2-1") == b":1\r\n"
        assert ids(await waiting.receive()) == ["2-1"]
        assert (await pending(client))[1][1::2] == ("bob", 2)


async def test_a_reader_without_acknowledgements_gets_new_entries_only(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g ACKWAIT 1000", ALICE, "XADD s 4-1 a 4") as (_, client):
        await trio.sleep(1)
        assert ids(await client.call("XREADGROUP GROUP g bob NOACK STREAMS s >")) == ["4-1"]
        assert ids(await client.call(BOB)) == ["1-1", "2-1", "3-1"]


async def test_several_streams_and_limits_of_size(autojump_clock: MockClock) -> None:
    setup = (*GROUP, "XGROUP CFGSET s g ACKWAIT 1000", ALICE, "XADD t 9-1 a 1", "XGROUP CREATE t g 0")
    async with governing(*setup) as (_, client):
        await trio.sleep(1)
        reply = await client.call("XREADGROUP GROUP g bob MAXCOUNT 2 STREAMS s t > >")
        assert reply.count(b"$1\r\ns\r\n") == 1 and b"9-1" not in reply and b"3-1" not in reply
        reply = await client.call("XREADGROUP GROUP g bob COUNT 5 STREAMS s t > >")
        assert b"3-1" in reply and b"9-1" in reply
        await trio.sleep(1)
        assert ids(await client.call("XREADGROUP GROUP g bob MAXSIZE 1 STREAMS s >")) == ["1-1"]
        assert ids(await client.call("XREADGROUP GROUP g bob MAXSIZE 100000 STREAMS s >")) == ["2-1", "3-1"]


async def test_deleted_entries_end_to_be_pending(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g ACKWAIT 1000", ALICE, "XDEL s 1-1 3-1") as (broker, client):
        effects = journal(broker.broker)
        await trio.sleep(1)
        assert ids(await client.call(BOB)) == ["2-1"]
        assert len(await pending(client)) == 1
        assert "XACK s g 1-1 3-1" in lines(effects)
        await client.call("XDEL s 2-1")
        await trio.sleep(1)
        assert await client.call(BOB) == b"*-1\r\n"
        assert await pending(client) == []


async def test_transactions_and_scripts_never_wait(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g ACKWAIT 1000", ALICE) as (_, client):
        await trio.sleep(1)
        await client.call("MULTI")
        await client.call("XREADGROUP GROUP g bob COUNT 1 BLOCK 0 STREAMS s >")
        assert b"1-1" in await client.call("EXEC")
        script = "return redis.call('XREADGROUP', 'GROUP', 'g', 'eve', 'BLOCK', 0, 'STREAMS', KEYS[1], '>')"
        assert ids(await client.call("EVAL", script, 1, "s")) == ["2-1", "3-1"]
        assert await client.call("EVAL", script, 1, "s") == b"$-1\r\n"


# Many pending entries


MANY = 2 * ORDERED_AT_ONCE + 500
FILL = f"for i = 1, {MANY} do redis.call('XADD', 's', i .. '-1', 'a', 1) end"
TAKE = (
    "for i = 1, ARGV[1] / 50 do redis.call('XREADGROUP', 'GROUP', 'g', 'alice', 'COUNT', 50, 'STREAMS', 's', '>') end"
)


async def test_many_pending_entries_are_looked_at_in_steps(autojump_clock: MockClock) -> None:
    async with governing("XGROUP CREATE s g 0 MKSTREAM") as (_, client):
        await client.call("EVAL", FILL, 0)
        await client.call("EVAL", TAKE, 0, MANY)
        await trio.sleep(2)
        await client.call("XADD s 90000-1 a 1")
        for policy in ("ACKWAIT 1000", "ACKWAIT 1500"):
            # Whether it is the first policy or another one. New entries are given out meanwhile.
            await client.call(f"XGROUP CFGSET s g {policy}")
            assert len(ids(await client.call(BOB))) < MANY
            await trio.sleep(0.1)
        assert len(ids(await client.call(BOB))) == MANY
        await trio.sleep(1.5)
        assert len(ids(await client.call(ALICE))) == MANY + 1


async def test_a_waiting_client_gets_what_is_found_to_be_due(autojump_clock: MockClock) -> None:
    async with governing("XGROUP CREATE s g 0 MKSTREAM") as (broker, client):
        await client.call("EVAL", FILL, 0)
        await client.call("EVAL", TAKE, 0, MANY)
        await trio.sleep(2)
        await client.call("XGROUP CFGSET s g ACKWAIT 1000")
        waiting = await broker.client()
        await waiting.send("XREADGROUP GROUP g bob COUNT 2 BLOCK 0 STREAMS s >")
        assert ids(await waiting.receive()) == ["1-1", "2-1"]


async def test_those_found_to_be_dead_die_whether_they_have_an_owner_or_not(autojump_clock: MockClock) -> None:
    async with governing("XGROUP CREATE s g 0 MKSTREAM") as (_, client):
        await client.call("EVAL", FILL, 0)
        await client.call("EVAL", TAKE, 0, MANY)
        await client.call("XNACK", "s", "g", "FATAL", "IDS", 1500, *(f"{number}-1" for number in range(1, 1501)))
        await trio.sleep(2)
        await client.call("XGROUP CFGSET s g ACKWAIT 1000 MAXDELIVER 1 DEADLETTER dlq")
        await trio.sleep(0.1)
        assert await client.call("XLEN dlq") == b":%d\r\n" % MANY
        assert await pending(client) == []


async def test_a_group_that_goes_is_followed_no_more(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g ACKWAIT 1000", ALICE) as (broker, client):
        group = broker.broker.keyspace.databases[0].data[b"s"].groups[b"g"]
        assert group.due is not None
        await client.call("RENAME s t")
        await trio.sleep(2)
        assert group.due is None


# Dead letters


DYING = (*GROUP, "XGROUP CFGSET s g ACKWAIT 1000 MAXDELIVER 2 DEADLETTER dlq")


async def test_an_entry_dies_after_its_last_delivery(autojump_clock: MockClock) -> None:
    async with governing(*DYING, "XREADGROUP GROUP g alice COUNT 1 STREAMS s >") as (broker, client):
        await trio.sleep(1)
        assert ids(await client.call("XREADGROUP GROUP g bob COUNT 1 STREAMS s >")) == ["1-1"]
        effects = journal(broker.broker)
        units: list[int] = []
        broker.broker.keyspace.effects.sinks.append(lambda unit: units.append(len(unit)))
        await trio.sleep(0.9)
        assert await dead_letters(client) == []
        await trio.sleep(0.1)
        # By a timer: nobody has read.
        await trio.sleep(0.01)
        [letter] = await dead_letters(client)
        now = broker.broker.clock.now
        assert now - int(letter.pop("dead-time")) < 100
        assert letter == {
            "a": "1", "dead-stream": "s", "dead-id": "1-1", "dead-group": "g", "dead-consumer": "bob",
            "dead-reason": "not acknowledged after 2 deliveries", "dead-delivery-count": "2",
        }  # fmt: skip
        assert await pending(client) == []
        assert units == [2]  # the dead letter and the acknowledgement are one unit
        assert [line.split()[0] for line in lines(effects)] == ["XADD", "XACK"]
        assert ids(await client.call(BOB)) == ["2-1", "3-1"]


async def test_a_rejected_entry_dies_at_once(autojump_clock: MockClock) -> None:
    async with governing(*DYING, ALICE) as (broker, client):
        effects = journal(broker.broker)
        assert await client.call("XNACK s g FATAL IDS 3 1-1 2-1 1-1") == b":2\r\n"
        letters = await dead_letters(client)
        assert [(each["dead-id"], each["dead-consumer"], each["dead-delivery-count"]) for each in letters] == [
            ("1-1", "alice", "1"),
            ("2-1", "alice", "1"),
        ]
        assert {each["dead-reason"] for each in letters} == {"rejected with XNACK FATAL"}
        assert [line.split()[0] for line in lines(effects)] == ["XADD", "XACK", "XADD", "XACK"]
        assert [row[0] for row in await pending(client)] == ["3-1"]


async def test_a_negative_acknowledgement_after_the_last_delivery(autojump_clock: MockClock) -> None:
    async with governing(*DYING, ALICE) as (broker, client):
        await client.call("XNACK s g FAIL IDS 3 1-1 2-1 3-1")
        assert await dead_letters(client) == []
        await client.call(BOB)
        effects = journal(broker.broker)
        await client.call("XNACK s g SILENT IDS 1 3-1")
        assert lines(effects) == ["XNACK s g SILENT IDS 1 3-1"]
        assert await client.call("XNACK s g FAIL IDS 1 1-1 RETRYCOUNT 1") == b":1\r\n"
        assert await client.call("XNACK s g FAIL IDS 2 1-1 2-1") == b":2\r\n"
        assert lines(effects)[-3:-2][0].startswith(
            "XADD dlq"
        ) and "XNACK s g FAIL IDS 1 1-1 RETRYCOUNT 1 FORCE" in lines(effects)
        assert [each["dead-id"] for each in await dead_letters(client)] == ["2-1"]


async def test_without_a_stream_for_them_dead_entries_are_acknowledged(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g ACKWAIT 1000 MAXDELIVER 1", ALICE) as (broker, client):
        await trio.sleep(1.01)
        assert await pending(client) == []
        assert broker.broker.stats.entries_dead_lettered == 3
        assert await client.call("EXISTS dlq") == b":0\r\n"


async def test_a_wrong_type_for_dead_letters(autojump_clock: MockClock) -> None:
    async with governing(*DYING, "SET dlq x", ALICE) as (_, client):
        await trio.sleep(1)
        await client.call(BOB)
        await trio.sleep(1.5)
        assert len(await pending(client)) == 3
        assert await client.call("XNACK s g FATAL IDS 1 1-1") == b":1\r\n"
        await client.call("DEL dlq")
        assert len(await pending(client)) == 3
        await trio.sleep(2.1)
        assert await pending(client) == []
        assert sorted(each["dead-id"] for each in await dead_letters(client)) == ["1-1", "2-1", "3-1"]


async def test_an_entry_that_came_back_and_died_again(autojump_clock: MockClock) -> None:
    entry = "XADD s 4-1 a 4 dead-stream old dead-reason old redriven-id 1-1 redriven-group g"
    async with governing(*DYING, entry, "XGROUP SETID s g 3-1", ALICE) as (_, client):
        await client.call("XNACK s g FATAL IDS 1 4-1")
        [letter] = await dead_letters(client)
        assert letter["dead-stream"] == "s" and "redriven-id" not in letter and letter["a"] == "4"


async def test_waiting_clients_get_dead_letters(autojump_clock: MockClock) -> None:
    async with governing(*DYING, ALICE) as (broker, client):
        waiting = await broker.client()
        await waiting.send("XREAD BLOCK 0 STREAMS dlq 0")
        await trio.sleep(0.01)
        await client.call("XNACK s g FATAL IDS 1 1-1")
        assert b"dead-id" in await waiting.receive()
        await waiting.send("XREAD BLOCK 0 STREAMS dlq $")
        await client.call(BOB)
        await client.call("XCLAIM s g bob 0 2-1 RETRYCOUNT 2")
        assert b"dead-id" in await waiting.receive()


async def test_no_more_than_a_thousand_die_at_once(autojump_clock: MockClock) -> None:
    async with governing("XGROUP CREATE s g 0 MKSTREAM", "XGROUP CFGSET s g ACKWAIT 1000 MAXDELIVER 1") as (_, client):
        await client.call("EVAL", "for i = 1, 2500 do redis.call('XADD', 's', i, 'a', i) end", 0)
        await client.call(ALICE)
        await trio.sleep(1.1)
        assert await pending(client) == []


async def test_nothing_is_buried_while_the_broker_is_out_of_memory(autojump_clock: MockClock) -> None:
    setup = (*GROUP, "XGROUP CFGSET s g ACKWAIT 1000 MAXDELIVER 1 DEADLETTER dlq", ALICE)
    async with governing(*setup) as (broker, client):
        broker.broker.state.out_of_memory = True
        await client.call("XNACK s g FATAL IDS 1 2-1")
        await trio.sleep(1.5)
        assert len(await pending(client)) == 3
        assert await client.call("EXISTS dlq") == b":0\r\n"
        broker.broker.state.out_of_memory = False
        await trio.sleep(1.1)
        assert await pending(client) == []
        assert sorted(letter["dead-id"] for letter in await dead_letters(client)) == ["1-1", "2-1", "3-1"]


async def test_dead_entries_are_acknowledged_while_the_broker_is_out_of_memory(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g ACKWAIT 1000 MAXDELIVER 1", ALICE) as (broker, client):
        broker.broker.state.out_of_memory = True
        await trio.sleep(1.5)
        assert await pending(client) == []


# XNACK DELAY


async def test_a_delayed_return(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g ACKWAIT 10000", ALICE) as (broker, client):
        effects = journal(broker.broker)
        assert await client.call("XNACK s g FAIL IDS 1 2-1 DELAY 2000") == b":1\r\n"
        assert lines(effects) == [
            f"XCLAIM s g alice 0 2-1 TIME {broker.broker.clock.now - 8000} RETRYCOUNT 1 FORCE JUSTID"
        ]
        await trio.sleep(1.9)
        assert ids(await client.call(BOB)) == []
        began = trio.current_time()
        assert ids(await client.call("XREADGROUP GROUP g bob BLOCK 0 STREAMS s >")) == ["2-1"]
        assert trio.current_time() - began == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("FAIL IDS 1 1-1 DELAY 10001", b"-ERR DELAY is longer than the group's ack wait\r\n"),
        ("FATAL IDS 1 1-1 DELAY 1", b"-ERR DELAY and FATAL exclude each other\r\n"),
        ("FAIL IDS 1 1-1 DELAY -1", b"-ERR DELAY must be zero or a positive number of milliseconds\r\n"),
        ("FAIL IDS 1 1-1 DELAY", b"-ERR Unrecognized XNACK option 'DELAY'\r\n"),
        ("FAIL RETRYCOUNT 1", b"-ERR wrong number of arguments for 'xnack' command\r\n"),
    ],
)
async def test_errors_of_delays(options: str, error: bytes, autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g ACKWAIT 10000", ALICE) as (_, client):
        assert await client.call(f"XNACK s g {options}") == error
        assert len(await pending(client)) == 3


async def test_a_delay_needs_a_wait(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, ALICE) as (_, client):
        error = b"-ERR DELAY needs a group with an ack wait\r\n"
        assert await client.call("XNACK s g FAIL IDS 1 1-1 DELAY 1") == error
        await client.call("XGROUP CFGSET s g DEADLETTER dlq")
        assert await client.call("XNACK s g FAIL IDS 1 1-1 DELAY 1") == error
        assert await client.call("XNACK s g FAIL IDS 1 1-1") == b":1\r\n"


async def test_a_delayed_entry_without_an_owner(autojump_clock: MockClock) -> None:
    async with governing(*GROUP, "XGROUP CFGSET s g ACKWAIT 10000") as (_, client):
        assert await client.call("XNACK s g FAIL IDS 1 2-1 FORCE DELAY 500") == b":1\r\n"
        assert [row[:2] for row in await pending(client)] == [("2-1", "trimaran-released")]
        await trio.sleep(0.5)
        assert ids(await client.call("XREADGROUP GROUP g bob COUNT 1 STREAMS s >")) == ["2-1"]


# The group may be another one


@pytest.mark.parametrize(
    "moves",
    [
        ["RENAME s t", "RENAME t s"],
        ["COPY s t", "DEL s", "COPY t s"],
        ["DUMP"],
    ],
)
async def test_another_stream_of_that_name(moves: list[str], autojump_clock: MockClock) -> None:
    async with governing(*DYING, ALICE) as (_, client):
        for move in moves:
            if move == "DUMP":
                payload = (await client.call("DUMP s")).split(b"\r\n", 1)[1][:-2]
                assert await client.call("RESTORE", "s", 0, payload, "REPLACE") == b"+OK\r\n"
            else:
                assert not (await client.call(move)).startswith(b"-")
        assert [row[3] for row in await pending(client)] == [1, 1, 1]
        await client.call("XCLAIM s g bob 0 1-1 2-1 3-1 RETRYCOUNT 2")
        await trio.sleep(2.1)
        assert len(await dead_letters(client)) == 3


async def test_a_paused_broker_does_nothing(autojump_clock: MockClock) -> None:
    async with governing(*DYING, ALICE, "XCLAIM s g bob 0 1-1 RETRYCOUNT 2", "CLIENT PAUSE 5000 WRITE") as (_, client):
        await trio.sleep(4)
        assert len(await pending(client)) == 3
        await trio.sleep(3)
        assert len(await pending(client)) == 2


async def test_figures(autojump_clock: MockClock) -> None:
    async with governing(*DYING, ALICE) as (_, client):
        await trio.sleep(1)
        await client.call("XREADGROUP GROUP g bob COUNT 2 STREAMS s >")
        await trio.sleep(0.5)
        facts = await group_facts(client)
        assert [facts[name].text for name in ("ack-wait", "max-deliver", "dead-letter")] == [b"1000", b"2", b"dlq"]
        assert [facts[name].text for name in ("inflight", "oldest-pending-ms")] == [b"3", b"1500"]
        assert [facts[name].text for name in ("redelivered", "dead-lettered")] == [b"2", b"0"]
        await trio.sleep(0.6)
        facts = await group_facts(client)
        assert [facts[name].text for name in ("redelivered", "dead-lettered", "inflight")] == [b"2", b"2", b"1"]
        info = await client.text("INFO stats")
        assert "entries_redelivered:2\r\n" in info and "entries_dead_lettered:2\r\n" in info
        await client.call("CONFIG RESETSTAT")
        assert "entries_redelivered:0\r\n" in await client.text("INFO stats")
        await client.call("XACK s g 1-1 2-1 3-1")
        assert (await group_facts(client))["oldest-pending-ms"].text == b"-1"  # nil


async def test_events(autojump_clock: MockClock) -> None:
    async with governing(*DYING, "CONFIG SET notify-keyspace-events Kp", ALICE) as (broker, client):
        listening = await broker.client()
        await listening.call("PSUBSCRIBE *")
        await trio.sleep(1)
        await client.call(BOB)
        assert b"redeliver" in await listening.receive()
        await trio.sleep(1)
        message = await listening.receive()
        assert b"dead-letter" in message and b"__keyspace@0__:s" in message


async def test_all_events_do_not_include_them(autojump_clock: MockClock) -> None:
    async with governing(*DYING, "CONFIG SET notify-keyspace-events KA") as (_, client):
        assert b"p" not in (await client.call("CONFIG GET notify-keyspace-events")).split(b"\r\n")[4]
        await client.call("CONFIG SET notify-keyspace-events KAp")
        assert (await client.call("CONFIG GET notify-keyspace-events")).split(b"\r\n")[4] == b"AKp"
