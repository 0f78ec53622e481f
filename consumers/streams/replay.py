"""Reads a stream without a group: from an ID or a time on, to an end or forever.

Nothing is acknowledged and nothing changes on the server, so any number of readers see every entry. A reader that must
resume where it stopped stores `position` with its results.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from functools import cached_property, partial
from typing import Any, Generic

from coredis.exceptions import RedisError
from typing_extensions import TypeVar

from consumers import given
from consumers.codecs import Codec, TextCodec
from consumers.connection import Client, Link, Reply, open_link
from consumers.errors import ConsumerError
from consumers.given import Duration
from consumers.groups import Start, after_start
from consumers.headers import without_headers
from consumers.retry import RECONNECT, Backoff, persist

__all__ = ["Recorded", "Replay"]

logger = logging.getLogger("consumers")

T = TypeVar("T", default=dict[str, str])
A = TypeVar("A")

TEXT: Any = TextCodec()


class Recorded(Generic[T]):
    """An entry of a stream: stream, id, fields, and data, the codec's value."""

    def __init__(self, stream: str, id: str, values: list[bytes], codec: Codec[T]) -> None:
        self.stream = stream
        self.id = id
        self._values = values
        self._codec = codec

    def __repr__(self) -> str:
        return f"<Recorded {self.stream} {self.id}>"

    @cached_property
    def fields(self) -> dict[str, bytes]:
        """The entry's fields. Names are decoded as UTF-8, values are the bytes that were sent."""
        values = self._values
        pairs = zip(values[::2], values[1::2], strict=True)
        return {name.decode("utf-8", "surrogateescape"): value for name, value in pairs}

    @cached_property
    def data(self) -> T:
        """The entry's value. Raises what the codec raises for fields that it did not write."""
        return self._codec.decode(without_headers(self.fields))


class Replay(Generic[T]):
    """A reader of a whole stream.

        async with Replay(client, "orders", start=yesterday).open() as entries:
            async for entry in entries:
                ...

    start: Start.BEGINNING, Start.END (what is added from now on), after an ID, or from a datetime on. end: the last ID
    or the time up to which to read; by default the entry that is the newest when reading begins. follow: wait for new
    entries at the end instead of stopping. batch: how many entries one read fetches. `position` is the ID of the last
    entry that was returned.

    Each entry is returned once and in order as long as this object lives, even across lost connections. Entries that
    were trimmed before they were read are missed.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        *,
        start: Start | str | datetime = Start.BEGINNING,
        end: str | datetime | None = None,
        follow: bool = False,
        codec: Codec[T] = TEXT,
        batch: int = 100,
        block: Duration = 5.0,
        reconnect: Backoff | None = None,
    ) -> None:
        given.client_of(client)
        given.text("stream", stream)
        given.instance("start", start, Start, str, datetime)
        given.instance("end", end, str, datetime, type(None))
        if follow and end is not None:
            raise ValueError("a reader with an end does not follow")
        seconds = given.duration("block", block)
        if given.whole("batch", batch) < 1 or seconds <= 0:
            raise ValueError("batch must be at least 1, block more than 0 s")
        self.stream = stream
        self.position = after_start(start)
        self._client = client
        self._end = _last(end)
        self._follow = follow
        self._codec = codec
        self._batch = batch
        self._block = seconds
        self._reconnect = reconnect or RECONNECT

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AsyncIterator[Recorded[T]]]:
        """Read while the block runs. Raises ConsumerError if the server refuses."""
        async with open_link(self._client, self.stream) as link:
            if self.position == "$":
                self.position = await self._persist(link, self._newest)
            async with aclosing(self._entries(link)) as entries:
                yield entries

    async def _entries(self, link: Link) -> AsyncGenerator[Recorded[T], None]:
        end = self._end
        if end is None and not self._follow:
            # reading up to "+" would never end while a producer, or this reader itself, adds to the stream
            end = await self._persist(link, self._newest)
        while True:
            page = await self._persist(link, partial(self._page, end))
            for id, values in page:
                self.position = id.decode()
                yield Recorded(self.stream, self.position, values, self._codec)
            if not page and not self._follow:
                return

    async def _newest(self, link: Link) -> str:
        (reply,) = await link.execute([(b"XREVRANGE", self.stream, b"+", b"-", b"COUNT", 1)])
        return _raised(reply)[0][0].decode() if _raised(reply) else "0"

    async def _page(self, end: str | None, link: Link) -> list[tuple[bytes, list[bytes]]]:
        if end is None:
            command = (
                b"XREAD", b"COUNT", self._batch, b"BLOCK", max(1, round(self._block * 1000)),
                b"STREAMS", self.stream, self.position,
            )  # fmt: skip
            reply = _raised(await link.read(command, limit=self._block + 5.0))
            return next(iter(reply.values())) if reply else []
        (reply,) = await link.execute([(b"XRANGE", self.stream, f"({self.position}", end, b"COUNT", self._batch)])
        page: list[tuple[bytes, list[bytes]]] = _raised(reply)
        return page

    async def _persist(self, link: Link, query: Callable[[Link], Awaitable[A]]) -> A:
        """Query until the server answers. Raises ConsumerError for a refusal."""
        try:
            return await persist(partial(query, link), self._reconnect, failed=self._note_failure)
        except RedisError as error:
            raise ConsumerError(str(error)) from error

    def _note_failure(self, error: Exception, failures: int, delay: float) -> None:
        logger.warning(
            "reading %s failed, trying again in %.2f s: %s", self.stream, delay, error,
            extra={"stream": self.stream, "attempt": failures},
        )  # fmt: skip


def _last(end: str | datetime | None) -> str | None:
    if end is None:
        return None
    return str(int(end.timestamp() * 1000)) if isinstance(end, datetime) else end


def _raised(reply: Reply) -> Reply:
    if isinstance(reply, RedisError):
        raise reply
    return reply
