"""Pending entries of one group in the order in which their acknowledgement becomes overdue.

A group with a policy reports each delivery here. Deliveries that were made together are one item, and nothing is
removed when they are acknowledged: an item is looked at when it is due, or when most items are no longer needed. So a
delivery costs one push, and an acknowledgement nothing.

How long a delivery may take depends on how many there were, so there is a heap for each wait. Entries in their last
delivery have heaps of their own: they are dead when they are due, the others are to be delivered again.

What was pending before is found by a *walk* in steps, since there may be millions of entries. Deliveries are noted
meanwhile, so what is due of these is known; what the walk finds counts from its end on, all at once. Another walk
tidies: it finds what is still pending, and what was noted before goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import islice
from typing import Any, Final

from broker.values.deadline_queue import NEVER
from broker.values.streams.delivery import PARKED, Delivery

_FEW: Final = 1024
"""An order of so many IDs is never tidied."""

Item = tuple[int, int, tuple[int, ...]]
"""The time of a delivery, its serial number, and the IDs that were delivered.

The garbage collector soon leaves tuples of numbers alone, but not lists: looking at a million of these takes it a tenth
of a second in which nobody is served.
"""


class _Heaps:
    """Items in order of delivery, for each wait: `open` those to be delivered again, `final` those in their last one.

    `size` is the number of IDs held, with those that are no longer pending. `ownerless` has entries that are dead, and
    have been released by XNACK: when to look at each, and its ID.
    """

    __slots__ = ("final", "open", "ownerless", "size")

    def __init__(self, waits: int) -> None:
        self.open: list[list[Item]] = [[] for _ in range(waits)]
        self.final: list[list[Item]] = [[] for _ in range(waits)]
        self.ownerless: list[tuple[int, int]] = []
        self.size = 0


class DueOrder:
    """`waits` are the milliseconds that the first, second, ... delivery may take; the last one repeats.

    Entries are dead once they are due after `last_count` deliveries. `pel` is the group's.
    `armed` is when the owner looks at the order again; `arm(due)` is called if an entry will be due earlier. The owner
    must `walk` until `is_complete`, at first and whenever `is_untidy`. `release(value)` takes what may be large and is
    needed no more.
    """

    __slots__ = (
        "_arm", "_earliest", "_found", "_heaps", "_pel", "_release", "_walked", "armed", "last_count",
        "waits",
    )  # fmt: skip

    def __init__(
        self, waits: tuple[int, ...], last_count: int, pel: Mapping[int, Delivery], arm: Callable[[int], None],
        release: Callable[[Any], None],
    ) -> None:  # fmt: skip
        self.waits = waits
        self.last_count = last_count
        self.armed = NEVER
        # Nothing that is to be delivered again is due before; most reads look no further.
        self._earliest = NEVER
        self._arm = arm
        self._pel = pel
        self._release = release
        self._heaps = _Heaps(len(waits))
        # What a walk has found that is under way, and the ID up to which it has come.
        self._found: _Heaps | None = _Heaps(len(waits))
        self._walked = -1

    @property
    def size(self) -> int:
        """The number of IDs held, with those that are no longer pending."""
        return self._heaps.size

    # The walk

    def is_complete(self) -> bool:
        """Whether no walk is under way."""
        return self._found is None

    def is_untidy(self) -> bool:
        """Whether most of what is held is no longer pending, so that another walk is worthwhile."""
        return self._heaps.size > 2 * len(self._pel) + _FEW

    def walk(self, pending: Callable[[int], Iterator[int]], count: int) -> None:
        """Looks at the next `count` pending entries; `pending` returns them from an ID on."""
        found = self._found
        if found is None:
            found = self._found = _Heaps(len(self.waits))
            self._walked = -1
        together: dict[Delivery, list[int]] = {}
        seen = 0
        for id in islice(pending(self._walked + 1), count):
            self._walked = id
            seen += 1
            delivery = self._pel[id]
            if delivery.consumer is None:
                if delivery.count >= self.last_count:
                    heappush(found.ownerless, (0, id))
            elif delivery.consumer.name != PARKED:
                together.setdefault(delivery, []).append(id)
        for delivery, ids in together.items():
            self._put(found, delivery, ids)
        if seen < count:
            self._give_up(self._heaps)
            self._heaps, self._found = found, None
            self._earliest = 0

    def discard(self) -> None:
        """Gives up what is held, a little at a time."""
        self._give_up(self._heaps)
        if self._found is not None:
            self._give_up(self._found)

    def _give_up(self, heaps: _Heaps) -> None:
        for heap in (*heaps.open, *heaps.final, heaps.ownerless):
            self._release(heap)

    # What the group reports

    def add(self, delivery: Delivery, ids: list[int]) -> None:
        """Notes a delivery."""
        due = self._put(self._heaps, delivery, ids)
        if self._found is not None:
            # The walk finds the others.
            known = [id for id in ids if id <= self._walked]
            if known:
                self._put(self._found, delivery, known)
        if due < self.armed:
            self.armed = due
            self._arm(due)

    def _put(self, heaps: _Heaps, delivery: Delivery, ids: list[int]) -> int:
        """Adds an item; returns when it is due."""
        time = delivery.time
        level = min(max(delivery.count, 1), len(self.waits)) - 1
        due = time + self.waits[level]
        if delivery.count >= self.last_count:
            heappush(heaps.final[level], (time, delivery.serial, tuple(ids)))
        else:
            heappush(heaps.open[level], (time, delivery.serial, tuple(ids)))
            if due < self._earliest:
                self._earliest = due
        heaps.size += len(ids)
        return due

    # What is due

    def _front(self, heap: list[Item]) -> list[int]:
        """Returns the IDs of the first item that are still pending by that delivery; drops items that have none."""
        while heap:
            item = heap[0]
            serial = item[1]
            ids = [id for id in item[2] if self._is_current(id, serial)]
            if ids:
                return ids
            heappop(heap)
            self._heaps.size -= len(item[2])
        return []

    def _is_current(self, id: int, serial: int) -> bool:
        delivery = self._pel.get(id)
        return delivery is not None and delivery.serial == serial and delivery.consumer is not None

    def has_due(self, now: int) -> bool:
        """Whether an entry is to be delivered again."""
        if now < self._earliest:
            return False
        self._earliest = NEVER
        for wait, heap in zip(self.waits, self._heaps.open, strict=True):
            if self._front(heap):
                self._earliest = min(self._earliest, heap[0][0] + wait)
        return self._earliest <= now

    def take_due(self, now: int, limit: int) -> list[int]:
        """Removes and returns entries to be delivered again, the longest pending first; at most `limit` (0: all).

        The caller must deliver them, or end that they are pending.
        """
        return self._take(self._heaps.open, now, limit)

    def take_dead(self, now: int, limit: int) -> list[int]:
        """The same for entries whose last delivery is due, or that are dead and have no owner."""
        ownerless = self._heaps.ownerless
        taken: list[int] = []
        while ownerless and ownerless[0][0] <= now and (not limit or len(taken) < limit):
            id = heappop(ownerless)[1]
            delivery = self._pel.get(id)
            if delivery is not None and delivery.consumer is None and delivery.count >= self.last_count:
                taken.append(id)
        if limit and len(taken) == limit:
            return taken
        return taken + self._take(self._heaps.final, now, limit - len(taken) if limit else 0)

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
            self._heaps.size -= len(all_ids)
            room = limit - len(taken) if limit else len(found)
            taken += found[:room]
            if room < len(found):
                heappush(chosen, (time, serial, tuple(found[room:])))
                self._heaps.size += len(found) - room
        return taken

    def postpone(self, id: int, now: int) -> None:
        """Puts an entry that was taken back, as if it had been delivered now."""
        delivery = self._pel[id]
        level = min(max(delivery.count, 1), len(self.waits)) - 1
        heappush(self._heaps.final[level], (now, delivery.serial, (id,)))
        self._heaps.size += 1

    def look_again(self, id: int, due: int) -> None:
        """Has an entry that is dead taken again at `due`, if it has no owner then."""
        heappush(self._heaps.ownerless, (due, id))
        if self._found is not None and id <= self._walked:
            heappush(self._found.ownerless, (due, id))
        if due < self.armed:
            self.armed = due
            self._arm(due)

    def next_due(self, now: int) -> int:
        """Returns when the next entry will be due, or dead, NEVER if none will. What is due already does not count."""
        ownerless = self._heaps.ownerless
        earliest = ownerless[0][0] if ownerless else NEVER
        for wait, heap in zip(self.waits, self._heaps.final, strict=True):
            if self._front(heap):
                earliest = min(earliest, heap[0][0] + wait)
        for wait, heap in zip(self.waits, self._heaps.open, strict=True):
            if self._front(heap) and heap[0][0] + wait > now:
                earliest = min(earliest, heap[0][0] + wait)
        return earliest

    def oldest(self) -> int | None:
        """Returns the time of the oldest delivery, None if nothing is pending for a consumer."""
        times = [self._pel[ids[0]].time for heap in self._heaps.open + self._heaps.final if (ids := self._front(heap))]
        return min(times, default=None)
