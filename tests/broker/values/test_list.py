"""List operations, pure and compiled, against a plain Python list; and the encodings at their limits."""

import random
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.values.list import List
from protocol.replies import bulks
from tests.twins import both

lists = both("broker.values.list", "broker.values._list", attribute="List", argument="kind")

_elements = st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=12)


def _list(length: int, kind: type[List]) -> List:
    return kind(b"%d" % number for number in range(length))


@given(_elements, st.integers(0, 15))
@lists
def test_pops(kind: type[List], elements: list[bytes], count: int) -> None:
    left, right = kind(elements), kind(elements)
    assert left.pop_left(count) == elements[:count]
    assert list(left) == elements[count:]
    assert right.pop_right(count) == elements[::-1][:count]
    assert list(right) == elements[: max(0, len(elements) - count)]


@pytest.mark.parametrize("length", [5, 3000])
@pytest.mark.parametrize(
    ("start", "stop"), [(0, 0), (0, 3), (2, 5), (0, 3000), (1500, 1510), (10, 2990), (2990, 2999), (1400, 1700)]
)
@lists
def test_slice(kind: type[List], length: int, start: int, stop: int) -> None:
    start, stop = min(start, length), min(stop, length)
    assert _list(length, kind).slice(start, stop) == list(_list(length, kind))[start:stop]


@given(_elements, st.integers(0, 12), st.integers(0, 12))
@lists
def test_keep(kind: type[List], elements: list[bytes], start: int, stop: int) -> None:
    stop = min(stop, len(elements))
    value = kind(elements)
    value.keep(start, stop)
    assert list(value) == elements[start:stop]


@lists
def test_insert_beside(kind: type[List]) -> None:
    value = kind([b"a", b"b", b"a"])
    assert value.insert_beside(b"a", b"x", after=False)
    assert value.insert_beside(b"b", b"y", after=True)
    assert value.insert_beside(b"a", b"z", after=True)
    assert not value.insert_beside(b"q", b"w", after=True)
    assert list(value) == [b"x", b"a", b"z", b"b", b"y", b"a"]


@given(_elements, st.integers(-5, 5))
@lists
def test_remove_equal(kind: type[List], elements: list[bytes], count: int) -> None:
    value = kind(elements)
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
@lists
def test_positions(kind: type[List], elements: list[bytes], rank: int, limit: int, scan: int) -> None:
    order = range(len(elements))
    if rank < 0:
        order = order[::-1]
    matches = [index for index in order[: scan or None] if elements[index] == b"a"][abs(rank) - 1 :]
    assert kind(elements).positions(b"a", rank, limit, scan) == matches[: limit or None]


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
@lists
def test_encoding(kind: type[List], elements: list[bytes], threshold: int, name: bytes) -> None:
    assert kind(elements).encoding(threshold) == name


def _element(chance: random.Random) -> bytes:
    """An element of a few kinds, so that equal ones come up; of every form in which one may be kept."""
    size = chance.choice([0, 1, 5, 16, 16, 16, 127, 128, 129, 900, 1024, 1025, 5000])
    return bytes([97 + chance.randrange(3)]) * size


def _change(value: List, model: list[bytes], chance: random.Random) -> object:
    """Do the same to both; what to compare, of each."""
    element, other, left = _element(chance), _element(chance), chance.random() < 0.5
    count, length = chance.choice([1, 2, 10, 300]), len(model)
    match chance.randrange(12):
        case 0 | 1:
            (value.appendleft if left else value.append)(element)
            model.insert(0 if left else length, element)
        case 2:
            several = [_element(chance) for _ in range(count)]
            (value.extendleft if left else value.extend)(several)
            model[:] = several[::-1] + model if left else model + several
        case 3 if model:
            return (value.popleft() if left else value.pop()), model.pop(0 if left else -1)
        case 4:
            taken = value.pop_left(count) if left else value.pop_right(count)
            expected = model[:count] if left else model[::-1][:count]
            model[:] = model[count:] if left else model[: max(length - count, 0)]
            return taken, expected
        case 5 if model:
            at = chance.randrange(-length, length)
            value[at] = model[at] = element
            return value[at], element
        case 6:
            found = element in model
            if found:
                model.insert(model.index(element) + left, other)
            return value.insert_beside(element, other, left), found
        case 7:
            signed = chance.choice([0, 1, 2, -1, -2, -50])
            order = model[::-1] if signed < 0 else model[:]
            wanted = min(order.count(element), abs(signed) or length)
            for _ in range(wanted):
                order.remove(element)
            model[:] = order[::-1] if signed < 0 else order
            return value.remove_equal(element, signed), wanted
        case 8 if length > 3:
            start, stop = sorted(chance.randrange(length + 1) for _ in range(2))
            if chance.random() < 0.2:
                value.keep(start, stop)
                model[:] = model[start:stop]
                return None
            assert value.bulks(start, stop) == bulks(model[start:stop])
            return value.slice(start, stop), model[start:stop]
        case 9 if model:
            at = chance.randrange(-length, length)
            return value[at], model[at]
        case 10:
            rank, scan = chance.choice([1, 2, -1, -2]), chance.choice([0, 5, 100])
            order = range(length) if rank > 0 else range(length)[::-1]
            matches = [index for index in order[: scan or None] if model[index] == element]
            expected_places = list(islice(matches, abs(rank) - 1, abs(rank) - 1 + count))
            return value.positions(element, rank, count, scan), expected_places
    return None


@lists
@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=40)
def test_any_sequence_of_changes(kind: type[List], seed: int) -> None:
    chance = random.Random(seed)
    value, model = kind(), list[bytes]()
    for _ in range(120):
        compared = _change(value, model, chance)
        if compared is not None:
            ours, theirs = compared  # type: ignore[misc]
            assert ours == theirs
        assert len(value) == len(model) and bool(value) == bool(model)
    assert list(value) == model
    assert list(kind(value)) == model
    value.clear()
    assert not value and list(value) == []


@lists
@pytest.mark.parametrize("left", [False, True])
def test_a_queue_that_runs_for_long(kind: type[List], left: bool) -> None:
    """Elements go in at one end and come out at the other: in order, and in memory that does not grow."""
    value = kind()
    sizes = []
    for number in range(60_000):
        (value.appendleft if left else value.append)(b"job:%08d" % number)
        if number >= 3000:
            assert (value.pop() if left else value.popleft()) == b"job:%08d" % (number - 3000)
        if hasattr(value, "memory") and number % 1000 == 999:
            sizes.append(value.memory())
    assert len(value) == 3000
    assert not sizes or max(sizes) < 3000 * 14 * 2


@lists
def test_what_is_no_such_element(kind: type[List]) -> None:
    value = kind()
    for take in (value.pop, value.popleft):
        with pytest.raises(IndexError):
            take()
    value.append(b"a")
    for index in (1, -2):
        with pytest.raises(IndexError):
            value[index]
        with pytest.raises(IndexError):
            value[index] = b"b"
    assert list(value) == [b"a"]


def test_the_compiled_one_counts_its_memory() -> None:
    value = List(b"job:%012d" % number for number in range(10_000))
    if not hasattr(value, "memory"):
        pytest.skip("the compiled twin is not in use")
    empty = List().memory()
    assert 18 * 10_000 < value.memory() < 20 * 10_000
    value.append(b"x" * 100_000)
    assert value.memory() > 280_000
    while value:
        value.pop()
    assert value.memory() < empty + 10_000
