"""The consumer of event streams: one member of a consumer group."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Generic, Self

import anyio
from anyio.abc import TaskStatus
from typing_extensions import TypeVar

from consumers import given, tracing
from consumers.backlog import Priority
from consumers.codecs import Codec, TextCodec
from consumers.connection import Client
from consumers.engine import Engine
from consumers.errors import cut_short
from consumers.given import Duration
from consumers.groups import Group, Start
from consumers.middleware import Middleware
from consumers.options import AckPolicy, Options, Statistics
from consumers.owners import unique_name
from consumers.partitions import check_partitions
from consumers.retry import Backoff
from consumers.streams.member import Member
from consumers.streams.message import Message

__all__ = ["Consumer"]

logger = logging.getLogger("consumers")

T = TypeVar("T", default=dict[str, str])

TEXT: Any = TextCodec()


class Consumer(Generic[T]):
    """A member of a consumer group, on one or several streams.

        consumer = Consumer(client, stream="orders", group="billing")
        async with anyio.create_task_group() as tasks:
            await tasks.start(consumer.run, handler)

    Each entry goes to one member of the group, *at least once*: again after a crash, a lost connection, or a handler
    that failed. Make handlers idempotent: record (stream, id) with the effect, or use an effect that can be repeated.
    Ordering by a field holds across the whole group on a Trimaran with `stream-extensions yes`. Elsewhere, and by a
    function, it holds within one consumer while no member of the group crashes: where it must hold across several
    processes, use partitions.

    client: an entered coredis client (Redis, Sentinel's, RedisCluster) with any settings.
    stream, streams: one or several streams; in a cluster with a common hash tag. group, consumer: names; the
        consumer's is by default unique. If you choose a name, no other process may use it, and this one must have it
        again after a restart: it then begins with what it had in hand.
    ack_policy: see AckPolicy.
    ack_wait: seconds of idleness after which an entry is considered abandoned and any member claims it; the same for
        all members. Leases are kept while a handler runs, so it determines how soon a crash is noticed, not how long a
        handler may take.
    max_deliver: deliveries after which an entry is given up; None: never. A delivery that ended in a crash of its
        consumer counts only if the entry was alone in hand; an entry that was in hand at two crashes runs alone, to
        find out.
    dead_letter: the stream for entries that are given up or rejected, trimmed to about dead_letter_maxlen entries.
        Without one such entries are logged and dropped.
    retry: the delay before an entry is delivered again, by its delivery count.
    prefetch: entries in hand, waiting or being handled. concurrency: handlers that run at a time.
    order_by: a field's name, or a function of a message; entries with the same value are handled one after the
        other, and wait for one that failed until it succeeds or is given up. Where only this consumer orders, they
        wait in hand: a value with many entries takes up prefetch. None as the value: no order.
    priority: between several streams, see Priority.
    partitions: the stream is made of this many (see Producer), and the members of the group share them: each partition
        has one owner, which may change when members come, go or die (after ack_wait). So order_by holds across the
        group, on any server. prefetch and concurrency are for each partition, dead letters go to partitions of
        `dead_letter`, and Message.epoch rises with each owner. An owner keeps two connections for each partition.
    start: where a group that does not exist yet begins: Start.BEGINNING, Start.END, after an ID, or from a datetime on.
    codec: reads message.data. middleware: hooks. block: how long one read waits on the server, at most.
    Times are seconds or a timedelta.

    Delayed redelivery survives crashes: the entry stays in the group's pending list with its idle time set so that any
    member finds it when it is due.
    """

    def __init__(
        self,
        client: Client,
        *,
        stream: str | None = None,
        streams: Sequence[str] = (),
        group: str,
        consumer: str | None = None,
        ack_policy: AckPolicy = AckPolicy.ON_SUCCESS,
        ack_wait: Duration = 30.0,
        max_deliver: int | None = None,
        retry: Backoff | None = None,
        dead_letter: str | None = None,
        dead_letter_maxlen: int | None = None,
        prefetch: int = 64,
        concurrency: int = 16,
        order_by: str | Callable[["Message[T]"], Hashable | None] | None = None,
        priority: Priority = Priority.STRICT,
        partitions: int | None = None,
        start: Start | str | datetime = Start.BEGINNING,
        codec: Codec[T] = TEXT,
        middleware: Sequence[Middleware] = (),
        block: Duration = 5.0,
    ) -> None:
        given.client_of(client)
        if stream is not None:
            given.text("stream", stream)
        given.texts("streams", streams)
        if (stream is None) == (not streams):
            raise ValueError("give either stream or streams")
        if partitions is not None:
            if stream is None:
                raise ValueError("a consumer of partitions has one stream")
            check_partitions(stream, partitions)
        if order_by is not None and not isinstance(order_by, str):
            given.function("order_by", order_by)
        self.options = Options(
            streams=(stream,) if stream is not None else tuple(streams),
            group=group,
            consumer=consumer if consumer is not None else unique_name(),
            passing=consumer is None,
            patience=2 if max_deliver is None or max_deliver > 2 else 1,
            start=start,
            ack_policy=ack_policy,
            ack_wait=given.duration("ack_wait", ack_wait),
            max_deliver=max_deliver,
            retry=retry or Backoff(),
            dead_letter=dead_letter,
            dead_letter_maxlen=dead_letter_maxlen,
            prefetch=prefetch,
            concurrency=concurrency,
            priority=priority,
            # the only owner of a partition orders what it reads by itself
            order_field=order_by if isinstance(order_by, str) and partitions is None else None,
            middleware=tracing.hooks_of(middleware, group),
            block=given.duration("block", block),
        )
        self._client = client
        self._codec = codec
        self._order = _order(order_by)
        self._partitions = partitions
        self._engine = self._new_engine()

    def _new_engine(self) -> Engine[Message[T]] | Member[Message[T]]:
        if self._partitions is None:
            return self._engine_of(self.options)
        return Member(self._client, self.options, self._partitions, self._engine_of)

    def _engine_of(
        self, options: Options, partition: int | None = None, epoch: int | None = None
    ) -> Engine[Message[T]]:
        codec = self._codec

        def make(inbox: Engine[Message[T]], stream: str, id: str, values: list[bytes], deliveries: int) -> Message[T]:
            return Message(inbox, stream, id, values, deliveries, codec)

        def make_in_partition(
            inbox: Engine[Message[T]], stream: str, id: str, values: list[bytes], deliveries: int
        ) -> Message[T]:
            message = Message(inbox, stream, id, values, deliveries, codec)
            message.partition, message.epoch = partition, epoch
            return message

        beside = (_report_depths,) if tracing.active() is not None else ()
        return Engine(self._client, options, make if epoch is None else make_in_partition, self._order, beside)

    def _fresh(self) -> Engine[Message[T]] | Member[Message[T]]:
        """Return the engine for the next run; a used one is replaced. Raises RuntimeError while one is running."""
        if self._engine.running:
            raise RuntimeError("the consumer is running")
        if self._engine.used:
            self._engine = self._new_engine()
        return self._engine

    async def run(
        self,
        handler: Callable[[Message[T]], Awaitable[object]],
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Pass each entry to `handler`, until drained or cancelled.

        An exception in a handler (even SystemExit, but not a cancellation and KeyboardInterrupt) costs only its own
        entry an attempt: it is logged, and the entry is delivered again or given up. Raises ConsumerError if the server
        refuses what the consumer needs; it waits for lost connections. When cancelled, it gives back what is in hand,
        which takes at most a few seconds.
        """
        given.function("handler", handler)
        await self._fresh().run(handler, task_status=task_status)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[Message[T]]]:
        """Pull messages, at most `prefetch` of them in hand:

            async with consumer.open() as messages:
                async for message in messages:
                    async with message:
                        ...

        `async with message` acknowledges it, or gives it back after an exception (which it suppresses), and keeps its
        lease meanwhile. A message outside such a block must be settled, or extended by in_progress(), within ack_wait.
        At the end of open()'s block, everything in hand and unsettled is given back. Raises RuntimeError for a consumer
        of partitions, which needs a handler: it may lose a partition while a message is in hand.
        """
        engine = self._fresh()
        if isinstance(engine, Member):
            raise RuntimeError("a consumer of partitions takes a handler: use run()")
        async with engine.open():
            yield _Messages(engine)

    async def drain(self, grace: Duration = 10.0) -> None:
        """Stop fetching, give back what no handler has begun, wait for running handlers, and end run().

        Handlers that still run after `grace` seconds are cancelled, and their entries given back for others to
        handle. A handler must not call this. Iterating over pulled messages ends; open()'s block goes on.
        """
        await self._engine.drain(given.duration("grace", grace))

    @property
    def in_hand(self) -> int:
        """How many entries this consumer holds: waiting, being handled, or not yet confirmed by the server."""
        return self._engine.in_hand

    @property
    def owned(self) -> dict[int, int]:
        """The partitions that this consumer has now, with their epochs; none without `partitions`."""
        return self._engine.owned if isinstance(self._engine, Member) else {}

    @property
    def statistics(self) -> Statistics:
        """Counts since the last start."""
        return self._engine.statistics


class _Messages(Generic[T]):
    """The messages of open(), for one task or several."""

    def __init__(self, engine: Engine[Message[T]]) -> None:
        self._engine = engine

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message[T]:
        message = await self._engine.next()
        if message is None:
            raise StopAsyncIteration
        return message


async def _report_depths(group: Group) -> None:
    await tracing.report_depths(group.depths, group.group)


def _order(order_by: str | Callable[[Message[T]], Hashable | None] | None) -> Callable[[Message[T]], Any] | None:
    if order_by is None:
        return None
    if isinstance(order_by, str):
        name = order_by
        return lambda message: message.fields.get(name)
    given = order_by

    def key(message: Message[T]) -> Hashable | None:
        try:
            return given(message)
        except BaseException as error:
            if cut_short(error) is not None:
                raise
            # its handler will hit the same defect, and there it counts as an attempt
            logger.exception("order_by failed for %r", message)
            return None

    return key
