"""Reads all partitions of a stream without a group.

Within a partition entries come in their order. Up to an end, they are also merged by their IDs, that is by the times at
which the servers added them; a reader that follows gets them as they arrive.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, Generic

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from typing_extensions import TypeVar

from consumers import given
from consumers.codecs import Codec, TextCodec
from consumers.connection import Client
from consumers.given import Duration
from consumers.groups import Start
from consumers.partitions import agree, partition_streams
from consumers.retry import RECONNECT, Backoff, persist
from consumers.streams.replay import Recorded, Replay
from consumers.task_groups import open_plain_task_group

__all__ = ["PartitionedReplay"]

T = TypeVar("T", default=dict[str, str])

TEXT: Any = TextCodec()


class PartitionedReplay(Generic[T]):
    """A reader of all partitions of a stream.

        async with PartitionedReplay(client, "orders", partitions=16, start=yesterday).open() as entries:
            async for entry in entries:
                ...

    start: as for Replay, for all partitions, or the `positions` of an earlier reader. end, follow, codec, batch, block:
    as for Replay. `positions` are the IDs of the last entries that were returned, by the partition's stream: one that
    must resume where it stopped stores them with its results. It keeps two connections for each partition.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        *,
        partitions: int,
        start: Start | str | datetime | Mapping[str, str] = Start.BEGINNING,
        end: str | datetime | None = None,
        follow: bool = False,
        codec: Codec[T] = TEXT,
        batch: int = 100,
        block: Duration = 5.0,
        reconnect: Backoff | None = None,
    ) -> None:
        given.client_of(client)
        names = partition_streams(stream, partitions)
        if isinstance(start, Mapping) and (unknown := start.keys() - set(names)):
            raise ValueError(f"{stream} has no partition {min(unknown)}")
        self.stream = stream
        self._client = client
        self._partitions = partitions
        self._follow = follow
        self._reconnect = reconnect or RECONNECT
        self._replays = {
            name: Replay(
                client, name, end=end, follow=follow, codec=codec, batch=batch, block=block, reconnect=reconnect,
                start=start.get(name, Start.BEGINNING) if isinstance(start, Mapping) else start,
            )
            for name in names
        }  # fmt: skip
        self._returned: dict[str, str] = {}

    @property
    def positions(self) -> dict[str, str]:
        """The ID of the last entry that was returned, or after which reading begins, of each partition."""
        return {name: self._returned.get(name, replay.position) for name, replay in self._replays.items()}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[Recorded[T]]]:
        """Read while the block runs. Raises ConsumerError if the server refuses, or has other partitions."""
        await persist(partial(agree, self._client, self.stream, self._partitions), self._reconnect)
        async with self._opened() as entries, aclosing(entries):
            yield entries

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[AsyncGenerator[Recorded[T], None]]:
        async with AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(replay.open()) for replay in self._replays.values()]
            # what a partition fetches ahead is not returned yet
            self._returned = {name: replay.position for name, replay in self._replays.items()}
            if not self._follow:
                yield self._merged(opened)
                return
            async with open_plain_task_group() as tasks:
                sending, receiving = anyio.create_memory_object_stream[Recorded[T]]()
                with sending, receiving:
                    for entries in opened:
                        tasks.start_soon(self._pass_on, entries, sending.clone())
                    yield self._noted(receiving)
                    tasks.cancel_scope.cancel()

    async def _merged(self, opened: list[AsyncIterator[Recorded[T]]]) -> AsyncGenerator[Recorded[T], None]:
        heads = {entries: entry for entries in opened if (entry := await anext(entries, None)) is not None}
        while heads:
            first = min(heads, key=lambda entries: [int(part) for part in heads[entries].id.split("-")])
            entry = heads.pop(first)
            if (following := await anext(first, None)) is not None:
                heads[first] = following
            self._returned[entry.stream] = entry.id
            yield entry

    async def _noted(self, receiving: AsyncIterator[Recorded[T]]) -> AsyncGenerator[Recorded[T], None]:
        async for entry in receiving:
            self._returned[entry.stream] = entry.id
            yield entry

    @staticmethod
    async def _pass_on(entries: AsyncIterator[Recorded[T]], sending: "MemoryObjectSendStream[Recorded[T]]") -> None:
        with sending:
            async for entry in entries:
                await sending.send(entry)
