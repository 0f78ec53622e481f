"""Whole RDB files, made by hand or of a keyspace, and what loading them gives."""

import io
from collections.abc import Sequence
from typing import Any

from broker.broker import Broker
from broker.formats.packed.crc64 import crc64
from broker.formats.rdb.file_loading import Loaded, load_rdb
from broker.formats.rdb.file_saving import save_rdb
from broker.formats.rdb.reader import Reader
from broker.formats.rdb.target import KeyspaceTarget
from tests.broker.persistence.values_made import content
from tests.broker.sessions import make_broker


def sealed_file(records: bytes, version: int = 10, magic: bytes = b"REDIS") -> bytes:
    """A file of some records, with its header, end, and checksum where the version has one."""
    data = magic + b"%0*d" % (9 - len(magic), version) + records + b"\xff"
    return data + crc64(data).to_bytes(8, "little") if version >= 5 else data


def saved(broker: Broker, functions: Sequence[bytes] = (), **more: Any) -> bytes:
    """The file of a broker's keyspace."""
    parts: list[bytes] = []
    save_rdb(parts.append, broker.keyspace, broker.config, functions=functions, **more)
    return b"".join(parts)


def load(
    data: bytes, broker: Broker, now: int | None = None, piece: int = 1 << 16
) -> tuple[Loaded, KeyspaceTarget, list[int]]:
    """Load a file; what came of it, and where the loading paused."""
    target = KeyspaceTarget(broker.keyspace)
    source = io.BytesIO(data)
    reader = Reader(source=lambda count: source.read(min(count, piece)), size=len(data))
    loading = load_rdb(reader, target, broker.config, now=now)
    pauses: list[int] = []
    while True:
        try:
            pauses.append(next(loading))
        except StopIteration as end:
            return end.value, target, pauses


def keys_of(broker: Broker) -> dict[tuple[int, bytes], Any]:
    """All keys of all databases: their content and deadline."""
    return {
        (database.index, key): (content(value), database.deadline(key))
        for database in broker.keyspace.databases
        for key, value in database.data.items()
    }


def loaded_keys(data: bytes, now: int | None = None, piece: int = 1 << 16) -> dict[bytes, Any]:
    """The contents of the keys of a file's database 0, in a new broker."""
    broker = make_broker()
    load(data, broker, now, piece)
    return {key: content(value) for key, value in broker.keyspace.databases[0].data.items()}
