"""Streams from the dump format, every type from Redis 5 on.

Entries are added as XADD adds them, with the nodes ending where they ended: approximate trimming removes the same
entries before and after.
"""

from collections import OrderedDict

from broker.persistence import stream_listpack
from broker.persistence.packed_values import duplicate, unpack_listpack
from broker.persistence.rdb_format import (
    STREAM_LISTPACKS_2,
    STREAM_LISTPACKS_3,
    STREAM_LISTPACKS_4,
    STREAM_LISTPACKS_5,
)
from broker.persistence.rdb_reader import Reader
from broker.values.stream import MAX_COUNTER, MAX_ENTRY, UNKNOWN, EntryTooLarge, Stream
from broker.values.stream_group import MAX_COUNT, Consumer, Group
from broker.values.stream_limits import DefaultStreamLimits, StreamLimits

_ID_BYTES = 16
_UNKNOWN_UNSIGNED = (1 << 64) - 1
# XCFGSET's bounds.
_MAX_IDMP_DURATION = 86400
_MAX_IDMP_MAXSIZE = 10000

# While loading, a node ends only where it ended in the dump.
_BOUNDLESS = DefaultStreamLimits(stream_node_max_bytes=0, stream_node_max_entries=0)


def load_stream(reader: Reader, kind: int, limits: StreamLimits) -> Stream:
    """The stream that the reader is at, of one of the STREAM_LISTPACKS types. Raises BadFormat."""
    stream = Stream(_BOUNDLESS)
    for _ in range(reader.length()):
        _load_node(reader, stream, limits)
    stream.limits = limits
    stream.idempotency.duration = limits.stream_idmp_duration
    stream.idempotency.maxsize = limits.stream_idmp_maxsize
    _load_counters(reader, stream, kind)
    for _ in range(reader.length()):
        _load_group(reader, stream, kind)
    if kind >= STREAM_LISTPACKS_4:
        _load_idempotency(reader, stream)
    return stream


def _load_node(reader: Reader, stream: Stream, limits: StreamLimits) -> None:
    key = reader.string()
    if len(key) != _ID_BYTES:
        raise reader.bad("a node's key is no ID")
    blob = reader.string()
    elements = unpack_listpack(reader, blob)
    try:
        head = stream_listpack.NodeHead(elements)
        latest_deleted = _append_entries(stream, elements, int.from_bytes(key, "big"))
    except (stream_listpack.BadNode, EntryTooLarge):
        raise reader.bad("a node of a stream is damaged") from None
    # Elements are bounded for the memory they take: here an entry counts as one.
    reader.elements += len(elements) - head.live - head.deleted
    node = stream.node_at(stream.node_count() - 1)
    assert node is not None
    node.names = head.names
    node.tombstone = max(node.tombstone, latest_deleted)
    # Deletions give nothing back.
    most_bytes, most_entries = limits.stream_node_max_bytes, limits.stream_node_max_entries or MAX_COUNTER
    node.space = (most_bytes if 0 < most_bytes < MAX_ENTRY else MAX_ENTRY) - len(blob)
    node.room = max(most_entries - head.live - head.deleted, 0)


def _append_entries(stream: Stream, elements: list[bytes], key: int) -> int:
    """Append a node of these elements; the highest ID of a deleted entry, 0 without one.

    Raises BadNode, EntryTooLarge.
    """
    tail = stream.node_at(stream.node_count() - 1) if stream.node_count() else None
    room = 0
    if tail is not None:
        tail.room, room = 0, tail.room
    latest = max(stream.last_id, key - 1)
    first = latest_deleted = 0
    first_deleted = False
    for id, deleted, fields in stream_listpack.decode(elements, key):
        if id <= latest:
            raise stream_listpack.BadNode
        latest = id
        if deleted:
            latest_deleted = id
        # The first one is the node's beginning, deleted or not.
        if not first:
            first = id
            stream.append(id, fields)
            if tail is not None:
                tail.room = room
            first_deleted = deleted
        elif not deleted:
            stream.append(id, fields)
    if first_deleted:
        stream.delete(first)
    return latest_deleted


def _load_counters(reader: Reader, stream: Stream, kind: int) -> None:
    length = reader.length()
    last_id = reader.id_lengths()
    if length != stream.length or last_id < stream.last_id:
        raise reader.bad("a stream's counters don't fit its entries")
    stream.last_id = last_id
    stream.max_deleted_id = 0
    stream.entries_added = length
    stream.refresh_first_id()
    if kind < STREAM_LISTPACKS_2:
        return
    reader.id_lengths()  # the first ID: that of the first entry
    stream.max_deleted_id = reader.id_lengths()
    stream.entries_added = reader.length()
    if not length <= stream.entries_added <= MAX_COUNTER:
        raise reader.bad("a stream's counters don't fit its entries")


def _load_group(reader: Reader, stream: Stream, kind: int) -> None:
    name = reader.string()
    last_id = reader.id_lengths()
    if name in stream.groups:
        raise duplicate(reader)
    entries_read = _entries_read(reader, stream) if kind >= STREAM_LISTPACKS_2 else stream.logical_position(last_id)
    group = stream.groups[name] = Group(name, last_id, entries_read)
    # Who has them comes later, and is decided before they are made pending: in the order of their IDs.
    pending: dict[int, tuple[int, int]] = {}
    for _ in range(reader.length()):
        id = reader.id()
        if id in pending:
            raise duplicate(reader)
        pending[id] = reader.signed(), min(reader.length(), MAX_COUNT)
    owners: dict[int, Consumer] = {}
    for _ in range(reader.length()):
        _load_consumer(reader, group, pending, owners, kind)
    released = _released(reader, pending, owners) if kind >= STREAM_LISTPACKS_5 else {}
    if len(owners) + len(released) != len(pending):
        raise reader.bad("a pending entry belongs to no consumer")
    for id, (time, count) in sorted(pending.items()):
        if id in owners:
            group.restore(id, owners[id], time, count)
    for id in released:
        group.restore(id, None, 0, pending[id][1])


def _entries_read(reader: Reader, stream: Stream) -> int:
    count = reader.length()
    if count == _UNKNOWN_UNSIGNED:
        return UNKNOWN
    if count > stream.entries_added:
        raise reader.bad("a group has read more than there was")
    return count


def _load_consumer(
    reader: Reader, group: Group, pending: dict[int, tuple[int, int]], owners: dict[int, Consumer], kind: int
) -> None:
    name = reader.string()
    if name in group.consumers:
        raise duplicate(reader)
    consumer = group.create_consumer(name, reader.signed())
    consumer.active_time = reader.signed() if kind >= STREAM_LISTPACKS_3 else consumer.seen_time
    for _ in range(reader.length()):
        id = reader.id()
        if id not in pending or id in owners:
            raise reader.bad("a consumer's entry is not pending, or at two consumers")
        owners[id] = consumer


def _released(reader: Reader, pending: dict[int, tuple[int, int]], owners: dict[int, Consumer]) -> dict[int, None]:
    """The pending entries that belong to no one, in the order they were released."""
    released: dict[int, None] = {}
    for _ in range(reader.length()):
        id = reader.id()
        if id not in pending or id in owners or id in released:
            raise reader.bad("a released entry is not pending, or at a consumer")
        released[id] = None
    return released


def _load_idempotency(reader: Reader, stream: Stream) -> None:
    producers = stream.idempotency
    producers.duration = reader.length()
    producers.maxsize = reader.length()
    if not (1 <= producers.duration <= _MAX_IDMP_DURATION and 1 <= producers.maxsize <= _MAX_IDMP_MAXSIZE):
        raise reader.bad("a bound of idempotent producing is out of range")
    for _ in range(reader.length()):
        name = reader.string()
        count = reader.length()
        iids: OrderedDict[bytes, int] = OrderedDict()
        for _ in range(count):
            iid = reader.string()
            iids.setdefault(iid, reader.id_lengths())
        if not iids:
            continue
        if name in producers.producers:
            raise duplicate(reader)
        producers.producers[name] = iids
    producers.added = reader.length()
    producers.duplicates = reader.length()
