"""Access times and counters: recorded only where needed, kept with the keys, and what the policies make of them."""

from pathlib import Path

import pytest
import trio
import trio.testing

from broker.broker import Broker
from broker.keyspace.access import FREQUENCY_MAX, LFU, LRM, LRU, NEW_FREQUENCY
from broker.keyspace.database import Database
from broker.process.clock import TrioClock
from tests.broker.inprocess import running
from tests.broker.keyspace.keyspaces import SetClock
from tests.broker.sessions import make_broker, make_session, run

START = 1_700_000_000_500


def broker_with(policy: str = "noeviction", **directives: object) -> tuple[Broker, SetClock]:
    clock = SetClock()
    clock.now = START
    return make_broker(clock, maxmemory_policy=policy, **directives), clock


def idle(broker: Broker, key: bytes) -> int:
    return broker.access.idle_seconds(broker.keyspace.databases[0], key)


def frequency(broker: Broker, key: bytes) -> int:
    return broker.access.frequency(broker.keyspace.databases[0], key)


@pytest.mark.parametrize("policy", ["noeviction", "allkeys-random", "volatile-ttl"])
def test_nothing_is_recorded_until_somebody_asks(policy: str) -> None:
    broker, clock = broker_with(policy)
    db = broker.keyspace.databases[0]
    session = make_session(broker)
    run(session, "SET k v", "GET k")
    assert type(db) is Database and db.get == db.data.get and not db.last_access
    clock.now += 60_000
    assert idle(broker, b"k") == 0  # there were accesses, nobody knows when
    clock.now += 7_000
    assert idle(broker, b"k") == 7
    run(session, "GET k")
    assert idle(broker, b"k") == 0 and broker.access.recorded == LRU


@pytest.mark.parametrize("last", ["SET k v", "GET other", "RPUSH l x", "DEL other"])
def test_the_first_question_counts_from_the_last_access_to_any_key(last: str) -> None:
    broker, clock = broker_with()
    session = make_session(broker)
    run(session, "SET k v", "SET other v")
    broker.access.sample()
    clock.now += 30_000
    run(session, last)
    clock.now += 500
    broker.access.sample()
    clock.now += 60_000
    run(session, "PING", "GET missing")
    broker.access.sample()
    assert run(session, "OBJECT IDLETIME k") == b":60\r\n"
    clock.now += 5_000
    assert run(session, "OBJECT IDLETIME k") == b":65\r\n"


def test_the_first_question_right_after_an_access() -> None:
    broker, clock = broker_with()
    session = make_session(broker)
    run(session, "SET k v")
    broker.access.sample()
    clock.now += 60_000
    assert run(session, "SET k w", "OBJECT IDLETIME k") == b"+OK\r\n:0\r\n"


@pytest.mark.parametrize("counter_set_back", ["CONFIG RESETSTAT", "SAVE"])
def test_the_first_question_after_counters_were_set_back(counter_set_back: str, tmp_path: Path) -> None:
    """As much is counted since as before: a busy broker is not taken for one that was idle all the time."""
    broker, clock = broker_with(dir=str(tmp_path))
    session = make_session(broker)
    run(session, "SET k v", "GET k")
    broker.access.sample()
    clock.now += 60_000
    run(session, counter_set_back, "SET k v" if counter_set_back == "SAVE" else "GET k")
    assert run(session, "OBJECT IDLETIME k") == b":0\r\n"


async def test_keys_that_were_loaded_count_from_the_start(autojump_clock: trio.testing.MockClock) -> None:
    async with running(clock=TrioClock()) as broker:
        broker.broker.keyspace.databases[0].data[b"k"] = b"v"
        client = await broker.client()
        await trio.sleep(100)
        assert 98 <= int((await client.call("OBJECT IDLETIME k"))[1:]) <= 100
        await client.call("GET k")
        assert await client.call("OBJECT IDLETIME k") == b":0\r\n"


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru"])
def test_lru_records_lookups_and_stores(policy: str) -> None:
    broker, clock = broker_with(policy)
    session = make_session(broker)
    for command in ("SET k w", "GET k", "APPEND k x", "SETRANGE k 0 y", "STRLEN k", "EXPIRE k 100", "TOUCH k"):
        run(session, "SET k v")
        clock.now += 10_000
        run(session, command)
        assert idle(broker, b"k") == 0, command
    for command in ("EXISTS k", "TYPE k", "TTL k", "OBJECT ENCODING k", "MEMORY USAGE k", "DEBUG OBJECT k", "SCAN 0"):
        run(session, "SET k v")
        clock.now += 10_000
        run(session, command)
        assert idle(broker, b"k") == 10, command


def test_idle_times_are_whole_seconds_of_the_clock() -> None:
    broker, clock = broker_with("allkeys-lru")
    run(make_session(broker), "SET k v")
    clock.now += 499
    assert idle(broker, b"k") == 0
    clock.now += 1
    assert idle(broker, b"k") == 1
    clock.now -= 5_000  # the wall clock was set back
    assert idle(broker, b"k") == 0


def test_lrm_records_changes_only() -> None:
    broker, clock = broker_with("allkeys-lrm")
    session = make_session(broker)
    run(session, "RPUSH k a b c", "SET s v")
    clock.now += 10_000
    run(session, "LRANGE k 0 -1", "GET s", "TOUCH k")
    assert broker.access.recorded == LRM and idle(broker, b"k") == idle(broker, b"s") == 10
    run(session, "LPOP k", "APPEND s x")
    assert idle(broker, b"k") == idle(broker, b"s") == 0
    run(session, "DEL k")
    assert set(broker.keyspace.databases[0].last_access) == {b"s"}


def test_the_record_goes_with_the_key() -> None:
    broker, clock = broker_with("allkeys-lru")
    zero, one = broker.keyspace.databases[0], broker.keyspace.databases[1]
    session = make_session(broker)
    run(session, "SET a v", "SET b v", "SET c v PX 10", "SET d v", "RPUSH l x", "SELECT 1", "SET other v", "SELECT 0")
    clock.now += 10_000
    broker.keyspace.expire_due()
    run(session, "DEL a", "RENAME b b2", "MOVE d 1", "LPOP l")
    assert set(zero.last_access) == set(zero.data) == {b"b2"}
    assert set(one.last_access) == set(one.data) == {b"d", b"other"}
    assert idle(broker, b"b2") == 0
    run(session, "SWAPDB 0 1")
    assert set(zero.last_access) == {b"d", b"other"} and idle(broker, b"other") == 10
    run(session, "GET other")
    assert idle(broker, b"other") == 0
    run(session, "FLUSHALL", "SET new v", "GET new")
    assert set(zero.last_access) == {b"new"} and not one.last_access


def test_overdue_keys_are_not_seen_by_recording_lookups() -> None:
    broker, clock = broker_with("allkeys-lru")
    broker.keyspace.set_active_expiry(False)
    session = make_session(broker)
    run(session, "SET k v PX 10")
    clock.now += 20
    assert run(session, "GET k") == b"$-1\r\n"
    assert not broker.keyspace.databases[0].last_access


def test_no_touch() -> None:
    broker, clock = broker_with("allkeys-lru")
    session, other = make_session(broker), make_session(broker)
    run(session, "SET k v", "CLIENT NO-TOUCH ON")
    clock.now += 10_000
    run(session, "GET k", "SET k w", "MULTI", "GET k", "EXEC")
    assert idle(broker, b"k") == 10
    run(session, "SET new v")
    assert idle(broker, b"new") == 0
    run(session, "TOUCH k")
    assert idle(broker, b"k") == 0
    clock.now += 10_000
    run(other, "GET k")
    assert idle(broker, b"k") == 0
    clock.now += 10_000
    run(session, "RESET", "GET k")
    assert idle(broker, b"k") == 0 and not session.flags


def test_counters_grow_ever_more_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, _ = broker_with("allkeys-lfu")
    session = make_session(broker)
    drawn = 0.0
    monkeypatch.setattr("broker.keyspace.access.random", lambda: drawn)
    run(session, "SET k v")
    assert frequency(broker, b"k") == NEW_FREQUENCY
    drawn = 0.999
    run(session, "GET k")
    assert frequency(broker, b"k") == 6  # the first step is certain
    run(session, "GET k")
    assert frequency(broker, b"k") == 6
    drawn = 1 / 12  # the second has a chance of 1 in 11
    run(session, "GET k")
    assert frequency(broker, b"k") == 7
    run(session, "GET k")  # and the third one of 1 in 21
    assert frequency(broker, b"k") == 7
    drawn = 0.0
    for _ in range(260):
        run(session, "GET k")
    assert frequency(broker, b"k") == FREQUENCY_MAX


def test_counters_fall_with_time() -> None:
    broker, clock = broker_with("allkeys-lfu", lfu_log_factor=0)
    session = make_session(broker)
    run(session, "SET k v", *["GET k"] * 10)
    clock.now += 3 * 60_000
    assert frequency(broker, b"k") == 12
    broker.config.lfu_decay_time = 2
    assert frequency(broker, b"k") == 14
    broker.config.lfu_decay_time = 0
    assert frequency(broker, b"k") == 15
    broker.config.lfu_decay_time = 1
    run(session, "GET k")
    assert frequency(broker, b"k") == 13  # what it lost is lost
    clock.now += 60 * 60_000
    assert frequency(broker, b"k") == 0


def test_counters_of_a_minute_are_the_same_objects() -> None:
    broker, _ = broker_with("allkeys-lfu")
    run(make_session(broker), "SET a v", "SET b v")
    stamps = broker.keyspace.databases[0].last_access
    assert stamps[b"a"] is stamps[b"b"]


def test_setting() -> None:
    broker, _ = broker_with()
    db = broker.keyspace.databases[0]
    run(make_session(broker), "SET k v")
    broker.access.set_idle(db, b"k", 1000)
    assert broker.access.recorded == LRU and idle(broker, b"k") == 1000
    broker.access.set_frequency(db, b"k", 200)  # not what is recorded
    assert idle(broker, b"k") == 1000
    broker.access.follow("allkeys-lfu")
    assert broker.access.recorded == LFU and frequency(broker, b"k") == 0  # of which nothing is known
    broker.access.set_frequency(db, b"k", 200)
    broker.access.set_idle(db, b"k", 1000)
    assert frequency(broker, b"k") == 200


def test_a_policy_of_the_same_kind_keeps_the_record() -> None:
    broker, clock = broker_with("allkeys-lru")
    run(make_session(broker), "SET k v")
    clock.now += 10_000
    for policy in ("volatile-lru", "allkeys-random"):
        broker.access.follow(policy)
    broker.access.follow("volatile-lru")
    # Nothing was recorded in between, as nobody had asked.
    assert idle(broker, b"k") == 0
    clock.now += 10_000
    broker.access.follow("noeviction")
    assert idle(broker, b"k") == 10
