"""Adding entries that no client sent as such: dead letters, and captured messages."""

from __future__ import annotations

from typing import Final

from broker.keyspace.database import Database
from broker.keyspace.events import STREAM, Event
from broker.values.streams.ids import MAX_ID, format_id
from broker.values.streams.limits import StreamLimits
from broker.values.streams.stream import EntryTooLarge, Stream

XADD: Final = Event(STREAM, b"xadd")


class Undeliverable(Exception):
    """An entry can't be added; the message says why."""


def add_entry(
    database: Database, key: bytes, fields: list[bytes], now: int, limits: StreamLimits
) -> tuple[Stream, list[bytes]]:
    """Adds an entry with a generated ID; returns the stream, made if there was none, and the effect.

    The caller announces the change. Raises Undeliverable, having changed nothing.
    """
    stream = database.get(key)
    if stream is not None and type(stream) is not Stream:
        raise Undeliverable("its key holds another type")
    id = max(now << 64, stream.last_id + 1) if stream is not None else now << 64
    if id > MAX_ID:
        raise Undeliverable("the stream has no further IDs")
    created = stream is None
    if created:
        stream = Stream(limits)
    assert stream is not None
    try:
        stream.append(id, fields)
    except EntryTooLarge:
        raise Undeliverable("it would be larger than an entry may be") from None
    if created:
        database.add(key, stream)
    return stream, [b"XADD", key, format_id(id), *fields]
