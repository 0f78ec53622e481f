"""Streams from every type, and what must agree within one."""

from dataclasses import replace

import pytest

from broker.formats.packed import stream_listpack
from broker.formats.rdb.reader import BadFormat, Reader
from broker.formats.rdb.stream_loading import stream_steps
from broker.formats.rdb.stream_saving import save_stream, stream_kind
from broker.formats.rdb.value_loading import load_value
from broker.values.streams.entry import decode_fields
from broker.values.streams.limits import DefaultStreamLimits
from broker.values.streams.stream import UNKNOWN, Stream
from broker.values.streams.trim import trim_by_length
from tests.broker.persistence.payloads import BAD, HAND_MADE, WORSE
from tests.broker.persistence.values_made import DIRECTIVES, Directives, content, stream


def load(payload: bytes, directives: Directives = DIRECTIVES) -> Stream:
    return load_value(Reader(payload[1:-10]), payload[0], directives)


def saved(value: Stream, directives: Directives = DIRECTIVES) -> tuple[int, bytes]:
    """The type and the body."""
    out = bytearray()
    kind = stream_kind(value, directives)
    save_stream(out, value, kind, directives.rdbcompression)
    return kind, bytes(out)


def reloaded(value: Stream, directives: Directives = DIRECTIVES) -> Stream:
    kind, body = saved(value, directives)
    return load_value(Reader(body), kind, directives)


@pytest.mark.parametrize("name", [name for name in HAND_MADE if name.startswith("stream")])
def test_types(name: str) -> None:
    value = load(HAND_MADE[name])
    entries = [(id, decode_fields(text)) for id, text in value.entries()]
    assert entries == [(1 << 64 | 1, [b"f", b"a"]), (3 << 64 | 6, [b"f", b"1", b"g", b"2"])]
    assert (value.length, value.first_id, value.last_id) == (2, 1 << 64 | 1, 3 << 64 | 6)
    oldest = name.startswith("stream 1")
    assert value.entries_added == (2 if oldest else 3)
    assert value.limits is DIRECTIVES
    if value.groups:
        group = value.groups[b"g"]
        consumer = group.consumers[b"alice"]
        newer = name.startswith(("stream 3", "stream 5"))
        assert (group.last_id, group.entries_read) == (1 << 64 | 1, UNKNOWN if "unknown" in name else 1)
        assert (consumer.seen_time, consumer.active_time) == (1700000000001, 1700000000002 if newer else 1700000000001)
        delivery = group.pel[1 << 64 | 1]
        assert (delivery.consumer, delivery.time, delivery.count, consumer.pending) == (consumer, 1700000000000, 3, 1)


@pytest.mark.parametrize("name", [name for name in {**BAD, **WORSE} if name.startswith("stream")])
def test_errors(name: str) -> None:
    with pytest.raises(BadFormat):
        load({**BAD, **WORSE}[name])


def test_nodes_end_where_they_ended() -> None:
    value = stream(950)
    # Deleted entries are not written, so those of the last node would leave room for others.
    for n in range(1000, 1130):
        value.append(n << 64, [b"f", b"%d" % n])
    again = reloaded(value)
    assert [len(node) for node in again.nodes()] == [len(node) for node in value.nodes() if len(node)]
    for either in (value, again):
        assert trim_by_length(either, 500, approximate=True) > 300
        for n in range(1200, 1400):
            either.append(n << 64, [b"f", b"%d" % n])
    assert content(value) == content(again)
    assert [len(node) for node in again.nodes()] == [len(node) for node in value.nodes() if len(node)]


def test_a_full_last_node_takes_no_more() -> None:
    value = Stream(DIRECTIVES)
    for n in range(1, 101):
        value.append(n << 64, [b"f", b"v"])
    again = reloaded(value)
    again.append(1000 << 64, [b"f", b"v"])
    assert [len(node) for node in again.nodes()] == [100, 1]


def test_other_limits_hold_for_what_comes() -> None:
    again = reloaded(stream(30), replace(DIRECTIVES, stream_node_max_entries=5))
    before = again.node_count()
    for n in range(1000, 1010):
        again.append(n << 64, [b"f", b"v"])
    assert again.node_count() == before + 2


def test_a_deleted_first_entry_still_begins_its_node() -> None:
    value = load(HAND_MADE["stream 2"])
    (node,) = value.nodes()
    assert (node.first, node.names, node.room, node.tombstone) == (1 << 64 | 1, [b"f"], 97, 2 << 64 | 1)


def test_producers_without_ids_are_dropped() -> None:
    value = stream(1)
    value.idempotency.find(b"p", b"x", 0)
    assert reloaded(value).idempotency.producers == {}


def test_an_entry_counts_as_one_element() -> None:
    value = Stream(DIRECTIVES)
    for n in range(1, 501):
        value.append(n << 64, [b"f", b"v"])
    kind, body = saved(value)
    # As a node is read it takes 505 elements.
    for elements in (905, 904):
        reader = Reader(body, elements=elements)
        if elements == 905:
            assert load_value(reader, kind, DIRECTIVES).length == 500
        else:
            with pytest.raises(BadFormat, match="too long"):
                load_value(reader, kind, DIRECTIVES)


def test_names_that_multiply_are_bounded() -> None:
    """A node has them once, and its entries here each have them."""
    value = Stream(DefaultStreamLimits(stream_node_max_bytes=0))
    for n in range(1, 101):
        value.append(n << 64, [b"n" * 1000, b"v"])
    kind, body = saved(value, replace(DIRECTIVES, rdbcompression=False))
    assert load_value(Reader(body, inflation=25_600), kind, DIRECTIVES).length == 100
    with pytest.raises(BadFormat, match="too large"):
        load_value(Reader(body, inflation=24_500), kind, DIRECTIVES)


def test_nodes_in_order() -> None:
    value = stream(250)
    kind, body = saved(value, replace(DIRECTIVES, rdbcompression=False))
    (first, one), (second, other) = [stream_listpack.encode(node) for node in value.nodes()][:2]
    data = body.replace(first.to_bytes(16, "big"), second.to_bytes(16, "big"), 1)
    with pytest.raises(BadFormat, match="out of order"):
        load_value(Reader(data), kind, DIRECTIVES)
    assert one != other


def test_loading_in_steps() -> None:
    value = stream(20_000)
    kind, body = saved(value)
    offsets = []
    steps = stream_steps(Reader(body), kind, DIRECTIVES)
    try:
        while True:
            offsets.append(next(steps))
    except StopIteration as end:
        assert content(end.value) == content(value)
    assert len(offsets) > 2 and offsets == sorted(offsets)
