"""Sorted sets against a plain sorted list."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values.sorted_set import Entry, SortedSet

_scores = st.sampled_from([-inf, -2.5, -1.0, -0.0, 0.0, 1.0, 1.5, 3.0, 1e300, inf])
_members = st.sampled_from([b"", b"a", b"a\x00", b"b", b"ba", b"c", b"\xff"])
_steps = st.lists(
    st.tuples(st.sampled_from(["put", "put", "discard", "first", "last"]), _members, _scores), max_size=40
)


def _entries(scores: dict[bytes, float]) -> list[Entry]:
    return sorted((score, member) for member, score in scores.items())


@given(_steps)
def test_changes(steps: list[tuple[str, bytes, float]]) -> None:
    value = SortedSet()
    model: dict[bytes, float] = {}
    for step, member, score in steps:
        if step == "put":
            value.put(member, score)
            model[member] = score
        elif step == "discard":
            assert value.discard(member) is (model.pop(member, None) is not None)
        elif model:
            entries = _entries(model)
            expected = entries[0 if step == "first" else -1]
            assert (value.first() if step == "first" else value.last()) == expected
            assert (value.pop_first() if step == "first" else value.pop_last()) == expected
            del model[expected[1]]
        assert list(value) == _entries(model)
        assert value.scores == model
        assert len(value) == len(model)
    for rank, (score, member) in enumerate(_entries(model)):
        assert member in value
        assert value.rank(member, score) == rank


@given(st.dictionaries(_members, _scores), _scores, st.booleans(), _scores, st.booleans())
def test_score_span(scores: dict[bytes, float], low: float, above: bool, high: float, below: bool) -> None:
    value = SortedSet(scores)
    start, stop = value.score_span(low, above, high, below)
    expected = [
        entry
        for entry in _entries(scores)
        if (entry[0] > low if above else entry[0] >= low) and (entry[0] < high if below else entry[0] <= high)
    ]
    assert value.span(start, stop) == expected
    assert stop - start == len(expected)
    assert value.span(start, stop, reverse=True) == expected[::-1]


@given(st.sets(_members), _scores, st.none() | _members, st.none() | _members)
def test_lex_span(members: set[bytes], score: float, low: bytes | None, high: bytes | None) -> None:
    value = SortedSet(dict.fromkeys(members, score))
    start, stop = value.lex_span(low, high)
    expected = [m for m in sorted(members) if low is not None and m >= low and (high is None or m < high)]
    assert [member for _, member in value.span(start, stop)] == expected
    assert stop - start == len(expected)


@given(st.dictionaries(_members, _scores), st.integers(0, 7), st.integers(0, 7))
def test_remove_span(scores: dict[bytes, float], start: int, stop: int) -> None:
    entries = _entries(scores)
    value = SortedSet(dict(scores))
    start, stop = min(start, len(entries)), min(stop, len(entries))
    removed = entries[start:stop]
    assert value.remove_span(start, stop) == len(removed)
    assert list(value) == [entry for entry in entries if entry not in removed]
    assert value.scores == {member: score for score, member in value}


def test_large_remove_span() -> None:
    value = SortedSet({b"%d" % number: float(number) for number in range(5000)})
    assert value.remove_span(100, 4000) == 3900
    assert value.remove_span(1000, 1001) == 1
    assert [score for score, _ in value] == [*map(float, range(100)), *map(float, range(4000, 4900))] + [
        float(number) for number in range(4901, 5000)
    ]


def test_negative_zero_becomes_zero() -> None:
    value = SortedSet()
    value.put(b"b", -0.0)
    value.put(b"a", 1.0)
    value.put(b"a", -0.0)
    assert [(str(score), member) for score, member in value] == [("0.0", b"a"), ("0.0", b"b")]


def test_empty() -> None:
    value = SortedSet()
    assert value.score_span(-inf, False, inf, False) == (0, 0)
    assert value.lex_span(b"", None) == (0, 0)
    assert value.span(0, 0) == []
    with pytest.raises(IndexError):
        value.pop_first()
    with pytest.raises(IndexError):
        value.pop_last()


def test_clone_shares_nothing() -> None:
    value = SortedSet({b"a": 1.0})
    twin = value.clone()
    twin.put(b"a", 2.0)
    assert list(value) == [(1.0, b"a")]


def test_scan_and_random_member() -> None:
    value = SortedSet({b"%d" % number: float(-number) for number in range(30)})
    cursor, members = value.scan(0, 20)
    cursor, more = value.scan(cursor, 20)
    assert cursor == 0
    assert sorted(members + more) == sorted(value.scores)
    assert value.random_member() in value


@pytest.mark.parametrize(
    ("members", "name"),
    [([], b"listpack"), ([b"a", b"b"], b"listpack"), ([b"a", b"b", b"c"], b"skiplist"), ([b"a" * 5], b"skiplist")],
)
def test_encoding(members: list[bytes], name: bytes) -> None:
    assert SortedSet(dict.fromkeys(members, 0.0)).encoding(2, 4) == name
