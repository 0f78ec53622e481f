"""The index of pending IDs against a sorted set of them."""

from hypothesis import given
from hypothesis import strategies as st

from broker.values.streams.pending import PendingIndex

STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 3000)), max_size=60)


@given(STEPS, st.integers(0, 4000), st.integers(0, 3500))
def test_against_a_sorted_set(steps: list[tuple[bool, int]], bulk: int, start: int) -> None:
    index = PendingIndex()
    live: set[int] = set()
    if bulk:
        index.extend(list(range(0, bulk, 2)))
        live.update(range(0, bulk, 2))
    for adds, id in steps:
        if adds:
            index.add(id)
            live.add(id)
        else:
            live.difference_update(range(id, id + 700))
        assert index.highest(live.__contains__) == max(live, default=None)
        if index.is_untidy(len(live)):
            index.tidy(live.__contains__)
        assert list(index.pending(live.__contains__, start)) == sorted(id for id in live if id >= start)
    other = index.copy()
    other.add(9000)
    live.add(9000)
    assert next(index.pending(live.__contains__, 5000), None) is None
    assert list(other.pending(live.__contains__)) == sorted(live)


def test_what_was_skipped_often_is_cleared_away() -> None:
    index = PendingIndex()
    index.extend(list(range(100_000)))
    live = {99_999}
    assert list(index.pending(live.__contains__)) == [99_999]
    assert index.size < 1000
    assert list(index.pending(live.__contains__)) == [99_999]


def test_ids_may_cease_to_be_pending_while_read() -> None:
    index = PendingIndex()
    index.extend(list(range(2000)))
    live = set(range(2000))
    seen = []
    for id in index.pending(live.__contains__):
        seen.append(id)
        live.discard(id)
        live.discard(id + 1)
    assert seen == list(range(0, 2000, 2))
    assert list(index.pending(live.__contains__)) == []
