"""Streams in the dump format: nodes, counters, groups with their consumers and pending entries, idempotency.

A stream is written with the oldest type that can hold all of it: that of 7.0; that of 7.2 if a consumer's last success
and last attempt differ; one of 8.x if there are records of idempotent producers, or entries that XNACK released. A
payload has that type; a file may have the type of 7.0 instead of 7.2's (active_times.py). With `replication-compat 7.0`
all have the type of 7.0, and what it can't represent is left out.
"""

from typing import Protocol

from broker.config.directives import REDIS_7_0
from broker.formats.packed import stream_listpack
from broker.formats.rdb.active_times import active_times_differ
from broker.formats.rdb.format import STREAM_LISTPACKS_2, STREAM_LISTPACKS_3, STREAM_LISTPACKS_4, STREAM_LISTPACKS_5
from broker.formats.rdb.primitives import id_bytes, id_lengths, length_bytes, signed_bytes
from broker.formats.rdb.strings import append_string
from broker.values.streams.group import Consumer, Group
from broker.values.streams.idempotency import Producers
from broker.values.streams.older import without_released
from broker.values.streams.stream import Stream

_UNSIGNED = (1 << 64) - 1


class StreamOptions(Protocol):
    """The directives that decide with which type a stream is written.

    The two about idempotent producers (seconds, and entries per producer) are those of a stream whose dump has none.
    """

    @property
    def replication_compat(self) -> str: ...
    @property
    def stream_idmp_duration(self) -> int: ...
    @property
    def stream_idmp_maxsize(self) -> int: ...


def save_stream(out: bytearray, stream: Stream, kind: int, compress: bool) -> None:
    """Appends a stream's body, of one of the types from STREAM_LISTPACKS_2 on.

    Omits whatever the type can't represent.
    """
    if kind < STREAM_LISTPACKS_5:
        stream = without_released(stream)
    nodes = [node for node in stream.nodes() if len(node)]
    out += length_bytes(len(nodes))
    for node in nodes:
        key, blob = stream_listpack.encode(node)
        append_string(out, id_bytes(key), False)
        append_string(out, blob, compress)
    out += length_bytes(stream.length)
    for id in (stream.last_id, stream.first_id, stream.max_deleted_id):
        out += id_lengths(id)
    out += length_bytes(stream.entries_added)
    out += length_bytes(len(stream.groups))
    for name in sorted(stream.groups):
        _append_group(out, name, stream.groups[name], kind)
    if kind >= STREAM_LISTPACKS_4:
        _append_idempotency(out, stream.idempotency)


def stream_kind(stream: Stream, options: StreamOptions) -> int:
    """Returns the oldest type that can hold all of a stream, or all that `replication-compat` asks for."""
    if options.replication_compat == REDIS_7_0:
        return STREAM_LISTPACKS_2
    groups = stream.groups.values()
    if any(group.released_count() for group in groups):
        return STREAM_LISTPACKS_5
    producers = stream.idempotency
    if (
        producers.producers
        or producers.added
        or producers.duplicates
        or producers.duration != options.stream_idmp_duration
        or producers.maxsize != options.stream_idmp_maxsize
    ):
        return STREAM_LISTPACKS_4
    if active_times_differ(stream):
        return STREAM_LISTPACKS_3
    return STREAM_LISTPACKS_2


def _append_group(out: bytearray, name: bytes, group: Group, kind: int) -> None:
    append_string(out, name)
    out += id_lengths(group.last_id)
    # An unknown counter is -1 in 64 bits.
    out += length_bytes(group.entries_read & _UNSIGNED)
    out += length_bytes(len(group.pel))
    owned: dict[Consumer, list[int]] = {}
    for id in sorted(group.pel):
        delivery = group.pel[id]
        out += id_bytes(id)
        out += signed_bytes(delivery.time)
        out += length_bytes(delivery.count)
        if delivery.consumer is not None:
            owned.setdefault(delivery.consumer, []).append(id)
    out += length_bytes(len(group.consumers))
    for consumer_name in sorted(group.consumers):
        consumer = group.consumers[consumer_name]
        append_string(out, consumer_name)
        out += signed_bytes(consumer.seen_time)
        if kind >= STREAM_LISTPACKS_3:
            out += signed_bytes(consumer.active_time)
        ids = owned.get(consumer, [])
        out += length_bytes(len(ids))
        out += b"".join(map(id_bytes, ids))
    if kind >= STREAM_LISTPACKS_5:
        out += length_bytes(group.released_count())
        out += b"".join(map(id_bytes, group.released()))


def _append_idempotency(out: bytearray, producers: Producers) -> None:
    out += length_bytes(producers.duration)
    out += length_bytes(producers.maxsize)
    out += length_bytes(len(producers.producers))
    for name in sorted(producers.producers):
        iids = producers.producers[name]
        append_string(out, name)
        out += length_bytes(len(iids))
        for iid, id in iids.items():
            append_string(out, iid)
            out += id_lengths(id)
    out += length_bytes(producers.added)
    out += length_bytes(producers.duplicates)
