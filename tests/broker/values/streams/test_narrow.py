"""Packed keys of a node against a plain list of IDs, pure and compiled."""

from array import array
from types import ModuleType

from hypothesis import given
from hypothesis import strategies as st

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
