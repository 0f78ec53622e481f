"""An ordered index of pending IDs; appending is cheap, removing is free.

Pending entries are a dictionary by ID, which lacks order by ID. Deliveries come in ascending order, so the index is
a list to append to, cut into chunks so that an occasional ID in the middle doesn't move a million others.
Acknowledging does not touch the index: readers skip IDs that are no longer pending, and remove them chunk-wise once
they have skipped many, so that each is skipped a bounded number of times.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator

_CHUNK = 512
_MANY_STALE = 8
SLACK = 1024
"""An index of at most this length is never untidy."""


class PendingIndex:
    """IDs in order, pending ones and others, which readers distinguish by a predicate `is_pending`.

    `last` is the highest ID ever held, `size` the number of IDs. The predicate is an argument instead of an
    attribute to avoid a reference cycle: groups with a million pending entries must be freed without the garbage
    collector.
    """

    __slots__ = ("_chunks", "_firsts", "last", "size")

    def __init__(self) -> None:
        self._chunks: list[list[int]] = [[]]
        self._firsts = [0]
        self.last = -1
        self.size = 0

    def extend(self, ids: list[int]) -> None:
        """Adds ascending IDs, all above `last`."""
        tail = self._chunks[-1]
        self.last = ids[-1]
        self.size += len(ids)
        if len(tail) + len(ids) <= _CHUNK:
            tail += ids
            return
        for begin in range(0, len(ids), _CHUNK):
            chunk = ids[begin : begin + _CHUNK]
            self._chunks.append(chunk)
            self._firsts.append(chunk[0])

    def add(self, id: int) -> None:
        """Adds any ID; a present one is not added again."""
        if id > self.last:
            self.extend([id])
            return
        index = bisect_right(self._firsts, id) - 1
        chunk = self._chunks[index]
        position = bisect_left(chunk, id)
        if position < len(chunk) and chunk[position] == id:
            return
        insort(chunk, id)
        self.size += 1
        if len(chunk) > 2 * _CHUNK:
            self._chunks.insert(index + 1, chunk[_CHUNK:])
            self._firsts.insert(index + 1, chunk[_CHUNK])
            del chunk[_CHUNK:]

    def is_untidy(self, live: int) -> bool:
        """Whether IDs that are not pending far outnumber the `live` ones."""
        return self.size > 2 * live + SLACK

    def tidy(self, is_pending: Callable[[int], bool]) -> None:
        """Removes IDs that are not pending."""
        ids = list(filter(is_pending, (id for chunk in self._chunks for id in chunk)))
        last = self.last
        self._chunks, self._firsts, self.size = [[]], [0], 0
        if ids:
            self.extend(ids)
        self.last = last

    def pending(self, is_pending: Callable[[int], bool], start: int = 0) -> Iterator[int]:
        """Yields the pending IDs from `start` on. IDs may cease to be pending meanwhile; none may be added."""
        index = bisect_right(self._firsts, start) - 1
        while index < len(self._chunks):
            chunk = self._chunks[index]
            begin = bisect_left(chunk, start)
            while begin >= 0:
                stale, ids, begin = 0, chunk[begin:], -1
                for id in ids:
                    if is_pending(id):
                        yield id
                        continue
                    stale += 1
                    if stale == _MANY_STALE:
                        # filter() does the rest in a fifth of the time per ID that this loop takes.
                        self._clean(chunk, is_pending)
                        begin = bisect_right(chunk, id)
                        break
            if chunk or len(self._chunks) == 1:
                index += 1
            else:
                del self._chunks[index]
                del self._firsts[index]
                if not index:
                    self._firsts[0] = 0

    def _clean(self, chunk: list[int], is_pending: Callable[[int], bool]) -> None:
        before = len(chunk)
        chunk[:] = filter(is_pending, chunk)
        self.size -= before - len(chunk)

    def highest(self, is_pending: Callable[[int], bool]) -> int | None:
        """Returns the highest pending ID."""
        while True:
            chunk = self._chunks[-1]
            while chunk:
                if is_pending(chunk[-1]):
                    return chunk[-1]
                chunk.pop()
                self.size -= 1
            if len(self._chunks) == 1:
                return None
            del self._chunks[-1]
            del self._firsts[-1]

    def copy(self) -> "PendingIndex":
        other = PendingIndex()
        other._chunks = [chunk[:] for chunk in self._chunks]
        other._firsts = self._firsts[:]
        other.last, other.size = self.last, self.size
        return other
