"""The consumer of a plain list: handlers, retries, drain."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus
from coredis.exceptions import RedisError

from consumers import given
from consumers.connection import Client, open_link
from consumers.doorbell import Doorbell
from consumers.errors import ConsumerError, Reject, Retry, alone, cut_short
from consumers.given import Duration
from consumers.lists.inflight import Element, Inflight
from consumers.lists.keys import ListKeys
from consumers.lists.recovery import Recovery
from consumers.loops import Owner
from consumers.owners import unique_name
from consumers.parking import ParkingLot
from consumers.retry import Backoff, persist
from consumers.settling import Outcome
from consumers.task_groups import open_plain_task_group
from consumers.transactions import Transactions

__all__ = ["ListConsumer", "ListStatistics"]

logger = logging.getLogger("consumers")

T = TypeVar("T")

BLOCK_SECONDS = 5.0
GIVE_BACK_SECONDS = 3.0
"""How long giving back the elements in hand may delay the end of a consumer."""


@dataclass(slots=True)
class ListStatistics:
    """What a consumer has done: elements received, their outcomes, and elements recovered from dead consumers."""

    received: int = 0
    done: int = 0
    given_back: int = 0
    dead: int = 0
    recovered: int = 0


class ListConsumer:
    """Takes elements from a list and passes each to a handler, *at least once*.

        consumer = ListConsumer(client, "emails", concurrency=8)
        await tasks.start(consumer.run, handler)

    An element is delivered again after its handler failed, and after a crash or a cut that outlasted the heartbeat; in
    the latter case two consumers may even have it at the same time. Make handlers idempotent by something in the
    element itself, since elements of a plain list have no IDs.

    client: an entered coredis client. name: the list. consumer: unique among the list's consumers, by default made of
        host, process and random characters.
    take: the end to read from: "left" if producers RPUSH, "right" if they LPUSH.
    concurrency: handlers that run at a time. prefetch: elements in hand, by default as many.
    alive: seconds after which a consumer without a heartbeat is considered dead.
    retries, backoff: how often, and after which delays, an element is handled again *by this consumer* after its
        handler raised; it stays in hand meanwhile. After that, or after Reject, it goes to the list `dead_letter`, by
        default {NAME}:dead; "": it is logged and dropped.
    recoveries: how often an element may be found with a dead consumer before it is dead; but only one that ran alone
        there is considered the cause. An element that was found with two dead consumers runs alone.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        consumer: str | None = None,
        take: Literal["left", "right"] = "left",
        concurrency: int = 16,
        prefetch: int | None = None,
        alive: Duration = 15.0,
        retries: int = 3,
        backoff: Backoff | None = None,
        dead_letter: str | None = None,
        recoveries: int = 10,
    ) -> None:
        given.client_of(client)
        given.text("name", name)
        given.instance("consumer", consumer, str, type(None))
        given.instance("dead_letter", dead_letter, str, type(None))
        if take not in ("left", "right"):
            raise ValueError(f"take is 'left' or 'right', not {take!r}")
        for number in (concurrency, retries, recoveries, *([] if prefetch is None else [prefetch])):
            given.whole("concurrency, prefetch, retries and recoveries: each", number)
        alive = given.duration("alive", alive)
        if concurrency < 1 or (prefetch is not None and prefetch < 1):
            raise ValueError("concurrency and prefetch must be at least 1")
        if alive < 0.1 or retries < 0 or recoveries < 0:
            raise ValueError("alive must be at least 0.1 s, retries and recoveries can't be negative")
        self.name = name
        self.consumer = consumer or unique_name()
        self.keys = ListKeys(name, dead_letter)
        self.statistics = ListStatistics()
        self._client = client
        self._from_left = take == "left"
        self._concurrency = concurrency
        self._prefetch = max(concurrency, prefetch or concurrency)
        self._alive = alive
        self._retries = retries
        self._backoff = backoff or Backoff()
        self._recoveries = recoveries
        self._waiting: deque[Element] = deque()
        self._ready = ParkingLot()
        self._room = ParkingLot()
        self._suspected = Doorbell()
        self._suspects = 0
        self._isolating = False
        self._postponed = 0
        self._decided = Doorbell()
        self._draining = False
        self._started = False
        self._ended = anyio.Event()
        self._handlers: anyio.CancelScope
        self._owner: Owner
        self._tasks: TaskGroup
        self._inflight: Inflight

    @property
    def in_hand(self) -> int:
        """How many elements this consumer holds: waiting, being handled, or not yet confirmed by the server."""
        return len(self._inflight) if self._started else 0

    async def run(
        self,
        handler: Callable[[bytes], Awaitable[object]],
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Pass each element to `handler` until drained or cancelled. Only once; started when it takes elements.

        An exception in a handler, even SystemExit (but not KeyboardInterrupt), affects only its element. Raises
        ConsumerError if the server refuses what the consumer needs; it waits for lost connections. When cancelled, it
        gives back what is in hand.
        """
        if self._started:
            raise RuntimeError("a consumer of a list is used once")
        self._handlers, self._owner = anyio.CancelScope(), Owner()
        try:
            async with (
                open_link(self._client, self.name) as link,
                open_link(self._client, self.name) as transaction_link,
            ):
                self._inflight = Inflight(self.keys, self.consumer, link, self._from_left)
                self._started = True
                recovery = Recovery(
                    self.keys, self.consumer, link, Transactions(transaction_link), from_left=self._from_left,
                    alive=self._alive, most=self._recoveries, recovered=self._count_recovered,
                    suspected=self._suspect,
                )  # fmt: skip
                # before the first element is taken, others must know this consumer
                await self._persist(recovery.begin)
                try:
                    async with open_plain_task_group() as self._tasks:
                        for task in (self._fetch, self._settle, recovery.run):
                            self._tasks.start_soon(task)
                        task_status.started()
                        with self._handlers:
                            async with open_plain_task_group() as workers:
                                for _ in range(self._concurrency):
                                    workers.start_soon(self._work, handler)
                                workers.start_soon(self._work_alone, handler)
                        self._tasks.cancel_scope.cancel()
                finally:
                    self._draining = True
                    with anyio.CancelScope(shield=True, deadline=anyio.current_time() + GIVE_BACK_SECONDS):
                        await self._leave(recovery)
        except RedisError as error:
            raise ConsumerError(str(error)) from error
        finally:
            self._ended.set()

    async def drain(self, grace: float = 10.0) -> None:
        """Take no more elements, give back what no handler has begun, wait for the rest, and end run().

        Handlers that still run after `grace` seconds are cancelled, and their elements given back.
        """
        self._draining = True
        self._ready.unpark_all()
        self._room.unpark_all()
        self._suspected.ring()
        if not self._started or self._ended.is_set():
            return
        await self._inflight.wake()
        with anyio.move_on_after(grace):
            await self._ended.wait()
            return
        self._handlers.cancel()
        await self._ended.wait()

    # From the list to a handler.

    async def _fetch(self) -> None:
        while not self._draining:
            if self._wanted() > 0:
                await self._persist(self._take)
            else:
                await self._room.park()

    def _wanted(self) -> int:
        """How many elements to take now."""
        return 0 if self._draining or self._isolating else self._prefetch - len(self._inflight)

    async def _take(self) -> None:
        # evaluated again at each attempt: the server may have been away for long
        inflight, room = self._inflight, self._wanted()
        if room <= 0:
            return
        if inflight.unsure:
            unseen, done = await inflight.compare()
            self._confirmed(done)
            self._arrived(unseen)
        else:
            self._arrived(await inflight.take(room, BLOCK_SECONDS))

    def _arrived(self, elements: list[Element]) -> None:
        self.statistics.received += len(elements)
        self._waiting.extend(elements)
        self._ready.unpark(count=len(elements))
        if self._isolating:
            self._room.unpark_all()

    async def _work(self, handler: Callable[[bytes], Awaitable[object]]) -> None:
        while not self._draining:
            if not self._waiting or self._isolating:
                await self._ready.park()
                continue
            element = self._waiting.popleft()
            try:
                await handler(element.value)
            except BaseException as error:
                if not self._owner.forgives(error) and cut_short(error) is not None:
                    raise
                self._failed(element, alone(error))
            else:
                self._decide(element, Outcome.ACK)

    def _failed(self, element: Element, error: BaseException) -> None:
        if isinstance(error, Reject) or element.attempt > self._retries:
            logger.error(
                "an element of %s is given up: %s", self.name, error, exc_info=error,
                extra={"list": self.name, "attempt": element.attempt},
            )  # fmt: skip
            self._decide(element, Outcome.DEAD_LETTER)
            return
        chosen = error.delay if isinstance(error, Retry) else None
        delay = self._backoff.delay(element.attempt) if chosen is None else chosen
        logger.warning(
            "an element of %s failed, trying again in %.2f s", self.name, delay, exc_info=error,
            extra={"list": self.name, "attempt": element.attempt, "delay": delay},
        )  # fmt: skip
        element.attempt += 1
        self._postponed += 1
        self._tasks.start_soon(self._again, element, delay)

    async def _again(self, element: Element, delay: float) -> None:
        await anyio.sleep(delay)
        while self._isolating:
            await self._room.park()
        self._postponed -= 1
        self._waiting.append(element)
        self._ready.unpark()

    # Suspects, see recovery.py.

    def _suspect(self, waiting: int) -> None:
        self._suspects = waiting
        self._suspected.ring()

    async def _work_alone(self, handler: Callable[[bytes], Awaitable[object]]) -> None:
        """Whenever there are suspects, let all handlers end, then run one suspect after the other."""
        while True:
            await self._suspected.wait()
            if self._draining:
                return
            self._isolating = True
            await self._inflight.wake()
            # elements that wait here for their next attempt stay: they do nothing meanwhile
            while len(self._inflight) > self._postponed:
                while self._waiting:
                    self._decide(self._waiting.popleft(), Outcome.NACK)
                await self._room.park()
            for _ in range(self._suspects):
                if self._draining:
                    return
                value = await self._persist(self._inflight.begin_alone)
                if value is None:
                    break
                await self._run_alone(handler, value)
            self._isolating = False
            self._room.unpark_all()
            self._ready.unpark_all()

    async def _run_alone(self, handler: Callable[[bytes], Awaitable[object]], value: bytes) -> None:
        self.statistics.received += 1
        try:
            await handler(value)
        except BaseException as error:
            if not self._owner.forgives(error) and cut_short(error) is not None:
                raise
            element = await self._persist(partial(self._inflight.end_alone, value, keep=True))
            if element is not None:
                self._failed(element, alone(error))
        else:
            await self._persist(partial(self._inflight.end_alone, value, keep=False))
            self.statistics.done += 1

    # From a handler back to the server.

    def _decide(self, element: Element, outcome: Outcome) -> None:
        self._inflight.settle(element, outcome)
        self._decided.ring()

    async def _settle(self) -> None:
        while True:
            await self._decided.wait()
            while self._inflight.settled:
                await self._persist(self._flush)

    async def _flush(self) -> None:
        if self._inflight.unsure:
            unseen, done = await self._inflight.compare()
            self._confirmed(done)
            self._arrived(unseen)
        self._confirmed(await self._inflight.flush())

    def _confirmed(self, elements: list[Element]) -> None:
        statistics = self.statistics
        for element in elements:
            if element.outcome is Outcome.ACK:
                statistics.done += 1
            elif element.outcome is Outcome.DEAD_LETTER:
                statistics.dead += 1
            else:
                statistics.given_back += 1
        self._room.unpark_all()

    def _count_recovered(self, count: int) -> None:
        self.statistics.recovered += count

    async def _leave(self, recovery: Recovery) -> None:
        """Give back everything in hand, and what was taken unseen."""
        inflight = self._inflight
        try:
            if inflight.unsure:
                _, done = await inflight.compare()
                self._confirmed(done)
            for element in inflight.unsettled:
                inflight.settle(element, Outcome.NACK)
            self._confirmed(await inflight.flush())
            await inflight.leave_alone()
            await recovery.end()
        except (RedisError, OSError) as error:
            logger.warning("elements of %s in hand were not given back, others will find them: %s", self.name, error)

    async def _persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        return await persist(attempt, failed=self._note_failure)

    def _note_failure(self, error: Exception, failures: int, delay: float) -> None:
        logger.warning(
            "the list %s: trying again in %.2f s: %s", self.name, delay, error, extra={"list": self.name}
        )  # fmt: skip
