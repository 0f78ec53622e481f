"""Publishes to a stream."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeAlias

from coredis.connection import TCPLocation
from coredis.pool import ClusterConnectionPool
from coredis.typing import Key
from typing_extensions import TypeVar

from consumers import given
from consumers.codecs import Codec, TextCodec
from consumers.connection import Client, Command, Reply, send_batch
from consumers.redirections import follow

__all__ = ["Producer"]

T = TypeVar("T", default=Mapping[str, bytes | str | int | float])

TEXT: Any = TextCodec()

_Arguments: TypeAlias = tuple[bytes | str | int, ...]

PIPELINE = 1000
"""Entries that are sent before their IDs are read, at most, so that neither side buffers without limit."""


class Producer(Generic[T]):
    """Publishes values to a stream.

    client: an entered coredis client. codec: encodes a value as fields; by default values are mappings of strings.
    maxlen: the stream is trimmed to about this many entries, or exactly this many with exact=True (slower); older ones
    are deleted, whether or not every group has read them.

    When the connection breaks, a value may have been added although publish() raises; nothing is sent again
    automatically (except commands that a cluster's node redirected without executing them). Publishing again may add
    the value twice, so consumers must be idempotent, for instance by an ID that the value carries.
    """

    def __init__(
        self, client: Client, stream: str, *, codec: Codec[T] = TEXT, maxlen: int | None = None, exact: bool = False
    ) -> None:
        given.client_of(client)
        given.text("stream", stream)
        if maxlen is not None and given.whole("maxlen", maxlen) < 0:
            raise ValueError("maxlen can't be negative")
        self.stream = stream
        self._client = client
        self._codec = codec
        self._trim: tuple[bytes | int, ...] = ()
        if maxlen is not None:
            self._trim = (b"MAXLEN", b"=" if exact else b"~", maxlen)

    async def publish(self, value: T) -> str:
        """Add a value; returns the entry's ID. Raises coredis's errors, TimeoutError, or what the codec raises."""
        return (await self._send([self._command(value)]))[0]

    async def publish_many(self, values: Iterable[T]) -> list[str]:
        """Add values in order, up to a thousand in one round trip; returns their IDs.

        Raises as publish() does; some of the values may have been added by then.
        """
        ids: list[str] = []
        batch: list[_Arguments] = []
        for value in values:
            batch.append(self._command(value))
            if len(batch) == PIPELINE:
                ids += await self._send(batch)
                batch = []
        return ids + await self._send(batch) if batch else ids

    def _command(self, value: T) -> _Arguments:
        pairs = [one for pair in self._codec.encode(value).items() for one in pair]
        if not pairs:
            raise ValueError("an entry has at least one field")
        return (*self._trim, b"*", *pairs)

    async def _send(self, batch: list[_Arguments]) -> list[str]:
        commands = [(b"XADD", self.stream, *arguments) for arguments in batch]
        pool = self._client.connection_pool
        if isinstance(pool, ClusterConnectionPool):
            return [_id(reply) for reply in await self._send_in_cluster(pool, commands)]
        # Not a coredis pipeline: that holds its connection until the replies have arrived, and if it is cancelled or
        # cut, the pool permanently loses the slot.
        async with pool.acquire() as connection:
            waiting = send_batch(connection, commands, None)
        return [_id(reply) for reply in await waiting]

    async def _send_in_cluster(self, pool: ClusterConnectionPool, commands: Sequence[Command]) -> list[Reply]:
        node = pool.cluster_layout.node_for_slot(Key(self.stream).slot)

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
