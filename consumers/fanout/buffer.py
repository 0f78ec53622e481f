"""The bounded buffer between the connection and a service, and what it does when the service is slow.

Pub/sub has no back-pressure: a server disconnects a subscriber that does not read (client-output-buffer-limit), and
then everything is lost. So the connection is always read, and this is the only place where messages wait.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable, Hashable

from anyio.abc import AsyncBackend

from consumers import given, loops
from consumers.fanout.messages import Gap, Message, Reason
from consumers.parking import ParkingLot

RUN = 50
"""Messages taken in a row before other tasks get a turn. Yielding after each message would let a service that falls
behind take one while the connection delivers a thousand."""


class WhenFull(enum.Enum):
    """What happens when a message arrives and there is no room."""

    DROP_OLDEST = "drop-oldest"
    """Drop the message that has waited longest: the service is never further behind than the buffer holds."""

    DROP_NEWEST = "drop-newest"
    """Drop the new message: the messages that already wait stay complete."""

    ERROR = "error"
    """End the subscription: earlier messages are delivered, then SlowConsumerError is raised."""


class SlowConsumerError(Exception):
    """The service was too slow for its buffer, and chose WhenFull.ERROR."""


class Buffer:
    """At most `size` messages, in order of arrival, with gaps between them.

    With `key`, a message replaces a waiting one for which that function returns the same key, at its place in the
    order. Such a service needs only the latest of each, so this is not a gap: it counts as `conflated`. `dropped`
    counts the messages for which there was no room.
    """

    def __init__(self, size: int, when_full: WhenFull, key: Callable[[Message], Hashable] | None = None) -> None:
        given.instance("when_full", when_full, WhenFull)
        if given.whole("size", size) < 1:
            raise ValueError("a buffer holds at least one message")
        self.size = size
        self.when_full = when_full
        self.key = key
        self.received = 0
        self.dropped = 0
        self.conflated = 0
        self.length = 0
        # By the message's key, or by a unique object. An OrderedDict removes its first item in O(1), a dict does not.
        self._items: OrderedDict[Hashable, Message | Gap] = OrderedDict()
        self._last: Hashable = None
        self._leading: Gap | None = None
        self._failure: BaseException | None = None
        self._run = 0
        self._backend: type[AsyncBackend] | None = None
        self._readers = ParkingLot()

    @property
    def failed(self) -> bool:
        """Whether nothing is accepted any more."""
        return self._failure is not None

    def put(self, message: Message) -> None:
        """Add a message; if there is no room, apply the policy. Raises what `key` raises."""
        if self._failure is not None:
            return
        self.received += 1
        key: Hashable = object() if self.key is None else self.key(message)
        if key in self._items:
            self._items[key] = message
            self.conflated += 1
            return
        if self.length == self.size and not self._make_room():
            return
        self._items[key] = message
        self._last = key
        self.length += 1
        self._readers.unpark()

    def put_gap(self, gap: Gap) -> None:
        """Mark that something is missing after the messages so far."""
        last = self._items.get(self._last)
        if isinstance(last, Gap):
            self._items[self._last] = _joined(last, gap)
        else:
            self._last = object()
            self._items[self._last] = gap
        self._readers.unpark()

    def fail(self, error: BaseException) -> None:
        """Accept nothing more; readers get the first such error once all waiting messages have been delivered."""
        if self._failure is None:
            self._failure = error
        self._readers.unpark_all()

    async def take(self) -> Message | Gap:
        """Return the next message or gap; waits for one. Raises the error passed to `fail`."""
        self._run += 1
        if self._backend is None:
            self._backend = loops.backend()
        if self._run < RUN:
            await self._backend.checkpoint_if_cancelled()
        else:
            self._run = 0
            await self._backend.checkpoint()
        while True:
            if self._leading is not None:
                gap, self._leading = self._leading, None
                return gap
            if self._items:
                return self._pop()
            if self._failure is not None:
                raise self._failure
            self._run = 0
            await self._readers.park()

    def _pop(self) -> Message | Gap:
        item = self._items.popitem(last=False)[1]
        if isinstance(item, Message):
            self.length -= 1
        return item

    def _make_room(self) -> bool:
        self.dropped += 1
        if self.when_full is WhenFull.DROP_OLDEST:
            while isinstance(item := self._pop(), Gap):
                self._leading = _joined(self._leading, item)
            self._leading = _joined(self._leading, Gap(Reason.OVERFLOW, 1))
            return True
        if self.when_full is WhenFull.DROP_NEWEST:
            self.put_gap(Gap(Reason.OVERFLOW, 1))
        else:
            self.fail(SlowConsumerError(f"more than {self.size} messages were waiting"))
        return False


def _joined(first: Gap | None, second: Gap) -> Gap:
    """One gap for two adjacent ones. The number of missing messages is unknown if either one's is."""
    if first is None:
        return second
    missing = None if first.missing is None or second.missing is None else first.missing + second.missing
    reason = first.reason if first.missing is None else second.reason
    return Gap(reason, missing, first.seconds + second.seconds)
