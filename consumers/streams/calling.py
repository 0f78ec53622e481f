"""Calls: entries whose publisher waits for an answer.

Where the server has XCALL it does the waiting, and knows what becomes of the entry. Elsewhere the caller creates a
stream of its own for the answer (replies.py), and reads from it. Workers that acknowledge an entry without an answer,
or give it up, say so there; the caller then asks the server whether another group may still answer, as XCALL does by
itself.

Each call that waits has a connection of its own, one of a limited number. The connection of a call that was cancelled
is closed, since it may still be blocked; so the server learns that nobody waits.
"""

import math
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn, TypeAlias

import anyio
from anyio.abc import TaskGroup
from coredis.exceptions import ConnectionError, RedisError

from consumers.connection import ANSWER_SECONDS, Argument, Client, Command, Link, Reply, client_slot
from consumers.errors import DeadLettered, NoResponders, ServerUnavailable
from consumers.headers import REPLY_TOKEN
from consumers.names import decoded
from consumers.replies import BEGINNING, DEAD, VALUE, announcement, reply_key

__all__ = ["Calls"]

_Trim: TypeAlias = tuple[bytes, bytes, int] | tuple[()]


class Calls:
    """The calls of one producer, `limit` of them at a time; for as long as it is open."""

    def __init__(self, client: Client, stream: str, limit: int) -> None:
        self._client = client
        self._stream = stream
        self._limit = limit
        self._tasks: TaskGroup | None = None
        self._places: anyio.Semaphore
        self._links: set[Link] = set()
        self._idle: list[Link] = []

    def open(self, tasks: TaskGroup) -> None:
        """Keep connections in this task group until close()."""
        self._tasks = tasks
        self._places = anyio.Semaphore(self._limit)

    def close(self) -> None:
        """Close the connections, those of calls that wait as well."""
        self._tasks = None
        self._idle.clear()
        while self._links:
            self._links.pop().close()

    async def call(self, fields: Sequence[Argument], trim: _Trim, seconds: float) -> bytes | None:
        """Add an entry and return the answer to it; None: every group has acknowledged it, without one.

        fields: names and values in turn. trim: options of XTRIM. For what is raised see Producer.call.
        """
        deadline = anyio.current_time() + seconds
        places = self._places
        with anyio.move_on_after(seconds) as waiting:
            await places.acquire()
        if waiting.cancelled_caught:
            self._time_out(f"{self._limit} calls were waiting all the time, so nothing was sent", seconds)
        try:
            with self._link() as link:
                return await self._call(link, fields, trim, deadline, seconds)
        finally:
            places.release()

    @contextmanager
    def _link(self) -> Iterator[Link]:
        """A connection for one call, used again unless that is cancelled."""
        if self._tasks is None:
            raise ConnectionError("the producer has been closed")
        link = self._idle.pop() if self._idle else Link(self._client, self._stream, self._tasks)
        self._links.add(link)
        try:
            yield link
        except BaseException as error:
            if not isinstance(error, Exception):
                self._links.discard(link)
                link.close()
            raise
        finally:
            if link in self._links:
                self._idle.append(link)

    async def _call(
        self, link: Link, fields: Sequence[Argument], trim: _Trim, deadline: float, seconds: float
    ) -> bytes | None:
        calls = (await link.capabilities(reading=False)).calls
        left = deadline - anyio.current_time()
        if left <= 0:
            self._time_out("connecting took that long, so nothing was sent", seconds)
        if calls:
            return await self._call_by_command(link, fields, trim, left, seconds)
        return await self._call_by_stream(link, fields, trim, deadline, seconds)

    def _time_out(self, why: str, seconds: float) -> NoReturn:
        raise TimeoutError(f"no answer from {self._stream} within {seconds:g} s: {why}")

    @contextmanager
    def _in_doubt(self) -> Iterator[None]:
        """Around what may have added the entry: say so when the connection is lost."""
        try:
            yield
        except (ConnectionError, TimeoutError) as error:
            if isinstance(error, ServerUnavailable):
                raise
            kind = TimeoutError if isinstance(error, TimeoutError) else ConnectionError
            raise kind(
                f"{error}; a call on {self._stream} was in progress, and it is unknown whether it is handled"
            ) from error

    async def _call_by_command(
        self, link: Link, fields: Sequence[Argument], trim: _Trim, left: float, seconds: float
    ) -> bytes | None:
        commands: list[Command] = [(b"XCALL", _milliseconds(left), self._stream, b"*", *fields)]
        if trim:
            # XCALL itself does not trim
            option, exactly, maxlen = trim
            commands.insert(0, (b"XTRIM", self._stream, option, exactly, max(0, maxlen - 1)))
        with self._in_doubt():
            *trimmed, reply = await link.execute(commands, limit=left + ANSWER_SECONDS)
        for one in trimmed:
            _raised(one)
        if isinstance(reply, RedisError):
            code, _, text = str(reply).partition(" ")
            if code == "NORESPONDERS":
                raise NoResponders(f"no group reads {self._stream}")
            if code == "DEADLETTER":
                raise DeadLettered(text)
            raise reply
        if reply is None:
            self._time_out("if a worker has the entry, it may still handle it", seconds)
        answer: bytes | None = reply[1]
        return answer

    async def _call_by_stream(
        self, link: Link, fields: Sequence[Argument], trim: _Trim, deadline: float, seconds: float
    ) -> bytes | None:
        stream, token = self._stream, secrets.token_hex(8).encode()
        key = decoded(reply_key(stream, token))
        if client_slot(self._client, key) != client_slot(self._client, stream):
            raise ValueError(f"in a cluster, calls on {stream} need a hash tag in its name, as in {{a}}:b")
        if not await self._groups(link):
            raise NoResponders(f"no group reads {stream}")
        left = max(0.0, deadline - anyio.current_time())
        commands = announcement(stream, token, _milliseconds(left + ANSWER_SECONDS))
        commands.append((b"XADD", stream, *trim, b"*", *fields, REPLY_TOKEN, token))
        with self._in_doubt(), self._withdrawn_on_cancellation(key):
            id: bytes = [_raised(reply) for reply in await link.transaction(commands)][-1]
            told, after = None, BEGINNING
            while told is None and (left := deadline - anyio.current_time()) > 0:
                read: Command = (b"XREAD", b"BLOCK", _milliseconds(left), b"STREAMS", key, after)
                (page,) = await link.execute([read], limit=left + ANSWER_SECONDS)
                replies = next(iter(page.values())) if _raised(page) else []
                after = replies[-1][0] if replies else after
                told = await self._final(link, id, replies)
            # with that, workers learn that nobody waits; an answer may have come a moment before
            replies, _ = await link.transaction([(b"XRANGE", key, b"(" + after, b"+"), (b"DEL", key)])
            told = told or await self._final(link, id, replies)
        if told is None:
            self._time_out(f"if a worker has {id.decode()}, it may still handle it", seconds)
        kind, value = told
        if kind == DEAD:
            raise DeadLettered(value.decode("utf-8", "replace"))
        return value if kind == VALUE else None

    @contextmanager
    def _withdrawn_on_cancellation(self, key: str) -> Iterator[None]:
        """Around a wait at this key: have it deleted if that is cancelled, so that workers learn that nobody waits."""
        try:
            yield
        except BaseException as error:
            if not isinstance(error, Exception) and self._tasks is not None:
                self._tasks.start_soon(self._withdraw, key)
            raise

    async def _withdraw(self, key: str) -> None:
        async with self._places:
            # if it fails, the key expires
            with suppress(RedisError, TimeoutError), self._link() as link:
                await link.execute([(b"DEL", key)])

    async def _final(self, link: Link, id: bytes, replies: Sequence[Reply]) -> tuple[bytes, bytes] | None:
        """Return the first of these replies that no other will follow: its kind and value."""
        for _, (kind, value, *_) in replies:
            if kind == VALUE or not await self._is_expected(link, id):
                return kind, value
        return None

    async def _is_expected(self, link: Link, id: bytes) -> bool:
        """Whether a group has yet to read or to acknowledge the entry."""
        groups = await self._groups(link)
        questions: list[Command] = [(b"XRANGE", self._stream, id, id)]
        questions += [(b"XPENDING", self._stream, group[b"name"], id, id, 1) for group in groups]
        there, *pending = [_raised(reply) for reply in await link.execute(questions)]
        unread = any(_order(group[b"last-delivered-id"]) < _order(id) for group in groups)
        return any(pending) or (bool(there) and unread)

    async def _groups(self, link: Link) -> list[dict[bytes, Reply]]:
        (reply,) = await link.execute([(b"XINFO", b"GROUPS", self._stream)])
        if isinstance(reply, RedisError) and "no such key" in str(reply):
            return []
        groups: list[dict[bytes, Reply]] = _raised(reply)
        return groups


def _milliseconds(seconds: float) -> int:
    return max(1, math.ceil(seconds * 1000))


def _order(id: bytes) -> tuple[int, int]:
    time, _, number = id.partition(b"-")
    return int(time), int(number)


def _raised(reply: Reply) -> Reply:
    if isinstance(reply, RedisError):
        raise reply
    return reply
