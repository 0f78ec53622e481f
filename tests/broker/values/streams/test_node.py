"""A node against a plain list of IDs and texts, open and sealed; pure and compiled."""

from array import array
from types import ModuleType

from hypothesis import given
from hypothesis import strategies as st

from broker.values.streams import node as stream_node
from broker.values.streams.entry import encode_entry, fields_part
from broker.values.streams.ids import MAX_PART
from broker.values.streams.node import StreamNode
from tests import twins

both = twins.both("broker.values.streams.node", "broker.values.streams._node")

PARTS = st.sampled_from([0, 1, 2, 5, 2**31, 2**32 - 1, 2**32, 2**40, MAX_PART])
IDS = st.sets(st.builds(lambda ms, seq: ms << 64 | seq, PARTS, PARTS), min_size=1, max_size=20).map(sorted)


def text(id: int) -> bytes:
    return encode_entry(id >> 64, id & MAX_PART, [b"f", b"v" * (id & 3)])[1]


def build(ids: list[int]) -> StreamNode:
    node = StreamNode(ids[0], [b"f"], 1 << 30, 1 << 30)
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


NARROW = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 2**32 - 1])


@both
@given(
    ms=st.sampled_from([0, 5, 1526919030474, 2**64 - 2**32]),
    pairs=st.sets(st.tuples(NARROW, NARROW), max_size=20).map(sorted),
    id=st.integers(-1, 2**128 - 1)
    | st.tuples(NARROW, st.integers(0, 2**64 - 1)).map(lambda pair: pair[0] << 64 | pair[1]),
    lo=st.integers(0, 5),
)
def test_narrow_keys(module: ModuleType, ms: int, pairs: list[tuple[int, int]], id: int, lo: int) -> None:
    keys = array("Q", [delta << 32 | seq for delta, seq in pairs])
    ids = [(ms + delta) << 64 | seq for delta, seq in pairs]
    lo = min(lo, len(ids))
    assert module.narrow_ids(keys, lo, len(ids), ms) == ids[lo:]
    assert module.narrow_ids(keys, 0, 2, ms) == ids[:2]
    for wanted in (id, *ids, *(id + 1 for id in ids), *(id - 1 for id in ids)):
        if wanted < 2**128:
            assert module.narrow_upper(keys, lo, ms, wanted) == lo + sum(id <= wanted for id in ids[lo:])


@both
def test_packing(module: ModuleType) -> None:
    texts = [encode_entry(n, n, [b"f", b"v" * n])[1] for n in (0, 1, 9, 10, 99, 5000)]
    blob, ends = module.pack(texts)
    assert blob == b"".join(fields_part(text) for text in texts)
    assert [len(fields_part(text)) for text in texts] == [b - a for a, b in zip([0, *ends], ends, strict=False)]


@both
@given(
    pairs=st.sets(st.tuples(NARROW, NARROW), min_size=1, max_size=8).map(sorted), code=st.sampled_from(["H", "I", "Q"])
)
def test_texts_of_narrow_keys(module: ModuleType, pairs: list[tuple[int, int]], code: str) -> None:
    for ms in (0, 7, 1526919030474, 2**64 - 2**32):
        keys = array("Q", [delta << 32 | seq for delta, seq in pairs])
        texts = [encode_entry(ms + delta, seq, [b"f", b"v" * (seq & 7)])[1] for delta, seq in pairs]
        blob, ends = module.pack(texts)
        for start in range(len(texts)):
            for end in range(start + 1, len(texts) + 1):
                found = module.narrow_text(blob, array(code, ends), keys, start, end, ms)
                assert found == b"".join(texts[start:end])


@given(IDS)
def test_a_node_of_its_parts(ids: list[int]) -> None:
    node = build(ids)
    node.seal()
    ends = list(node.packed_ends())
    assert ends[-1] == len(node.packed_fields())
    again = StreamNode.sealed(
        node.first, node.names, node.keys, node.shift, node.packed_fields(), stream_node.ends_array(ends)
    )
    assert list(again.entries()) == list(node.entries())
    assert again.text(0, len(ids)) == node.text(0, len(ids))
    again.unseal()
    assert list(again.entries()) == list(node.entries())


def test_ends_in_the_narrowest_array() -> None:
    for ends, code in (([], "H"), ([65535], "H"), ([1, 65536], "I"), ([2**32 - 1], "I"), ([2**32], "Q")):
        assert stream_node.ends_array(ends).typecode == code
        assert list(stream_node.ends_array(ends)) == ends
