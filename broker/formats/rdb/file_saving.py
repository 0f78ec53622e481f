"""Writing a dump file (RDB): all keys of all databases, functions, and the file's own metadata.

The file gets the oldest version that can hold the data, so that as many servers as possible can read it: 10, which
Redis 7.0 introduced, unless a hash has a field with a deadline or a stream has a state that Redis 8 introduced and that
`replication-compat` does not leave out. That is determined first, since the file begins with the version. In a file of
version 10, consumers' times that 7.0 does not know precede their stream (active_times.py); a newer file has them in the
newer type of streams.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final, Protocol

from broker.config.directives import REDIS_7_0
from broker.formats.packed.crc64 import crc64
from broker.formats.rdb.active_times import ACTIVE_TIMES, active_times_differ, pack_active_times
from broker.formats.rdb.format import (
    HASH_METADATA,
    MAGIC,
    OLDEST_VALKEY,
    OP_AUX,
    OP_EOF,
    OP_EXPIRETIME_MS,
    OP_FREQ,
    OP_FUNCTION2,
    OP_IDLE,
    OP_RESIZEDB,
    OP_SELECTDB,
    STREAM_LISTPACKS_2,
    STREAM_LISTPACKS_3,
    VALKEY_MAGIC,
    VERSION_7_0,
    VERSION_7_2,
    oldest_version,
)
from broker.formats.rdb.primitives import length_bytes, signed_bytes
from broker.formats.rdb.stream_saving import save_stream, stream_kind
from broker.formats.rdb.strings import append_string, append_string_keys
from broker.formats.rdb.value_saving import SavingOptions, append_valkey_hash, append_value
from broker.keyspace.access import LFU, LRU, Access
from broker.keyspace.database import Database, Value
from broker.keyspace.keyspace import Keyspace
from broker.values.hash import Hash
from broker.values.streams.older import without_released
from broker.values.streams.stream import Stream
from broker.version import REDIS_VERSION

_CHUNK: Final = 1 << 16
_MOST_AT_ONCE: Final = 1 << 20

_BATCH: Final = 1000
"""Number of keys between two progress reports."""

_CHECKSUM_BYTES: Final = 8


class FileOptions(SavingOptions, Protocol):
    """The directives that decide how a file is written; part of a broker's configuration."""

    @property
    def rdbchecksum(self) -> bool: ...
    @property
    def maxmemory_policy(self) -> str: ...


def save_rdb(
    write: Callable[[bytes], None],
    keyspace: Keyspace,
    options: FileOptions,
    *,
    aux: Iterable[tuple[bytes, bytes]] = (),
    functions: Iterable[bytes] = (),
    aof_base: bool = False,
    as_valkey: bool = False,
    keys: bool = True,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Writes a whole file in pieces of 64 KiB to 1 MiB; returns the number of keys in it.

    `aux` is additional metadata, as names and values, `functions` are the sources of function libraries.
    `keys` is whether the keys are written at all, `aof_base` whether the file is the base of an append-only file, and
    `as_valkey` whether it is one of Valkey's, which differs where fields have deadlines: NotForValkey is raised if a
    stream has a state that Redis 8 introduced. `progress` is called with the number of keys written, every thousand
    keys. Exceptions of `write` propagate.
    """
    databases = keyspace.databases if keys else ()
    version = needed_version(databases, options)
    if as_valkey:
        if needed_version(databases, options, fields=False) > VERSION_7_2:
            raise NotForValkey("a stream has a state that Valkey does not know")
        version = OLDEST_VALKEY
    file = _File(write, options.rdbchecksum, version)
    file.out += b"%b%03d" % (VALKEY_MAGIC, version) if as_valkey else b"%b%04d" % (MAGIC, version)
    facts = (
        (b"redis-ver", REDIS_VERSION.encode()),
        (b"redis-bits", b"64"),
        (b"ctime", b"%d" % (keyspace.clock.now // 1000)),
        *aux,
        (b"aof-base", b"1" if aof_base else b"0"),
    )
    for name, value in facts:
        file.out.append(OP_AUX)
        append_string(file.out, name, options.rdbcompression)
        append_string(file.out, value, options.rdbcompression)
    for source in functions:
        file.out.append(OP_FUNCTION2)
        append_string(file.out, source, options.rdbcompression)
    written = 0
    for database in databases:
        for count in _save_database(file, database, keyspace.access, options):
            written += count
            if progress is not None:
                progress(written)
    file.finish()
    return written


class NotForValkey(Exception):
    """The keys include something that Valkey can't read."""


def needed_version(databases: Iterable[Database], options: FileOptions, *, fields: bool = True) -> int:
    """Returns the oldest version that can hold the contents of some databases; `fields`: and deadlines of fields."""
    version = VERSION_7_0
    for database in databases:
        if fields and any(_expires_by_fields(database, key) for key in database.field_deadlines):
            version = max(version, oldest_version(HASH_METADATA))
        # Takes 15 ms for a million strings.
        if Stream in set(map(type, database.data.values())):
            kinds = {stream_kind(value, options) for value in database.data.values() if value.__class__ is Stream}
            # The additions of that type go to an AUX field instead.
            kinds.discard(STREAM_LISTPACKS_3)
            version = max((version, *map(oldest_version, kinds)))
    return version


def _expires_by_fields(database: Database, key: bytes) -> bool:
    value = database.data.get(key)
    return value.__class__ is Hash and bool(value.deadlines)


class _File:
    """A file being written: the bytes not yet passed to `write`, the checksum of the rest, and the version."""

    __slots__ = ("_checksum", "_checksummed", "_write", "out", "version")

    def __init__(self, write: Callable[[bytes], None], checksummed: bool, version: int) -> None:
        self._write = write
        self._checksummed = checksummed
        self._checksum = 0
        self.out = bytearray()
        self.version = version

    def flush(self) -> None:
        """Writes all pending bytes."""
        out = self.out
        if self._checksummed:
            self._checksum = crc64(out, self._checksum)
        for at in range(0, len(out), _MOST_AT_ONCE):
            self._write(bytes(out) if len(out) <= _MOST_AT_ONCE else bytes(out[at : at + _MOST_AT_ONCE]))
        out.clear()

    def finish(self) -> None:
        """Writes the end of the file."""
        self.out.append(OP_EOF)
        self.flush()
        self._write(self._checksum.to_bytes(_CHECKSUM_BYTES, "little"))


def _save_database(file: _File, database: Database, access: Access, options: FileOptions) -> Iterator[int]:
    """Writes the keys of a database; yields the number of keys in each batch."""
    data = database.data
    if not data:
        return
    out = file.out
    out.append(OP_SELECTDB)
    out += length_bytes(database.index)
    out.append(OP_RESIZEDB)
    out += length_bytes(len(data)) + length_bytes(len(database.expires))
    recorded = options.maxmemory_policy.rpartition("-")[2]
    items = iter(data.items())
    while batch := list(islice(items, _BATCH)):
        _save_batch(file, batch, database, _hints(access, database, batch, recorded), options)
        yield len(batch)


def _save_batch(
    file: _File,
    batch: list[tuple[bytes, Value]],
    database: Database,
    hints: list[bytes] | None,
    options: FileOptions,
) -> None:
    out, expires, compress = file.out, database.expires, options.rdbcompression
    at, end = 0, len(batch)
    while at < end:
        at = append_string_keys(out, batch, at, expires, hints, compress, _CHUNK)
        if at < end and len(out) < _CHUNK:
            key, value = batch[at]
            _append_key(file, key, value, expires.get(key), b"" if hints is None else hints[at], options)
            at += 1
        if len(out) >= _CHUNK:
            file.flush()


def _append_key(file: _File, key: bytes, value: Any, deadline: int | None, hint: bytes, options: SavingOptions) -> None:
    out = file.out
    older_stream = False
    if value.__class__ is Stream:
        older = options.replication_compat == REDIS_7_0
        if older:
            value = without_released(value)
        # In a file of that version streams have nothing else that the older type lacks.
        older_stream = older or file.version in (VERSION_7_0, OLDEST_VALKEY)
    if older_stream and active_times_differ(value):
        out.append(OP_AUX)
        append_string(out, ACTIVE_TIMES, False)
        append_string(out, pack_active_times(key, value), options.rdbcompression)
    if deadline is not None:
        out.append(OP_EXPIRETIME_MS)
        out += signed_bytes(deadline)
    out += hint
    # The type precedes the key, but is only known after the body.
    place = len(out)
    out.append(0)
    append_string(out, key, options.rdbcompression)
    if older_stream:
        save_stream(out, value, STREAM_LISTPACKS_2, options.rdbcompression)
        out[place] = STREAM_LISTPACKS_2
    elif file.version == OLDEST_VALKEY and value.__class__ is Hash and value.deadlines:
        out[place] = append_valkey_hash(out, value, options.rdbcompression)
    else:
        out[place] = append_value(out, value, options)


def _hints(access: Access, database: Database, batch: list[tuple[bytes, Value]], recorded: str) -> list[bytes] | None:
    """Returns for each key when or how often it was accessed, if the eviction policy uses that."""
    keys = [key for key, _ in batch]
    if recorded == LRU:
        opcode = bytes((OP_IDLE,))
        times = access.idle_times(database, keys)
        return [opcode + length_bytes(max(time, 0) // 1000) for time in times]
    if recorded == LFU:
        return [bytes((OP_FREQ, access.frequency(database, key))) for key in keys]
    return None
