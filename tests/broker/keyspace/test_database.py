"""One database: lookups, changes and who is told of them, deadlines kept."""

from functools import partial

import pytest

from broker.keyspace.database import FEW_FIELD_DEADLINES, Database, type_name
from broker.keyspace.events import GENERIC, KEY_MISS, NEW, OVERWRITTEN, TYPE_CHANGED, Event
from broker.keyspace.keyspace import Keyspace
from broker.values.deadline_queue import NEVER
from broker.values.hash import Hash
from broker.values.list import List
from protocol.errors import WRONG_TYPE, CommandError
from tests.broker.keyspace.keyspaces import Heard
from tests.broker.sessions import make_broker, make_session

TOUCHED = Event(GENERIC, b"touched")


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
    db.changed_silently(b"k", 2)
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
    for change in (partial(db.changed, b"k", TOUCHED), partial(db.changed_silently, b"k")):
        db.watchers[b"k"] = {watching}
        db.waiters[b"k"] = {waiting: None}
        change()
        assert watching.watch_broken and list(broker.keyspace.ready) == [(db, b"k")]
        watching.watch_broken = False
        broker.keyspace.ready.clear()


def test_a_deadline_is_one_object_wherever_it_is_kept(db: Database) -> None:
    db.set(b"k", b"v")
    db.expire_at(b"k", 1 << 41)
    assert db.expires[b"k"] is db.deadlines.take(1)[0]


def test_deadlines_set_again_and_again_do_not_pile_up(db: Database) -> None:
    db.add(b"k", b"")
    for deadline in range(2_000_000, 2_010_000):
        db.expire_at(b"k", deadline)
    assert len(db.deadlines) < 200


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
    assert len(db.deadlines) <= 4 * 100 + 3 * FEW_FIELD_DEADLINES


def test_clearing(keyspace: Keyspace, db: Database) -> None:
    for name in (b"a", b"b"):
        db.add(name, b"v")
    db.expire_at(b"a", 2_000_000)
    assert db.clear() == 2
    assert db.get(b"a") is None and db.deadline(b"a") is None and db.deadlines.next_deadline() == NEVER
