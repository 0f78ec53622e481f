"""Databases: lookups, changes and who is told of them, expiry, whole-database operations."""

from collections.abc import Callable
from functools import partial

import pytest

from broker.keyspace.effects import Effects
from broker.keyspace.events import EXPIRED_CLASS, GENERIC, KEY_MISS, NEW, OVERWRITTEN, TYPE_CHANGED, Event
from broker.keyspace.expiry import EXPIRE_BATCH
from broker.keyspace.keyspace import FEW_FIELD_DEADLINES, MANY_DATABASES, Database, Keyspace, type_name
from broker.process.clock import Clock
from broker.process.timers import Deadlines, Timer
from broker.values.deadline_queue import NEVER
from broker.values.hash import Hash
from broker.values.list import List
from protocol.errors import WRONG_TYPE, CommandError
from tests.broker.direct import Client, bulks
from tests.broker.keyspace.keyspaces import Heard, failing, make_keyspace
from tests.broker.sessions import make_broker, make_session

TOUCHED = Event(GENERIC, b"touched")


class SetClock(Clock):
    """A clock that the test sets."""

    def update(self) -> int:
        return self.now

    def read(self) -> int:
        return self.now

    def trio_deadline(self, wall_ms: int) -> float:
        return wall_ms / 1000


@pytest.fixture
def clock() -> SetClock:
    running = SetClock()
    running.now = 1_000_000
    return running


@pytest.fixture
def heard() -> Heard:
    return []


@pytest.fixture
def keyspace(clock: SetClock, heard: Heard) -> Keyspace:
    """Three databases whose events are kept."""
    return make_keyspace(clock, heard=heard)


@pytest.fixture
def db(keyspace: Keyspace) -> Database:
    return keyspace.databases[0]


def test_lookups_count(keyspace: Keyspace, db: Database) -> None:
    db.add(b"k", b"v")
    assert db.get(b"k") == db.read(b"k") == b"v" and db.get(b"none") is None and db.read(b"none") is None
    assert (keyspace.hits, keyspace.misses) == (1, 1)


def test_lookups_of_a_type(db: Database) -> None:
    values = List([b"a"])
    db.add(b"l", values)
    db.add(b"s", b"text")
    assert db.get_as(b"l", List) is db.read_as(b"l", List) is values
    assert db.get_as(b"none", List) is None and db.read_as(b"none", List) is None
    for look in (db.get_as, db.read_as):
        with pytest.raises(CommandError) as caught:
            look(b"s", List)
        assert caught.value.text == WRONG_TYPE


def test_type_names() -> None:
    assert [type_name(value) for value in (b"", bytearray(), List([]))] == ["string", "string", "list"]


def test_a_miss_sends_keymiss(keyspace: Keyspace, db: Database, heard: Heard) -> None:
    keyspace.event_mask = KEY_MISS
    db.read(b"k")
    db.read_as(b"k", List)
    db.get(b"k")
    assert heard == [(b"keymiss", b"k", 0)] * 2


def test_setting_drops_the_deadline(db: Database) -> None:
    db.add(b"k", b"v")
    db.expire_at(b"k", 2_000_000)
    db.set_keeping_deadline(b"k", b"w")
    assert db.deadline(b"k") == 2_000_000
    db.set(b"k", b"x")
    assert db.deadline(b"k") is None and db.get(b"k") == b"x"


def test_deleting(db: Database) -> None:
    db.add(b"k", b"")
    db.expire_at(b"k", 2_000_000)
    assert db.delete(b"k") is True and db.delete(b"k") is False
    assert db.deadline(b"k") is None


def test_what_setting_announces(keyspace: Keyspace, db: Database, heard: Heard) -> None:
    keyspace.event_mask = NEW | OVERWRITTEN | TYPE_CHANGED
    db.set(b"k", b"v")
    db.set(b"k", b"w")
    db.set(b"k", List([b"a"]))
    db.set_keeping_deadline(b"k", bytearray(b"x"))
    db.set(b"k", b"y")
    db.add(b"j", b"z")
    assert [name for name, _, _ in heard] == [
        b"new", b"overwritten", b"overwritten", b"type_changed", b"overwritten", b"type_changed", b"overwritten",
        b"new",
    ]  # fmt: skip


def test_changes_are_counted_and_announced(keyspace: Keyspace, db: Database, heard: Heard) -> None:
    keyspace.event_mask = GENERIC
    db.changed(b"k", TOUCHED)
    db.changed(b"k", TOUCHED, 3)
    db.touch(b"k", 2)
    db.notify(TOUCHED, b"k")
    assert keyspace.dirty == 6
    assert heard == [(b"touched", b"k", 0)] * 3
    keyspace.event_mask = 0
    db.changed(b"k", TOUCHED)
    assert len(heard) == 3


def test_changes_reach_those_who_watch_and_wait() -> None:
    broker = make_broker()
    db = broker.keyspace.databases[0]
    watching, waiting = make_session(broker), make_session(broker)
    for change in (partial(db.changed, b"k", TOUCHED), partial(db.touch, b"k")):
        db.watchers[b"k"] = {watching}
        db.waiters[b"k"] = {waiting: None}
        change()
        assert watching.watch_broken and list(broker.keyspace.ready) == [(db, b"k")]
        watching.watch_broken = False
        broker.keyspace.ready.clear()


# Expiry


def test_keys_that_are_due_go(keyspace: Keyspace, db: Database, clock: SetClock, heard: Heard) -> None:
    keyspace.event_mask = EXPIRED_CLASS
    effects: list[Effects] = []
    keyspace.propagation.sinks.append(effects.append)
    for name, deadline in ((b"a", 1_000_010), (b"b", 1_000_020), (b"c", 1_000_030)):
        db.add(name, b"v")
        db.expire_at(name, deadline)
    clock.now = 1_000_020
    keyspace.expire_due()
    assert db.get(b"a") is None and db.get(b"b") == b"v"
    clock.now += 1
    keyspace.expire_due()
    assert list(db.data) == [b"c"] and keyspace.expired == 2
    assert heard == [(b"expired", b"a", 0), (b"expired", b"b", 0)]
    assert effects == [[(0, [b"DEL", b"a"])], [(0, [b"DEL", b"b"])]]
    assert keyspace.next_deadline == 1_000_030


def test_a_deadline_that_was_moved_or_dropped(keyspace: Keyspace, db: Database, clock: SetClock) -> None:
    for name in (b"moved", b"dropped", b"deleted", b"replaced"):
        db.add(name, b"v")
        db.expire_at(name, 1_000_010)
    db.expire_at(b"moved", 3_000_000)
    assert db.persist(b"dropped") is True and db.persist(b"dropped") is False
    db.delete(b"deleted")
    db.add(b"deleted", b"again")
    db.set(b"replaced", b"again")
    clock.now = 2_000_000
    keyspace.expire_due()
    assert sorted(db.data) == [b"deleted", b"dropped", b"moved", b"replaced"] and keyspace.expired == 0
    assert keyspace.next_deadline == 3_000_000


def test_a_deadline_that_was_dropped_and_set_again_is_told_once(
    keyspace: Keyspace, db: Database, clock: SetClock, heard: Heard
) -> None:
    keyspace.event_mask = EXPIRED_CLASS
    for name in (b"a", b"again", b"b"):
        db.add(name, b"v")
        db.expire_at(name, 1_000_010)
    db.persist(b"again")
    db.expire_at(b"again", 1_000_010)
    clock.now = 1_000_011
    keyspace.expire_due()
    assert not db.data and not db.expires and keyspace.expired == 3
    assert sorted(name for _, name, _ in heard) == [b"a", b"again", b"b"]


def test_an_earlier_deadline_wakes_the_timer(clock: SetClock) -> None:
    moved: list[int] = []

    class Timers(Deadlines):
        """Timers that are only noted."""

        def at(self, when: float, action: Callable[[], None]) -> Timer:
            moved.append(round(when * 1000) - 1)
            return super().at(when, action)

    keyspace = make_keyspace(clock, timers=Timers(failing))
    keyspace.timer.start()
    db = keyspace.databases[0]
    for deadline in (5_000_000, 6_000_000, 4_000_000):
        db.add(b"%d" % deadline, b"")
        db.expire_at(b"%d" % deadline, deadline)
    assert moved == [5_000_000, 4_000_000]


def test_deadlines_set_again_and_again_do_not_pile_up(db: Database) -> None:
    db.add(b"k", b"")
    for deadline in range(2_000_000, 2_010_000):
        db.expire_at(b"k", deadline)
    assert len(db.expiry) < 200


def test_field_deadlines_of_hashes_that_are_gone_do_not_pile_up(db: Database) -> None:
    for number in range(1000):
        key = b"h%d" % number
        value = Hash({b"f": b"v"})
        db.add(key, value)
        value.expire_at(b"f", 1_000_000_000)
        db.note_field_deadlines(key, value)
        if number % 10:
            db.delete(key)
    assert len(db.data) == 100
    assert db.data.keys() <= db.field_deadlines.keys()
    assert len(db.field_deadlines) <= 2 * 100 + FEW_FIELD_DEADLINES
    assert len(db.expiry) <= 4 * 100 + 3 * FEW_FIELD_DEADLINES


def test_a_mass_expiry_is_spread(keyspace: Keyspace, db: Database, clock: SetClock) -> None:
    count = EXPIRE_BATCH + 10
    for number in range(count):
        db.add(b"%d" % number, b"")
        db.expire_at(b"%d" % number, 1_000_001)
    clock.now = 1_000_100
    keyspace.expire_due()
    assert len(db.data) == 10 and keyspace.overdue
    # Those that are still there can't be seen.
    left = next(iter(db.data))
    assert db.get(left) is None and len(db.data) == 9
    keyspace.expire_due()
    assert not db.data and not keyspace.overdue and keyspace.next_deadline == NEVER
    assert db.get == db.data.get


def test_without_active_expiry_lookups_expire(keyspace: Keyspace, db: Database, clock: SetClock) -> None:
    keyspace.set_active_expiry(False)
    for name in (b"a", b"b"):
        db.add(name, b"v")
        db.expire_at(name, 1_000_010)
    clock.now = 1_000_011
    keyspace.expire_due()
    assert len(db.data) == 2
    assert db.get(b"a") is None and list(db.data) == [b"b"]
    keyspace.set_active_expiry(True)
    keyspace.expire_due()
    assert not db.data and keyspace.expired == 2


def test_replacing_an_overdue_key_expires_it_first(
    keyspace: Keyspace, db: Database, clock: SetClock, heard: Heard
) -> None:
    keyspace.set_active_expiry(False)
    keyspace.event_mask = EXPIRED_CLASS | NEW | OVERWRITTEN
    for name in (b"set", b"keep", b"delete"):
        db.add(name, b"v")
        db.expire_at(name, 1_000_010)
    heard.clear()
    clock.now = 1_000_011
    db.set(b"set", b"w")
    db.set_keeping_deadline(b"keep", b"w")
    assert db.delete(b"delete") is False
    assert heard == [
        (b"expired", b"set", 0),
        (b"new", b"set", 0),
        (b"expired", b"keep", 0),
        (b"new", b"keep", 0),
        (b"expired", b"delete", 0),
    ]
    assert db.deadline(b"keep") is None


# Whole databases


def test_clearing(keyspace: Keyspace, db: Database) -> None:
    for name in (b"a", b"b"):
        db.add(name, b"v")
    db.expire_at(b"a", 2_000_000)
    assert db.clear() == 2
    assert db.get(b"a") is None and db.deadline(b"a") is None and db.expiry.next_deadline() == NEVER


def test_swapping(keyspace: Keyspace, clock: SetClock) -> None:
    zero, one = keyspace.databases[0], keyspace.databases[1]
    zero.add(b"k", b"zero")
    one.add(b"k", b"one")
    one.expire_at(b"k", 2_000_000)
    zero.swap(one)
    assert (zero.get(b"k"), one.get(b"k")) == (b"one", b"zero")
    assert (zero.deadline(b"k"), one.deadline(b"k")) == (2_000_000, None)
    clock.now = 2_000_001
    keyspace.expire_due()
    assert zero.get(b"k") is None and one.get(b"k") == b"zero"


def test_databases_are_made_when_they_are_asked_for(clock: SetClock) -> None:
    databases = make_keyspace(clock, 2_000_000_000).databases
    assert len(databases) == 2_000_000_000
    assert [database.index for database in databases] == [0]
    last = databases[1_999_999_999]
    assert databases[7].index == 7 and databases[1_999_999_999] is last
    assert [database.index for database in databases] == [0, 7, 1_999_999_999]
    for index in (-1, 2_000_000_000):
        with pytest.raises(IndexError):
            databases[index]


def test_databases_that_nobody_uses_do_not_pile_up() -> None:
    broker = make_broker(databases=2_000_000_000)
    databases = broker.keyspace.databases
    client, watcher, waiter = Client(broker), Client(broker), Client(broker)
    for other, commands in ((watcher, ("SELECT 3", "WATCH k", "SELECT 0")), (waiter, ("SELECT 5", "BLPOP k 0"))):
        for command in commands:
            other.do(command)
    client.do("SELECT 9")
    client.do("SET k v")
    used = [databases[index] for index in (0, 3, 5, 9)]
    for number in range(10, 10 * MANY_DATABASES):
        client.do(f"SELECT {number}")
        assert len(list(databases)) <= MANY_DATABASES
    assert client.session.db is databases[number]
    assert [databases[index] for index in (0, 3, 5, 9)] == used
    client.do("SELECT 5")
    client.do("RPUSH k a")
    assert waiter.take() == bulks("k", "a")


def test_a_database_made_later_records_accesses() -> None:
    broker = make_broker(maxmemory_policy="allkeys-lru")
    database = broker.keyspace.databases[7]
    database.set(b"k", b"v")
    assert database.last_access == {b"k": broker.clock.now}


def test_a_database_made_later_checks_its_lookups(keyspace: Keyspace, clock: SetClock) -> None:
    keyspace.set_active_expiry(False)
    database = keyspace.databases[2]
    database.set(b"k", b"v")
    database.expire_at(b"k", clock.now - 1)
    assert database.get(b"k") is None
