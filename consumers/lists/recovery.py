"""Heartbeats, and giving back what dead consumers held.

A consumer's heartbeat is a key that expires unless it is renewed. A consumer that finds it gone moves the elements
back, in a transaction that watches both the heartbeat and the elements: a consumer that comes back to life in that
moment keeps what it has. One that was suspended for longer loses them, and may then handle the same elements as
another.

It is unknown which of several elements killed a consumer, so a shared crash does not count against an element. An
element that was in hand at two crashes becomes a suspect, and is handled with nothing else at work (inflight.py,
begin_alone).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio
from coredis.exceptions import RedisError

from consumers.connection import Command, Link
from consumers.lists.keys import ListKeys, digest
from consumers.names import decoded
from consumers.retry import suppress_transient
from consumers.transactions import Ask, Transactions

__all__ = ["Recovery", "give_back"]

PAGE = 100
"""Elements that are moved back in one transaction, at most."""


def give_back(keys: ListKeys, elements: Sequence[bytes], from_left: bool) -> list[Command]:
    """Commands that put elements, given in the order in which they were taken, where they are read next."""
    verb = b"LPUSH" if from_left else b"RPUSH"
    return [(verb, keys.list, element) for element in reversed(elements)]


class Recovery:
    """The heartbeat of one consumer, and its recovery of dead consumers' elements.

    most: how often an element may be found with a dead consumer. recovered: called with the number of elements moved
    back. suspected: called with the number of elements that wait to run alone, if there are any.
    """

    def __init__(
        self,
        keys: ListKeys,
        consumer: str,
        link: Link,
        transactions: Transactions,
        *,
        from_left: bool,
        alive: float,
        most: int,
        recovered: Callable[[int], None],
        suspected: Callable[[int], None],
    ) -> None:
        self._keys = keys
        self._consumer = consumer
        self._link = link
        self._transactions = transactions
        self._from_left = from_left
        self._alive = alive
        self._most = most
        self._patience = 2 if most > 1 else 1
        self._recovered = recovered
        self._suspected = suspected

    async def beat(self) -> None:
        """Renew the heartbeat, and the consumer's name in the set of names."""
        replies = await self._link.execute(
            [
                (b"SADD", self._keys.consumers, self._consumer),
                (b"SET", self._keys.alive(self._consumer), b"", b"PX", round(self._alive * 1000)),
            ]
        )
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply

    async def run(self) -> None:
        """Renew the heartbeat and recover elements, forever. Raises the server's permanent refusals."""
        while True:
            with suppress_transient():
                await self.beat()
                await self.sweep()
                (waiting,) = await self._link.execute([(b"LLEN", self._keys.suspects)])
                if isinstance(waiting, RedisError):
                    raise waiting
                if waiting:
                    self._suspected(waiting)
            await anyio.sleep(self._alive / 3)

    async def sweep(self) -> None:
        """Give back what dead consumers held."""
        keys = self._keys
        (names,) = await self._link.execute([(b"SMEMBERS", keys.consumers)])
        if isinstance(names, RedisError):
            raise names
        others = [decoded(name) for name in names]
        others = [name for name in others if name != self._consumer]
        if not others:
            return
        signs = await self._link.execute([(b"EXISTS", keys.alive(name)) for name in others])
        for name, sign in zip(others, signs, strict=True):
            if sign == 0:
                await self._move_all_back(name)

    async def begin(self) -> None:
        """At the start, give back what an earlier consumer with the same name held, and send the first heartbeat."""
        await self._move_all_back(self._consumer, own=True)
        await self.beat()

    async def end(self) -> None:
        """End the heartbeat, when nothing is in hand."""
        keys = self._keys
        await self._link.execute([(b"SREM", keys.consumers, self._consumer), (b"DEL", keys.alive(self._consumer))])

    async def _move_all_back(self, name: str, own: bool = False) -> None:
        replies = await self._link.execute([(b"LLEN", self._keys.processing(name)), (b"LLEN", self._keys.alone(name))])
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
        left = sum(replies)
        # no more than it held at the start: another process with the same name may go on filling it
        while (moved := await self._move_back(name, own)) and (left := left - moved) > 0:
            self._recovered(moved)
        self._recovered(moved)

    async def _move_back(self, name: str, own: bool) -> int:
        keys = self._keys
        processing, alone, alive = keys.processing(name), keys.alone(name), keys.alive(name)

        async def decide(ask: Ask) -> tuple[list[Command], int]:
            lives, held, elements, guilty = await ask(
                [
                    (b"EXISTS", alive),
                    (b"LLEN", processing),
                    (b"LRANGE", processing, -PAGE, -1),
                    (b"LRANGE", alone, 0, -1),
                ]
            )
            if lives and not own:
                return [], 0
            if not elements and not guilty:
                return [(b"SREM", keys.consumers, name)], 0
            found = [*elements, *guilty]
            (counts,) = await ask([(b"HMGET", keys.recovered, *map(digest, found))])
            crashes = [int(count or 0) for count in counts]
            commands = self._judged(elements, crashes, guilty)
            if elements:
                commands.append((b"LTRIM", processing, 0, -len(elements) - 1))
            if guilty:
                commands.append((b"DEL", alone))
            if held == len(elements):
                commands.append((b"SREM", keys.consumers, name))
            return commands, len(found)

        return await self._transactions.run([alive, processing, alone], decide)

    def _judged(self, elements: list[bytes], crashes: list[int], guilty: list[bytes]) -> list[Command]:
        """Decide where elements found with a dead consumer go. crashes: after how many they were found before.

        Elements that were in hand together go back, or to the suspects. Only one that ran alone is known to be the
        cause.
        """
        keys = self._keys
        back: list[bytes] = []
        suspects: list[bytes] = []
        dead: list[bytes] = []
        for element, count in zip(elements, crashes[: len(elements)], strict=True):
            (back if count + 1 < self._patience else suspects).append(element)
        for element, count in zip(guilty, crashes[len(elements) :], strict=True):
            (suspects if count < self._most else dead).append(element)
        commands = give_back(keys, back, self._from_left)
        commands += [(b"HINCRBY", keys.recovered, digest(element), 1) for element in back + suspects]
        if suspects:
            commands.append((b"RPUSH", keys.suspects, *suspects))
        if dead:
            commands.append((b"HDEL", keys.recovered, *map(digest, dead)))
            if keys.dead:
                commands.append((b"RPUSH", keys.dead, *dead))
        return commands
