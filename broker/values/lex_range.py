"""Ranges by member of a sorted set whose scores differ, where the members need not ascend with the ranks.

Such ranges are meaningless, but Redis answers them, and programs rely on it: it looks for the first member within the
bounds, ignoring scores, and takes what follows up to the first member beyond them. Which one it finds depends on the
encoding. It goes through a small set's members one by one, and so does this module. In a large set it descends a skip
list whose levels are random, and finds some position where a member within the bounds follows one before them; this
module takes the one that a binary search finds. If members ascend with their scores there is only one such position,
and all answers agree.

Bounds are those of ScoreOrder.lex_span: members from `low` up to, not including, `high`; None is after all members.
"""

from collections.abc import Callable

from broker.values.sorted_set import SortedSet

Bound = bytes | None
Span = tuple[int, int]
"""A half-open range of ranks, ascending."""

_NOTHING: Span = (0, 0)
_CHUNK = 256


class LexRange:
    """The members of `value` from `low` up to `high`; `is_small` is whether Redis would go through all of them."""

    __slots__ = ("_high", "_is_small", "_length", "_low", "_value")

    def __init__(self, value: SortedSet, low: Bound, high: Bound, is_small: bool) -> None:
        self._value = value
        self._low = low
        self._high = high
        self._is_small = is_small
        self._length = len(value)

    def span(self, offset: int = 0, limit: int = -1, reverse: bool = False) -> Span:
        """Returns a range command's result, after skipping `offset` members of any kind; a `limit` below 0 is none."""
        if offset < 0 or offset >= self._length or self._misses():
            return _NOTHING
        if reverse:
            return self._downward(offset, limit)
        return self._upward(self._first(), offset, limit)

    def removal(self) -> Span:
        """Returns what ZREMRANGEBYLEX removes; in a large set Redis does not check first whether the range is empty."""
        if self._is_small and self._misses():
            return _NOTHING
        return self._upward(self._first(), 0, -1)

    def count(self) -> int:
        """Returns ZLEXCOUNT's result: in a large set the ranks between the two ends, whatever lies in between."""
        if self._misses():
            return 0
        first = self._first()
        if self._is_small:
            start, stop = self._upward(first, 0, -1)
            return stop - start
        if first == self._length or self._is_beyond(self._member(first)):
            return 0
        stop = self._last() + 1
        if not stop or self._is_before(self._member(stop - 1)):
            stop = self._length
        return max(0, stop - first)

    def _misses(self) -> bool:
        """Whether the bounds, or the first and last members, show that the range is empty."""
        low, high = self._low, self._high
        if low is None or (high is not None and low >= high):
            return True
        return self._is_before(self._member(self._length - 1)) or self._is_beyond(self._member(0))

    def _is_before(self, member: bytes) -> bool:
        return self._low is None or member < self._low

    def _is_beyond(self, member: bytes) -> bool:
        return self._high is not None and member >= self._high

    def _member(self, rank: int) -> bytes:
        return self._value.members(rank, rank + 1)[0]

    def _first(self) -> int:
        """Returns the rank of the first member that is not before the range, or the length."""
        if self._is_small:
            members = self._value.members(0, self._length)
            return next((rank for rank, member in enumerate(members) if not self._is_before(member)), self._length)
        return self._search(self._is_before)

    def _last(self) -> int:
        """Returns the rank of the last member that is not beyond the range, or -1."""
        if self._is_small:
            members = self._value.members(0, self._length, True)
            beyond = next((at for at, member in enumerate(members) if not self._is_beyond(member)), self._length)
            return self._length - 1 - beyond
        return self._search(lambda member: not self._is_beyond(member)) - 1

    def _search(self, comes_earlier: Callable[[bytes], bool]) -> int:
        low, high = 0, self._length
        while low < high:
            middle = (low + high) // 2
            if comes_earlier(self._member(middle)):
                low = middle + 1
            else:
                high = middle
        return low

    def _upward(self, first: int, offset: int, limit: int) -> Span:
        if first == self._length or self._is_beyond(self._member(first)):
            return _NOTHING
        start = stop = first + offset
        end = self._length if limit < 0 else min(self._length, start + limit)
        while stop < end:
            for member in self._value.members(stop, min(end, stop + _CHUNK)):
                if self._is_beyond(member):
                    return start, stop
                stop += 1
        return (start, stop) if start < stop else _NOTHING

    def _downward(self, offset: int, limit: int) -> Span:
        last = self._last()
        if last < 0 or self._is_before(self._member(last)):
            return _NOTHING
        start = stop = last + 1 - offset
        end = 0 if limit < 0 else max(0, stop - limit)
        while start > end:
            for member in self._value.members(max(end, start - _CHUNK), start, True):
                if self._is_before(member):
                    return start, stop
                start -= 1
        return (start, stop) if 0 <= start < stop else _NOTHING
