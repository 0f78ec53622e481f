"""Nodes of streams as listpacks."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.formats.packed import stream_listpack
from broker.formats.packed.stream_listpack import BadNode, NodeHead, decode
from broker.formats.rdb.format import ENTRY_DELETED, ENTRY_SAME_FIELDS
from broker.values import listpack
from broker.values.streams.entry import decode_fields
from broker.values.streams.limits import DefaultStreamLimits
from broker.values.streams.node import StreamNode
from broker.values.streams.stream import Stream
from tests.broker.persistence.values_made import DIRECTIVES, stream
from tests.twins import pure_module

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
        assert [(id, fields) for id, _, fields in found] == [(id, decode_fields(text)) for id, text in node.entries()]
        for _, flags, fields in found:
            assert flags == (ENTRY_SAME_FIELDS if fields[::2] == node.names else 0)


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
        (7 << 64, ENTRY_SAME_FIELDS | ENTRY_DELETED, [b"f", b"v"]),
        (7 << 64 | 1, 0, [b"g", b"w"]),
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


PURE = pure_module("broker.formats.packed.stream_listpack")
MOST = 1 << 30


def told(found: tuple[StreamNode, int, int]) -> object:
    """All there is to a node that was unpacked."""
    node, last, entries = found
    packed, ends = node.packed()
    parts = (node.first, node.names, node.shift, list(node.keys), packed, list(ends))
    return parts, ends.typecode, node.tombstone, node.space, node.room, last, entries


def outcome(unpack: Callable[..., tuple[StreamNode, int, int]], *args: object) -> object:
    try:
        return told(unpack(*args))
    except (BadNode, listpack.BadListpack, PURE.BadNode) as error:
        return type(error).__name__


IDS = st.sampled_from([0, 1, 2, 127, 128, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, MAX])
FIELDS = st.lists(
    st.tuples(st.sampled_from([b"f", b"g", b"12", b"n" * 70]), st.one_of(
        st.binary(max_size=70), st.integers(-(2**64), 2**64).map(lambda n: b"%d" % n), st.just(b"v" * 5000),
    )),
    min_size=1, max_size=3,
).map(lambda pairs: [part for pair in pairs for part in pair])  # fmt: skip
ENTRIES_MADE = st.lists(
    st.tuples(st.tuples(IDS, IDS), FIELDS), min_size=1, max_size=12, unique_by=lambda entry: entry[0]
)


@given(ENTRIES_MADE, st.data())
def test_twins_agree_on_nodes(entries: list[tuple[tuple[int, int], list[bytes]]], data: st.DataObject) -> None:
    value = Stream(DefaultStreamLimits(stream_node_max_bytes=0, stream_node_max_entries=0))
    for (ms, seq), fields in sorted(entries):
        if ms or seq:
            value.append(ms << 64 | seq, fields)
    ids = [id for id, _ in value.entries()]
    for id in data.draw(st.lists(st.sampled_from(ids), unique=True, max_size=3)) if ids else ():
        value.delete(id)
    for node in value.nodes():
        texts = list(node.entries())
        for sealed in (False, True):
            if sealed:
                node.seal()
            key, blob = stream_listpack.encode(node)
            assert (key, blob) == PURE.encode(node)
        found = stream_listpack.unpack(blob, key, MOST)
        assert told(found) == told(PURE.unpack(blob, key, MOST))
        assert list(found[0].entries()) == texts
        for most in (0, 5, len(listpack.decode(blob)) - 1, len(listpack.decode(blob))):
            assert outcome(stream_listpack.unpack, blob, key, most) == outcome(PURE.unpack, blob, key, most)


def test_a_trimmed_node() -> None:
    value = stream(250)
    node = next(value.nodes())
    node.seal()
    node.trim(3)
    key, blob = stream_listpack.encode(node)
    assert (key, blob) == PURE.encode(node)
    assert key == node.id_at(node.lo)
    assert list(stream_listpack.unpack(blob, key, MOST)[0].entries()) == list(node.entries())


def test_deleted_entries_leave_a_tombstone() -> None:
    for unpack in (stream_listpack.unpack, PURE.unpack):
        node, last, entries = unpack(listpack.encode(HEAD + ENTRIES), 7 << 64, MOST)
        assert (node.first, last, entries, node.tombstone) == (7 << 64, 7 << 64 | 1, 2, 7 << 64)
        assert [id for id, _ in node.entries()] == [7 << 64 | 1]


@pytest.mark.parametrize("node", [HEAD + ENTRIES, [b"2", b"0", *HEAD[2:], *ENTRIES]])
def test_twins_agree_on_damaged_nodes(node: list[bytes]) -> None:
    rng = random.Random(1)
    blob = listpack.encode([b"2", b"0", *node[2:]] if node[0] == b"2" else node)
    for _ in range(3000):
        damaged = bytearray(blob)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(blob))] = rng.choice(
                [0, 1, 2, 3, 4, 127, 128, 0x81, 0xF1, 0xFF, rng.randrange(256)]
            )
        arguments = bytes(damaged), rng.choice([0, 7 << 64, MAX << 64 | MAX]), MOST
        assert outcome(stream_listpack.unpack, *arguments) == outcome(PURE.unpack, *arguments)
    for size in range(len(blob)):
        assert outcome(stream_listpack.unpack, blob[:size], 0, MOST) == "BadListpack"


def test_order_within_a_node_and_below_its_key() -> None:
    backwards = [*HEAD[:1], b"1", *HEAD[2:], *ENTRIES[5:], *ENTRIES[:5]]
    below = [b"1", b"0", b"1", b"f", b"0", b"2", b"-1", b"0", b"v", b"4"]
    for elements in (backwards, below):
        for unpack in (stream_listpack.unpack, PURE.unpack):
            assert outcome(unpack, listpack.encode(elements), 7 << 64, MOST) == "BadNode"


@pytest.mark.parametrize(
    "value",
    [b"\x8212\3", b"\xe0\1x\3", b"\xf0\1\0\0\0x\6", b"\xc0\5\2", b"\xf1\5\0\3", b"\xf4\5\0\0\0\0\0\0\0\x09"],
)
def test_elements_encoded_wastefully(value: bytes) -> None:
    """No server writes them, but they can be read, and are then held and written like any other."""
    (text,) = listpack.elements(value)
    wasteful = listpack.encode([b"1", b"0", b"1", b"f", b"0", b"2", b"0", b"0", b"?", b"4"]).replace(b"\x81?\2", value)
    blob = len(wasteful).to_bytes(4, "little") + wasteful[4:]
    for unpack in (stream_listpack.unpack, PURE.unpack):
        node, _, _ = unpack(blob, 7 << 64, MOST)
        assert node.packed()[0] == listpack.element(text)
        assert [decode_fields(entry) for _, entry in node.entries()] == [[b"f", text]]


def test_an_entry_that_repeats_the_names_of_its_node() -> None:
    """Redis writes names only if they differ."""
    node = [b"2", b"0", b"1", b"f", b"0", *ENTRIES[:5], b"0", b"0", b"1", b"1", b"f", b"w", b"6"]
    node[5] = b"2"
    blob = listpack.encode(node)
    found = [unpack(blob, 7 << 64, MOST) for unpack in (stream_listpack.unpack, PURE.unpack)]
    assert told(found[0]) == told(found[1])
    for encode in (stream_listpack.encode, PURE.encode):
        assert encode(found[0][0]) == (7 << 64, blob)
