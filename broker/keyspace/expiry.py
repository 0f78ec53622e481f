"""Removing keys and hash fields whose deadline has passed.

A deadline that was dropped stays in the queue until it falls due, and is then known by not being the key's any more;
one that was moved later, as with each renewal of a session, stays in its place until then, so that a renewal costs
nothing here. What is due goes before each tick, a bounded number at a time (Keyspace.expire_due).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.keyspace.events import DEL, EXPIRED, FIELDS_EXPIRED
from broker.values.deadline_queue import DeadlineQueue
from broker.values.hash import Hash

if TYPE_CHECKING:
    from broker.keyspace.keyspace import Database

EXPIRE_BATCH: Final = 1000
"""Keys removed at most before one tick, so that a mass expiry stalls nobody: about 0.5 ms of work, 0.2 more where
somebody listens to `expired`, and 4 in all where the keys' own channels are listened to as well."""

FIELDS_AT_ONCE: Final = 10_000
"""Fields removed at most where a lookup finds some that are due: about 5 ms of work."""


class Expiry:
    """The deadlines of one database, earliest first, and the removal of what is due.

    `Database.expires` and `Database.field_deadlines` say which of the deadlines here still hold.
    """

    __slots__ = ("_database", "_queue")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue = DeadlineQueue()

    def __len__(self) -> int:
        """The deadlines kept, those that hold no longer among them."""
        return len(self._queue)

    def push(self, key: bytes, deadline: int) -> None:
        """Remember a deadline, in wall milliseconds, of the key or of fields of the hash at it."""
        queue = self._queue
        queue.push(key, deadline)
        database = self._database
        expires, field_deadlines = database.expires, database.field_deadlines
        # When most of them no longer hold, all are put anew, which is O(1) a push over time.
        if len(queue) > 2 * (len(expires) + len(field_deadlines)) + 64:
            queue.refill(expires, field_deadlines)
        keyspace = database.keyspace
        if deadline < keyspace.next_deadline:
            keyspace.next_deadline = deadline
            keyspace.deadline_moved()

    def next_deadline(self) -> int:
        """The earliest deadline (perhaps of a key that has it no longer), NEVER without one."""
        return self._queue.next_deadline()

    def clear(self) -> None:
        """Forget all deadlines."""
        self._queue = DeadlineQueue()

    def swap(self, other: Expiry) -> None:
        """Exchange all deadlines with those of another database."""
        self._queue, other._queue = other._queue, self._queue

    def remove_due(self, now: int, limit: int) -> int:
        """Remove up to `limit` keys and fields whose deadline lies before `now`; returns how many were looked at."""
        queue = self._queue
        looked_at = 0
        while looked_at < limit and queue.next_deadline() < now:
            deadline, keys = queue.take(limit - looked_at)
            looked_at += len(keys)
            for key in self._remove(keys, deadline):
                looked_at += self._fall_due(key, deadline, now, limit - looked_at)
        return looked_at

    def _remove(self, keys: list[bytes], deadline: int) -> list[bytes]:
        """Remove those of the keys whose deadline this still is, and tell of them; returns the others."""
        expires = self._database.expires
        data = self._database.data
        gone = []
        others = []
        for key in keys:
            if expires.get(key) == deadline:
                del expires[key]
                value = data.pop(key)
                if value.__class__ is not bytes:
                    self._database.keyspace.release(value)
                gone.append(key)
            else:
                others.append(key)
        if gone:
            self._expired(gone)
        return others

    def _fall_due(self, key: bytes, deadline: int, now: int, limit: int) -> int:
        """Do what a deadline that is not the key's own calls for; returns how many fields were looked at."""
        current = self._database.expires.get(key)
        if current is not None and current > deadline:
            self._queue.push(key, current)
        if self._database.field_deadlines.get(key) == deadline:
            return self.expire_fields(key, now, limit)
        return 0

    def expire(self, key: bytes) -> None:
        """Remove a key because its deadline has passed."""
        del self._database.expires[key]
        self._database.keyspace.release(self._database.data.pop(key))
        self._expired([key])

    def _expired(self, keys: list[bytes]) -> None:
        """Count keys that have been removed because their deadline has passed, and tell whom it concerns.

        All of a millisecond at once, because most often nobody watches, and who listens is sent one piece.
        """
        database = self._database
        keyspace = database.keyspace
        keyspace.expired += len(keys)
        if database.last_access:
            for key in keys:
                database.last_access.pop(key, None)
        if keyspace.propagation.sinks:
            for key in keys:
                keyspace.propagation.also(database.index, [b"DEL", key])
        if database.watchers or database.waiters:
            for key in keys:
                self.removed(key)
        if keyspace.event_mask & EXPIRED.flag:
            keyspace.notify_all(EXPIRED, keys, database.index, keyspace.event_mask)

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
