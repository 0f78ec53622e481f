"""The estimate of a value's size."""

import sys
from collections import deque

import pytest

from broker.keyspace.sizes import size_of


class Slotted:
    __slots__ = ("child", "name", "unset")

    def __init__(self, child: object) -> None:
        self.child = child
        self.name = b"x"


def test_plain_values_have_their_own_size() -> None:
    assert size_of(b"abc", 5) == sys.getsizeof(b"abc")


@pytest.mark.parametrize(
    "make",
    [
        lambda n: [b"0123456789" for _ in range(n)],
        lambda n: deque(b"0123456789" for _ in range(n)),
        lambda n: {b"%09d" % i: b"x" for i in range(n)},
        lambda n: {b"%09d" % i for i in range(n)},
    ],
)
def test_samples_stand_for_the_whole(make: object) -> None:
    value = make(1000)  # type: ignore[operator]
    exact = size_of(value, sys.maxsize // 4)
    assert abs(size_of(value, 5) - exact) < exact * 0.05
    assert exact > size_of(make(100), 5)  # type: ignore[operator]


def test_attributes_count() -> None:
    assert size_of(Slotted([b"x" * 1000]), 5) > 1000


def test_a_cycle_ends() -> None:
    value: list[object] = []
    value.append(value)
    assert size_of(value, 5) > 0


def test_an_empty_collection() -> None:
    assert size_of({}, 5) == sys.getsizeof({})
