"""A node against a plain list of IDs and texts, open and sealed."""

from hypothesis import given
from hypothesis import strategies as st

from broker.values.streams.entry import decode_fields, encode_entry
from broker.values.streams.ids import MAX_PART
from broker.values.streams.node import StreamNode

PARTS = st.sampled_from([0, 1, 2, 5, 2**31, 2**32 - 1, 2**32, 2**40, MAX_PART])
IDS = st.sets(st.builds(lambda ms, seq: ms << 64 | seq, PARTS, PARTS), min_size=1, max_size=20).map(sorted)


VALUES = (
    b"",
    b"v",
    b"-12",
    b"007",
    b"9223372036854775807",
    b"9223372036854775808",
    b"\r\n$1\r\n",
    b"x" * 64,
    b"y" * 5000,
)
NAMES = ([b"f"], [b"f", b"g"], [b"f", b"f"], [b""], [b"\xff"], [b"g"], [b"f" * 70])


def text(id: int) -> bytes:
    """Returns an entry whose fields depend on its ID; most have the same names."""
    kind = id % 1_000_003
    names = NAMES[kind % len(NAMES)] if kind % 3 == 0 else NAMES[0]
    fields = [part for at, name in enumerate(names) for part in (name, VALUES[(kind + at) % len(VALUES)])]
    return encode_entry(id >> 64, id & MAX_PART, fields)[1]


def build(ids: list[int]) -> StreamNode:
    node = StreamNode(ids[0], decode_fields(text(ids[0]))[::2], 1 << 30, 1 << 30)
    for id in ids:
        node.append_key((id >> 64) - node.ms, id & MAX_PART)
        assert node.texts is not None
        node.texts.append(text(id))
    return node


@given(IDS, st.lists(st.integers(0, 30)), st.booleans(), st.booleans(), st.integers(0, 30))
def test_against_a_list(ids: list[int], deletions: list[int], seal: bool, reopen: bool, count: int) -> None:
    node = build(ids)
    if seal:
        node.seal()
    live = list(ids)
    tombstone = 0
    for position in deletions:
        if position < len(live):
            tombstone = max(tombstone, live.pop(position))
            node.delete(node.lo + position)
    if 0 < count <= len(live):
        tombstone = max(tombstone, live[count - 1])
        del live[:count]
        node.trim(count)
    if reopen:
        node.seal()
        node.unseal()
    node = node.copy()
    assert len(node) == len(live)
    assert list(node.entries()) == [(id, text(id)) for id in live]
    assert node.text(node.lo, len(node.keys)) == b"".join(map(text, live))
    for start in range(node.lo, len(node.keys)):
        for end in range(start, len(node.keys) + 1):
            assert node.text(start, end) == b"".join(map(text, live[start - node.lo : end - node.lo]))
    assert node.last_id() == max([tombstone, *live])
    for id in [0, *ids, *(id + 1 for id in ids), 3 << 64, 2 << 64 | MAX_PART]:
        assert node.upper(id) - node.lo == sum(other <= id for other in live)
    assert node.memory() > 0


def test_a_copy_is_its_own() -> None:
    node = build([1, 2, 3])
    node.seal()
    other = node.copy()
    node.delete(1)
    assert [id for id, _ in other.entries()] == [1, 2, 3]
    assert other.text(0, 3) == text(1) + text(2) + text(3)


@given(IDS)
def test_a_node_of_its_parts(ids: list[int]) -> None:
    node = build(ids)
    node.seal()
    packed, ends = node.packed()
    assert ends[-1] == len(packed)
    again = StreamNode.sealed(node.first, node.names, node.keys, node.shift, packed, ends)
    assert list(again.entries()) == list(node.entries())
    assert again.text(0, len(ids)) == node.text(0, len(ids))
    again.unseal()
    assert list(again.entries()) == list(node.entries())


def test_packed_before_it_is_sealed() -> None:
    node = build([1, 2, 3, 4])
    node.trim(1)
    open_ones = node.packed()
    assert open_ones[1][-1] == len(open_ones[0])
    node.seal()
    packed, ends = node.packed()
    assert open_ones[0].endswith(packed)
    assert list(ends) == [end - open_ones[1][0] for end in open_ones[1][1:]]


def test_sealing_takes_memory_from_an_entry_of_the_usual_names() -> None:
    node = StreamNode(1, [b"sensor", b"value"], 1 << 30, 1 << 30)
    for seq in range(1, 101):
        node.append_key(0, seq)
        assert node.texts is not None
        node.texts.append(encode_entry(0, seq, [b"sensor", b"%012d" % seq, b"value", b"%012d" % seq])[1])
    before = node.memory()
    node.seal()
    # Two values with two bytes each, an end, and a key.
    assert node.memory() < before / 2
    assert len(node.packed()[0]) == 100 * 2 * (12 + 2)
