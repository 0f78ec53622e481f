"""What one consumer of a list holds, here and on the server, and how the two are kept the same.

Taking moves elements into the consumer's own list, settling removes them, many in one round trip. After a lost reply it
is unknown what the server has done; then the own list is read and compared: an element in it that is not in hand was
either taken unseen, and is in hand now, or its settlement was not executed, and is repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import anyio
from coredis.exceptions import RedisError

from consumers.connection import Command, Link, Reply
from consumers.lists.keys import ListKeys, digest
from consumers.settling import Outcome

__all__ = ["Element", "Inflight"]

ANSWER_SECONDS = 5.0


@dataclass(slots=True, eq=False)
class Element:
    """An element in hand. attempt: the number of the attempt, counted by this consumer."""

    value: bytes
    attempt: int = 1
    outcome: Outcome | None = None


class Inflight:
    """The elements of one consumer."""

    def __init__(self, keys: ListKeys, consumer: str, link: Link, from_left: bool) -> None:
        self._keys = keys
        self._processing = keys.processing(consumer)
        self._alone = keys.alone(consumer)
        self._link = link
        self._source, self._end = (b"LEFT", b"RIGHT") if from_left else (b"RIGHT", b"LEFT")
        self._push = b"LPUSH" if from_left else b"RPUSH"
        self._order = 1 if from_left else -1
        self._held: dict[Element, None] = {}
        self._settled: list[Element] = []
        self._reading = anyio.Lock()
        self._settling = anyio.Lock()
        self.unsure = False
        """Whether the own list may hold elements that are not in hand."""

    def __len__(self) -> int:
        return len(self._held)

    @property
    def unsettled(self) -> list[Element]:
        """Elements without a decided outcome, in the order in which they were taken."""
        return [element for element in self._held if element.outcome is None]

    async def take(self, room: int, block: float) -> list[Element]:
        """Take up to `room` elements; waits up to `block` seconds for one. Raises errors of coredis."""
        list_ = self._keys.list
        move = (b"LMOVE", list_, self._processing, self._source, self._end)
        command = (b"BLMOVE", list_, self._processing, self._source, self._end, block)
        async with self._reading:
            try:
                values = _values(await self._link.execute([move] * room))
                if not values and block > 0:
                    values = _values([await self._link.read(command, limit=block + ANSWER_SECONDS)])
            except BaseException:
                self.unsure = True
                raise
            return self._hold(values)

    async def wake(self) -> None:
        """End a waiting take()."""
        await self._link.wake()

    def _hold(self, values: Iterable[bytes]) -> list[Element]:
        elements = [Element(value) for value in values]
        self._held.update(dict.fromkeys(elements))
        return elements

    def settle(self, element: Element, outcome: Outcome) -> None:
        """Decide an element's outcome; the next flush() carries it out."""
        element.outcome = outcome
        self._settled.append(element)

    @property
    def settled(self) -> int:
        """How many settlements wait to be carried out."""
        return len(self._settled)

    async def flush(self) -> list[Element]:
        """Carry out the decided outcomes; returns those elements. Raises errors of coredis."""
        async with self._settling:
            batch, self._settled = self._settled, []
            if not batch:
                return []
            try:
                replies = await self._link.transaction(self._commands(batch))
            except BaseException:
                self.unsure = True
                self._settled = batch + self._settled
                raise
            _values(replies)
            for element in batch:
                self._held.pop(element, None)
            return batch

    def _commands(self, batch: list[Element]) -> list[Command]:
        commands: list[Command] = [(b"LREM", self._processing, 1, element.value) for element in batch]
        # the element that was taken first must be read first
        back = [element.value for element in batch if element.outcome is Outcome.NACK]
        commands += [(self._push, self._keys.list, value) for value in reversed(back)]
        gone = [element.value for element in batch if element.outcome is not Outcome.NACK]
        if gone:
            commands.append((b"HDEL", self._keys.recovered, *map(digest, gone)))
        dead = [element.value for element in batch if element.outcome is Outcome.DEAD_LETTER]
        if dead and self._keys.dead:
            commands.append((b"RPUSH", self._keys.dead, *dead))
        return commands

    async def compare(self) -> tuple[list[Element], list[Element]]:
        """Read the own list: returns elements taken unseen, and settled ones that prove to have been carried out."""
        await self._link.wake()
        async with self._reading, self._settling:
            if not self.unsure:
                return [], []
            (values,) = await self._link.execute([(b"LRANGE", self._processing, 0, -1)])
            if isinstance(values, RedisError):
                raise values
            extra = Counter(values[:: self._order])
            extra.subtract(element.value for element in self.unsettled)
            done: list[Element] = []
            for element in list(self._settled):
                if extra[element.value] > 0:
                    extra[element.value] -= 1
                else:
                    self._settled.remove(element)
                    self._held.pop(element, None)
                    done.append(element)
            unseen = self._hold((+extra).elements())
            self.unsure = False
            return unseen, done

    # Suspects. Each step is one command, so a crash at any point leaves the element in exactly one list.

    async def begin_alone(self) -> bytes | None:
        """Take the next suspect, which is from here on recorded as begun; returns None if there is none."""
        (mine,) = _values(await self._link.execute([(b"LRANGE", self._alone, 0, -1)]))
        if mine:
            # an attempt whose reply was lost has taken it
            element: bytes = mine[0]
            return element
        move = (b"LMOVE", self._keys.suspects, self._alone, b"LEFT", b"RIGHT")
        taken = _values(await self._link.execute([move]))
        return taken[0] if taken else None

    async def end_alone(self, value: bytes, *, keep: bool) -> Element | None:
        """End a suspect that did no harm: it is done, or with `keep` in hand from now on like any other element."""
        (mine,) = _values(await self._link.execute([(b"LRANGE", self._alone, 0, -1)]))
        if value not in mine:
            # an attempt whose reply was lost has done it
            self.unsure = self.unsure or keep
            return None
        commands: list[Command] = [
            (b"LREM", self._alone, 1, value), (b"HDEL", self._keys.recovered, digest(value)),
        ]  # fmt: skip
        if keep:
            commands.append((b"RPUSH", self._processing, value))
        _values(await self._link.transaction(commands))
        return self._hold([value])[0] if keep else None

    async def leave_alone(self) -> None:
        """Give back a suspect whose handler was cancelled: it stays a suspect."""
        move = (b"LMOVE", self._alone, self._keys.suspects, b"RIGHT", b"LEFT")
        _values(await self._link.execute([move]))


def _values(replies: list[Reply]) -> list[Reply]:
    for reply in replies:
        if isinstance(reply, RedisError):
            raise reply
    return [reply for reply in replies if reply is not None]
