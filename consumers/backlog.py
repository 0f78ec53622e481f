"""Entries that have been fetched and wait for a handler, and which one is next.

Between streams, the order is strict priority (the first stream that has an entry) or fair (each in turn); within a
stream, the order of arrival. With a key, entries of the same key are handed out one at a time, lower IDs first, while
entries of other keys overtake them: a key is busy from the moment one of its entries is handed out until that one is
done.
"""

from bisect import insort
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from enum import Enum
from typing import Generic, Protocol, TypeVar

__all__ = ["Backlog", "Orderable", "Priority", "id_order"]


class Priority(Enum):
    """Between several streams: the first one that has entries (STRICT), or each in turn (FAIR)."""

    STRICT = "strict"
    FAIR = "fair"


class Orderable(Protocol):
    """What a backlog needs to know about an item."""

    @property
    def stream(self) -> str: ...

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Orderable)


def id_order(item: Orderable) -> tuple[int, int]:
    """The place of an entry in its stream: milliseconds and sequence of its ID."""
    milliseconds, _, sequence = item.id.partition("-")
    return int(milliseconds), int(sequence or 0)


class Backlog(Generic[T]):
    """Waiting items. `key` returns an item's key, or None for one that waits for no other."""

    def __init__(
        self, streams: Sequence[str], priority: Priority, key: Callable[[T], Hashable | None] | None = None
    ) -> None:
        self._ready: dict[str, deque[T]] = {stream: deque() for stream in streams}
        self._queues = list(self._ready.values())
        self._strict = priority is Priority.STRICT
        self._key = key
        self._lanes: dict[Hashable, list[T]] = {}
        self._held = 0

    def __len__(self) -> int:
        return self._held + sum(map(len, self._queues))

    @property
    def ready(self) -> int:
        """How many items could be handed out now."""
        return sum(map(len, self._queues))

    def put(self, item: T) -> None:
        """Add an item. From now on its key is busy."""
        if self._key is not None and (key := self._key(item)) is not None:
            lane = self._lanes.get(key)
            if lane is not None:
                insort(lane, item, key=id_order)
                self._held += 1
                return
            self._lanes[key] = []
        self._ready[item.stream].append(item)

    def put_back(self, item: T) -> None:
        """Add an item that was handed out and is not done: it goes before all others, and its key has stayed busy."""
        self._ready[item.stream].appendleft(item)

    def take(self) -> T | None:
        """Return the next item, or None if none can be handed out now."""
        queues = self._queues
        for place, queue in enumerate(queues):
            if queue:
                item = queue.popleft()
                if not self._strict and len(queues) > 1:
                    queues.append(queues.pop(place))
                return item
        return None

    def done(self, item: T) -> None:
        """Free the key of an item that was handed out: the next one of the same key may follow."""
        if self._key is None or (key := self._key(item)) is None:
            return
        lane = self._lanes.get(key)
        if lane:
            following = lane.pop(0)
            self._held -= 1
            self._ready[following.stream].append(following)
        else:
            self._lanes.pop(key, None)

    def clear(self) -> Iterator[T]:
        """Remove and yield all items, whatever their keys."""
        for queue in self._queues:
            while queue:
                yield queue.popleft()
        for lane in self._lanes.values():
            while lane:
                self._held -= 1
                yield lane.pop()
