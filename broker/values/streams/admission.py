"""Which entries of a group may be delivered now: not too many at a time, and those with one value one after the other.

A group whose policy has MAXINFLIGHT or ORDERBY reports here which entries become pending, and which end to be. With
ORDERBY, entries are told apart by their value of a field. While an entry of a value is pending, later ones are not
delivered: a reader passes over them by *parking* them, as pending entries of the consumer PARKED. When nothing of a
value is in flight any more, its first parked entry is *ready*. If several entries with one value are in flight, because
clients interfered or the policy is newer than they are, only the first is delivered again.

All of this is derived from the pending entries, which are walked once, in steps. The heaps may hold IDs of which it is
no longer true; they are dropped when they come up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from heapq import heappop, heappush
from itertools import islice
from typing import Final

from broker.values.streams.delivery import PARKED, Delivery
from broker.values.streams.entry import field_value
from broker.values.streams.ids import MAX_ID

_LONG: Final = 64
"""Of a value that is as long, only a digest is kept."""


class Admission:
    """`field` is the name of the field, empty without ORDERBY; then all that is parked is ready.

    `pel` is the group's, `entry_of(id)` returns an entry of its stream. `wake` is called when clients that found
    nothing may find something now. A reader that stops although there is more sets `held_back`, so it is woken by the
    next entry that ends to be in flight.
    """

    __slots__ = (
        "_entry_of", "_field", "_heads", "_others", "_parked", "_pel", "_ready", "_values", "_wake", "_walked",
        "held_back",
    )  # fmt: skip

    def __init__(
        self, field: bytes, pel: Mapping[int, Delivery], entry_of: Callable[[int], bytes | None],
        wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._field = field
        self._pel = pel
        self._entry_of = entry_of
        self._wake = wake
        self.held_back = False
        # The value of each pending entry that has one.
        self._values: dict[int, bytes] = {}
        # The lowest ID in flight of each value, and the other ones in flight, if any.
        self._heads: dict[bytes, int] = {}
        self._others: dict[bytes, list[int]] = {}
        self._parked: dict[bytes, list[int]] = {}
        self._ready: list[int] = []
        # Pending entries up to this ID are known.
        self._walked = -1

    # The walk

    def is_complete(self) -> bool:
        """Whether all pending entries are known. Until then, nothing may be delivered."""
        return self._walked == MAX_ID

    def walk(self, pending: Callable[[int], Iterator[int]], count: int) -> None:
        """Looks at the next `count` pending entries; `pending` returns them from an ID on."""
        seen = 0
        for id in islice(pending(self._walked + 1), count):
            self._walked = id
            self.placed(id)
            seen += 1
        if seen < count:
            self._walked = MAX_ID
            self._wake()

    def learn(self, id: int, value: bytes) -> None:
        """Remembers the value of an entry that is about to become pending, which need not be looked up then."""
        self._values[id] = value

    # What the group reports

    def placed(self, id: int) -> None:
        """Notes that an entry is pending, in flight or parked, as the group's PEL says now."""
        if id > self._walked:
            return
        value = self._values.get(id)
        if value is None and self._field:
            entry = self._entry_of(id)
            if entry is not None:
                value = self.value_in(entry)
                if value is not None:
                    self._values[id] = value
        parked = self._is_parked(id)
        if value is None:
            if parked:
                heappush(self._ready, id)
                self._wake()
        elif parked:
            heappush(self._parked.setdefault(value, []), id)
            self._offer(value)
        else:
            head = self._heads.get(value)
            if head is None or id < head:
                self._heads[value] = id
            if head is not None and head != id:
                heappush(self._others.setdefault(value, []), max(head, id))

    def delivered(self, ids: list[int]) -> None:
        """The same for entries that a consumer has been given, none of which was parked for want of a value."""
        if self._field:
            for id in ids:
                self.placed(id)

    def ended(self, id: int) -> None:
        """Notes that an entry is not pending any more."""
        value = self._values.pop(id, None)
        if value is not None:
            self._offer(value)
        self.freed()

    def freed(self) -> None:
        """Notes that fewer entries are in flight than before."""
        if self.held_back:
            self.held_back = False
            self._wake()

    # What readers ask

    def value_in(self, entry: bytes) -> bytes | None:
        """Returns the value of an entry, or what represents it; None if it has none."""
        if not self._field:
            return None
        value = field_value(entry, self._field)
        return value if value is None or len(value) < _LONG else blake2b(value).digest()

    def is_busy(self, value: bytes) -> bool:
        """Whether entries with that value are in flight or parked, so a later one has to wait."""
        return self._head(value) >= 0 or bool(self._first_parked(value))

    def is_first(self, id: int) -> bool:
        """Whether no entry in flight comes before this one, which is in flight as well."""
        value = self._values.get(id)
        return value is None or self._head(value) == id

    def take_ready(self, limit: int) -> list[int]:
        """Removes and returns parked entries that may be delivered, the oldest first; at most `limit` (0: all).

        The caller must deliver them, or end that they are pending. No two of them have the same value.
        """
        taken: list[int] = []
        values: set[bytes] = set()
        ready = self._ready
        while ready and (not limit or len(taken) < limit):
            id = heappop(ready)
            if not self._is_parked(id):
                continue
            value = self._values.get(id)
            if value is not None:
                if value in values or self._head(value) >= 0:
                    continue  # it is offered again
                values.add(value)
            if not taken or taken[-1] != id:
                taken.append(id)
        return taken

    def has_ready(self) -> bool:
        """Whether a parked entry may be ready."""
        return bool(self._ready)

    # Parts

    def _is_parked(self, id: int) -> bool:
        delivery = self._pel.get(id)
        return delivery is not None and delivery.consumer is not None and delivery.consumer.name == PARKED

    def _is_in_flight(self, id: int) -> bool:
        delivery = self._pel.get(id)
        return delivery is not None and (delivery.consumer is None or delivery.consumer.name != PARKED)

    def _head(self, value: bytes) -> int:
        """Returns the lowest ID in flight with that value, -1 if there is none."""
        head = self._heads.get(value, -1)
        if head < 0 or self._is_in_flight(head):
            return head
        others = self._others.get(value)
        while others:
            head = heappop(others)
            if self._is_in_flight(head):
                self._heads[value] = head
                return head
        self._others.pop(value, None)
        del self._heads[value]
        return -1

    def _first_parked(self, value: bytes) -> int:
        """Returns the lowest parked ID with that value, 0 if there is none."""
        parked = self._parked.get(value)
        while parked:
            if self._is_parked(parked[0]):
                return parked[0]
            heappop(parked)
        self._parked.pop(value, None)
        return 0

    def _offer(self, value: bytes) -> None:
        """Makes the first parked entry of a value ready if nothing of it is in flight."""
        if self._head(value) < 0:
            first = self._first_parked(value)
            if first:
                heappush(self._ready, first)
                self._wake()
