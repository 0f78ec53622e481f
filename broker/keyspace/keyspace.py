"""The databases and the one way to change them.

A value is a plain Python object whose class is its Redis type: bytes (or a bytearray that was changed in place)
for a string, and List, Hash, Set, SortedSet, Stream from broker.values.

Expiry needs no check at a lookup: keys that are due are removed before each tick, and time stands still during
it. Only while more keys are due than one tick may remove (or active expiry is off) are lookups checked; then
`Database.get` is another function. That saved 60 ns a lookup. While expiry is suspended (CLIENT PAUSE) keys that are
due stay, and lookups pass them over.

A change of a key goes through `Database.changed`, which serves WATCH, waiting clients, keyspace events and the
count of changes; it costs three failed tests when nobody listens.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from broker.config import Config
from broker.keyspace.effects import Propagation
from broker.keyspace.events import (
    CREATED,
    KEY_MISS,
    KEYEVENT,
    KEYSPACE,
    MISSED,
    NEW,
    OVERWRITTEN,
    REPLACED,
    RETYPED,
    SUBKEYS,
    TYPE_CHANGED,
    Event,
    Notifier,
    parse_flags,
)
from broker.keyspace.expiry import EXPIRE_BATCH, Expiry
from broker.keyspace.expiry_timer import ExpiryTimer
from broker.process.clock import Clock
from broker.process.timers import Deadlines
from broker.values.deadline_queue import NEVER
from broker.values.hash import Hash
from protocol.errors import WRONG_TYPE, CommandError

if TYPE_CHECKING:
    from broker.keyspace.access import Access

Value = Any
"""bytes, bytearray, List, Hash, Set, SortedSet or Stream; a union here would force a cast on every lookup."""

V = TypeVar("V")

MANY_DATABASES: Final = 1024
"""Databases made above which those that nobody uses are looked for."""

FEW_FIELD_DEADLINES: Final = 64
"""Hashes with field deadlines below which those that are gone are not looked for."""


class Watcher(Protocol):
    """Who watches a key: a client, to this module."""

    watch_broken: bool
    """Set when the key has changed."""


class Database:
    """One numbered database.

    `data` maps keys to values, `expires` keys to deadlines in wall milliseconds. `get` looks a key up for
    writing or without being counted; `read` counts a hit or a miss and sends `keymiss`. `peek` and `look` are the
    same for who must not leave a trace in the access times (see broker.keyspace.access, which keeps `last_access`).
    `field_deadlines` maps the key of a hash to the earliest deadline of its fields; an entry may outlive its hash,
    until there are `field_deadlines_max` of them.
    `watchers` maps a key to those who watch it, `waiters` to those who wait for it in order of arrival (which clients
    these are only broker.clients.blocking knows).
    """

    __slots__ = (
        "data", "expires", "expiry", "field_deadlines", "field_deadlines_max", "get", "index", "keyspace",
        "last_access", "peek", "waiters", "watchers",
    )  # fmt: skip

    def __init__(self, keyspace: Keyspace, index: int) -> None:
        self.keyspace = keyspace
        self.index = index
        self.data: dict[bytes, Value] = {}
        self.expires: dict[bytes, int] = {}
        self.field_deadlines: dict[bytes, int] = {}
        self.field_deadlines_max = FEW_FIELD_DEADLINES
        self.expiry = Expiry(self)
        self.watchers: dict[bytes, set[Watcher]] = {}
        self.waiters: dict[bytes, dict[Any, None]] = {}
        self.last_access: dict[bytes, int] = {}
        self.peek: Callable[[bytes], Value] = self.data.get
        self.get: Callable[[bytes], Value] = self.data.get

    # Looking up

    def get_as(self, key: bytes, kind: type[V]) -> V | None:
        """The value at `key` if it is of class `kind`, None for a missing key; raises WRONGTYPE for another."""
        value = self.get(key)
        if value is None or value.__class__ is kind:
            return value
        raise CommandError(WRONG_TYPE)

    def read(self, key: bytes) -> Value:
        """Look up for reading: counted as a hit or a miss."""
        value = self.get(key)
        if value is None:
            self._missed(key)
        else:
            self.keyspace.hits += 1
        return value

    def look(self, key: bytes) -> Value:
        """`read`, but not an access (EXISTS, TYPE, TTL)."""
        value = self.peek(key)
        if value is None:
            self._missed(key)
        else:
            self.keyspace.hits += 1
        return value

    def read_as(self, key: bytes, kind: type[V]) -> V | None:
        """`get_as` for reading: counted as a hit or a miss."""
        value = self.get(key)
        if value is None:
            self._missed(key)
            return None
        self.keyspace.hits += 1
        if value.__class__ is kind:
            return value
        raise CommandError(WRONG_TYPE)

    def _missed(self, key: bytes) -> None:
        keyspace = self.keyspace
        keyspace.misses += 1
        if keyspace.event_mask & KEY_MISS:
            keyspace.notify(MISSED, key, self.index, keyspace.event_mask)

    # Changing

    def add(self, key: bytes, value: Value) -> None:
        """Store a value at a key that does not exist. Fields of a hash keep their deadlines."""
        self.data[key] = value
        if value.__class__ is Hash and value.deadlines:
            self.note_field_deadlines(key, value)
        if self.keyspace.event_mask & NEW:
            self.keyspace.notify(CREATED, key, self.index, self.keyspace.event_mask)

    def set(self, key: bytes, value: Value) -> None:
        """Store a value at a key whatever is there; its deadline is dropped."""
        if self.expires:
            if self.keyspace.overdue:
                self.peek(key)
            self.expires.pop(key, None)
        if self.keyspace.event_mask & (NEW | OVERWRITTEN | TYPE_CHANGED):
            self._notify_replaced(key, value)
        data = self.data
        old = data.get(key)
        data[key] = value
        if old is not None and old.__class__ is not bytes:
            self.keyspace.release(old)

    def store(self, key: bytes, value: Value, event: Event) -> None:
        """`set`, and `changed` with a count of 1: what SET does, in 240 ns where the two calls take 290."""
        if self.expires:
            if self.keyspace.overdue:
                self.peek(key)
            self.expires.pop(key, None)
        keyspace = self.keyspace
        mask = keyspace.event_mask
        if mask and mask & (NEW | OVERWRITTEN | TYPE_CHANGED):
            self._notify_replaced(key, value)
        data = self.data
        old = data.get(key)
        data[key] = value
        if old is not None and old.__class__ is not bytes:
            keyspace.release(old)
        keyspace.dirty += 1
        if self.watchers and key in self.watchers:
            self.break_watches(key)
        if self.waiters and key in self.waiters:
            keyspace.ready[(self, key)] = None
        if mask and mask & event.flag:
            keyspace.notify(event, key, self.index, mask)

    def set_keeping_deadline(self, key: bytes, value: Value) -> None:
        """Store a value at a key whatever is there; its deadline stays."""
        if self.keyspace.overdue:
            self.peek(key)
        if self.keyspace.event_mask & (NEW | OVERWRITTEN | TYPE_CHANGED):
            self._notify_replaced(key, value)
        data = self.data
        old = data.get(key)
        data[key] = value
        if old is not None and old.__class__ is not bytes:
            self.keyspace.release(old)

    def _notify_replaced(self, key: bytes, value: Value) -> None:
        keyspace = self.keyspace
        old = self.peek(key)
        if old is None:
            if keyspace.event_mask & NEW:
                keyspace.notify(CREATED, key, self.index, keyspace.event_mask)
            return
        if keyspace.event_mask & OVERWRITTEN:
            keyspace.notify(REPLACED, key, self.index, keyspace.event_mask)
        if keyspace.event_mask & TYPE_CHANGED and type_name(old) != type_name(value):
            keyspace.notify(RETYPED, key, self.index, keyspace.event_mask)

    def delete(self, key: bytes) -> bool:
        """Remove a key and its deadline; False if it was not there. The caller still names the change."""
        if self.expires:
            if self.keyspace.overdue:
                self.peek(key)
            self.expires.pop(key, None)
        value = self.data.pop(key, None)
        if value is None:
            return False
        if value.__class__ is not bytes and value:
            self.keyspace.release(value)
        return True

    def changed(self, key: bytes, event: Event, count: int = 1) -> None:
        """Name a change of `key`: `count` is what it adds to the number of changes since the last save."""
        keyspace = self.keyspace
        keyspace.dirty += count
        if self.watchers and key in self.watchers:
            self.break_watches(key)
        if self.waiters and key in self.waiters:
            keyspace.ready[(self, key)] = None
        if keyspace.event_mask & event.flag:
            keyspace.notify(event, key, self.index, keyspace.event_mask)

    def touch(self, key: bytes, count: int = 1) -> None:
        """`changed` without an event."""
        self.keyspace.dirty += count
        if self.watchers and key in self.watchers:
            self.break_watches(key)
        if self.waiters and key in self.waiters:
            self.keyspace.ready[(self, key)] = None

    def notify(self, event: Event, key: bytes) -> None:
        """Send an event beside the one named with the change."""
        if self.keyspace.event_mask & event.flag:
            self.keyspace.notify(event, key, self.index, self.keyspace.event_mask)

    def notify_fields(self, event: Event, key: bytes, fields: list[bytes]) -> None:
        """Send the events that name the fields of a hash which a change concerned (Redis's subkey events)."""
        mask = self.keyspace.event_mask
        if mask & SUBKEYS and mask & event.flag:
            self.keyspace.notify_fields(event, key, self.index, fields, mask)

    def break_watches(self, key: bytes) -> None:
        """The transactions of those who watch the key fail."""
        for watcher in self.watchers[key]:
            watcher.watch_broken = True

    # Expiry

    def expire_at(self, key: bytes, deadline: int) -> None:
        """Give an existing key a deadline, in wall milliseconds."""
        before = self.expires.get(key)
        self.expires[key] = deadline
        # One that moves later needs no place of its own yet: it gets it when the earlier one falls due.
        if before is None or deadline < before:
            self.expiry.push(key, deadline)

    def note_field_deadlines(self, key: bytes, value: Hash) -> None:
        """The deadlines of the fields of the hash at `key` have changed, or it has come to this key with some."""
        earliest = value.earliest_deadline()
        if earliest is None:
            self.field_deadlines.pop(key, None)
        elif self.field_deadlines.get(key) != earliest:
            self.field_deadlines[key] = earliest
            if len(self.field_deadlines) > self.field_deadlines_max:
                self._tidy_field_deadlines()
            self.expiry.push(key, earliest)

    def _tidy_field_deadlines(self) -> None:
        """Forget hashes that are gone. Done when there may be twice as many, it is O(1) for each deadline noted."""
        data = self.data
        self.field_deadlines = {
            key: deadline
            for key, deadline in self.field_deadlines.items()
            if (value := data.get(key)).__class__ is Hash and value.deadlines
        }
        self.field_deadlines_max = 2 * len(self.field_deadlines) + FEW_FIELD_DEADLINES

    def persist(self, key: bytes) -> bool:
        """Drop a key's deadline; False if it had none."""
        return self.expires.pop(key, None) is not None

    def deadline(self, key: bytes) -> int | None:
        """A key's deadline in wall milliseconds, None without one."""
        return self.expires.get(key)

    def _get_checked(self, key: bytes) -> Value:
        """`get` while keys that are due may still be there."""
        if self.expires.get(key, NEVER) < self.keyspace.clock.now:
            self.expiry.expire(key)
            return None
        if self.field_deadlines.get(key, NEVER) < self.keyspace.clock.now:
            self.expiry.expire_fields(key, self.keyspace.clock.now)
        return self.data.get(key)

    def _get_visible(self, key: bytes) -> Value:
        """`get` while keys and fields that are due must stay: they are passed over.

        A hash with fields that are due is shown as a copy without them, made once: nothing is written meanwhile.
        """
        now = self.keyspace.clock.now
        if self.expires.get(key, NEVER) < now:
            return None
        value = self.data.get(key)
        if self.field_deadlines.get(key, NEVER) < now and value.__class__ is Hash:
            place = (self.index, key)
            shown = self.keyspace.shown.get(place)
            if shown is None:
                shown = self.keyspace.shown[place] = value.clone()
            shown.remove_due(now, len(value))
            return shown
        return value

    def bind(self) -> None:
        """Choose the lookup functions; to be called when `data` is replaced or the mode of expiry changes."""
        if self.keyspace.hiding:
            self.peek = self.get = self._get_visible
        else:
            self.peek = self.get = self._get_checked if self.keyspace.overdue else self.data.get

    # Whole databases

    def clear(self) -> int:
        """Remove all keys; returns how many there were. WATCH and waiting clients are served by the caller."""
        removed = len(self.data)
        self.data = {}
        self.expires = {}
        self.field_deadlines = {}
        self.field_deadlines_max = FEW_FIELD_DEADLINES
        self.expiry.clear()
        self.bind()
        return removed

    def swap(self, other: Database) -> None:
        """Exchange all keys with `other`; those who watch or wait stay with the number."""
        self.data, other.data = other.data, self.data
        self.expires, other.expires = other.expires, self.expires
        self.field_deadlines, other.field_deadlines = other.field_deadlines, self.field_deadlines
        self.field_deadlines_max, other.field_deadlines_max = other.field_deadlines_max, self.field_deadlines_max
        self.expiry.swap(other.expiry)
        self.bind()
        other.bind()

    def listened_keys(self) -> Iterator[bytes]:
        """The keys that someone watches or waits for."""
        yield from list(self.watchers)
        yield from list(self.waiters)


class Databases:
    """The databases by their numbers, made when they are first asked for, since a configuration may allow any number.

    As many as that is `len`, but only those that were made are iterated over, in the order of their numbers; `made` has
    them by number, for reading.
    """

    __slots__ = ("_count", "_keyspace", "_ordered", "_tidied_at", "kind", "made")

    def __init__(self, keyspace: Keyspace, count: int) -> None:
        self._keyspace = keyspace
        self._count = count
        self.made: dict[int, Database] = {}
        self._ordered: list[Database] = []
        self._tidied_at = MANY_DATABASES
        self.kind: type[Database] = Database

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Database]:
        return iter(self._ordered)

    def __getitem__(self, index: int) -> Database:
        """Raises IndexError."""
        database = self.made.get(index)
        if database is None:
            if not 0 <= index < self._count:
                raise IndexError(index)
            # Lookups are bound in the course of it, and what a subclass adds needs no constructor of its own.
            database = self.made[index] = self.kind(self._keyspace, index)
            database.bind()
            insort(self._ordered, database, key=attrgetter("index"))
        return database

    def tidy(self, held: Iterable[Database]) -> None:
        """Forget databases that nobody uses, when many have been made: no keys, nobody who waits or watches, and not
        one of those that are `held`. So clients can't make the table grow by selecting one after the other."""
        if len(self._ordered) < self._tidied_at:
            return
        used = {database.index for database in held} | {0}
        self._ordered = [
            database
            for database in self._ordered
            if database.data or database.watchers or database.waiters or database.index in used
        ]
        self.made = {database.index: database for database in self._ordered}
        self._tidied_at = max(MANY_DATABASES, 2 * len(self._ordered))


class Keyspace:
    """All databases of a broker, with what they share.

    `dirty` counts the changes of the running command; dispatch takes them into `changes` (since the last save), at the
    latest when it has executed what a client sent at once.
    `ready` holds the keys that changed and have waiters. `event_mask` is notify-keyspace-events.
    `release(value)` is given what was removed or overwritten, unless it is small for sure (see broker.process.reclaim).
    `overdue` says that keys may be there whose deadline has passed, `hiding` that they must stay, and `shown` has the
    hashes that stand for those with such fields, by database and key. Whatever makes `next_deadline` earlier calls
    `deadline_moved`.
    """

    __slots__ = (
        "access", "active_expiry", "changes", "clock", "databases", "deadline_moved", "dirty", "event_mask", "expired",
        "expired_fields", "hiding", "hits", "misses", "next_deadline", "notify", "notify_all", "notify_fields",
        "overdue", "propagation", "ready", "release", "shown", "suspended", "timer",
    )  # fmt: skip

    def __init__(
        self, clock: Clock, config: Config, timers: Deadlines, notifier: Notifier, release: Callable[[Value], None]
    ) -> None:
        """`notifier` sends the events that `event_mask` lets through."""
        self.clock = clock
        self.release = release
        self.notify = notifier.notify
        self.notify_all = notifier.notify_all
        self.notify_fields = notifier.notify_fields
        self.access: Access
        self.propagation = Propagation()
        self.dirty = 0
        self.changes = 0
        self.hits = 0
        self.misses = 0
        self.expired = 0
        self.expired_fields = 0
        self.event_mask = 0
        self.ready: dict[tuple[Database, bytes], None] = {}
        self.next_deadline = NEVER
        self.timer = ExpiryTimer(timers, clock, lambda: self.next_deadline)
        self.deadline_moved = self.timer.moved
        self.active_expiry = True
        self.overdue = False
        self.suspended = False
        self.hiding = False
        self.shown: dict[tuple[int, bytes], Hash] = {}
        self.databases = Databases(self, config.databases)
        self.databases[0]  # there is always one that clients begin with
        self.choose_events(config.notify_keyspace_events)
        config.on_change("notify-keyspace-events", self.choose_events)

    def choose_events(self, letters: str) -> None:
        """Send the events that these letters of notify-keyspace-events name; without a channel, none."""
        mask = parse_flags(letters.encode()) or 0
        self.event_mask = mask if mask & (KEYSPACE | KEYEVENT | SUBKEYS) else 0

    def count_changes(self) -> None:
        """Take `dirty` into `changes`."""
        self.changes += self.dirty
        self.dirty = 0

    def expire_due(self) -> None:
        """Remove keys that are due, a bounded number; called before a tick when `next_deadline` has passed.

        While expiry is suspended they are hidden from then on.
        """
        if self.suspended:
            self.next_deadline = NEVER
            self.hiding = True
            self._bind(overdue=True)
            return
        now = self.clock.now
        left = EXPIRE_BATCH
        if self.active_expiry:
            for database in self.databases:
                if left > 0 and database.expiry.next_deadline() < now:
                    left -= database.expiry.remove_due(now, left)
            self.propagation.flush(0, None)
        self.next_deadline = min(database.expiry.next_deadline() for database in self.databases)
        self._set_overdue(self.next_deadline < now)
        if not self.active_expiry:
            self.next_deadline = NEVER

    def set_active_expiry(self, on: bool) -> None:
        """Switch the removal of due keys that nobody looks up (DEBUG SET-ACTIVE-EXPIRE)."""
        self.active_expiry = on
        if self.suspended:
            return
        if on:
            self._look_for_deadlines()
        else:
            self.next_deadline = NEVER
        self._set_overdue(not on)

    def suspend_expiry(self, on: bool) -> None:
        """Let nothing expire (CLIENT PAUSE), or let it again: keys and fields that are due stay, but are not found.

        They are hidden from the next tick on in which some are due, and not at once: what follows in the same tick or
        transaction may still write, and for it no time passes.
        """
        if on == self.suspended:
            return
        self.suspended = on
        if on:
            if not self.active_expiry:
                self.next_deadline = self.clock.now
        else:
            self.hiding = False
            shown, self.shown = self.shown, {}
            for copy in shown.values():
                self.release(copy)
            self._look_for_deadlines()
            self._bind(overdue=self.next_deadline < self.clock.now or not self.active_expiry)
            if not self.active_expiry:
                self.next_deadline = NEVER

    def _look_for_deadlines(self) -> None:
        self.next_deadline = min(database.expiry.next_deadline() for database in self.databases)
        self.deadline_moved()

    def _set_overdue(self, overdue: bool) -> None:
        overdue = overdue or not self.active_expiry
        if overdue != self.overdue:
            self._bind(overdue)

    def _bind(self, overdue: bool) -> None:
        self.overdue = overdue
        for database in self.databases:
            database.bind()


def type_name(value: Value) -> str:
    """The name of a value's type as TYPE gives it."""
    kind = value.__class__
    return "string" if kind is bytes or kind is bytearray else str(kind.type_name)
