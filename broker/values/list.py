"""A list: a deque of its elements, and the operations that deque itself lacks.

Both ends are O(1). A deque finds an element by its index in O(distance to the nearer end / 64), so that
reads near either end cost what they return. All indexes here are non-negative and within the list: commands
resolve negative ones.

The compiled twin packs the elements in blocks instead, in a third of the memory.
"""

from collections import deque
from collections.abc import Collection
from itertools import islice
from typing import ClassVar

from broker.values.listpack_size import EMPTY_LISTPACK, element_size
from protocol.native import prefer
from protocol.replies import bulks

# Up to _FEW elements far from both ends are indexed one by one (2 ns per 64 elements on the way); for more, an
# iterator walks there (8 ns per element on the way).
_FEW = 128
_FAR = 1024

# Redis's list-max-listpack-size: -1 to -5 mean this many bytes; a number of elements also implies at most
# _BYTES_WITH_COUNT bytes.
_BYTES_BY_LEVEL = (4096, 8192, 16384, 32768, 65536)
_BYTES_WITH_COUNT = 8192


class List(deque[bytes]):
    """A list value. Never empty in the keyspace."""

    __slots__ = ()
    type_name: ClassVar = "list"

    def pop_left(self, count: int) -> list[bytes]:
        """Removes and returns up to `count` elements from the head."""
        if count >= len(self):
            everything = list(self)
            self.clear()
            return everything
        pop = self.popleft
        return [pop() for _ in range(count)]

    def pop_right(self, count: int) -> list[bytes]:
        """Removes and returns up to `count` elements from the tail, the last one first."""
        if count >= len(self):
            everything = list(self)
            everything.reverse()
            self.clear()
            return everything
        pop = self.pop
        return [pop() for _ in range(count)]

    def slice(self, start: int, stop: int) -> list[bytes]:
        """Returns the elements from index `start` up to, not including, `stop`."""
        count = stop - start
        length = len(self)
        if count == length:
            return list(self)
        after = length - stop
        if count <= _FEW and start > _FAR and after > _FAR:
            return [self[index] for index in range(start, stop)]
        if start <= after:
            return list(islice(self, start, stop))
        elements = list(islice(reversed(self), after, length - start))
        elements.reverse()
        return elements

    def bulks(self, start: int, stop: int) -> bytes:
        """Returns the elements from index `start` up to, not including, `stop`, as an array of bulk strings."""
        return bulks(self.slice(start, stop))

    def keep(self, start: int, stop: int) -> None:
        """Removes all elements except those from index `start` up to, not including, `stop`. O(removed)."""
        if stop <= start:
            self.clear()
            return
        for _ in range(len(self) - stop):
            self.pop()
        for _ in range(start):
            self.popleft()

    def insert_beside(self, pivot: bytes, element: bytes, after: bool) -> bool:
        """Inserts `element` before or after the first element equal to `pivot`; returns False if there is none."""
        try:
            place = self.index(pivot)
        except ValueError:
            return False
        self.insert(place + after, element)
        return True

    def remove_equal(self, element: bytes, count: int) -> int:
        """Removes elements equal to `element`: `count` from the head, -`count` from the tail, all if 0.

        Returns how many were removed. One pass, O(n), whatever their number.
        """
        found = self.count(element)
        if not found:
            return 0
        limit = min(abs(count), found) if count else found
        if limit == 1 and count >= 0:
            self.remove(element)
            return 1
        if limit == found:
            kept = [other for other in self if other != element]
        else:
            source = reversed(self) if count < 0 else iter(self)
            left = limit
            kept = []
            for other in source:
                if left and other == element:
                    left -= 1
                else:
                    kept.append(other)
            if count < 0:
                kept.reverse()
        self.clear()
        self.extend(kept)
        return limit

    def positions(self, element: bytes, rank: int, limit: int, scan: int) -> list[int]:
        """Returns the indexes of elements equal to `element`, as LPOS counts them.

        `rank` is the first match that counts: 1 for the first, -1 for the last (the search then runs from the tail);
        `limit` is how many to return at most, 0 for all; `scan` is how many elements to compare at most, 0 for all.
        """
        length = len(self)
        end = min(scan, length) if scan else length
        found: list[int] = []
        if rank > 0:
            skip = rank - 1
            at = -1
            while True:
                try:
                    at = self.index(element, at + 1, end)
                except ValueError:
                    return found
                if skip:
                    skip -= 1
                    continue
                found.append(at)
                if len(found) == limit:
                    return found
        skip = -rank - 1
        for distance, other in enumerate(islice(reversed(self), end), 1):
            if other != element:
                continue
            if skip:
                skip -= 1
                continue
            found.append(length - distance)
            if len(found) == limit:
                break
        return found

    def encoding(self, max_listpack_size: int) -> bytes:
        """Returns the encoding that Redis chooses for this content, given `list-max-listpack-size`."""
        return encoding_of(self, max_listpack_size)


def encoding_of(elements: Collection[bytes], max_listpack_size: int) -> bytes:
    """Does the work of List.encoding for any collection."""
    if max_listpack_size >= 0:
        budget = _BYTES_WITH_COUNT
        if len(elements) > max(max_listpack_size, 1):
            return b"quicklist"
    else:
        budget = _BYTES_BY_LEVEL[min(-max_listpack_size, len(_BYTES_BY_LEVEL)) - 1]
    if len(elements) * 2 > budget:
        return b"quicklist"
    budget -= EMPTY_LISTPACK
    for element in elements:
        budget -= element_size(element)
        if budget < 0:
            return b"quicklist"
    return b"listpack"


prefer(globals(), "broker.values._list", "List")
