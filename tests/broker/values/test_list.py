"""List operations against a plain Python list, and the encodings at their limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values.list import List

_elements = st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=12)


def _list(length: int) -> List:
    return List(b"%d" % number for number in range(length))


@given(_elements, st.integers(0, 15))
def test_pops(elements: list[bytes], count: int) -> None:
    left, right = List(elements), List(elements)
    assert left.pop_left(count) == elements[:count]
    assert list(left) == elements[count:]
    assert right.pop_right(count) == elements[::-1][:count]
    assert list(right) == elements[: max(0, len(elements) - count)]


@pytest.mark.parametrize("length", [5, 3000])
@pytest.mark.parametrize(
    ("start", "stop"), [(0, 0), (0, 3), (2, 5), (0, 3000), (1500, 1510), (10, 2990), (2990, 2999), (1400, 1700)]
)
def test_slice(length: int, start: int, stop: int) -> None:
    start, stop = min(start, length), min(stop, length)
    assert _list(length).slice(start, stop) == list(_list(length))[start:stop]


@given(_elements, st.integers(0, 12), st.integers(0, 12))
def test_keep(elements: list[bytes], start: int, stop: int) -> None:
    stop = min(stop, len(elements))
    value = List(elements)
    value.keep(start, stop)
    assert list(value) == elements[start:stop]


def test_insert_beside() -> None:
    value = List([b"a", b"b", b"a"])
    assert value.insert_beside(b"a", b"x", after=False)
    assert value.insert_beside(b"b", b"y", after=True)
    assert value.insert_beside(b"a", b"z", after=True)
    assert not value.insert_beside(b"q", b"w", after=True)
    assert list(value) == [b"x", b"a", b"z", b"b", b"y", b"a"]


@given(_elements, st.integers(-5, 5))
def test_remove_equal(elements: list[bytes], count: int) -> None:
    value = List(elements)
    expected = elements[::-1] if count < 0 else elements[:]
    removed = 0
    for _ in range(abs(count) or len(elements)):
        if b"a" in expected:
            expected.remove(b"a")
            removed += 1
    if count < 0:
        expected.reverse()
    assert value.remove_equal(b"a", count) == removed
    assert list(value) == expected


@given(_elements, st.integers(-4, 4).filter(bool), st.integers(0, 4), st.integers(0, 12))
def test_positions(elements: list[bytes], rank: int, limit: int, scan: int) -> None:
    order = range(len(elements))
    if rank < 0:
        order = order[::-1]
    matches = [index for index in order[: scan or None] if elements[index] == b"a"][abs(rank) - 1 :]
    assert List(elements).positions(b"a", rank, limit, scan) == matches[: limit or None]


@pytest.mark.parametrize(
    ("elements", "threshold", "name"),
    [
        ([], -2, b"listpack"),
        ([b"x"] * 2728, -2, b"listpack"),
        ([b"x"] * 2729, -2, b"quicklist"),
        ([b"1"] * 4092, -2, b"listpack"),
        ([b"1"] * 4093, -2, b"quicklist"),
        ([b"x" * 8200], -2, b"quicklist"),
        ([b"x" * 8200], -9, b"listpack"),
        ([b"x" * 65600], -5, b"quicklist"),
        ([b"x"] * 3, 3, b"listpack"),
        ([b"x"] * 4, 3, b"quicklist"),
        ([b"x"], 0, b"listpack"),
        ([b"x" * 8200], 3, b"quicklist"),
    ],
)
def test_encoding(elements: list[bytes], threshold: int, name: bytes) -> None:
    assert List(elements).encoding(threshold) == name
