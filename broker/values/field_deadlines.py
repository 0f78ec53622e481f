"""Deadlines of a hash's fields."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

_SPARE = 64


class FieldDeadlines(dict[bytes, int]):
    """Fields and their deadlines in wall-clock milliseconds; `put` sets one, `pop` removes one.

    A heap of (deadline, field) finds the earliest. Its outdated entries, whose field has a different deadline by now or
    none, are skipped; once they are the majority, the heap is rebuilt.
    """

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[int, bytes]] = []

    def put(self, field: bytes, deadline: int) -> None:
        """Sets a field's deadline. Amortised O(log n)."""
        self[field] = deadline
        heap = self._heap
        heappush(heap, (deadline, field))
        if len(heap) > 2 * len(self) + _SPARE:
            heap[:] = [(when, name) for name, when in self.items()]
            heapify(heap)

    def earliest(self) -> tuple[int, bytes] | None:
        """Returns the earliest deadline and its field, or None."""
        if not self:
            return None
        heap = self._heap
        while self.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0]

    def clone(self) -> FieldDeadlines:
        """Returns an independent copy."""
        twin = FieldDeadlines()
        twin.update(self)
        twin._heap = [(deadline, field) for field, deadline in self.items()]
        heapify(twin._heap)
        return twin
