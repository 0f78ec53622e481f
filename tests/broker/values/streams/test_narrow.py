"""Packed keys of a node against a plain list of IDs, pure and compiled."""

from array import array
from types import ModuleType

from hypothesis import given
from hypothesis import strategies as st

from broker.values.streams.entry import encode_entry, fields_part
from tests import twins

both = twins.both("broker.values.streams.narrow", "broker.values.streams._narrow")

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
