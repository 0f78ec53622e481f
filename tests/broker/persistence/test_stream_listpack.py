"""Nodes of streams as listpacks."""

import pytest

from broker.persistence import listpack, stream_listpack
from broker.persistence.stream_listpack import BadNode, NodeHead, decode
from broker.values.stream import Stream
from broker.values.stream_entry import decode_fields
from tests.broker.persistence.values_made import DIRECTIVES, stream

MAX = (1 << 64) - 1


@pytest.mark.parametrize("value", [stream(3), stream(250)])
def test_round_trip(value: Stream) -> None:
    for node in value.nodes():
        key, blob = stream_listpack.encode(node)
        elements = listpack.decode(blob)
        head = NodeHead(elements)
        assert (head.live, head.deleted, head.names) == (len(node), 0, node.names)
        found = list(decode(elements, key))
        assert key == found[0][0] >= node.first
        assert found == [(id, False, decode_fields(text)) for id, text in node.entries()]


def test_ids_far_apart() -> None:
    value = Stream(DIRECTIVES)
    ids = [5 << 64 | MAX, 6 << 64, MAX << 64, MAX << 64 | MAX]
    for id in ids:
        value.append(id, [b"f", b"v"])
    (node,) = value.nodes()
    key, blob = stream_listpack.encode(node)
    assert [id for id, _, _ in decode(listpack.decode(blob), key)] == ids


HEAD = [b"1", b"1", b"1", b"f", b"0"]
ENTRIES = [b"3", b"0", b"0", b"v", b"4", b"0", b"0", b"1", b"1", b"g", b"w", b"6"]


def test_deleted_entries_are_told() -> None:
    assert list(decode(HEAD + ENTRIES, 7 << 64)) == [
        (7 << 64, True, [b"f", b"v"]),
        (7 << 64 | 1, False, [b"g", b"w"]),
    ]


@pytest.mark.parametrize("at", [0, 1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16])
def test_every_number_counts(at: int) -> None:
    for wrong in (b"x", b"77", b"-1"):
        elements = HEAD + ENTRIES
        elements[at] = wrong
        if wrong != b"x" and at in (5, 6, 7, 10, 11, 12):
            continue  # flags and IDs of other entries
        with pytest.raises(BadNode):
            list(decode(elements, 7 << 64))


def test_cut_anywhere() -> None:
    for size in range(len(HEAD + ENTRIES)):
        with pytest.raises(BadNode):
            list(decode((HEAD + ENTRIES)[:size], 0))


def test_an_entry_without_fields() -> None:
    with pytest.raises(BadNode):
        list(decode([b"1", b"0", b"0", b"0", b"2", b"0", b"0", b"3"], 0))
