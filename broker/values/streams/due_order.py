"""Pending entries of one group in the order in which their acknowledgement becomes overdue.

A group with a policy reports each delivery here. Deliveries that were made together are one item, and nothing is
removed when they are acknowledged: an item is looked at when it is due, or when most items are no longer needed. So a
delivery costs one push, and an acknowledgement nothing.

How long a delivery may take depends on how many there were, so there is a heap for each wait. Entries in their last
delivery have heaps of their own: they are dead when they are due, the others are to be delivered again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heapify, heappop, heappush
from typing import Final

from broker.values.deadline_queue import NEVER
from broker.values.streams.delivery import PARKED, Delivery

_FEW: Final = 1024
"""An order of so many IDs is never tidied."""

Item = tuple[int, int, list[int]]
"""The time of a delivery, its serial number, and the IDs that were delivered, in a list that is never changed."""


class DueOrder:
    """`waits` are the milliseconds that the first, second, ... delivery may take; the last one repeats.

    Entries are dead once they are due after `last_count` deliveries. `pel` is the group's.
    `armed` is when the owner looks at the order again; `arm(due)` is called if an entry will be due earlier.
    `size` is the number of IDs held, with those that are no longer pending.
    """

    __slots__ = ("_arm", "_earliest", "_final", "_open", "_pel", "_tidy_at", "armed", "last_count", "size", "waits")

    def __init__(
        self, waits: tuple[int, ...], last_count: int, pel: Mapping[int, Delivery], arm: Callable[[int], None]
    ) -> None:
        self.waits = waits
        self.last_count = last_count
        self.armed = NEVER
        # Nothing that is to be delivered again is due before; most reads look no further.
        self._earliest = NEVER
        self._arm = arm
        self._pel = pel
        self._open: list[list[Item]] = [[] for _ in waits]
        self._final: list[list[Item]] = [[] for _ in waits]
        self.size = 0
        self._tidy_at = _FEW
        together: dict[Delivery, list[int]] = {}
        for id, delivery in pel.items():
            if delivery.consumer is not None and delivery.consumer.name != PARKED:
                together.setdefault(delivery, []).append(id)
        for delivery, ids in together.items():
            self.add(delivery, ids)

    def add(self, delivery: Delivery, ids: list[int]) -> None:
        """Notes a delivery."""
        count, time = delivery.count, delivery.time
        level = min(max(count, 1), len(self.waits)) - 1
        due = time + self.waits[level]
        if count >= self.last_count:
            heappush(self._final[level], (time, delivery.serial, ids))
        else:
            heappush(self._open[level], (time, delivery.serial, ids))
            if due < self._earliest:
                self._earliest = due
        self.size += len(ids)
        if self.size > self._tidy_at:
            self._tidy()
        if due < self.armed:
            self.armed = due
            self._arm(due)

    def _tidy(self) -> None:
        """Drops items of which nothing is pending any more, and decides when to do so again."""
        serials = {delivery.serial for delivery in self._pel.values()}
        self.size = 0
        for heap in self._open + self._final:
            heap[:] = [item for item in heap if item[1] in serials]
            heapify(heap)
            self.size += sum([len(item[2]) for item in heap])
        self._tidy_at = 2 * self.size + _FEW

    def _front(self, heap: list[Item]) -> list[int]:
        """Returns the IDs of the first item that are still pending by that delivery; drops items that have none."""
        while heap:
            item = heap[0]
            serial = item[1]
            ids = [id for id in item[2] if self._is_current(id, serial)]
            if ids:
                return ids
            heappop(heap)
            self.size -= len(item[2])
        return []

    def _is_current(self, id: int, serial: int) -> bool:
        delivery = self._pel.get(id)
        return delivery is not None and delivery.serial == serial and delivery.consumer is not None

    def has_due(self, now: int) -> bool:
        """Whether an entry is to be delivered again."""
        if now < self._earliest:
            return False
        self._earliest = NEVER
        for wait, heap in zip(self.waits, self._open, strict=True):
            if self._front(heap):
                self._earliest = min(self._earliest, heap[0][0] + wait)
        return self._earliest <= now

    def take_due(self, now: int, limit: int) -> list[int]:
        """Removes and returns entries to be delivered again, the longest pending first; at most `limit` (0: all).

        The caller must deliver them, or end that they are pending.
        """
        return self._take(self._open, now, limit)

    def take_dead(self, now: int, limit: int) -> list[int]:
        """The same for entries whose last delivery is due."""
        return self._take(self._final, now, limit)

    def _take(self, heaps: list[list[Item]], now: int, limit: int) -> list[int]:
        taken: list[int] = []
        while not limit or len(taken) < limit:
            chosen: list[Item] | None = None
            found: list[int] = []
            for wait, heap in zip(self.waits, heaps, strict=True):
                if heap and heap[0][0] + wait <= now:
                    ids = self._front(heap)
                    if ids and heap[0][0] + wait <= now and (chosen is None or heap[0][:2] < chosen[0][:2]):
                        chosen, found = heap, ids
            if chosen is None:
                break
            time, serial, all_ids = heappop(chosen)
            self.size -= len(all_ids)
            room = limit - len(taken) if limit else len(found)
            taken += found[:room]
            if room < len(found):
                heappush(chosen, (time, serial, found[room:]))
                self.size += len(found) - room
        return taken

    def postpone(self, id: int, now: int) -> None:
        """Puts an entry that was taken back, as if it had been delivered now."""
        delivery = self._pel[id]
        level = min(max(delivery.count, 1), len(self.waits)) - 1
        heappush(self._final[level], (now, delivery.serial, [id]))
        self.size += 1

    def next_due(self, now: int) -> int:
        """Returns when the next entry will be due, or dead, NEVER if none will. What is due already does not count."""
        earliest = NEVER
        for wait, heap in zip(self.waits, self._final, strict=True):
            if self._front(heap):
                earliest = min(earliest, heap[0][0] + wait)
        for wait, heap in zip(self.waits, self._open, strict=True):
            if self._front(heap) and heap[0][0] + wait > now:
                earliest = min(earliest, heap[0][0] + wait)
        return earliest

    def oldest(self) -> int | None:
        """Returns the time of the oldest delivery, None if nothing is pending for a consumer."""
        times = [self._pel[ids[0]].time for heap in self._open + self._final if (ids := self._front(heap))]
        return min(times, default=None)
