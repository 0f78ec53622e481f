"""A member of a group that shares the partitions of a stream: one engine for each partition that it has.

The leases are in membership.py. This module acts on them: it starts an engine for each partition it is granted, drains
the engines of those it has to give up, and abandons those of a lease that has run out. A partition that is given up is
handed over once nothing runs there any more, so its entries are never in two hands; its next owner continues with what
is pending (succession.py).

Each engine reads under the member's name and the epoch. So what a paused process still reads for a partition that it
has lost is pending under a name of its own, and the new owner finds it there like anything else a dead consumer left.
"""

import logging
import math
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus
from coredis.exceptions import RedisError

from consumers.connection import Client, open_link
from consumers.delivery import Delivery
from consumers.doorbell import Doorbell
from consumers.engine import GIVE_BACK_SECONDS, Engine
from consumers.errors import ConsumerError, transient
from consumers.options import Options, Statistics
from consumers.partitions import agree, members_key, partition_stream, record_dead_letters
from consumers.retry import persist, suppress_transient
from consumers.streams.membership import Grant, Membership, Renewal
from consumers.task_groups import open_plain_task_group
from consumers.transactions import Transactions

__all__ = ["Member"]

logger = logging.getLogger("consumers")

RENEW_SECONDS = 1.0
"""The longest time between two renewals, after which partitions that became free are noticed; a third of the lease if
that is shorter."""

SAFE = 0.9
"""The part of the lease, on the member's own clock, after which it stops using its partitions. The rest is for clocks
that run at different speeds."""

D = TypeVar("D", bound=Delivery)


@dataclass(eq=False, slots=True)
class _Tenure(Generic[D]):
    """One partition while the member has it. ending: its engine has been told to end."""

    epoch: int
    engine: Engine[D]
    ending: bool = False


class Member(Generic[D]):
    """A consumer of its share of the partitions, used once. new_engine: makes the engine for a partition and epoch."""

    def __init__(
        self, client: Client, options: Options, partitions: int, new_engine: Callable[[Options, int, int], Engine[D]]
    ) -> None:
        self._client = client
        self._options = options
        self._partitions = partitions
        self._new_engine = new_engine
        self._tenures: dict[int, _Tenure[D]] = {}
        self._ended: dict[int, int] = {}
        self._engines: list[Engine[D]] = []
        self._past = Statistics()
        self._deadline = math.inf
        self._changed = Doorbell()
        self._started = self._draining = False
        self._finished = anyio.Event()
        self._locks: dict[int, anyio.Lock] = {}
        self._membership: Membership
        self._tasks: TaskGroup

    @property
    def used(self) -> bool:
        """Whether it has been started."""
        return self._started

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._started and not self._finished.is_set()

    @property
    def in_hand(self) -> int:
        """How many entries are in hand, in all partitions."""
        return sum(engine.in_hand for engine in self._engines)

    @property
    def statistics(self) -> Statistics:
        """Counts since the start, in all partitions that it has had."""
        return _sum([self._past, *(engine.statistics for engine in self._engines)])

    @property
    def owned(self) -> dict[int, int]:
        """The partitions that it has now, with their epochs."""
        return {partition: tenure.epoch for partition, tenure in self._tenures.items()}

    async def run(
        self,
        handle: Callable[[D], Awaitable[object]],
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Pass entries to `handle`, `concurrency` at a time in each partition, until drained or cancelled.

        Started once the engines of the first partitions are. Raises ConsumerError when the server refuses what the
        member needs, or if the stream has another number of partitions.
        """
        if self._started:
            raise RuntimeError("a member is used once")
        self._started = True
        options = self._options
        stream, key = options.streams[0], members_key(options.streams[0], options.group)
        try:
            try:
                await persist(partial(agree, self._client, stream, self._partitions), options.reconnect)
            except RedisError as error:
                raise ConsumerError(str(error)) from error
            if options.dead_letter is not None:
                # only what shows them as one needs it, so a user who may not write there goes on
                with suppress(RedisError, ConsumerError), suppress_transient():
                    await record_dead_letters(self._client, options.dead_letter, self._partitions)
            async with open_link(self._client, key) as link:
                self._membership = Membership(
                    Transactions(link), key, options.consumer, self._partitions, options.ack_wait
                )
                try:
                    async with open_plain_task_group() as self._tasks:
                        await self._keep_membership(handle, task_status)
                finally:
                    with (
                        anyio.CancelScope(shield=True, deadline=anyio.current_time() + GIVE_BACK_SECONDS),
                        suppress(RedisError),
                        suppress_transient(),
                    ):
                        await self._membership.leave(self._ended)
        finally:
            self._finished.set()

    async def drain(self, grace: float) -> None:
        """Stop fetching in all partitions, wait for running handlers, and end run(); see Engine.drain()."""
        self._draining = True
        self._changed.ring()
        if not self.running:
            return
        async with open_plain_task_group() as draining:
            for tenure in self._tenures.values():
                tenure.ending = True
                draining.start_soon(tenure.engine.drain, grace)
        await self._finished.wait()

    async def _keep_membership(self, handle: Callable[[D], Awaitable[object]], task_status: TaskStatus[None]) -> None:
        """Renew the lease and act on it, until drained."""
        failures, announced = 0, False
        while True:
            renewal = None
            begin = anyio.current_time()
            if begin >= self._deadline:
                self._lose_all()
            try:
                with anyio.CancelScope(deadline=self._deadline):
                    renewal = await self._renew()
                    failures = 0
            except (RedisError, OSError, TimeoutError) as error:
                if not transient(error):
                    raise ConsumerError(str(error)) from error
                failures += 1
                logger.warning(
                    "renewing the lease on partitions of %s failed: %s", self._options.streams[0], error,
                    extra={"stream": self._options.streams[0], "group": self._options.group, "attempt": failures},
                )  # fmt: skip
            if renewal is not None:
                self._deadline = begin + SAFE * self._options.ack_wait
                started = self._act_on(renewal)
                if not announced:
                    announced = True
                    self._tasks.start_soon(self._start, started, handle, task_status)
                else:
                    for partition in started:
                        self._tasks.start_soon(self._run_engine, partition, self._tenures[partition], handle)
            if self._draining and not self._tenures and not self._engines:
                return
            pause = min(RENEW_SECONDS, self._options.ack_wait / 3) * random.uniform(0.75, 1)
            with anyio.CancelScope(deadline=min(self._deadline, anyio.current_time() + pause)):
                await self._changed.wait()

    async def _renew(self) -> Renewal:
        ended = dict(self._ended)
        renewal = await self._membership.renew(self.owned, ended, leaving=self._draining)
        for partition, epoch in ended.items():
            if self._ended.get(partition) == epoch:
                del self._ended[partition]
        return renewal

    def _act_on(self, renewal: Renewal) -> list[int]:
        """Note what has been granted and give up what has to be; returns the partitions to start."""
        for partition in renewal.lost:
            self._lose(partition)
        for partition, grant in renewal.taken.items():
            self._tenures[partition] = _Tenure(grant.epoch, self._engine_for(partition, grant))
        staying = [tenure for tenure in self._tenures.values() if not tenure.ending]
        surplus = renewal.surplus - (len(self._tenures) - len(staying))
        for tenure in staying[: max(0, surplus)]:
            tenure.ending = True
            self._tasks.start_soon(tenure.engine.drain, self._options.ack_wait)
        return list(renewal.taken)

    def _engine_for(self, partition: int, grant: Grant) -> Engine[D]:
        options = self._options
        dead_letter = options.dead_letter
        own = replace(
            options,
            streams=(partition_stream(options.streams[0], partition),),
            dead_letter=None if dead_letter is None else partition_stream(dead_letter, partition),
            consumer=f"{options.consumer}/{grant.epoch}",
            passing=True,
            succession=grant.succession,
            # no read may still wait on the server when the next owner begins
            block=min(options.block, options.ack_wait / 2),
        )
        return self._new_engine(own, partition, grant.epoch)

    async def _start(
        self, partitions: list[int], handle: Callable[[D], Awaitable[object]], task_status: TaskStatus[None]
    ) -> None:
        async with open_plain_task_group() as starting:
            for partition in partitions:
                tenure = self._tenures[partition]
                starting.start_soon(partial(self._tasks.start, self._run_engine, partition, tenure, handle))
        task_status.started()

    async def _run_engine(
        self,
        partition: int,
        tenure: _Tenure[D],
        handle: Callable[[D], Awaitable[object]],
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        engine = tenure.engine
        self._engines.append(engine)
        try:
            # an engine that was abandoned here may still be ending
            async with self._locks.setdefault(partition, anyio.Lock()):
                await engine.run(handle, task_status=task_status)
        finally:
            self._engines.remove(engine)
            self._past = _sum([self._past, engine.statistics])
            if self._tenures.get(partition) is tenure:
                del self._tenures[partition]
                self._ended[partition] = tenure.epoch
            self._changed.ring()

    def _lose(self, partition: int) -> None:
        """Stop using a partition at once."""
        tenure = self._tenures.pop(partition)
        logger.warning(
            "the lease on partition %d of %s has run out", partition, self._options.streams[0],
            extra={"stream": self._options.streams[0], "group": self._options.group, "partition": partition},
        )  # fmt: skip
        tenure.engine.abandon()

    def _lose_all(self) -> None:
        self._deadline = math.inf
        for partition in list(self._tenures):
            self._lose(partition)


def _sum(counts: list[Statistics]) -> Statistics:
    return Statistics(*(sum(getattr(one, field.name) for one in counts) for field in fields(Statistics)))
