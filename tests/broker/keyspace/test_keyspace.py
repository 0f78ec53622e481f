"""Expiry before ticks and at lookups, and databases that change places."""

from collections.abc import Callable

from broker.keyspace.database import Database
from broker.keyspace.effects import Unit
from broker.keyspace.events import EXPIRED_CLASS, NEW, OVERWRITTEN
from broker.keyspace.expiry import EXPIRE_BATCH
from broker.keyspace.keyspace import Keyspace
from broker.process.timers import Deadlines, Timer
from broker.values.deadline_queue import NEVER
from tests.broker.keyspace.keyspaces import Heard, SetClock, failing, make_keyspace


def test_keys_that_are_due_go(keyspace: Keyspace, db: Database, clock: SetClock, heard: Heard) -> None:
    keyspace.event_mask = EXPIRED_CLASS
    effects: list[Unit] = []
    keyspace.effects.sinks.append(effects.append)
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
