"""Values as commands that rebuild them: the base of an append-only file that does not begin with a dump.

The commands are those of Redis's rewriteAppendOnlyFile(). They can't express that a deleted entry is pending, or that
it belongs to a producer's iid (XCLAIM drops it, XIDMPRECORD refuses it). A stream with such an entry is written as
RESTORE, so that nothing is lost. With `replication-compat 7.0` there is nothing about producers, and no XNACK.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby, islice
from typing import Any, Final

from broker.config.directives import REDIS_7_0
from broker.formats.rdb.dump_payload import as_old_as_possible, dump
from broker.formats.rdb.value_saving import SavingOptions
from broker.keyspace.database import Database
from broker.keyspace.keyspace import Keyspace
from broker.values.hash import Hash
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from broker.values.streams.entry import decode_fields
from broker.values.streams.group import Group
from broker.values.streams.ids import MAX_PART
from broker.values.streams.older import without_released
from broker.values.streams.stream import Stream
from protocol.numbers import format_double
from protocol.replies import bulks

Command = list[bytes]

_ITEMS: Final = 64
"""Elements per command, as in Redis."""

_CHUNK: Final = 1 << 16
_KEYS: Final = 1000


def save_commands(
    write: Callable[[bytes], None],
    keyspace: Keyspace,
    options: SavingOptions,
    *,
    functions: Iterable[bytes] = (),
    progress: Callable[[int], None] | None = None,
) -> int:
    """Writes the commands that build all keys, in pieces of 64 KiB or one command; returns the number of keys.

    `functions` are the sources of function libraries. `progress` is called with the number of keys written, every
    thousand keys. Exceptions of `write` propagate.
    """
    out = bytearray()
    keys = 0
    for source in functions:
        out += bulks([b"FUNCTION", b"LOAD", source])
    for database in keyspace.databases:
        if database.data:
            out += bulks([b"SELECT", b"%d" % database.index])
        for key, value in database.data.items():
            for command in commands_of(database, key, value, options):
                out += bulks(command)
                if len(out) >= _CHUNK:
                    write(bytes(out))
                    out.clear()
            keys += 1
            if progress is not None and not keys % _KEYS:
                progress(keys)
    if out:
        write(bytes(out))
    return keys


def commands_of(database: Database, key: bytes, value: Any, options: SavingOptions) -> Iterator[Command]:
    """Yields the commands that build a key with its deadline, if it does not exist."""
    kind = value.__class__
    if kind is bytes or kind is bytearray:
        yield [b"SET", key, bytes(value)]
    elif kind is List:
        yield from _in_parts([b"RPUSH", key], iter(value), _ITEMS)
    elif kind is Set:
        yield from _in_parts([b"SADD", key], iter(value), _ITEMS)
    elif kind is SortedSet:
        yield from _in_parts([b"ZADD", key], _scores(value), 2 * _ITEMS)
    elif kind is Hash:
        yield from _hash(key, value)
    else:
        yield from _stream(key, value, options)
    deadline = database.expires.get(key)
    if deadline is not None:
        yield [b"PEXPIREAT", key, b"%d" % deadline]


def _in_parts(head: Command, elements: Iterator[bytes], count: int) -> Iterator[Command]:
    """Yields several commands with up to `count` elements each."""
    while part := list(islice(elements, count)):
        yield head + part


def _scores(value: SortedSet) -> Iterator[bytes]:
    for score, member in value:
        yield format_double(score)
        yield member


def _hash(key: bytes, value: Hash) -> Iterator[Command]:
    yield from _in_parts([b"HMSET", key], (text for pair in value.items() for text in pair), 2 * _ITEMS)
    deadlines: dict[bytes, int] = value.deadlines or {}
    for deadline, fields in groupby(sorted(deadlines, key=deadlines.__getitem__), deadlines.__getitem__):
        while part := list(islice(fields, _ITEMS)):
            yield [b"HPEXPIREAT", key, b"%d" % deadline, b"FIELDS", b"%d" % len(part), *part]


def _id(id: int) -> bytes:
    return b"%d-%d" % (id >> 64, id & MAX_PART)


def _stream(key: bytes, stream: Stream, options: SavingOptions) -> Iterator[Command]:
    older = options.replication_compat == REDIS_7_0
    if older:
        stream = without_released(stream)
    groups = stream.groups.values()
    producers = stream.idempotency
    needed: Iterator[int] = (id for group in groups for id in group.pel)
    if not older:
        needed = chain(needed, (id for iids in producers.producers.values() for id in iids.values()))
    if any(id not in stream for id in needed):
        payload = dump(stream, options)
        yield [b"RESTORE", key, b"0", as_old_as_possible(payload, stream, options)]
        return
    for id, entry in stream.entries():
        yield [b"XADD", key, _id(id), *decode_fields(entry)]
    if not stream.length:
        yield [b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"]
    counters = [b"ENTRIESADDED", b"%d" % stream.entries_added, b"MAXDELETEDID", _id(stream.max_deleted_id)]
    yield [b"XSETID", key, _id(stream.last_id), *counters]
    for group in groups:
        yield from _group(key, group)
    if older:
        return
    if producers.duration != options.stream_idmp_duration or producers.maxsize != options.stream_idmp_maxsize:
        bounds = [b"IDMP-DURATION", b"%d" % producers.duration, b"IDMP-MAXSIZE", b"%d" % producers.maxsize]
        yield [b"XCFGSET", key, *bounds]
    for producer, iids in producers.producers.items():
        for iid, id in iids.items():
            yield [b"XIDMPRECORD", key, producer, iid, _id(id)]


def _group(key: bytes, group: Group) -> Iterator[Command]:
    name = group.name
    yield [b"XGROUP", b"CREATE", key, name, _id(group.last_id), b"ENTRIESREAD", b"%d" % group.entries_read]
    for consumer in group.consumers.values():
        if not consumer.pending:
            yield [b"XGROUP", b"CREATECONSUMER", key, name, consumer.name]
        for id in group.pending_of(consumer):
            delivery = group.pel[id]
            times = [b"TIME", b"%d" % delivery.time, b"RETRYCOUNT", b"%d" % delivery.count]
            yield [b"XCLAIM", key, name, consumer.name, b"0", _id(id), *times, b"JUSTID", b"FORCE"]
    for count, ids in groupby(group.released(), lambda id: group.pel[id].count):
        while part := list(map(_id, islice(ids, _ITEMS))):
            yield [
                b"XNACK", key, name, b"FAIL", b"IDS", b"%d" % len(part), *part,
                b"RETRYCOUNT", b"%d" % count, b"FORCE",
            ]  # fmt: skip
