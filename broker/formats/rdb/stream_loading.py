"""Streams from the dump format, every type from Redis 5 on.

Nodes keep their boundaries, so that approximate trimming removes the same entries before and after.
"""

from collections import OrderedDict
from collections.abc import Generator, Iterator
from itertools import groupby, islice
from struct import Struct

from broker.formats.packed import stream_listpack
from broker.formats.rdb.format import STREAM_LISTPACKS_2, STREAM_LISTPACKS_3, STREAM_LISTPACKS_4, STREAM_LISTPACKS_5
from broker.formats.rdb.packed_values import duplicate
from broker.formats.rdb.reader import Reader
from broker.values import listpack
from broker.values.streams.group import MAX_COUNT, Consumer, Group
from broker.values.streams.limits import StreamLimits
from broker.values.streams.node import StreamNode
from broker.values.streams.stream import MAX_COUNTER, MAX_ENTRY, UNKNOWN, Stream

Facts = tuple[int, int]
"""When (in wall-clock milliseconds) and how often a pending entry was delivered."""

_ID_BYTES = 16
_ids = Struct(">QQ").iter_unpack
_UNKNOWN_UNSIGNED = (1 << 64) - 1
# XCFGSET's bounds.
_MAX_IDMP_DURATION = 86400
_MAX_IDMP_MAXSIZE = 10000

# Names that a node contains once are sent with each of its entries, so kilobytes could be read as gigabytes. It happens
# to honest streams, so only one byte in this many counts.
_NAMES_SHARE = 4

# Work of some milliseconds.
_PAUSE_NODES = 64
_PAUSE_PENDING = 1000


def stream_steps(reader: Reader, kind: int, limits: StreamLimits) -> Generator[int, None, Stream]:
    """Reads a stream of one of the STREAM_LISTPACKS types; see Steps. Raises BadFormat."""
    stream = Stream(limits)
    yield from _load_nodes(reader, stream, limits)
    _load_counters(reader, stream, kind)
    for _ in range(reader.length()):
        yield from _load_group(reader, stream, kind)
    if kind >= STREAM_LISTPACKS_4:
        _load_idempotency(reader, stream)
    return stream


def _load_nodes(reader: Reader, stream: Stream, limits: StreamLimits) -> Iterator[int]:
    nodes: list[StreamNode] = []
    latest = 0
    names: list[bytes] = []
    for count in range(reader.length()):
        node, latest = _load_node(reader, latest, limits)
        if node.names == names:
            node.names = names
        names = node.names
        nodes.append(node)
        if not count % _PAUSE_NODES:
            yield reader.offset
    if nodes:
        stream.restore_nodes(nodes)


def _load_node(reader: Reader, latest: int, limits: StreamLimits) -> tuple[StreamNode, int]:
    """Reads the node after the one that ended with the ID `latest`; returns its last ID, too."""
    key = reader.string()
    if len(key) != _ID_BYTES:
        raise reader.bad("a node's key is not an ID")
    blob = reader.string()
    size = len(blob)
    reader.packed += 1
    try:
        if size > MAX_ENTRY:
            raise stream_listpack.BadNode
        node, last, entries = stream_listpack.unpack(blob, int.from_bytes(key, "big"), reader.elements)
        inflation = sum(map(len, node.names)) * (len(node) - 1) // _NAMES_SHARE
        if inflation > reader.inflation:
            raise stream_listpack.BadNode
    except listpack.BadListpack:
        raise reader.bad("a listpack is damaged or too long") from None
    except stream_listpack.BadNode:
        raise reader.bad("a node of a stream is damaged or too large") from None
    if node.first <= latest:
        raise reader.bad("nodes of a stream are out of order")
    reader.inflation -= inflation
    # Elements are bounded because of their memory; here an entry counts as one.
    reader.elements -= entries
    # Deletions do not free space.
    most_bytes, most_entries = limits.stream_node_max_bytes, limits.stream_node_max_entries or MAX_COUNTER
    node.space = (most_bytes if 0 < most_bytes < MAX_ENTRY else MAX_ENTRY) - size
    node.room = max(most_entries - entries, 0)
    return node, last


def _load_counters(reader: Reader, stream: Stream, kind: int) -> None:
    length = reader.length()
    last_id = reader.id_lengths()
    if length != stream.length or last_id < stream.last_id:
        raise reader.bad("a stream's counters don't fit its entries")
    stream.last_id = last_id
    stream.entries_added = length
    if kind < STREAM_LISTPACKS_2:
        return
    reader.id_lengths()  # the first ID: that of the first entry
    stream.max_deleted_id = reader.id_lengths()
    stream.entries_added = reader.length()
    if not length <= stream.entries_added <= MAX_COUNTER:
        raise reader.bad("a stream's counters don't fit its entries")


def _load_group(reader: Reader, stream: Stream, kind: int) -> Iterator[int]:
    name = reader.string()
    last_id = reader.id_lengths()
    if name in stream.groups:
        raise duplicate(reader)
    entries_read = _entries_read(reader, stream) if kind >= STREAM_LISTPACKS_2 else stream.logical_position(last_id)
    group = stream.groups[name] = Group(name, last_id, entries_read)
    # The consumers follow later in the file. Once they are known, entries are made pending in the order of their IDs.
    pending: dict[int, Facts] = {}
    latest: Facts = 0, 0
    for number in range(reader.length()):
        id = reader.id()
        if id in pending:
            raise duplicate(reader)
        facts = reader.signed(), min(reader.length(), MAX_COUNT)
        # Entries that were delivered together share one tuple.
        latest = pending[id] = latest if facts == latest else facts
        if not number % _PAUSE_PENDING:
            yield reader.offset
    owners: dict[int, Consumer] = {}
    for _ in range(reader.length()):
        yield from _load_consumer(reader, group, pending, owners, kind)
    released = _released(reader, pending, owners) if kind >= STREAM_LISTPACKS_5 else {}
    if len(owners) + len(released) != len(pending):
        raise reader.bad("a pending entry has no consumer")
    for (consumer, (time, count)), run in groupby(sorted(owners), lambda id: (owners[id], pending[id])):
        while ids := list(islice(run, _PAUSE_PENDING)):
            group.restore(ids, consumer, time, count)
            yield reader.offset
    for id in released:
        group.release(id, pending[id][1])


def _entries_read(reader: Reader, stream: Stream) -> int:
    count = reader.length()
    if count == _UNKNOWN_UNSIGNED:
        return UNKNOWN
    if count > stream.entries_added:
        raise reader.bad("a group has read more entries than were added")
    return count


def _load_consumer(
    reader: Reader, group: Group, pending: dict[int, Facts], owners: dict[int, Consumer], kind: int
) -> Iterator[int]:
    name = reader.string()
    if name in group.consumers:
        raise duplicate(reader)
    consumer = group.create_consumer(name, reader.signed())
    consumer.active_time = reader.signed() if kind >= STREAM_LISTPACKS_3 else consumer.seen_time
    left = reader.length()
    while left:
        count = min(left, _PAUSE_PENDING)
        left -= count
        for high, low in _ids(reader.take(count * _ID_BYTES)):
            id = high << 64 | low
            if id not in pending or id in owners:
                raise reader.bad("a consumer's entry is not pending, or has two consumers")
            owners[id] = consumer
        yield reader.offset


def _released(reader: Reader, pending: dict[int, Facts], owners: dict[int, Consumer]) -> dict[int, None]:
    """Reads the pending entries without an owner, in the order of their release."""
    released: dict[int, None] = {}
    for _ in range(reader.length()):
        id = reader.id()
        if id not in pending or id in owners or id in released:
            raise reader.bad("a released entry is not pending, or has a consumer")
        released[id] = None
    return released


def _load_idempotency(reader: Reader, stream: Stream) -> None:
    producers = stream.idempotency
    producers.duration = reader.length()
    producers.maxsize = reader.length()
    if not (1 <= producers.duration <= _MAX_IDMP_DURATION and 1 <= producers.maxsize <= _MAX_IDMP_MAXSIZE):
        raise reader.bad("a limit for idempotent producers is out of range")
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
