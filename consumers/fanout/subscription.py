"""Subscriptions to channels, patterns and shard channels: live fan-out.

A subscription has its own connections (one; in a cluster one for each node that serves some of its shard channels),
which are always read, and a bounded buffer. coredis's PubSub is not used: its buffer is unbounded, it does not report
that it has reconnected, and it waits forever on a connection that was silently cut.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable
from contextlib import asynccontextmanager
from functools import partial

import anyio
from anyio.abc import TaskGroup, TaskStatus
from anyio.lowlevel import checkpoint
from coredis.exceptions import ConnectionError, MovedError

from consumers import given
from consumers.connecting import Client, connect, report, serves, slot_of
from consumers.errors import cut_short, transient
from consumers.fanout.buffer import Buffer, WhenFull
from consumers.fanout.links import CHANNELS, KINDS, PATTERNS, SHARD_CHANNELS, Link, Names, names
from consumers.fanout.messages import Events, Gap, Message, Reason
from consumers.given import Duration
from consumers.retry import RECONNECT, Backoff, persist
from consumers.task_groups import open_plain_task_group

Name = str | bytes

log = logging.getLogger("consumers.fanout")


class Subscription:
    """Yielded by `subscribe`: an async iterator of messages, with counters.

    Several tasks may iterate: each message goes to one of them. Iterating raises the error that ended a subscription:
    SlowConsumerError, coredis's AuthenticationError or AuthorizationError, or what the `conflate` function raised.
    """

    def __init__(self, client: Client, buffer: Buffer, backoff: Backoff, heartbeat: float, wanted: Names) -> None:
        self._client = client
        self._buffer = buffer
        self._backoff = backoff
        self._heartbeat = heartbeat
        self._wanted = wanted
        self._links: list[Link] = []
        self._lost = anyio.Event()
        self._problem: Exception | None = None
        self.connected = False
        """Whether the server, as far as is known, sends what is published."""
        self.reconnects = 0
        """How often the connection was lost and reestablished."""

    @property
    def waiting(self) -> int:
        """Messages in the buffer."""
        return self._buffer.length

    @property
    def received(self) -> int:
        """Messages that arrived from the server."""
        return self._buffer.received

    @property
    def dropped(self) -> int:
        """Messages for which the buffer had no room."""
        return self._buffer.dropped

    @property
    def conflated(self) -> int:
        """Messages that a later one with the same key replaced before they were read."""
        return self._buffer.conflated

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        while not isinstance(item := await self._buffer.take(), Message):
            pass
        return item

    def events(self) -> AsyncIterator[Message | Gap]:
        """Iterate over messages, with a Gap wherever some are missing. It reads from the same buffer as iterating."""
        return Events(self._buffer.take)

    async def add(self, *channels: Name, patterns: Iterable[Name] = (), shard_channels: Iterable[Name] = ()) -> None:
        """Subscribe to more; returns once the server has confirmed it. While disconnected, it is left to reconnecting.

        Raises the server's refusal; then nothing has been added.
        """
        given = names(channels, patterns, shard_channels)
        new = {kind: given[kind] - self._wanted[kind] for kind in KINDS}
        for kind in KINDS:
            self._wanted[kind] |= new[kind]
        try:
            await self._change(b"SUBSCRIBE", new)
        except Exception:
            for kind in KINDS:
                self._wanted[kind] -= new[kind]
            raise

    async def remove(self, *channels: Name, patterns: Iterable[Name] = (), shard_channels: Iterable[Name] = ()) -> None:
        """Unsubscribe. Messages that have arrived before are still delivered."""
        given = names(channels, patterns, shard_channels)
        old = {kind: given[kind] & self._wanted[kind] for kind in KINDS}
        for kind in KINDS:
            self._wanted[kind] -= old[kind]
        await self._change(b"UNSUBSCRIBE", old)

    async def _change(self, verb: bytes, changed: Names) -> None:
        if not self._links or not any(changed.values()):
            await checkpoint()
            return
        try:
            await self._send(verb, changed)
        except Exception as error:
            if not transient(error):
                raise
            self._end(error)  # the next connection subscribes to all that is wanted

    # Staying connected

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Stay subscribed until cancelled, or until an error that reconnecting can't fix.

        The first attempt has to succeed: this raises its error.
        """
        await self._stay_connected(task_status.started)
        while not self._buffer.failed:
            again = partial(self._stay_connected, partial(self._report_return, anyio.current_time()))
            await anyio.sleep(self._backoff.delay(1))
            try:
                await persist(again, self._backoff, failed=self._report_failure)
            except Exception as error:
                self._buffer.fail(error)

    async def _stay_connected(self, connected: Callable[[], None]) -> None:
        """Connect, and receive until that connection is lost. Raises the error if connecting fails."""
        try:
            async with open_plain_task_group() as tasks:
                await self._connect(tasks)
                connected()
                await self._serve(tasks)
                tasks.cancel_scope.cancel()
        except Exception as error:
            if not self.connected:
                raise
            if not transient(error):
                self._buffer.fail(error)
            else:
                log.warning("the subscription was lost: %s", error, extra={"error": str(error)})
        finally:
            self._links = []
            self.connected = False

    async def _connect(self, tasks: TaskGroup) -> None:
        """Open the connections that are needed, and subscribe to all that is wanted."""
        links = [await self._open(tasks, None)]
        for name in sorted(self._wanted[SHARD_CHANNELS]):
            slot = slot_of(self._client, name)
            if not any(serves(self._client, link.connection, slot) for link in links):
                links.append(await self._open(tasks, slot))
        self._lost = anyio.Event()
        self._problem = None
        # Names added from here on are subscribed by `add`, earlier ones by this: none falls between the two.
        self._links = links
        await self._send(b"SUBSCRIBE", self._wanted)
        self.connected = True

    async def _open(self, tasks: TaskGroup, slot: int | None) -> Link:
        connection = await connect(self._client, tasks, slot=slot)
        return Link(connection, self._heartbeat, self._receive, self._wanted[SHARD_CHANNELS])

    async def _send(self, verb: bytes, changed: Names) -> None:
        """Send each node its share. Raises ConnectionError if no link leads to the node of a shard channel."""
        first = {CHANNELS: set(changed[CHANNELS]), PATTERNS: set(changed[PATTERNS]), SHARD_CHANNELS: set[bytes]()}
        shares = {self._links[0]: first}
        for name in changed[SHARD_CHANNELS]:
            slot = slot_of(self._client, name)
            link = next((link for link in self._links if serves(self._client, link.connection, slot)), None)
            if link is None:
                raise ConnectionError("there is no connection yet to the node of a shard channel")
            shares.setdefault(link, {SHARD_CHANNELS: set()})[SHARD_CHANNELS].add(name)
        for link, share in shares.items():
            try:
                await link.send(verb, share)
            except MovedError as error:
                report(self._client, link.connection, error)
                raise

    async def _serve(self, tasks: TaskGroup) -> None:
        """Read until a link is lost, and raise its error; returns when the buffer accepts no more."""
        for link in self._links:
            tasks.start_soon(self._watch, link.read)
            tasks.start_soon(self._watch, link.beat)
        await self._lost.wait()
        if self._problem is not None:
            raise self._problem

    async def _watch(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:
            self._end(error)

    def _end(self, problem: Exception | None) -> None:
        """Give up the connections because of this problem."""
        if not self._lost.is_set():
            self._problem = problem
            self._lost.set()

    def _receive(self, message: Message) -> None:
        try:
            self._buffer.put(message)
        except BaseException as error:
            # raised by the `conflate` function: reconnecting does not help, and it must not end the program
            if cut_short(error) is not None:
                raise
            self._buffer.fail(error)
        if self._buffer.failed:
            self._end(None)

    def _report_failure(self, error: Exception, failures: int, delay: float) -> None:
        log.warning("subscribing again failed: %s", error, extra={"error": str(error)})

    def _report_return(self, lost_at: float) -> None:
        seconds = anyio.current_time() - lost_at
        self.reconnects += 1
        self._buffer.put_gap(Gap(Reason.RECONNECTED, None, seconds))
        log.info("subscribed again after %.1f s", seconds, extra={"seconds": seconds})


@asynccontextmanager
async def subscribe(
    client: Client,
    *channels: Name,
    patterns: Iterable[Name] = (),
    shard_channels: Iterable[Name] = (),
    size: int = 1000,
    when_full: WhenFull = WhenFull.DROP_OLDEST,
    conflate: Callable[[Message], Hashable] | None = None,
    reconnect: Backoff = RECONNECT,
    heartbeat: Duration = 10.0,
) -> AsyncIterator[Subscription]:
    """Subscribe, and receive what is published while the block lasts:

        async with subscribe(client, "news", patterns=["prices.*"]) as messages:
            async for message in messages:
                ...

    The block is entered once the server has confirmed all names. Delivery is at most once: messages that are published
    while the service is disconnected, or while its buffer is full, are lost to it. `events()` reports where; a service
    that must see everything follows a stream instead (`follow`).

    At most `size` messages wait for the service; `when_full` decides what happens to one more. With `conflate`, only
    the latest of the messages for which this function returns the same key waits: `size` is then a number of keys.

    A lost connection is reestablished, however long it takes, after the delays of `reconnect`. The connection also
    counts as lost if the server has sent nothing for `heartbeat` seconds and leaves a PING unanswered for as long.

    Raises coredis's error if the first connection fails or the server refuses a name; later errors are raised by the
    iterator. The client may be a Redis, a RedisCluster or one from a Sentinel.
    """
    given.client_of(client)
    given.instance("reconnect", reconnect, Backoff)
    wanted = names(channels, patterns, shard_channels)
    quiet = given.duration("heartbeat", heartbeat)
    subscription = Subscription(client, Buffer(size, when_full, conflate), reconnect, quiet, wanted)
    async with open_plain_task_group() as tasks:
        await tasks.start(subscription.run)
        yield subscription
        tasks.cancel_scope.cancel()
