"""When the fields of a hash expire."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

_SPARE = 64


class FieldDeadlines(dict[bytes, int]):
    """Fields and their deadlines in wall milliseconds; `put` sets one, `pop` drops one.

    A heap of (deadline, field) finds the earliest. Entries of fields that have another deadline by now, or none, are
    passed over; it is made again when they are most of it.
    """

    __slots__ = ("_heap",)

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[int, bytes]] = []

    def put(self, field: bytes, deadline: int) -> None:
        """Give a field a deadline. O(log n), over time."""
        self[field] = deadline
        heap = self._heap
        heappush(heap, (deadline, field))
        if len(heap) > 2 * len(self) + _SPARE:
            heap[:] = [(when, name) for name, when in self.items()]
            heapify(heap)

    def earliest(self) -> tuple[int, bytes] | None:
        """The earliest deadline, and the field that has it; None without any."""
        if not self:
            return None
        heap = self._heap
        while self.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0]

    def clone(self) -> FieldDeadlines:
        """An independent copy."""
        twin = FieldDeadlines()
        twin.update(self)
        twin._heap = [(deadline, field) for field, deadline in self.items()]
        heapify(twin._heap)
        return twin
