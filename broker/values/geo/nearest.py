"""The results of a search in the order of their distances: all of them, or the first few.

A full sort is stable, but if only the first `count` are wanted, Redis partitions no further than it must, and members
at the same distance come out as the partitioning left them. It uses the quicksort of Bentley and McIlroy
("Engineering a sort function", 1993): the pivot is a median of three, or of three such medians, and elements equal to
it are collected at both ends and swapped back into the middle. Reproducing that is slow, so this module does it only
for a tie among the first `count`.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Final, NamedTuple

from broker.values.geo.geohash import Position

# Fewer elements than the first are sorted by insertion; with more than the second, the pivot is a median of medians.
_INSERTED_BELOW: Final = 7
_MEDIANS_ABOVE: Final = 40


class Found(NamedTuple):
    """A member within the area; `metres` is its distance from the centre."""

    metres: float
    member: bytes
    score: float
    position: Position


Key = Callable[[Found], float]

_near: Final[Key] = itemgetter(0)


def _far(found: Found) -> float:
    return -found[0]


def in_order(found: list[Found], count: int, descending: bool) -> list[Found]:
    """Returns the nearest `count` members (the farthest, if `descending`), in order."""
    key = _far if descending else _near
    ordered = sorted(found, key=key)
    if count >= len(found):
        return ordered
    if any(ordered[i][0] == ordered[i + 1][0] for i in range(count)):
        ordered = found.copy()
        _partial_sort(ordered, count, key)
    return ordered[:count]


def _partial_sort(found: list[Found], count: int, key: Key) -> None:
    """Sorts the first `count` elements into place; `count` is less than the length."""
    # A client can choose distances so that each pivot is an extreme one. Beyond the usual cost of a sort, we give up
    # Redis's order of equal elements rather than the time.
    budget = 4 * len(found) * len(found).bit_length()
    parts = [(0, len(found))]
    while parts:
        start, stop = parts.pop()
        budget -= stop - start
        if stop - start < _INSERTED_BELOW or budget < 0:
            found[start:stop] = sorted(found[start:stop], key=key)
            continue
        pivot = _pivot(found, start, stop - start, key)
        found[start], found[pivot] = found[pivot], found[start]
        below, above = _partition(found, start, stop, key)
        if stop - above > 1 and above < count:
            parts.append((above, stop))
        if below - start > 1:
            parts.append((start, below))


def _partition(found: list[Found], start: int, stop: int, key: Key) -> tuple[int, int]:
    """Partitions by the first element: smaller ones end before the first result, larger ones begin at the second."""
    pivot = key(found[start])
    equal_left = left = start + 1
    equal_right = right = stop - 1
    while True:
        while left <= right and (value := key(found[left])) <= pivot:
            if value == pivot:
                found[equal_left], found[left] = found[left], found[equal_left]
                equal_left += 1
            left += 1
        while left <= right and (value := key(found[right])) >= pivot:
            if value == pivot:
                found[right], found[equal_right] = found[equal_right], found[right]
                equal_right -= 1
            right -= 1
        if left > right:
            break
        found[left], found[right] = found[right], found[left]
        left += 1
        right -= 1
    _swap(found, start, left, min(equal_left - start, left - equal_left))
    _swap(found, left, stop, min(equal_right - right, stop - 1 - equal_right))
    return start + left - equal_left, stop - (equal_right - right)


def _swap(found: list[Found], first: int, end: int, count: int) -> None:
    """Swaps the `count` elements from `first` on with those up to `end`."""
    found[first : first + count], found[end - count : end] = found[end - count : end], found[first : first + count]


def _pivot(found: list[Found], start: int, length: int, key: Key) -> int:
    middle = start + length // 2
    if length == _INSERTED_BELOW:
        return middle
    first, last = start, start + length - 1
    if length > _MEDIANS_ABOVE:
        apart = length // 8
        first = _median(found, first, first + apart, first + 2 * apart, key)
        middle = _median(found, middle - apart, middle, middle + apart, key)
        last = _median(found, last - 2 * apart, last - apart, last, key)
    return _median(found, first, middle, last, key)


def _median(found: list[Found], a: int, b: int, c: int, key: Key) -> int:
    """Returns the index of the median of three elements; it matters which of two equal ones that is."""
    low, mid, high = key(found[a]), key(found[b]), key(found[c])
    if low < mid:
        return b if mid < high else c if low < high else a
    return b if mid > high else a if low < high else c
