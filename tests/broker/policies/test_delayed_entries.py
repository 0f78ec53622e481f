"""Delayed entries are added when they are due, in order, once, and by a master only."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from broker.clients.session import Session
from broker.keyspace.effects import Unit
from broker.policies.delayed_entries import ADDED_AT_ONCE, delayed_key
from broker.process.clock import TrioClock
from broker.replication.role import Address
from broker.table.command import DECLARED
from broker.values.streams.delayed_entry import pack
from tests.broker.effects import journal
from tests.broker.inprocess import Broker, Client, running
from tests.broker.policies.governing import governing
from tests.oracle.wire import parse

START = 1_700_000_000_000
SET = "~delayed:{s}:s"


async def values(client: Client, key: str = "s") -> list[str]:
    """The value of the first field of each entry."""
    entries = parse(await client.call("XRANGE", key, "-", "+")).items
    return [entry.items[1].items[1].text.decode() for entry in entries]


async def stats(client: Client) -> list[str]:
    """INFO's figures: the number of delayed entries, and of those that were added."""
    info = await client.text("INFO stats")
    return [line.partition(":")[2] for line in info.split("\r\n") if line.startswith("delayed_")]


async def test_entries_are_added_when_they_are_due(autojump_clock: MockClock) -> None:
    async with governing() as (_, client):
        assert (await client.call("XADD s DELAY 500 * n 2")) == b"$16\r\n@1700000000500-1\r\n"
        assert (await client.call(f"XADD s AT {START + 300} * n 1")) == b"$16\r\n@1700000000300-2\r\n"
        assert await client.call("EXISTS s") == b":0\r\n"
        assert await stats(client) == ["2", "0"]
        await trio.sleep(0.299)
        assert await values(client) == []
        await trio.sleep(0.002)
        assert await values(client) == ["1"]
        await trio.sleep(0.198)
        assert await values(client) == ["1"]
        await trio.sleep(0.002)
        assert await values(client) == ["1", "2"]
        assert await client.call(f"EXISTS {SET}") == b":0\r\n"
        assert await stats(client) == ["0", "2"]
        entries = parse(await client.call("XRANGE s - +")).items
        assert [entry.items[0].text for entry in entries] == [b"1700000000300-0", b"1700000000500-0"]
        await client.call("CONFIG RESETSTAT")
        assert await stats(client) == ["0", "0"]


async def test_before_any_request_of_the_tick(autojump_clock: MockClock) -> None:
    async with governing("XADD s DELAY 100 * n 1") as (_, client):
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, MockClock)
        clock.autojump_threshold = 1000
        clock.jump(0.1)
        assert await values(client) == ["1"]
        clock.autojump_threshold = 0


async def test_a_reader_waits_for_it(autojump_clock: MockClock) -> None:
    async with governing("XGROUP CREATE s g $ MKSTREAM", "XADD s DELAY 1000 * n 1") as (broker, client):
        reader = await broker.client()
        await reader.send("XREADGROUP GROUP g c BLOCK 0 STREAMS s >")
        other = await broker.client()
        await other.send("XREAD BLOCK 0 STREAMS s $")
        began = trio.current_time()
        for each in (reader, other):
            assert b"$1\r\nn\r\n$1\r\n1\r\n" in await each.receive()
        assert trio.current_time() - began == pytest.approx(1, abs=0.01)
        assert await client.call("XLEN s") == b":1\r\n"


async def test_ties_are_in_the_order_of_their_requests(autojump_clock: MockClock) -> None:
    async with governing() as (_, client):
        for number in range(300):
            await client.call("XADD", "s", "AT", START + 2000, "*", "x" * (300 - number), number)
        await trio.sleep(3)
        assert await values(client) == [str(number) for number in range(300)]


async def test_options_are_those_of_the_time_when_it_is_due(autojump_clock: MockClock) -> None:
    setup = (
        "XADD s DELAY 100 MAXLEN 2 * n 4", "XADD s NOMKSTREAM DELAY 50 * n 0", "XADD none NOMKSTREAM DELAY 50 * n 0",
        "XADD s * n 1", "XADD s * n 2", "XADD s * n 3",
    )  # fmt: skip
    async with governing(*setup) as (broker, client):
        effects = journal(broker.broker)
        await trio.sleep(0.06)
        assert await values(client) == ["1", "2", "3", "0"]
        await trio.sleep(0.06)
        assert await values(client) == ["0", "4"]
        assert await client.call("EXISTS none") == b":0\r\n"
        assert await stats(client) == ["0", "2"]
        plain = [words for _, words in effects if words[0] == b"XADD"]
        assert plain == [
            [b"XADD", b"s", b"NOMKSTREAM", b"1700000000050-0", b"n", b"0"],
            [b"XADD", b"s", b"MAXLEN", b"2", b"1700000000100-0", b"n", b"4"],
        ]


async def test_effects_are_one_unit(autojump_clock: MockClock) -> None:
    async with governing("SELECT 3") as (broker, client):
        units: list[Unit] = []
        broker.broker.keyspace.effects.sinks.append(units.append)
        await client.call("XADD s DELAY 100 * n 1")
        await client.call("XADD s DELAY 100 MAXLEN 5 * n 2")
        await trio.sleep(0.2)
        key, due = SET.encode(), b"%d" % (START + 100)
        first, second = pack(1, [b"n", b"1"], []), pack(2, [b"n", b"2"], [b"MAXLEN", b"5"])
        assert units == [
            [(3, [b"ZADD", key, due, first])],
            [(3, [b"ZADD", key, due, second])],
            [
                (3, [b"XADD", b"s", due + b"-0", b"n", b"1"]),
                (3, [b"XADD", b"s", b"MAXLEN", b"5", due + b"-1", b"n", b"2"]),
                (3, [b"ZREMRANGEBYRANK", key, b"0", b"1"]),
            ],
        ]
        assert await values(client) == ["1", "2"]


@pytest.mark.parametrize("stream", ["", "XADD s 5 n old", f"XADD s {START + 60_000}-18446744073709551600 n old"])
async def test_runs_of_plain_entries_are_added_as_by_xadd(stream: str, autojump_clock: MockClock) -> None:
    setup = [line for line in (stream, f"ZADD {SET} {START + 50_000} nonsense") if line]
    # Events are announced for each entry, so there is an XADD for each.
    async with governing(*setup) as runs, governing(*setup, "CONFIG SET notify-keyspace-events KEAp") as single:
        effects = [journal(broker.broker) for broker, _ in (runs, single)]
        for _, client in (runs, single):
            for number in range(250):
                fields = ("n", number) if number % 60 else ("other", "x" * 400, "n", number)
                options = {70: ("MAXLEN", 40), 150: ("NOMKSTREAM",)}.get(number, ())
                await client.send("XADD", "s", "AT", START + 50_000, *options, "*", *fields)
            for _ in range(250):
                assert (await client.receive()).startswith(b"$")
            await client.call("WATCH s")
        await trio.sleep(51)
        assert await _outcome(*runs) == await _outcome(*single)
        assert effects[0] == effects[1]


async def _outcome(broker: Broker, client: Client) -> list[object]:
    await client.call("MULTI")
    assert await client.call("EXEC") == b"*-1\r\n"
    changes = [line for line in (await client.text("INFO persistence")).split("\r\n") if "changes" in line]
    whole = await client.call("XINFO STREAM s FULL COUNT 0")
    left = await client.call(f"ZRANGE {SET} 0 -1 WITHSCORES")
    return [whole, left, changes, broker.broker.keyspace.effects.position, await stats(client)]


async def test_events_watches_and_waiting_clients(autojump_clock: MockClock) -> None:
    async with governing("CONFIG SET notify-keyspace-events KEAp") as (broker, client):
        listener = await broker.client()
        await listener.send("PSUBSCRIBE __keyevent@0__:*")
        await listener.receive()
        await client.call("XADD s DELAY 100 * n 1")
        await client.call("WATCH s")
        await trio.sleep(0.2)
        await client.call("MULTI")
        assert await client.call("EXEC") == b"*-1\r\n"
        seen = []
        for _ in range(5):
            push = parse(await listener.receive())
            seen.append((push.items[2].text.partition(b":")[2], push.items[3].text))
        key = SET.encode()
        assert seen == [(b"zadd", key), (b"xadd", b"s"), (b"zrem", key), (b"del", key), (b"deliver", b"s")]


async def test_a_bounded_number_is_added_at_a_time(autojump_clock: MockClock) -> None:
    async with governing() as (broker, client):
        count = ADDED_AT_ONCE + 200
        for name in ("s", "t"):
            for number in range(count):
                await client.send("XADD", name, "AT", START + 5000, "*", "n", number)
        for _ in range(2 * count):
            await client.receive()
        delayed = broker.broker.delayed
        units: list[int] = []
        broker.broker.keyspace.effects.sinks.append(lambda unit: units.append(len(unit) - 1))
        await trio.sleep(6)
        # Each stream gets its share.
        assert units == [500, 500, 500, 500, 200, 200]
        assert await values(client, "s") == await values(client, "t") == [str(number) for number in range(count)]
        assert delayed.count() == 0


@pytest.mark.parametrize("files", ["append-only", "snapshot"])
async def test_restart(files: str, tmp_path: Path, autojump_clock: MockClock) -> None:
    directives = {"dir": str(tmp_path), "stream-extensions": "yes", "save": ""}
    directives["appendonly"] = "yes" if files == "append-only" else "no"
    clock = TrioClock()
    async with running(directives, clock=clock) as broker:
        client = await broker.client()
        for number in (3, 1, 2):
            await client.call("XADD", "s", "AT", START + 1_000_000 * number, "*", "n", number)
        if files == "snapshot":
            await client.call("SAVE")
    await trio.sleep(2500)
    async with running(directives, clock=clock) as broker:
        client = await broker.client()
        await trio.sleep(0.01)
        assert await values(client) == ["1", "2"]
        assert await stats(client) == ["1", "2"]
        # Numbers go on.
        assert (await client.call("XADD s DELAY 900000 * n 4")).endswith(b"-4\r\n")
        await trio.sleep(1000)
        assert await values(client) == ["1", "2", "3", "4"]


async def test_a_replica_does_nothing_until_it_is_promoted(autojump_clock: MockClock) -> None:
    async with governing("XADD s DELAY 1000 * n 1", "XADD s DELAY 2000 * n 2") as (broker, client):
        broker.broker.role.follow(Address("127.0.0.1", 1))
        await trio.sleep(5)
        assert await client.call(f"ZCARD {SET}") == b":2\r\n"
        broker.broker.role.promote()
        await trio.sleep(0.01)
        assert await values(client) == ["1", "2"]


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("CLIENT PAUSE 100000 WRITE", "CLIENT UNPAUSE"),
        ("CONFIG SET import-mode yes", "CONFIG SET import-mode no"),
    ],
)
async def test_nothing_is_added_while_the_broker_may_not_act(begin: str, end: str, autojump_clock: MockClock) -> None:
    async with governing("XADD s DELAY 100 * n 1") as (_, client):
        assert await client.call(begin) == b"+OK\r\n"
        await trio.sleep(5)
        assert await client.call("EXISTS s") == b":0\r\n"
        assert await client.call(end) == b"+OK\r\n"
        await trio.sleep(0.06)
        assert await values(client) == ["1"]


async def test_a_key_of_another_type_takes_entries_later(autojump_clock: MockClock) -> None:
    setup = ("XADD s DELAY 100 * n 1", "XADD s DELAY 200 * n 2", "SET s text", "XADD t DELAY 5000 * n 1")
    async with governing(*setup) as (_, client):
        await trio.sleep(5.1)
        assert await client.call(f"ZCARD {SET}") == b":2\r\n"
        assert await values(client, "t") == ["1"]
        await client.call("DEL s")
        await trio.sleep(1.1)
        assert await values(client) == ["1", "2"]


async def test_a_stream_that_is_full_takes_entries_later(autojump_clock: MockClock) -> None:
    setup = ("XCFGSET s MAXLEN 1 DISCARD NEW", "XADD s 1-1 n 0", "XADD s DELAY 100 * n 1", "XADD s DELAY 200 * n 2")
    async with governing(*setup) as (_, client):
        await trio.sleep(3)
        assert await values(client) == ["0"]
        await client.call("XDEL s 1-1")
        await trio.sleep(1.1)
        assert await values(client) == ["1"]
        await client.call("XCFGSET s DISCARD OLD")
        await trio.sleep(1.1)
        assert await values(client) == ["2"]


async def test_members_that_are_no_entries_stay_and_are_passed_over(autojump_clock: MockClock) -> None:
    async with governing() as (broker, client):
        effects = journal(broker.broker)
        await client.call(f"ZADD {SET} 5 nonsense {START} 12345678abc -inf x")
        await client.call("XADD s DELAY 100 * n 1")
        await client.call(b"ZADD", SET.encode(), b"7", pack(9, [b"n", b"1"], [b"MAXLEN", b"x"]))
        await client.call(b"ZADD", SET.encode(), b"7.5", pack(9, [b"n", b"1"], [b"5-5"]))
        await client.call(b"ZADD", SET.encode(), b"1e300", pack(9, [b"n", b"2"], []))
        await trio.sleep(3)
        assert await values(client) == ["1"]
        assert await client.call(f"ZCOUNT {SET} +inf +inf") == b":5\r\n"
        assert await client.call(f"ZCARD {SET}") == b":6\r\n"
        assert sum(line.startswith(f"ZADD {SET} inf ") for line in map(_latin, effects)) == 5
        assert await client.call("XADD s DELAY 100 * n 3")
        await trio.sleep(0.2)
        assert await values(client) == ["1", "3"]


def _latin(effect: tuple[int, list[bytes]]) -> str:
    return b" ".join(effect[1]).decode("latin-1")


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("DEL {set}", []),
        ("UNLINK {set}", []),
        ("FLUSHALL", []),
        ("RENAME {set} elsewhere", []),
        ("ZREMRANGEBYRANK {set} 0 0", ["2"]),
        ("ZADD {set} XX 1700000001500 {first}", ["2", "1"]),
        ("EXPIRE {set} 0", []),
        ("COPY {set} other; DEL {set}; RENAME other {set}", ["1", "2"]),
        ("SWAPDB 0 1; SWAPDB 0 1", ["1", "2"]),
        ("MOVE {set} 1", []),
    ],
)
async def test_clients_may_change_the_set(change: str, left: list[str], autojump_clock: MockClock) -> None:
    async with governing("XADD s DELAY 100 * n 1", "XADD s DELAY 200 * n 2") as (broker, client):
        for line in change.split("; "):
            words = [word.encode() for word in line.format(set=SET, first="FIRST").split()]
            words = [pack(1, [b"n", b"1"], []) if word == b"FIRST" else word for word in words]
            assert not (await client.call(*words)).startswith(b"-"), line
        await trio.sleep(3)
        assert await values(client) == left
        assert broker.broker.delayed.count() == 0


@pytest.mark.parametrize(
    "change",
    [
        "RENAME {set} ~delayed:{{t}}:t",
        "RENAMENX {set} ~delayed:{{t}}:t",
        "COPY {set} ~delayed:{{t}}:t",
        "RENAME {set} plain; RENAME plain ~delayed:{{t}}:t",
        "RENAME {set} ~delayed:{{t}}:t; MOVE ~delayed:{{t}}:t 1; SELECT 1",
        "RESTORE ~delayed:{{t}}:t 0 PAYLOAD; DEL {set}",
    ],
)
async def test_sets_that_get_another_name(change: str, autojump_clock: MockClock) -> None:
    async with governing("XADD s DELAY 100 * n 1", "XADD s DELAY 200 * n 2") as (_, client):
        payload = parse(await client.call(f"DUMP {SET}")).text
        for line in change.split("; "):
            words = [word.encode() for word in line.format(set=SET).split()]
            words = [payload if word == b"PAYLOAD" else word for word in words]
            assert not (await client.call(*words)).startswith(b"-"), line
        await trio.sleep(0.3)
        assert await values(client, "t") == ["1", "2"]
        assert await values(client) == (["1", "2"] if change.startswith("COPY") else [])


async def test_another_type_in_place_of_the_set(autojump_clock: MockClock) -> None:
    async with governing("XADD s DELAY 100 * n 1", f"SET {SET} text") as (_, client):
        await trio.sleep(0.3)
        assert await client.call("EXISTS s") == b":0\r\n"
        assert (await client.call("XADD s DELAY 100 * n 1")).startswith(b"-WRONGTYPE")
        assert (await client.call("XDEL s @1-1")) == b":0\r\n"
        await client.call(f"DEL {SET}")
        assert (await client.call("XADD s DELAY 100 * n 1")).startswith(b"$")
        await trio.sleep(0.3)
        assert await values(client) == ["1"]


async def test_members_with_the_highest_numbers(autojump_clock: MockClock) -> None:
    async with governing() as (_, client):
        await client.call(b"ZADD", SET.encode(), b"%d" % (START + 100), b"\xff" * 8 + b"\x92\xa1n\xa12")
        taken = pack(2, [b"n", b"1"], [])
        await client.call(b"ZADD", SET.encode(), b"%d" % (START + 50), taken)
        assert (await client.call("XADD s DELAY 100 * n 1")).endswith(b"-3\r\n")
        await trio.sleep(0.3)
        assert await values(client) == ["1", "1", "2"]


async def test_an_unexpected_error_costs_only_its_entry(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = DECLARED[b"xadd"]
    xadd = declared.handler

    def failing(session: Session, args: list[bytes]) -> bytes:
        if args[-1] == b"2":
            raise ZeroDivisionError
        return xadd(session, args)

    monkeypatch.setattr(declared, "handler", failing)
    async with governing(*(f"XADD s DELAY 100 KEEPREF * n {number}" for number in (1, 2, 3))) as (_, client):
        await trio.sleep(0.3)
        assert await values(client) == ["1", "3"]
        assert await client.call(f"ZCARD {SET}") == b":1\r\n"


async def test_without_extensions_delayed_entries_are_only_data(autojump_clock: MockClock) -> None:
    async with governing(stream_extensions="no") as (broker, client):
        await client.call(b"ZADD", delayed_key(b"s"), b"5", pack(1, [b"n", b"1"], []))
        broker.broker.policies.reload()
        await trio.sleep(2)
        assert await client.call("EXISTS s") == b":0\r\n"
        assert "delayed" not in await client.text("INFO stats")
