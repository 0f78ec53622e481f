"""Members in the order of their scores, pure and compiled: against a plain sorted list, and against each other."""

import copy
import gc
import pickle
import random
import sys
from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.values.score_order import Entry, ScoreOrder
from broker.values.sorted_set import SortedSet
from tests import twins

PREFERRED: Any = SortedSet.__base__
COMPILED = PREFERRED is not ScoreOrder
both = twins.both("broker.values.sorted_set", "broker.values._score_order", attribute="ScoreOrder", argument="kind")
compiled = pytest.mark.skipif(not COMPILED, reason="the compiled twin was not built")

_scores = st.sampled_from([-inf, -2.5, -1.0, -0.0, 0.0, 1.0, 1.5, 3.0, 1e300, inf])
_members = st.sampled_from([b"", b"a", b"a\x00", b"b", b"ba", b"c", b"\xff"])
_steps = st.lists(
    st.tuples(st.sampled_from(["put", "put", "discard", "first", "last"]), _members, _scores), max_size=40
)


def _entries(scores: dict[bytes, float]) -> list[Entry]:
    return sorted((score, member) for member, score in scores.items())


@both
@given(steps=_steps)
def test_changes(kind: type[ScoreOrder], steps: list[tuple[str, bytes, float]]) -> None:
    value = kind()
    model: dict[bytes, float] = {}
    for step, member, score in steps:
        if step == "put":
            assert value.put(member, score) == model.get(member)
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


@both
@given(st.dictionaries(_members, _scores), _scores, st.booleans(), _scores, st.booleans())
def test_score_span(
    kind: type[ScoreOrder], scores: dict[bytes, float], low: float, above: bool, high: float, below: bool
) -> None:
    value = kind(scores)
    start, stop = value.score_span(low, above, high, below)
    expected = [
        entry
        for entry in _entries(scores)
        if (entry[0] > low if above else entry[0] >= low) and (entry[0] < high if below else entry[0] <= high)
    ]
    assert value.span(start, stop) == expected
    assert stop - start == len(expected)
    assert value.span(start, stop, reverse=True) == expected[::-1]
    assert value.members(start, stop, reverse=True) == [member for _, member in expected[::-1]]


@both
@given(st.sets(_members), _scores, st.none() | _members, st.none() | _members)
def test_lex_span(
    kind: type[ScoreOrder], members: set[bytes], score: float, low: bytes | None, high: bytes | None
) -> None:
    value = kind(dict.fromkeys(members, score))
    start, stop = value.lex_span(low, high)
    expected = [m for m in sorted(members) if low is not None and m >= low and (high is None or m < high)]
    assert value.members(start, stop) == expected
    assert stop - start == len(expected)


@both
@given(st.dictionaries(_members, _scores), st.integers(0, 7), st.integers(0, 7))
def test_remove_span(kind: type[ScoreOrder], scores: dict[bytes, float], start: int, stop: int) -> None:
    entries = _entries(scores)
    value = kind(dict(scores))
    start, stop = min(start, len(entries)), min(stop, len(entries))
    removed = entries[start:stop]
    assert value.remove_span(start, stop) == len(removed)
    assert list(value) == [entry for entry in entries if entry not in removed]
    assert value.scores == {member: score for score, member in value}


@both
def test_a_large_span_is_removed(kind: type[ScoreOrder]) -> None:
    value = kind({b"%d" % number: float(number) for number in range(5000)})
    assert value.remove_span(100, 4000) == 3900
    assert value.remove_span(1000, 1001) == 1
    assert [score for score, _ in value] == [*map(float, range(100)), *map(float, range(4000, 4900))] + [
        float(number) for number in range(4901, 5000)
    ]


@both
def test_negative_zero_becomes_zero(kind: type[ScoreOrder]) -> None:
    value = kind()
    value.put(b"b", -0.0)
    value.put(b"a", 1.0)
    value.put(b"a", -0.0)
    assert [(str(score), member) for score, member in value] == [("0.0", b"a"), ("0.0", b"b")]
    assert [str(score) for score in value.scores.values()] == ["0.0", "0.0"]


@both
def test_empty(kind: type[ScoreOrder]) -> None:
    value = kind()
    assert value.score_span(-inf, False, inf, False) == (0, 0)
    assert value.lex_span(b"", None) == (0, 0)
    assert value.span(0, 0) == value.members(0, 5) == list(value) == []
    assert value.remove_span(0, 5) == 0
    for ask in (value.first, value.last, value.pop_first, value.pop_last):
        with pytest.raises(IndexError):
            ask()


@both
def test_ranks_outside_are_taken_as_by_slices(kind: type[ScoreOrder]) -> None:
    value = kind({b"%d" % number: float(number) for number in range(10)})
    members = [b"%d" % number for number in range(10)]
    for start in (-(1 << 70), -11, -3, 0, 4, 9, 10, 1 << 63, 1 << 70):
        for stop in (-(1 << 70), -11, -3, 0, 4, 9, 10, 1 << 63, 1 << 70):
            assert value.members(start, stop) == members[start:stop]
            assert [member for _, member in value.span(start, stop)] == members[start:stop]


@both
@pytest.mark.parametrize("size", [0, 3, 1000])
@pytest.mark.parametrize(
    "make", [lambda value: value.clone(), copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
def test_copies_share_nothing(kind: type[ScoreOrder], size: int, make: Callable[[ScoreOrder], ScoreOrder]) -> None:
    scores = {b"%d" % number: float(-number) for number in range(size)}
    value = kind(dict(scores))
    other = make(value)
    assert other.__class__ is kind
    assert list(other) == list(value)
    assert other.scores == scores
    for number in range(size):
        other.put(b"%d" % number, 2.0)
    other.put(b"new", 5.0)
    assert list(value) == _entries(scores)
    assert value.scores == scores
    value.put(b"0", 7.0)
    assert list(other) == _entries(other.scores)


# The compiled twin splits blocks at 256 entries and joins them from a quarter of that on: these are steps of hundreds.
_large_steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["put", "put", "ascending", "descending", "ties", "nudge", "discard", "first", "last", "cut", "clone"]
        ),
        st.integers(1, 700),
        st.integers(0, 1 << 32),
    ),
    max_size=12,
)


class _Twins:
    """A pure and a compiled order that go through the same steps."""

    def __init__(self, scores: dict[bytes, float]) -> None:
        self.pure: Any = ScoreOrder(dict(scores))
        self.twin: Any = PREFERRED(dict(scores))

    def do(self, name: str, *arguments: Any) -> Any:
        """Call a method of both, which must give the same."""
        expected = getattr(self.pure, name)(*arguments)
        assert getattr(self.twin, name)(*arguments) == expected
        return expected

    def step(self, step: str, count: int, draw: random.Random) -> None:
        """One of _large_steps."""
        members = list(self.pure.scores)
        if step == "cut":
            start = draw.randrange(len(members) + 1)
            self.do("remove_span", start, start + count)
            return
        if step == "clone":
            self.pure, self.twin = self.pure.clone(), self.twin.clone()
            return
        for number in range(count):
            if step == "put":
                self.do("put", b"%d" % draw.randrange(2000), float(draw.randrange(1000)))
            elif step == "ascending":
                self.do("put", b"a%d" % number, 2000.0 + number)
            elif step == "descending":
                self.do("put", b"d%d" % number, -2000.0 - number)
            elif step == "ties":
                self.do("put", draw.randbytes(draw.randrange(4)), 500.0)
            elif step == "nudge" and members:
                member = draw.choice(members)
                self.do("put", member, self.pure.scores[member] + draw.choice([-1.0, 1.0, 0.5]))
            elif step == "discard" and members:
                self.do("discard", draw.choice(members))
            elif step in ("first", "last") and self.pure.scores:
                self.do(f"pop_{step}")

    def compare(self, draw: random.Random) -> None:
        """All content, and what is asked of it at some places."""
        expected = list(self.pure)
        assert list(self.twin) == expected
        assert self.twin.scores == self.pure.scores
        assert len(self.twin) == len(expected)
        self.do("members", 0, len(expected), True)
        for _ in range(20):
            start = draw.randrange(len(expected) + 1)
            self.do("span", start, start + draw.randrange(600), draw.random() < 0.5)
            low, high = float(draw.randrange(-2500, 2500)), float(draw.randrange(-2500, 2500))
            self.do("score_span", low, draw.random() < 0.5, high, draw.random() < 0.5)
            self.do("lex_span", draw.randbytes(2), draw.choice([None, draw.randbytes(2)]))
            if expected:
                score, member = draw.choice(expected)
                self.do("rank", member, score)
                self.do("score_span", score, draw.random() < 0.5, score, draw.random() < 0.5)
                self.do("first")
                self.do("last")


@compiled
@settings(max_examples=60, deadline=None)
@given(size=st.sampled_from([0, 1, 255, 256, 257, 1000, 3000]), steps=_large_steps, seed=st.integers(0, 1 << 32))
def test_twins_agree(size: int, steps: list[tuple[str, int, int]], seed: int) -> None:
    draw = random.Random(seed)
    twins = _Twins({b"%d" % number: float(draw.randrange(1000)) for number in range(size)})
    twins.compare(draw)
    for step, count, step_seed in steps:
        twins.step(step, count, random.Random(step_seed))
        twins.compare(draw)


@compiled
@pytest.mark.parametrize("seed", range(4))
def test_twins_agree_while_everything_is_taken_off_again(seed: int) -> None:
    draw = random.Random(seed)
    twins = _Twins({})
    twins.step("put", 700, draw)
    twins.step("ascending", 700, draw)
    while twins.pure.scores:
        twins.step(draw.choice(["first", "last", "discard", "cut", "nudge"]), draw.randrange(1, 90), draw)
        twins.compare(draw)


@compiled
@pytest.mark.parametrize("member", [None, "a", 1, bytearray(b"a"), ()])
def test_the_twin_takes_only_bytes_as_members(member: Any) -> None:
    value = PREFERRED({b"a": 1.0})
    for call in (
        lambda: value.put(member, 1.0),
        lambda: value.insert(member, 1.0),
        lambda: value.move(member, 1.0, 2.0),
        lambda: value.rank(member, 1.0),
        lambda: value.lex_span(b"a", () if member is None else member),
        lambda: PREFERRED({member if member != bytearray(b"a") else 5: 1.0}),
    ):
        with pytest.raises(TypeError):
            call()
    assert list(value) == [(1.0, b"a")]


@compiled
@pytest.mark.parametrize("score", [nan, "1", None])
def test_the_twin_refuses_what_has_no_order(score: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        PREFERRED({b"a": 1.0, b"b": score})
    with pytest.raises((TypeError, AttributeError)):
        PREFERRED([(1.0, b"a")])


@both
def test_what_is_not_there_cannot_be_moved(kind: type[ScoreOrder]) -> None:
    value = kind({b"%d" % number: float(number) for number in range(600)})
    # The dict is only for reading: this is what a caller must not do.
    value.scores[b"stranger"] = 5.0
    with pytest.raises(ValueError):
        value.discard(b"stranger")
    value.scores.clear()
    assert not value.discard(b"5")
    with pytest.raises(KeyError):
        value.pop_first()
    assert len(value.span(0, 1000)) == 599


@both
def test_a_change_during_an_iteration_does_no_harm(kind: type[ScoreOrder]) -> None:
    value = kind({b"%d" % number: float(number) for number in range(2000)})
    seen = 0
    for score, member in value:
        assert isinstance(score, float) and isinstance(member, bytes)
        seen += 1
        if seen == 300:
            value.remove_span(0, 1900)
        elif seen > 300 and len(value):
            value.pop_last()
    assert 300 <= seen <= 2000


@compiled
def test_a_finalizer_may_change_what_is_being_read() -> None:
    value = PREFERRED({b"%d" % number: float(number) for number in range(3000)})

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            value.remove_span(0, 100)
            value.put(b"x", 1.0)

    threshold = gc.get_threshold()
    gc.set_threshold(50)
    try:
        for _ in range(40):
            Cycle()
            for score, member in value.span(0, 3000):
                assert isinstance(score, float) and isinstance(member, bytes)
            value.clone()
            list(value)
            value.remove_span(5, 9)
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert list(value) == _entries(value.scores)


@both
def test_members_are_released(kind: type[ScoreOrder]) -> None:
    members = [b"member %d" % number for number in range(1500)]
    before = [sys.getrefcount(member) for member in members]
    value = kind(dict.fromkeys(members[:700], 0.0))
    draw = random.Random(1)
    for member in members:
        value.put(member, draw.random())
    for member in members[::2]:
        value.move(member, value.scores[member], draw.random())
    other = value.clone()
    for member in members[::7]:
        value.discard(member)
    value.remove_span(10, 900)
    for _ in range(50):
        value.pop_first()
        value.pop_last()
    other.remove_span(0, len(other))
    value.__init__({b"other": 1.0})  # type: ignore[misc]
    assert list(value) == [(1.0, b"other")]
    del value, other, member
    assert [sys.getrefcount(member) for member in members] == before


@compiled
def test_every_failed_allocation_leaves_a_whole_order() -> None:
    failing = pytest.importorskip("_testcapi")
    draw = random.Random(5)
    value = PREFERRED({b"%d" % number: float(number) for number in range(256)})
    failures = 0
    for number in range(1500):
        member, score = b"n%d" % number, float(draw.randrange(500))
        fails = draw.randrange(3)
        failing.set_nomemory(fails, fails + 1)
        try:
            value.put(member, score)
        except MemoryError:
            failures += 1
        finally:
            failing.remove_mem_hooks()
        if number % 3 == 0:
            fails = draw.randrange(12)
            failing.set_nomemory(fails, fails + 1)
            try:
                value.clone()
            except MemoryError:
                failures += 1
            finally:
                failing.remove_mem_hooks()
        assert len(value.span(0, 5000)) == len(value.scores)
    assert failures
    assert list(value) == _entries(value.scores)


@compiled
def test_size_counts_the_arrays() -> None:
    value = PREFERRED({b"%d" % number: float(number) for number in range(10_000)})
    blocks = value._blocks
    assert sum(map(len, blocks)) == 10_000
    assert sum(map(sys.getsizeof, blocks)) >= 16 * 10_000
    blocks.clear()
    assert len(list(value)) == 10_000


@compiled
def test_room_is_given_back() -> None:
    value = PREFERRED({b"%d" % number: float(number) for number in range(250)})
    full = sum(map(sys.getsizeof, value._blocks))
    for _ in range(240):
        value.pop_last()
    assert sum(map(sys.getsizeof, value._blocks)) < full / 4
    assert len(list(value)) == 10


@compiled
@pytest.mark.parametrize("sign", [1, -1])
def test_blocks_filled_in_order_are_full(sign: int) -> None:
    value: Any = PREFERRED()
    for number in range(0, sign * 10_000, sign):
        value.put(b"%d" % number, float(number))
    assert list(value) == sorted((float(number), b"%d" % number) for number in range(0, sign * 10_000, sign))
    assert len(value._blocks) == -(-10_000 // 256)
