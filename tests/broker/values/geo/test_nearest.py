"""The first of what was found, in order; that ties come in Redis's order is for the oracle tests."""

import random
from operator import itemgetter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.values.geo.nearest import Found, _partial_sort, in_order


def _found(distances: list[float]) -> list[Found]:
    return [Found(metres, b"%d" % number, 0.0, (0.0, 0.0)) for number, metres in enumerate(distances)]


@given(st.lists(st.integers(0, 20).map(float), max_size=200), st.integers(0, 210), st.booleans())
def test_the_first_ones_in_order(distances: list[float], count: int, descending: bool) -> None:
    found = _found(distances)
    result = in_order(found, count, descending)
    assert [one.metres for one in result] == sorted(distances, reverse=descending)[:count]
    assert len({one.member for one in result}) == len(result)
    assert found == _found(distances)


@given(st.lists(st.integers(0, 5).map(float), max_size=60), st.booleans())
def test_a_full_sort_keeps_ties_in_place(distances: list[float], descending: bool) -> None:
    found = _found(distances)
    assert in_order(found, len(found), descending) == sorted(found, key=lambda one: one.metres, reverse=descending)


def test_many_equal_ones() -> None:
    rng = random.Random(1)
    distances = [float(rng.randrange(3)) for _ in range(5000)]
    assert [one.metres for one in in_order(_found(distances), 4999, False)] == sorted(distances)[:4999]


class _Adversary:
    """Distances that are decided as late as possible, so that each pivot turns out to be an extreme one.

    M. D. McIlroy, "A killer adversary for quicksort", 1999: a value is fixed when two open ones are compared.
    """

    def __init__(self, length: int) -> None:
        self.values = [float(length)] * length
        self.open = float(length)
        self.next = 0.0
        self.candidate = 0
        self.comparisons = 0

    def compare(self, a: int, b: int) -> float:
        self.comparisons += 1
        values = self.values
        if values[a] == self.open and values[b] == self.open:
            values[a if a == self.candidate else b] = self.next
            self.next += 1
        if values[a] == self.open:
            self.candidate = a
        elif values[b] == self.open:
            self.candidate = b
        return values[a] - values[b]


class _Late:
    """One of these distances."""

    def __init__(self, adversary: _Adversary, index: int) -> None:
        self.adversary = adversary
        self.index = index

    def __lt__(self, other: "_Late") -> bool:
        return self.adversary.compare(self.index, other.index) < 0

    def __le__(self, other: "_Late") -> bool:
        return self.adversary.compare(self.index, other.index) <= 0

    def __gt__(self, other: "_Late") -> bool:
        return self.adversary.compare(self.index, other.index) > 0

    def __ge__(self, other: "_Late") -> bool:
        return self.adversary.compare(self.index, other.index) >= 0


def test_no_choice_of_distances_makes_it_slow() -> None:
    length = 4000
    adversary = _Adversary(length)
    found: list[Any] = [(_Late(adversary, index),) for index in range(length)]
    _partial_sort(found, length - 1, itemgetter(0))
    order = [adversary.values[late.index] for (late,) in found]
    assert order[:-1] == sorted(adversary.values)[:-1]
    # Without a limit it takes 1.6 million.
    assert adversary.comparisons < 300_000
