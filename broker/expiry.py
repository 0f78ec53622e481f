"""Removing keys and hash fields whose deadline has passed.

The keys of a database lie in one bucket for each millisecond, and a heap orders the milliseconds: of a million keys
that fall due within one second, a heap of keys takes 4 to 8 us to give up each, this one 0.1 us. Deletion is lazy: a
deadline that was dropped stays until it falls due, and is then known by not being the key's any more; one that was
moved later, as with each renewal of a session, stays in its place until then, so that a renewal costs nothing here.
What is due goes before each tick, a bounded number at a time (Keyspace.expire_due).
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from broker.events import DEL, EXPIRED, FIELDS_EXPIRED
from broker.values.hash import Hash

if TYPE_CHECKING:
    from broker.keyspace import Database

EXPIRE_BATCH: Final = 1000
"""Keys removed at most before one tick: about 2 ms of work, so that a mass expiry stalls nobody."""

FIELDS_AT_ONCE: Final = 10_000
"""Fields removed at most where a lookup finds some that are due: about 5 ms of work."""

NEVER: Final = 1 << 62
"""A deadline that is not reached: milliseconds of wall time past all that Redis accepts."""


class Expiry:
    """The deadlines of one database, earliest first, and the removal of what is due.

    `Database.expires` and `Database.field_deadlines` say which of the deadlines here still hold.
    """

    __slots__ = ("_buckets", "_database", "_heap", "_size")

    def __init__(self, database: Database) -> None:
        self._database = database
        # Milliseconds, each once, and what is due then: most often one key, which then needs no list.
        self._heap: list[int] = []
        self._buckets: dict[int, bytes | list[bytes]] = {}
        self._size = 0

    def __len__(self) -> int:
        """The deadlines kept, those that hold no longer among them."""
        return self._size

    def push(self, key: bytes, deadline: int) -> None:
        """Remember a deadline, in wall milliseconds, of the key or of fields of the hash at it."""
        self._put(key, deadline)
        database = self._database
        expires, field_deadlines = database.expires, database.field_deadlines
        # When most of them no longer hold, all are put anew, which is O(1) a push over time.
        if self._size > 2 * (len(expires) + len(field_deadlines)) + 64:
            self._heap.clear()
            self._buckets.clear()
            self._size = 0
            for deadlines in (expires, field_deadlines):
                for name, when in deadlines.items():
                    self._put(name, when)
        keyspace = database.keyspace
        if deadline < keyspace.next_deadline:
            keyspace.next_deadline = deadline
            keyspace.deadline_moved()

    def _put(self, key: bytes, deadline: int) -> None:
        self._size += 1
        there = self._buckets.get(deadline)
        if there is None:
            self._buckets[deadline] = key
            heappush(self._heap, deadline)
        elif isinstance(there, bytes):
            self._buckets[deadline] = [there, key]
        else:
            there.append(key)

    def _take(self, deadline: int) -> bytes:
        """Remove one of the keys of the earliest millisecond."""
        self._size -= 1
        there = self._buckets[deadline]
        if isinstance(there, bytes):
            key = there
        else:
            key = there.pop()
            if there:
                return key
        del self._buckets[deadline]
        heappop(self._heap)
        return key

    def next_deadline(self) -> int:
        """The earliest deadline (perhaps of a key that has it no longer), NEVER without one."""
        return self._heap[0] if self._heap else NEVER

    def clear(self) -> None:
        """Forget all deadlines."""
        self._heap = []
        self._buckets = {}
        self._size = 0

    def swap(self, other: Expiry) -> None:
        """Exchange all deadlines with those of another database."""
        self._heap, other._heap = other._heap, self._heap
        self._buckets, other._buckets = other._buckets, self._buckets
        self._size, other._size = other._size, self._size

    def remove_due(self, now: int, limit: int) -> int:
        """Remove up to `limit` keys and fields whose deadline lies before `now`; returns how many were looked at."""
        heap = self._heap
        unobserved = self._is_unobserved()
        looked_at = 0
        while heap and heap[0] < now and looked_at < limit:
            deadline = heap[0]
            there = self._buckets[deadline]
            if unobserved and not isinstance(there, bytes):
                keys = self._take_many(deadline, there, limit - looked_at)
                looked_at += len(keys)
                for key in self._remove_unobserved(keys, deadline):
                    looked_at += self._fall_due(key, deadline, now, limit - looked_at)
            else:
                looked_at += 1 + self._fall_due(self._take(deadline), deadline, now, limit - looked_at)
        return looked_at

    def _is_unobserved(self) -> bool:
        """Whether nobody is to be told of a key that goes: then it costs 0.3 us in place of 1.5."""
        database = self._database
        keyspace = database.keyspace
        told = database.watchers or database.waiters or keyspace.event_mask or keyspace.propagation.sinks
        return not (told or database.last_access)

    def _take_many(self, deadline: int, there: list[bytes], limit: int) -> list[bytes]:
        """Remove up to `limit` of the keys of the earliest millisecond."""
        keys = there[-limit:]
        del there[-limit:]
        self._size -= len(keys)
        if not there:
            del self._buckets[deadline]
            heappop(self._heap)
        return keys

    def _remove_unobserved(self, keys: list[bytes], deadline: int) -> list[bytes]:
        """Remove those of the keys whose deadline this still is; returns the others."""
        expires = self._database.expires
        data = self._database.data
        others = []
        for key in keys:
            if expires.get(key) == deadline:
                del expires[key], data[key]
            else:
                others.append(key)
        self._database.keyspace.expired += len(keys) - len(others)
        return others

    def _fall_due(self, key: bytes, deadline: int, now: int, limit: int) -> int:
        """Do what a deadline calls for, if it still holds; returns how many fields were looked at."""
        current = self._database.expires.get(key)
        if current == deadline:
            self.expire(key)
            return 0
        if current is not None and current > deadline:
            self._put(key, current)
        if self._database.field_deadlines.get(key) == deadline:
            return self.expire_fields(key, now, limit)
        return 0

    def expire(self, key: bytes) -> None:
        """Remove a key because its deadline has passed."""
        database = self._database
        keyspace = database.keyspace
        del database.expires[key]
        del database.data[key]
        database.last_access.pop(key, None)
        keyspace.expired += 1
        keyspace.propagation.also(database.index, [b"DEL", key])
        self.removed(key)
        if keyspace.event_mask & EXPIRED.flag:
            keyspace.notify(EXPIRED, key, database.index)

    def expire_fields(self, key: bytes, now: int, limit: int = FIELDS_AT_ONCE) -> int:
        """Remove the due fields of the hash at `key`, at most `limit` (at least 1); returns how many there were."""
        database = self._database
        del database.field_deadlines[key]
        value = database.data.get(key)
        if value.__class__ is not Hash:
            return 0
        keyspace = database.keyspace
        fields: list[bytes] = value.remove_due(now, max(limit, 1))
        database.note_field_deadlines(key, value)
        if not fields:
            return 0
        keyspace.expired_fields += len(fields)
        keyspace.propagation.also(database.index, [b"HDEL", key, *fields])
        if not value:
            database.delete(key)
        self.removed(key)
        database.notify(FIELDS_EXPIRED, key)
        database.notify_fields(FIELDS_EXPIRED, key, fields)
        if not value:
            database.notify(DEL, key)
        return len(fields)

    def removed(self, key: bytes) -> None:
        """Tell those who watch or wait for a key that it has gone without a command."""
        database = self._database
        if database.watchers and key in database.watchers:
            database.break_watches(key)
        if database.waiters and key in database.waiters:
            database.keyspace.ready[(database, key)] = None
