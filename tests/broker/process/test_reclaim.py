"""Large values freed in slices."""

import gc
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from broker.process.reclaim import Reclaimer
from broker.values.hash import Hash
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from broker.values.streams.delivery import Consumer
from broker.values.streams.group import Group
from broker.values.streams.stream import Stream
from tests.broker.inprocess import running
from tests.broker.sessions import make_broker, make_session, run
from tests.twins import pure_module


class Turns:
    """Stands for the timers: each call of `turn` is one."""

    def __init__(self) -> None:
        self.actions: deque[Callable[[], None]] = deque()

    def turn(self) -> None:
        self.actions.popleft()()


class Mark(bytes):
    """An element whose freeing is counted."""

    freed = 0

    def __del__(self) -> None:
        Mark.freed += 1


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def _sorted_set(members: list[Mark]) -> SortedSet:
    value = SortedSet()
    for score, member in enumerate(members):
        value.put(member, float(score))
    return value


# The compiled ones take no elements of another class.
PURE_LIST: Any = pure_module("broker.values.list").List
PURE_HASH: Any = pure_module("broker.values.hash").Hash


@pytest.mark.parametrize(
    "make",
    [
        PURE_LIST,
        lambda members: PURE_HASH((member, member) for member in members),
        lambda members: Set(dict.fromkeys(members)),
        _sorted_set,
        lambda members: {b"%d" % n: PURE_LIST(members[n::100]) for n in range(100)},
    ],
    ids=["list", "hash", "set", "sorted set", "database"],
)
def test_everything_is_freed_over_several_turns(make: Callable[[list[Mark]], Any], no_collector: None) -> None:
    members = [Mark(b"%d" % n) for n in range(60_000)]
    Mark.freed = 0
    value = make(members)
    del members
    turns = Turns()
    reclaimer = Reclaimer(turns.actions.append)
    reclaimer.take(value)
    del value
    assert reclaimer.pending and not Mark.freed
    count = 0
    while turns.actions:
        turns.turn()
        count += 1
    assert Mark.freed == 60_000
    assert not reclaimer.pending
    assert count > 1


def test_a_compiled_hash_is_taken_apart() -> None:
    value = Hash({b"%d" % n: b"x" for n in range(100_000)})
    turns = Turns()
    reclaimer = Reclaimer(turns.actions.append)
    reclaimer.take(value)
    del value
    count = 0
    while turns.actions:
        turns.turn()
        count += 1
    assert not reclaimer.pending and count > 1


def _group(count: int) -> Group:
    group = Group(b"g", 0)
    consumer = group.create_consumer(b"c", 0)
    for id in range(1, count + 1):
        group.deliver(consumer, [id], 0)
    return group


def _stream(count: int) -> Stream:
    """One of a hundred entries, whose only group has all that is large."""
    stream = Stream()
    for id in range(1, 101):
        stream.append(id, [b"f", b"v"])
    stream.groups[b"g"] = _group(count)
    return stream


def _consumers(count: int) -> dict[bytes, Consumer]:
    return _group(count).consumers


@pytest.mark.parametrize("make", [_group, _stream, _consumers])
def test_groups_are_taken_apart_compiled_or_not(make: Callable[[int], Any]) -> None:
    value = make(50_000)
    turns = Turns()
    reclaimer = Reclaimer(turns.actions.append)
    reclaimer.take(value)
    del value
    assert reclaimer.pending
    count = 0
    while turns.actions:
        turns.turn()
        count += 1
    assert count > 1
    assert not reclaimer.pending


def test_small_values_need_no_turn() -> None:
    turns = Turns()
    reclaimer = Reclaimer(turns.actions.append)
    reclaimer.take(b"x" * 1_000_000)
    reclaimer.take(List([b"a"]))
    assert not turns.actions


def test_what_somebody_uses_is_left_alone() -> None:
    turns = Turns()
    reclaimer = Reclaimer(turns.actions.append)
    used = List([b"%d" % n for n in range(1000)])
    reclaimer.take(used)
    while turns.actions:
        turns.turn()
    assert len(used) == 1000


@pytest.mark.parametrize("command", ["UNLINK k", "FLUSHALL", "FLUSHDB ASYNC"])
async def test_commands_hand_large_values_over(command: str) -> None:
    async with running() as b:
        client = await b.client()
        for n in range(100):
            await client.call("SET", f"other{n}", "v")
        await client.call("RPUSH", "k", *map(str, range(1000)))
        b.broker.reclaimer._later = lambda action: None
        await client.call(command)
        assert b.broker.reclaimer.pending == 1
        assert await client.call("EXISTS k") == b":0\r\n"


async def test_a_consumer_group_is_handed_over() -> None:
    async with running() as b:
        client = await b.client()
        await client.call("XGROUP CREATE k g 0 MKSTREAM")
        for _ in range(100):
            await client.call("XADD k * f v")
        await client.call("XREADGROUP GROUP g c STREAMS k >")
        b.broker.reclaimer._later = lambda action: None
        assert await client.call("XGROUP DESTROY k g") == b":1\r\n"
        assert b.broker.reclaimer.pending == 1


def test_a_dict_that_has_been_large_is_handed_over() -> None:
    large = dict.fromkeys(range(100_000))
    for number in range(99_999):
        del large[number]
    turns = Turns()
    reclaimer = Reclaimer(turns.actions.append)
    reclaimer.take(large)
    assert reclaimer.pending


@pytest.mark.parametrize(
    "command",
    [
        "SET k v",
        "SET k v XX",
        "SET k v KEEPTTL",
        "SETEX k 100 v",
        "MSET k v other1 v",
        "MSETEX 1 k v EX 100",
        "SUNIONSTORE k s",
        "SDIFFSTORE k s s",
        "ZRANGESTORE k z 0 -1",
        "SORT s STORE k",
        "BITOP NOT k none",
        "PEXPIREAT k 1",
        "RENAME s k",
        "COPY s k REPLACE",
    ],
)
async def test_what_overwrites_a_large_value_hands_it_over(command: str) -> None:
    async with running() as b:
        client = await b.client()
        await client.call("SADD s 1 2 3")
        await client.call("ZADD z 1 a")
        await client.call("RPUSH", "k", *map(str, range(1000)))
        b.broker.reclaimer._later = lambda action: None
        assert not (await client.call(command)).startswith(b"-")
        assert b.broker.reclaimer.pending == 1


@pytest.mark.parametrize("active", [True, False])
async def test_a_large_value_that_expires_is_handed_over(active: bool) -> None:
    async with running() as b:
        client = await b.client()
        await client.call("RPUSH", "k", *map(str, range(1000)))
        await client.call("PEXPIRE k 1000000")
        b.broker.reclaimer._later = lambda action: None
        b.broker.keyspace.set_active_expiry(active)
        b.broker.clock.now += 1000010
        b.broker.keyspace.expire_due()
        assert b.broker.keyspace.databases[0].get(b"k") is None
        assert b.broker.reclaimer.pending == 1


def test_a_moved_value_is_left_alone() -> None:
    broker = make_broker()
    turns = Turns()
    broker.reclaimer._later = turns.actions.append
    session = make_session(broker)
    run(session, [b"RPUSH", b"k", *[b"%d" % n for n in range(1000)]], "RENAME k new", "MOVE new 1", "SELECT 1")
    while turns.actions:
        turns.turn()
    assert run(session, "LLEN new") == b":1000\r\n"


def test_the_last_elements_leave_nothing_to_free() -> None:
    broker = make_broker()
    session = make_session(broker)
    run(session, [b"RPUSH", b"k", *[b"%d" % n for n in range(1000)]], "LPOP k 1000")
    assert not broker.reclaimer.pending


async def test_a_large_stream_is_taken_apart() -> None:
    async with running() as b:
        client = await b.client()
        for n in range(500):
            await client.call("XADD", "k", f"{n + 1}-0", "field", "value")
        turns = Turns()
        b.broker.reclaimer._later = turns.actions.append
        assert await client.call("UNLINK k") == b":1\r\n"
        assert (b.broker.reclaimer.pending, b.broker.reclaimer.freed) == (1, 0)
        while turns.actions:
            turns.turn()
        assert (b.broker.reclaimer.pending, b.broker.reclaimer.freed) == (0, 1)
