"""The engine of one consumer: entries in hand, from the group to a handler and back.

    fetch (fetching.py) -> in hand, waiting (backlog.py) -> handler -> settled (settling.py) -> no longer in hand

At most `prefetch` entries are in hand, whatever their state; only a settlement that the server has confirmed makes
room. Their leases are kept while they are in hand (leases.py). Entries that were in hand when other consumers died are
claimed with care (orphans.py), and eventually handled with nothing else in hand (isolation.py). All tasks are children
of run() or open(): a handler's exception affects only its entry; any other failure ends the block and is raised from
it.

An engine is used once. It knows nothing about what entries mean; `make` turns one into the object that handlers get.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Generic, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus
from coredis.exceptions import RedisError

from consumers.backlog import Backlog, Priority
from consumers.connection import Client, open_link, require_one_slot
from consumers.deadletters import REDRIVEN_GROUP, check_target, is_anothers
from consumers.delivery import Delivery, State
from consumers.errors import ConsumerError
from consumers.fetching import Fetcher
from consumers.groups import Entry, Group
from consumers.handling import Handling, about
from consumers.isolation import Isolation
from consumers.leases import Leases
from consumers.middleware import Middlewares
from consumers.options import AckPolicy, Options, Statistics
from consumers.orphans import Orphans, leave
from consumers.owners import Phase
from consumers.parking import ParkingLot
from consumers.postponing import Postponing
from consumers.retry import persist
from consumers.settling import Outcome, Settlement, Settler
from consumers.task_groups import open_plain_task_group
from consumers.verdicts import Verdicts

__all__ = ["Engine"]

logger = logging.getLogger("consumers")

GIVE_BACK_SECONDS = 3.0
"""How long giving back the entries in hand may delay the end of a consumer. After that, their leases run out."""

D = TypeVar("D", bound=Delivery)


class Engine(Generic[D]):
    """One consumer at work. order: a delivery's key, if entries of one are handled one by one. beside: also runs."""

    def __init__(
        self,
        client: Client,
        options: Options,
        make: Callable[..., D],
        order: Callable[[D], Hashable | None] | None = None,
        beside: Sequence[Callable[[Group], Awaitable[None]]] = (),
    ) -> None:
        self._beside = beside
        self.options = options
        self.statistics = Statistics()
        self._client = client
        self._make = make
        self._order = order
        hooks = Middlewares(options.middleware)
        self._verdicts = Verdicts(options.max_deliver, options.retry, hooks)
        self._handling: Handling[D] = Handling(
            hooks if options.middleware else None,
            self._succeeded if options.ack_policy is AckPolicy.ON_SUCCESS else None,
        )
        self._accepts = options.ack_policy is AckPolicy.ON_RECEIVE
        self._in_hand: dict[tuple[str, str], D] = {}
        self._backlog: Backlog[D] = Backlog(
            options.streams, options.priority, (lambda item: item.key) if order is not None else None
        )
        self._threshold = max(1, options.prefetch // 4)
        self._waiting, self._changed = ParkingLot(), ParkingLot()
        self._finished = anyio.Event()
        self._draining = self._paused = self._started = self._pushing = False
        self._abandoned = self._cut_short = self._closed = False
        self._failure: BaseException | None = None
        self._handlers: anyio.CancelScope
        self._beginning: anyio.CancelScope
        self._settler: Settler
        self._fetcher: Fetcher
        self._leases: Leases
        self._isolation: Isolation[D]
        self._postponing: Postponing[D]
        self._group: Group
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
        """How many entries are delivered and not yet settled, including waiting ones."""
        return len(self._in_hand)

    # Life cycle.

    async def run(
        self,
        handle: Callable[[D], Awaitable[object]],
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Pass entries to `handle`, `concurrency` at a time, until drained or cancelled.

        Started once the group exists. Raises ConsumerError when the server refuses what the consumer needs.
        """
        self._pushing = True
        self._handling.begin()
        async with self.open():
            task_status.started()
            with self._handlers:
                async with open_plain_task_group() as workers:
                    for _ in range(self.options.concurrency):
                        workers.start_soon(self._work, handle)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Fetch for next() while the block runs. The end of the block gives back what is in hand."""
        if self._started:
            raise RuntimeError("an engine is used once")
        self._started = True
        # in a loop only: the engine itself may be made before one runs
        self._handlers, self._beginning = anyio.CancelScope(), anyio.CancelScope()
        options = self.options
        require_one_slot(self._client, filter(None, (*options.streams, options.dead_letter)))
        try:
            async with open_link(self._client, options.streams[0]) as link:
                self._group = Group(
                    link, options.streams, options.group, options.consumer, options.ack_wait, options.order_field
                )
                self._build()
                if not self._draining:
                    with self._beginning:
                        await self._begin()
                try:
                    async with open_plain_task_group() as self._tasks:
                        for task in (
                            self._fetcher.run, self._fetcher.wake_when_due, self._settler.run, self._leases.run,
                            self._isolation.run,
                        ):  # fmt: skip
                            self._tasks.start_soon(self._guard, task)
                        for beside in self._beside:
                            self._tasks.start_soon(self._guard, beside, self._group)
                        try:
                            yield
                        except anyio.get_cancelled_exc_class():
                            self._cut_short = True
                            raise
                        self._tasks.cancel_scope.cancel()
                finally:
                    self._draining = True
                    with anyio.CancelScope(shield=True, deadline=anyio.current_time() + GIVE_BACK_SECONDS):
                        await self._give_back()
                    self._closed = True
            if self._failure is not None:
                raise ConsumerError(str(self._failure)) from self._failure
        finally:
            self._finished.set()

    def _build(self) -> None:
        options = self.options
        self._settler = Settler(
            self._group, self._confirmed, dead_letter=options.dead_letter, dead_maxlen=options.dead_letter_maxlen,
            reconnect=options.reconnect,
        )  # fmt: skip
        orphans = Orphans(self._group, patience=options.patience, begun=not self._accepts)
        self._fetcher = Fetcher(
            self._group, orphans, start=options.start, strict=options.priority is Priority.STRICT, block=options.block,
            reconnect=options.reconnect, room=self._room, receive=self._receive, holds=self._in_hand.keys(),
            succession=options.succession,
        )  # fmt: skip
        self._leases = Leases(self._group, self._in_hand.values, self._expired)
        self._isolation = Isolation(
            self._group, clear=self._give_back_waiting, in_hand=self._in_hand.__len__, changed=self._changed,
            hand_out=self._give_to_handler, lost=self._expired, reconnect=options.reconnect,
        )  # fmt: skip
        self._postponing = Postponing(
            self._group, ready=self._attempt_again, lost=self._expired, reconnect=options.reconnect
        )

    async def _begin(self) -> None:
        try:
            await self._fetcher.begin()
            await persist(partial(check_target, self._group.link, self.options.dead_letter), self.options.reconnect)
        except RedisError as error:
            raise ConsumerError(str(error)) from error

    async def _guard(self, task: Callable[..., Awaitable[object]], *arguments: object) -> None:
        """Run a task of the consumer; if it fails, so does the consumer."""
        try:
            await task(*arguments)
        except (RedisError, ConsumerError, TimeoutError, OSError) as error:
            self._failure = self._failure or error
            self._tasks.cancel_scope.cancel()

    async def drain(self, grace: float) -> None:
        """Stop fetching, give back what no handler has begun, wait for the rest, and end run().

        Handlers that still run after `grace` seconds are cancelled and their entries given back. With open() it
        returns once all entries that were handed out are settled, or after `grace` seconds.
        """
        self._draining = True
        self._waiting.unpark_all()
        self._changed.unpark_all()
        if not self._started or self._finished.is_set():
            return
        self._beginning.cancel()
        self._give_back_waiting(suspects=True)
        await self._group.link.wake()
        with anyio.move_on_after(grace):
            while self._in_hand and not self._finished.is_set():
                await self._changed.park()
        if self._pushing:
            self._handlers.cancel()
            await self._finished.wait()

    def abandon(self) -> None:
        """End run() at once, cancelling handlers and changing nothing on the server: a successor has the stream."""
        self._draining = self._abandoned = True
        self._waiting.unpark_all()
        self._changed.unpark_all()
        if self.running:
            self._beginning.cancel()
            self._handlers.cancel()

    def pause(self, paused: bool) -> None:
        """Take nothing and give back what no handler has begun, until called with False."""
        self._paused = paused
        if paused:
            self._give_back_waiting(suspects=True)
        self._changed.unpark_all()

    async def look(self) -> None:
        """Read all streams again. A server without MAXCOUNT waits only for as many streams as there is room."""
        if not self._group.capabilities.total_count:
            await self._group.link.wake()

    def _give_back_waiting(self, *, suspects: bool = False) -> None:
        """Give back what no handler has begun. suspects: including entries that are held in order to run alone."""
        waiting = [
            one
            for one in self._in_hand.values()
            if one.state in (State.WAITING, State.POSTPONED) and (suspects or one.phase is not Phase.HELD)
        ]
        for _ in self._backlog.clear():
            pass
        for delivery in waiting:
            delivery.give_back(used=False)

    async def _give_back(self) -> None:
        """At the end, settle or give back everything in hand; if the server is away, leases will run out."""
        self._give_back_waiting(suspects=True)
        for delivery in list(self._in_hand.values()):
            delivery.give_back(used=not self._cut_short)
        try:
            for stream, id, deliveries in await self._fetcher.unseen():
                delivered = self._make(self, stream, id, [], deliveries)
                delivered.give_back(used=not self._fetcher.recovered)
            await self._settler.finish()
            if not (self._fetcher.cut or self._fetcher.uncertain or self._abandoned):
                await leave(self._group, wholly=self.options.passing)
        except (RedisError, TimeoutError, OSError) as error:
            logger.warning("entries in hand were not given back, they are delivered again after ack_wait: %s", error)

    # From the group to a handler.

    async def _room(self) -> int:
        """How many entries to fetch now; 0 when draining. While entries wait, small reads are put off."""
        while not self._draining:
            room = self.options.prefetch - len(self._in_hand) if not (self._isolation.active or self._paused) else 0
            if room >= self._threshold or (room > 0 and not self._backlog.ready):
                return room
            await self._changed.park()
        return 0

    def _receive(self, entries: list[Entry]) -> None:
        statistics, now = self.statistics, anyio.current_time()
        for stream, raw_id, values, deliveries, phase, doubtful, guilty in entries:
            id = raw_id.decode()
            held = self._in_hand.get((stream, id))
            if held is not None:
                if not held.nacked:
                    # our own lease had run out, and no other consumer had claimed it
                    held.delivery_count, held.leased, held.lost = deliveries, now, False
                    held.phase, held.doubtful = phase, doubtful
                    continue
                # it came back before the reply to giving it back did
                held.lost = True
            delivery = self._make(self, stream, id, values, deliveries)
            delivery.phase, delivery.doubtful, delivery.leased = phase, doubtful, now
            self._in_hand[stream, id] = delivery
            statistics.received += 1
            statistics.redelivered += deliveries > 1
            if REDRIVEN_GROUP in values and is_anothers(delivery.fields, self._group.group):
                self.settle(delivery, Settlement(delivery, Outcome.ACK))
            elif self._draining or self._paused:
                delivery.give_back(used=False)
            elif guilty and delivery.crashed_alone(self.options.max_deliver):
                pass
            elif phase is Phase.HELD:
                self._isolation.hold(delivery, guilty=guilty)
            else:
                if self._order is not None:
                    delivery.key = self._order(delivery)
                self._backlog.put(delivery)
        self._hand_out()

    def _give_to_handler(self, delivery: D) -> None:
        self._backlog.put(delivery)
        self._hand_out()

    def _hand_out(self) -> None:
        if self._waiting and (ready := self._backlog.ready):
            self._waiting.unpark(count=ready)

    async def _next(self) -> D | None:
        while not self._draining:
            if (delivery := self._backlog.take()) is not None:
                delivery.state = State.ACTIVE
                return delivery
            await self._waiting.park()
        return None

    async def next(self) -> D | None:
        """Return the next entry, within open(); None when drained. Its lease is not kept: settle it within ack_wait."""
        while (delivery := await self._next()) is not None:
            delivery.kept = False
            if not self._accepts or await self._accept(delivery):
                return delivery
        return None

    async def _accept(self, delivery: D) -> bool:
        """Acknowledge an entry before it is handled; returns False if it was no longer pending."""
        settlement = Settlement(delivery, Outcome.ACK, single=True)
        self.settle(delivery, settlement)
        await settlement.wait()
        return settlement.held

    async def _work(self, handle: Callable[[D], Awaitable[object]]) -> None:
        while (delivery := await self._next()) is not None:
            delivery.running = True
            try:
                if not self._accepts or await self._accept(delivery):
                    await self._handling.run(delivery, handle)
            except BaseException:
                # it is the consumer that ends
                self._draining = True
                delivery.give_back(used=False)
                raise
            finally:
                delivery.running = False
                if delivery.settled:
                    self._free(delivery)
                else:
                    # MANUAL: from here on, the code that has the message is responsible for it
                    delivery.kept = False

    # From a handler back to the group.

    def _succeeded(self, delivery: D) -> None:
        self.settle(delivery, Settlement(delivery, Outcome.ACK))

    def settle(self, delivery: Delivery, settlement: Settlement) -> None:
        """Carry out the outcome of an entry in hand. Raises ConsumerError when the consumer has ended."""
        if self._closed:
            raise ConsumerError(f"the consumer of {delivery!r} has ended")
        delivery.state = State.SETTLING
        delivery.nacked = settlement.outcome is Outcome.NACK
        if delivery.nacked and self._draining and self.options.succession is not None:
            self._leave_to_successor(delivery, settlement)
        else:
            self._settler.submit(settlement)
        if not delivery.running:
            self._free(delivery)

    def _leave_to_successor(self, delivery: Delivery, settlement: Settlement) -> None:
        """Leave an entry pending, so that the successor handles it before all later ones."""
        if self._abandoned or not settlement.used:
            settlement.confirm()
            self._confirmed(settlement)
            return
        settlement.kept = delivery.key is not None or settlement.delay <= 0
        self._settler.submit(settlement)

    def failed(self, delivery: Delivery, error: BaseException | None, delay: float | None) -> Settlement | None:
        """Have an entry delivered again, after `delay` seconds or as the retry policy says, or dead-letter it.

        Returns None if it waits here for its next attempt, because entries of the same key must wait for it.
        """
        settlement = self._verdicts.failed(delivery, error, delay)
        again = settlement.outcome is Outcome.NACK and settlement.used
        if again and delivery.key is not None and not (self._draining or self._isolation.active or delivery.lost):
            self._postpone(delivery, settlement.delay)
            return None
        self.settle(delivery, settlement)
        return settlement

    def rejected(self, delivery: Delivery, reason: str) -> Settlement:
        """Dead-letter an entry."""
        settlement = self._verdicts.rejected(delivery, reason)
        self.settle(delivery, settlement)
        return settlement

    async def extend(self, delivery: Delivery) -> bool:
        """Extend one lease now; returns False if another consumer has the entry."""
        return await self._leases.extend(delivery)

    def _confirmed(self, settlement: Settlement) -> None:
        """Make room for another entry: the server has carried out the settlement."""
        delivery: Any = settlement.subject
        delivery.state = State.SETTLED
        place = (delivery.stream, delivery.id)
        if self._in_hand.get(place) is delivery:
            del self._in_hand[place]
        statistics = self.statistics
        if settlement.outcome is Outcome.ACK:
            statistics.acknowledged += 1
        elif settlement.outcome is Outcome.DEAD_LETTER:
            statistics.dead += 1
        else:
            statistics.released += 1
            if not delivery.lost and not self._draining:
                self._fetcher.expect(settlement.delay)
        if self._changed:
            self._changed.unpark_all()

    def _free(self, delivery: Delivery) -> None:
        """Let the next entry of the same key follow."""
        if delivery.key is not None:
            self._backlog.done(delivery)  # type: ignore[arg-type]
            delivery.key = None
            self._hand_out()

    def _expired(self, delivery: Delivery) -> None:
        """Give back an entry that was neglected for longer than its lease, or forget one that is no longer ours."""
        logger.warning("%s %s is no longer in hand, unsettled", delivery.stream, delivery.id, extra=about(delivery))
        place = delivery.stream, delivery.id
        self._in_hand.pop(place, None)
        if not delivery.lost:
            # the code that has the message may still acknowledge it, until another consumer does
            left = self._in_hand[place] = self._copy(delivery)
            left.give_back(used=True)
            delivery.lost = True
        self._free(delivery)
        self._changed.unpark_all()

    def _postpone(self, delivery: Delivery, delay: float) -> None:
        again = self._copy(delivery)
        self._postponing.hold(delivery, again, delay)
        self._in_hand[again.stream, again.id] = again
        self._tasks.start_soon(self._guard, self._postponing.run, again)

    def _copy(self, delivery: Delivery) -> D:
        """Return another delivery of the same entry, for when code that is done with the first one still has it."""
        again = self._make(self, delivery.stream, delivery.id, delivery.values, delivery.delivery_count)
        again.phase, again.doubtful, again.leased = delivery.phase, delivery.doubtful, delivery.leased
        return again

    def _attempt_again(self, delivery: D) -> None:
        """Hand out an entry that was postponed, before all others of its key."""
        self.statistics.received += 1
        self.statistics.redelivered += 1
        self._backlog.put_back(delivery)
        self._hand_out()
