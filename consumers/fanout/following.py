"""Durable fan-out: every service reads the whole stream, each from its own position, which the server keeps.

The position is a consumer group's last-delivered ID, and nothing else of the group is used: no entry is ever pending,
so a hundred services cost the server a hundred numbers. It lives and is copied with the stream, and XINFO GROUPS (and
every tool that shows groups) reports how far behind each service is.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled
from coredis.connection import BaseConnection, TCPLocation
from coredis.exceptions import (
    AskError,
    ConnectionError,
    MovedError,
    StreamConsumerGroupError,
    StreamDuplicateConsumerGroupError,
)

from consumers import given
from consumers.connecting import Client, connect, report, slot_of
from consumers.errors import transient
from consumers.fanout.messages import Entry, Events, Gap, Reason
from consumers.given import Duration
from consumers.groups import Start, after_start
from consumers.names import decoded, encoded
from consumers.redirections import MOST_REDIRECTIONS, target
from consumers.retry import RECONNECT, Backoff, persist
from consumers.task_groups import open_plain_task_group

SAVE_SECONDS = 1.0
"""How long a position may go unsaved while the entries of one batch are handled."""

PARTING_SECONDS = 2.0
"""How long the end of the block may take to save the position, cancelled or not."""

log = logging.getLogger("consumers.fanout")


class Follower:
    """Yielded by `follow`: an async iterator of entries, for one task.

    `position` is the ID of the last entry that counts as handled; `saved` is the position that the server has.
    """

    def __init__(
        self,
        client: Client,
        tasks: TaskGroup,
        key: bytes,
        group: bytes,
        start: str,
        batch: int,
        backoff: Backoff,
        heartbeat: float,
    ) -> None:
        self.position = ""
        self.saved = ""
        self.reconnects = 0
        self._client = client
        self._task_group = tasks
        self._key = key
        self._stream = decoded(key)
        self._group = group
        self._start = start
        self._batch = batch
        self._backoff = backoff
        self._heartbeat = heartbeat
        self._connection: BaseConnection | None = None
        # The node that has the stream while a cluster moves its slot there: it must be asked to answer already.
        self._asked_node: TCPLocation | None = None
        self._lost_at: float | None = None
        self._items: deque[Entry | Gap] = deque()
        self._given: Entry | None = None
        self._sent = ""
        self._saved_at = anyio.current_time()
        # How many entries were ever added up to `position`, including ones now gone (XINFO's entries-read).
        self._count: int | None = None

    def __aiter__(self) -> AsyncIterator[Entry]:
        return self

    async def __anext__(self) -> Entry:
        while not isinstance(item := await self._next(), Entry):
            pass
        return item

    def events(self) -> AsyncIterator[Entry | Gap]:
        """Iterate over entries, with a Gap where the stream was trimmed or deleted before the service had read it."""
        return Events(self._next)

    async def save(self) -> None:
        """Save the position now, counting the most recently returned entry as handled.

        Raises ConnectionError or TimeoutError if the server is unreachable; the position is then saved later.
        """
        self._settle()
        if self._connection is None:
            raise ConnectionError("not connected")
        await self._save(self._connection)

    async def _save(self, connection: BaseConnection) -> None:
        try:
            await self._confirm(self._request_save(connection))
        except AskError as error:
            self._redirect(connection, error)
            await self._confirm(self._request_save(await self.open()))

    # Reading

    async def _next(self) -> Entry | Gap:
        self._settle()
        if not self._items:
            await self._fetch()
        elif anyio.current_time() - self._saved_at > SAVE_SECONDS and self._connection is not None:
            try:
                await self.save()
            except Exception as error:
                # the position is saved with the next fetch, on a new connection
                self._drop()
                if not _passing(error):
                    raise
                self._report(error)
        else:
            await checkpoint()
        item = self._items.popleft()
        if isinstance(item, Entry):
            self._given = item
        return item

    def _settle(self) -> None:
        """Count the last entry as handled, because the loop asks for more."""
        if self._given is not None:
            self.position = self._given.id
            self._given = None
            if self._count is not None:
                self._count += 1

    async def _fetch(self) -> None:
        """Wait for entries, however often the connection is lost meanwhile."""
        while not self._items:
            await persist(self._read_connected, self._backoff, passing=_passing, failed=self._note_loss)

    async def _read_connected(self) -> None:
        connection = self._connection or await self.open()
        try:
            if self._lost_at is not None:
                log.info("following again after %.1f s", anyio.current_time() - self._lost_at)
                self.reconnects += 1
                self._lost_at = None
            await self._read(connection)
        except AskError as error:
            self._redirect(connection, error)
            if isinstance(error, MovedError):
                raise
        except Exception:
            self._drop()
            raise

    async def _read(self, connection: BaseConnection) -> None:
        """Save the position and wait for the next entries, in one round trip.

        XINFO precedes XREAD, so that its reply belongs to the position from which XREAD continues. When this is
        cancelled, XREAD may go on waiting on the server, and nothing after it would be answered: only the position is
        still saved, then the connection is given up. Entries that the abandoned XREAD returns are read again, because
        the position has not moved.
        """
        await checkpoint_if_cancelled()
        save = self._request_save(connection)
        information = self._request(connection, b"XINFO STREAM", self._key)
        read = self._request(
            connection, b"XREAD", b"COUNT", self._batch, b"BLOCK", max(1, int(self._heartbeat * 1000)), b"STREAMS",
            self._key, self.position, timeout=2 * self._heartbeat,
        )  # fmt: skip
        try:
            await self._confirm(save)
            self._compare(await information)
            reply: Any = await read
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(PARTING_SECONDS, shield=True), suppress(Exception):
                await self._confirm(save)
            self._drop()
            raise
        if reply:
            self._items.extend(map(self._entry, reply[self._key]))

    def _entry(self, item: list[Any]) -> Entry:
        flat = item[1]
        names = [decoded(name) for name in flat[::2]]
        return Entry(self._stream, item[0].decode(), dict(zip(names, flat[1::2], strict=True)))

    def _compare(self, information: Any) -> None:
        """Find out whether entries after the position are gone: fewer are left than have been added since."""
        added, length = information.get(b"entries-added"), information[b"length"]
        first = information.get(b"recorded-first-entry-id", b"0-0").decode()
        if added is None:
            return  # a server before Redis 7.0 does not count
        if self._count is not None and (not length or _parsed(first) > _parsed(self.position)):
            missing = added - self._count - length
            if missing > 0:
                self._items.append(Gap(Reason.TRIMMED, missing))
                self._count += missing
        if information[b"last-generated-id"].decode() == self.position:
            self._count = added

    # The connection and the position

    async def open(self) -> BaseConnection:
        """Connect, and create the stream and the service's position if they are missing."""
        for _ in range(MOST_REDIRECTIONS):
            with suppress(AskError):
                return await self._open()
        return await self._open()

    async def _open(self) -> BaseConnection:
        node, slot = self._asked_node, slot_of(self._client, self._key)
        connection: BaseConnection | None = None
        try:
            connection = await connect(self._client, self._task_group, slot=slot, node=node, shielded=True)
            await self._find_position(connection)
        except BaseException as error:
            self._asked_node = None
            if connection is not None:
                connection.invalidate()
                if isinstance(error, AskError):
                    self._redirect(connection, error)
            raise
        self._connection = connection
        return connection

    def _redirect(self, connection: BaseConnection, error: AskError) -> None:
        """Give up a connection to a node that does not have the stream (any more), and note which one has it."""
        self._drop()
        if isinstance(error, MovedError):
            report(self._client, connection, error)
        else:
            self._asked_node = target(error, connection.location)

    def _request(
        self, connection: BaseConnection, *command: bytes | str | int, timeout: float | None = None
    ) -> Awaitable[Any]:
        """Send a command; awaiting what this returns waits for its reply, for seconds (a heartbeat)."""
        if self._asked_node is not None:
            connection.create_request(b"ASKING", raise_exceptions=False, timeout=self._heartbeat)
        name, *arguments = command
        assert isinstance(name, bytes)
        return connection.create_request(name, *arguments, timeout=self._heartbeat if timeout is None else timeout)

    async def _find_position(self, connection: BaseConnection) -> None:
        first_time = not self.position
        start = self._start if first_time else self.position
        create = self._request(connection, b"XGROUP CREATE", self._key, self._group, start, b"MKSTREAM")
        listing = self._request(connection, b"XINFO GROUPS", self._key)
        information = self._request(connection, b"XINFO STREAM", self._key)
        try:
            await create
            created = True
        except StreamDuplicateConsumerGroupError:
            created = False
        if not first_time:
            if created:
                # The stream or the position was deleted, along with whatever had not been read.
                self._items.append(Gap(Reason.TRIMMED))
                self._count = None
            return
        groups: Any = await listing
        group = next(group for group in groups if group[b"name"] == self._group)
        self.position = self.saved = group[b"last-delivered-id"].decode()
        self._count = group.get(b"entries-read")
        state: Any = await information
        if not created or b"entries-added" not in state:
            return
        if state[b"last-generated-id"].decode() == self.position:
            self._count = state[b"entries-added"]
        elif _parsed(self.position) < _parsed(state[b"recorded-first-entry-id"].decode()):
            # Entries that were trimmed before the service began do not count as missing.
            self._count = state[b"entries-added"] - state[b"length"]

    def _request_save(self, connection: BaseConnection) -> Awaitable[Any] | None:
        """Send the position unless the server has it; `_confirm` waits for the reply."""
        if self.position == self.saved:
            return None
        self._sent = self.position
        count = () if self._count is None else (b"ENTRIESREAD", self._count)
        return self._request(connection, b"XGROUP SETID", self._key, self._group, self.position, *count)

    async def _confirm(self, save: Awaitable[Any] | None) -> None:
        if save is None:
            await checkpoint()
        else:
            await save
            self.saved = self._sent
        self._saved_at = anyio.current_time()

    def _note_loss(self, error: Exception, failures: int, delay: float) -> None:
        if self._lost_at is None:
            self._lost_at = anyio.current_time()
        self._report(error)

    def _report(self, error: Exception) -> None:
        log.warning("following %s was interrupted: %s", self._stream, error, extra={"stream": self._stream})

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection = None
        self._asked_node = None

    async def close(self) -> None:
        """Save the position, if that does not take long, and close the connection."""
        if self._connection is None:
            return
        with anyio.move_on_after(PARTING_SECONDS, shield=True):
            try:
                await self._save(self._connection)
            except Exception as error:
                log.warning("the position in %s was not saved: %s", self._stream, error)
        self._drop()


def _passing(error: Exception) -> bool:
    """Whether reconnecting may help."""
    return transient(error) or _deleted(error)


def _deleted(error: Exception) -> bool:
    """Whether the stream, or the group that holds the position, is gone."""
    if isinstance(error, StreamConsumerGroupError):
        return True
    return str(error).startswith(("The XGROUP subcommand requires the key to exist", "no such key"))


def _parsed(identifier: str) -> tuple[int, int]:
    milliseconds, _, sequence = identifier.partition("-")
    return int(milliseconds), int(sequence)


@asynccontextmanager
async def follow(
    client: Client,
    stream: str | bytes,
    service: str | bytes,
    *,
    start: Start | str | datetime = Start.END,
    batch: int = 100,
    reconnect: Backoff = RECONNECT,
    heartbeat: Duration = 10.0,
) -> AsyncIterator[Follower]:
    """Read a whole stream as one of several services, each from where it stopped:

        async with follow(client, "orders", "billing") as entries:
            async for entry in entries:
                ...

    An entry counts as handled when the loop asks for the next one. The position is saved with each fetch of up to
    `batch` entries, every second meanwhile, and at the end of the block. Delivery is at least once: after a crash the
    service sees again what it had handled since the last save, so handling an entry twice must do no harm (let its
    effect depend on `entry.id`). The entry at which the loop is left, by `break` or an error, is delivered again unless
    `save()` is called first. Entries arrive in order; the service must set aside entries that it can't handle.

    A new service begins at `start`: Start.END (what is added from now on), Start.BEGINNING (the oldest entry), after an
    ID, or at a time. Only one task at a time may follow under a service's name: two would each see everything, and
    overwrite each other's position. To share the work of one service, use `consumers.streams`.

    Trimming does not wait for readers. If the stream was trimmed past the position, `events()` reports it.

    Lost connections are reestablished as in `subscribe`. In a cluster, a stream that is moved to another node is read
    there, after a heartbeat at the latest. Raises coredis's error if the first connection fails or the server refuses
    a command (no permission, a key of another type).
    """
    given.client_of(client)
    given.instance("stream", stream, str, bytes)
    given.instance("service", service, str, bytes)
    given.instance("start", start, Start, str, datetime)
    given.instance("reconnect", reconnect, Backoff)
    given.whole("batch", batch)
    quiet = given.duration("heartbeat", heartbeat)
    key = encoded(stream)
    async with open_plain_task_group() as tasks:
        follower = Follower(client, tasks, key, encoded(service), after_start(start), batch, reconnect, quiet)
        try:
            await follower.open()
            yield follower
        finally:
            await follower.close()
