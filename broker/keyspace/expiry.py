"""Removing keys and hash fields whose deadline has passed, and lookups while some of them remain.

A deadline that was dropped stays in its database's queue until it passes, and is then recognised because the key no
longer has it. One that was moved later, as each renewal of a session does, also keeps its place until then, so renewals
cost nothing here. Expired keys are removed before each tick, a bounded number at a time (Keyspace.expire_due).
"""

from __future__ import annotations

from typing import Final

from broker.keyspace.database import Database, Lookup, Value
from broker.keyspace.events import CHANGE_TRACKED, DEL, EXPIRED, FIELDS_EXPIRED
from broker.values.deadline_queue import NEVER
from broker.values.hash import Hash

EXPIRE_BATCH: Final = 1000
"""The maximum number of keys to remove before one tick, so that a mass expiry stalls no client: about 0.5 ms of work,
0.2 more with subscribers to `expired`, and 4 in all with subscribers to the keys' own channels as well."""

FIELDS_AT_ONCE: Final = 10_000
"""The maximum number of fields to remove when a lookup finds expired ones: about 5 ms of work."""


# Lookups


def checked(database: Database) -> Lookup:
    """Returns the lookup for when there may be expired keys: it removes the ones that it finds."""

    def get(key: bytes) -> Value:
        now = database.keyspace.clock.now
        if database.expires.get(key, NEVER) < now:
            expire(database, key)
            return None
        if database.field_deadlines.get(key, NEVER) < now:
            database.keyspace.expired_fields_on_access += expire_fields(database, key, now)
        return database.data.get(key)

    return get


def visible(database: Database) -> Lookup:
    """Returns the lookup for when expired keys and fields must not be removed: it hides them.

    A hash with expired fields is shown as a copy without them, made only once, since nothing is written meanwhile.
    """

    def get(key: bytes) -> Value:
        keyspace = database.keyspace
        now = keyspace.clock.now
        if database.expires.get(key, NEVER) < now:
            return None
        value = database.data.get(key)
        if database.field_deadlines.get(key, NEVER) < now and type(value) is Hash:
            place = (database.index, key)
            shown = keyspace.shown.get(place)
            if shown is None:
                shown = keyspace.shown[place] = value.clone()
            shown.remove_due(now, len(value))
            return shown
        return value

    return get


# Removing


def remove_due(database: Database, now: int, limit: int) -> int:
    """Remove up to `limit` keys and fields whose deadline is before `now`; returns the number examined."""
    deadlines = database.deadlines
    looked_at = 0
    while looked_at < limit and deadlines.next_deadline() < now:
        deadline, keys = deadlines.take(limit - looked_at)
        looked_at += len(keys)
        for key in _remove(database, keys, deadline):
            looked_at += _handle_passed(database, key, deadline, now, limit - looked_at)
    return looked_at


def _remove(database: Database, keys: list[bytes], deadline: int) -> list[bytes]:
    """Remove and announce the keys that still have this deadline; returns the others."""
    expires = database.expires
    data = database.data
    gone = []
    others = []
    for key in keys:
        if expires.get(key) == deadline:
            del expires[key]
            value = data.pop(key)
            if type(value) is not bytes:
                database.keyspace.release(value)
            gone.append(key)
        else:
            others.append(key)
    if gone:
        _expired(database, gone)
    return others


def _handle_passed(database: Database, key: bytes, deadline: int, now: int, limit: int) -> int:
    """Handle a queued deadline that is not the key's own; returns the number of fields removed."""
    current = database.expires.get(key)
    if current is not None and current > deadline:
        database.deadlines.push(key, current)
    if database.field_deadlines.get(key) == deadline:
        return expire_fields(database, key, now, limit)
    return 0


def expire(database: Database, key: bytes) -> None:
    """Remove a key that a lookup found to be past its deadline."""
    database.keyspace.expired_on_access += 1
    del database.expires[key]
    database.keyspace.release(database.data.pop(key))
    _expired(database, [key])


def _expired(database: Database, keys: list[bytes]) -> None:
    """Count and announce keys that were removed because their deadline has passed.

    The keys of one millisecond are handled together: usually nothing watches them, and subscribers get one piece.
    """
    keyspace = database.keyspace
    keyspace.expired += len(keys)
    if database.last_access:
        for key in keys:
            database.last_access.pop(key, None)
    if keyspace.effects.sinks:
        for key in keys:
            keyspace.effects.add(database.index, [b"DEL", key])
    if database.watchers or database.waiters or keyspace.event_mask & CHANGE_TRACKED:
        for key in keys:
            database.removed(key)
    if keyspace.event_mask & EXPIRED.flag:
        keyspace.notify_all(EXPIRED, keys, database.index, keyspace.event_mask)


def expire_fields(database: Database, key: bytes, now: int, limit: int = FIELDS_AT_ONCE) -> int:
    """Remove expired fields of the hash at `key`, at most `limit` (at least 1); returns the number removed."""
    del database.field_deadlines[key]
    value = database.data.get(key)
    if type(value) is not Hash:
        return 0
    keyspace = database.keyspace
    fields: list[bytes] = value.remove_due(now, max(limit, 1))
    database.note_field_deadlines(key, value)
    if not fields:
        return 0
    keyspace.expired_fields += len(fields)
    keyspace.effects.add(database.index, [b"HDEL", key, *fields])
    if not value:
        database.delete(key)
    database.removed(key)
    database.notify(FIELDS_EXPIRED, key)
    database.notify_fields(FIELDS_EXPIRED, key, fields)
    if not value:
        database.notify(DEL, key)
    return len(fields)
