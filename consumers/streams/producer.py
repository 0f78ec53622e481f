"""Publishes to a stream, and calls those who read it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, Generic, Self

from coredis.connection import TCPLocation
from coredis.pool import ClusterConnectionPool
from coredis.typing import Key
from typing_extensions import TypeVar

from consumers import given, tracing
from consumers.codecs import Codec, TextCodec, decode_answer
from consumers.connection import Client, Command, Reply, send_batch
from consumers.given import Duration
from consumers.partitions import agree, partition_of, partition_streams
from consumers.redirections import follow
from consumers.streams.calling import Calls
from consumers.task_groups import open_plain_task_group

__all__ = ["Producer"]

T = TypeVar("T", default=Mapping[str, bytes | str | int | float])

TEXT: Any = TextCodec()

NO_HEADERS: Mapping[str, str] = {}

PIPELINE = 1000
"""Entries that are sent before their IDs are read, at most, so that neither side buffers without limit."""


class Producer(Generic[T]):
    """Publishes values to a stream.

    client: an entered coredis client. codec: encodes a value as fields; by default values are mappings of strings.
    maxlen: the stream is trimmed to about this many entries, or exactly this many with exact=True (slower); older ones
    are deleted, whether or not every group has read them. calls: how many call() may wait at a time, each on a
    connection of its own; these live for as long as the producer is open (`async with producer`), which only call()
    needs.
    partitions: the stream is made of this many streams, which a cluster spreads over its nodes, and among which the
    members of a group share out the work. key: what chooses an entry's partition (see partition_of): a field's name, or
    a function of the value. Entries with equal keys keep their order. Without a key, entries are spread evenly, in no
    order. maxlen and calls are for each partition.

    When the connection breaks, a value may have been added although publish() raises; nothing is sent again
    automatically (except commands that a cluster's node redirected without executing them). Publishing again may add
    the value twice, so consumers must be idempotent, for instance by an ID that the value carries.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        *,
        codec: Codec[T] = TEXT,
        maxlen: int | None = None,
        exact: bool = False,
        calls: int = 32,
        partitions: int | None = None,
        key: str | Callable[[T], str | bytes | int] | None = None,
    ) -> None:
        given.client_of(client)
        given.text("stream", stream)
        if maxlen is not None and given.whole("maxlen", maxlen) < 0:
            raise ValueError("maxlen can't be negative")
        if given.whole("calls", calls) < 1:
            raise ValueError("calls must be at least 1")
        self._names: Sequence[str] = (stream,)
        if partitions is not None:
            self._names = partition_streams(stream, partitions)
        elif key is not None:
            raise ValueError("a key chooses one of several partitions, and there are none")
        if key is not None and not isinstance(key, str):
            given.function("key", key)
        self.stream = stream
        self._partitions = partitions
        self._key = key
        self._last = -1
        self._agreed = partitions is None
        self._client = client
        self._codec = codec
        self._trim: tuple[bytes, bytes, int] | tuple[()] = ()
        if maxlen is not None:
            self._trim = (b"MAXLEN", b"=" if exact else b"~", maxlen)
        self._calls = {name: Calls(client, name, calls) for name in self._names}
        self._open: AsyncExitStack | None = None

    async def publish(self, value: T) -> str:
        """Add a value; returns the entry's ID. Raises coredis's errors, TimeoutError, or what the codec raises."""
        if tracing.active() is None:
            return (await self._send([self._command(value)]))[0]
        with tracing.sending(self.stream, self.stream, 1) as sending:
            ids = await self._send([self._command(value, sending.headers)])
            sending.sent(ids)
            return ids[0]

    async def publish_many(self, values: Iterable[T]) -> list[str]:
        """Add values in order, up to a thousand in one round trip; returns their IDs.

        Raises as publish() does; some of the values may have been added by then.
        """
        if tracing.active() is None:
            return await self._send_all(values, NO_HEADERS)
        with tracing.sending(self.stream, self.stream, 0) as sending:
            ids = await self._send_all(values, sending.headers)
            sending.sent(ids)
            return ids

    async def _send_all(self, values: Iterable[T], headers: Mapping[str, str]) -> list[str]:
        ids: list[str] = []
        batch: list[Command] = []
        for value in values:
            batch.append(self._command(value, headers))
            if len(batch) == PIPELINE:
                ids += await self._send(batch)
                batch = []
        return ids + await self._send(batch) if batch else ids

    async def __aenter__(self) -> Self:
        if self._open is not None:
            raise RuntimeError("the producer is open already")
        self._open = AsyncExitStack()
        tasks = await self._open.enter_async_context(open_plain_task_group())
        for calls in self._calls.values():
            calls.open(tasks)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        assert self._open is not None
        for calls in self._calls.values():
            calls.close()
        opened, self._open = self._open, None
        return bool(await opened.__aexit__(kind, error, trace))

    async def call(self, value: T, *, timeout: Duration = 10.0) -> Any:
        """Add a value, wait for the answer of a consumer (Message.reply), and return what the codec makes of it.

        Returns None if every group has acknowledged the entry without an answer. Delivery is at least once, as of any
        entry: the answer is the first one. The timeout includes the wait for one of the producer's connections.

        Raises NoResponders at once, and adds nothing, if no group reads the stream; DeadLettered if the entry is given
        up; TimeoutError if no answer came in time, and ConnectionError if the connection was lost meanwhile: the entry
        may or may not be handled then. Where the server has XCALL, an entry that no group has read when its caller
        stops waiting is removed. Raises RuntimeError outside the producer's block.
        """
        seconds = given.duration("timeout", timeout)
        if not 0 < seconds < 1e9:
            raise ValueError("timeout must be more than 0 s, and finite")
        if self._open is None:
            raise RuntimeError("calls wait on connections of their own, so they need `async with producer`")
        if not self._agreed:
            await self._agree()
        with tracing.sending(self.stream, self.stream, 1, "call") as sending:
            stream, pairs = self._placed(value, sending.headers)
            answer = await self._calls[stream].call(pairs, self._trim, seconds)
        return None if answer is None else decode_answer(self._codec, answer)

    def _command(self, value: T, headers: Mapping[str, str] = NO_HEADERS) -> Command:
        stream, pairs = self._placed(value, headers)
        return (b"XADD", stream, *self._trim, b"*", *pairs)

    def _placed(self, value: T, headers: Mapping[str, str]) -> tuple[str, list[bytes | str]]:
        """Return the stream for a value, and its fields and values in turn."""
        fields = self._codec.encode(value)
        stream = self.stream if self._partitions is None else self._names[self._choose(value, fields, self._partitions)]
        pairs = [one for pair in fields.items() for one in pair]
        if not pairs:
            raise ValueError("an entry has at least one field")
        if headers and headers.keys().isdisjoint(fields):
            pairs += [one for pair in headers.items() for one in pair]
        return stream, pairs

    def _choose(self, value: T, fields: Mapping[str, Any], partitions: int) -> int:
        key = self._key
        if key is None:
            self._last = (self._last + 1) % partitions
            return self._last
        if not isinstance(key, str):
            return partition_of(key(value), partitions)
        if key not in fields:
            raise ValueError(f"the value has no field {key}, which chooses its partition")
        return partition_of(fields[key], partitions)

    async def _agree(self) -> None:
        """Make sure, once, that the stream has this number of partitions."""
        assert self._partitions is not None
        await agree(self._client, self.stream, self._partitions)
        self._agreed = True

    async def _send(self, commands: list[Command]) -> list[str]:
        if not self._agreed:
            await self._agree()
        pool = self._client.connection_pool
        if isinstance(pool, ClusterConnectionPool):
            return [_id(reply) for reply in await self._send_in_cluster(pool, commands)]
        # Not a coredis pipeline: that holds its connection until the replies have arrived, and if it is cancelled or
        # cut, the pool permanently loses the slot.
        async with pool.acquire() as connection:
            waiting = send_batch(connection, commands, None)
        return [_id(reply) for reply in await waiting]

    async def _send_in_cluster(self, pool: ClusterConnectionPool, commands: Sequence[Command]) -> list[Reply]:
        """Send to each node what belongs there, one node after the other; returns the replies in order."""
        layout = pool.cluster_layout
        together: dict[tuple[str, int], list[int]] = {}
        for index, command in enumerate(commands):
            node = layout.node_for_slot(Key(str(command[1])).slot)
            together.setdefault((node.host, node.port), []).append(index)
        replies: list[Reply] = [None] * len(commands)
        for indexes in together.values():
            found = await self._send_to_one_node(pool, [commands[index] for index in indexes])
            for index, reply in zip(indexes, found, strict=True):
                replies[index] = reply
        return replies

    async def _send_to_one_node(self, pool: ClusterConnectionPool, commands: Sequence[Command]) -> list[Reply]:
        node = pool.cluster_layout.node_for_slot(Key(str(commands[0][1])).slot)

        async def send(location: TCPLocation, some: Sequence[Command]) -> list[Reply]:
            named = replace(node, host=location.host, port=location.port)
            async with pool.acquire(node=named) as connection:
                waiting = send_batch(connection, some, None)
            return await waiting

        replies = await send(node, commands)
        await follow(commands, replies, node, send, lambda error: pool.cluster_layout.report_errors(node, error))
        return replies


def _id(reply: Reply) -> str:
    if isinstance(reply, Exception):
        raise reply
    return reply.decode() if isinstance(reply, bytes) else str(reply)
