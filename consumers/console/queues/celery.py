"""Celery, or Kombu, on Redis: a list of JSON messages for each queue and priority, and what workers have fetched.

QUEUE                     a list, whose right end is next; QUEUE\\x06\\x16N: of messages with priority N (3, 6, 9)
_kombu.binding.EXCHANGE   a set: routing key, pattern and queue, joined by \\x06\\x16
unacked                   a hash: messages that workers have fetched and not acknowledged, of all queues
unacked_index             a sorted set: when they were fetched
celery-task-meta-ID       the outcome of a task, with its traceback, if results are stored in the same database

With a global_keyprefix all keys begin with it, and the queue goes by "PREFIX|QUEUE".
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from consumers.connecting import Client, Command
from consumers.console.asking import BYTES, ask, integer, known, sliced, text, transaction
from consumers.console.queues.celery_messages import (
    due_of,
    id_of,
    message_details,
    message_row,
    read_message,
    result_row,
)
from consumers.console.queues.library import (
    Action,
    Figures,
    JobDetails,
    JobRow,
    Refused,
    Scope,
    State,
    check,
    jobs_text,
)  # fmt: skip
from consumers.console.queues.paging import Item, Source, across, position
from consumers.console.scanning import escaped, scan
from consumers.console.values import DATA_LIMIT, decoded
from consumers.jobs.clock import Clock, wall_clock
from consumers.transactions import Ask

__all__ = ["Celery"]

SEPARATOR = "\x06\x16"
USUAL = "celery"
STEPS = (0, 3, 6, 9)
"""The usual priorities that have a list of their own; 0 is the highest, in the list without a number."""

RESULT = "celery-task-meta-"

SAMPLE = 1000
"""Fetched messages that are read to find out whose they are."""

BEFORE, BEHIND = 500, 50
"""Where a message is looked for, around the place where it was: those before it may have been fetched."""

_BINDING = re.compile(rb"(.*?)_kombu\.binding\.(.+)", re.DOTALL)
_PRIORITY = re.compile(rb"(.+)\x06\x16(\d{1,3})", re.DOTALL)


@dataclass(slots=True)
class _Fetched:
    """What is known of the unacknowledged messages under one prefix."""

    total: int = 0
    read: int = 0
    running: dict[str, int] = field(default_factory=dict)
    delayed: dict[str, int] = field(default_factory=dict)

    def share(self, counts: dict[str, int], queue: str) -> int:
        """A queue's messages; if not all were read, in proportion."""
        found = counts.get(queue, 0)
        return found if self.read >= self.total else round(found * self.total / max(1, self.read))


class Celery:
    """The reader."""

    name = "celery"
    title = "Celery"
    states: ClassVar[tuple[State, ...]] = (State.WAITING, State.RUNNING, State.DELAYED, State.DEAD, State.DONE)
    actions: ClassVar[tuple[Action, ...]] = (
        Action("purge", Scope.STATE, (State.WAITING,)),
        Action("delete", Scope.JOB, (State.WAITING,)),
        Action("delete", Scope.JOB, (State.DEAD, State.DONE), "Only the stored result is deleted."),
    )
    streams = None
    types = ()
    unseen = (
        "Running includes tasks that a worker has fetched in advance, and leaves out those that were acknowledged "
        "when they began, which is Celery's default (task_acks_late changes it). Delayed are tasks with an ETA that a "
        "worker holds; those that no worker has fetched are waiting. Ended tasks can be listed, not counted, and their "
        "results name no queue unless result_extended is set."
    )

    def __init__(self, clock: Clock = wall_clock) -> None:
        self._clock = clock
        self._bindings = {("", USUAL)}
        self._steps: dict[str, set[int]] = {}
        self._routes: dict[tuple[str, str, str], str] = {}

    # Finding.

    async def find(self, client: Client, keys: Sequence[bytes]) -> set[str]:
        new: list[tuple[str, str]] = []
        for key in keys:
            if (match := _PRIORITY.fullmatch(key)) is not None and b"_kombu." not in key:
                steps = self._steps.setdefault(text(match[1]), set())
                if len(steps) < 20:
                    steps.add(int(match[2]))
            elif b"_kombu.binding." in key and (match := _BINDING.fullmatch(key)) is not None:
                binding = text(match[1]), text(match[2])
                if binding not in self._bindings:
                    new.append(binding)
        if keys:
            return await self._bound(client, new)
        # the usual queue may have lost its binding: whoever declared it does so once
        (reply,) = await ask(client, [(b"LLEN", USUAL)])
        return await self._bound(client, sorted(self._bindings)) | ({USUAL} if integer(reply) else set())

    async def _bound(self, client: Client, bindings: Sequence[tuple[str, str]]) -> set[str]:
        """The queues in these sets, apart from those by which workers are controlled."""
        keys = [f"{prefix}_kombu.binding.{exchange}" for prefix, exchange in bindings]
        replies = await ask(client, [(b"SSCAN", key, 0, b"COUNT", 500) for key in keys])
        found: set[str] = set()
        for (prefix, exchange), reply in zip(bindings, replies, strict=True):
            if exchange.endswith(".pidbox") or exchange == "celeryev" or not (page := known(reply)):
                continue
            for member in page[1]:
                route, _, queue = text(member).rpartition(SEPARATOR)
                if queue and not queue.endswith(".pidbox") and not queue.startswith("celeryev."):
                    found.add(_joined(prefix, queue))
                    if len(self._routes) < 50_000:
                        self._routes[prefix, exchange, route.partition(SEPARATOR)[0]] = queue
                    if len(self._bindings) < 20_000:
                        self._bindings.add((prefix, exchange))
        return found

    def _lists(self, queue: str) -> list[str]:
        """The keys of a queue's lists, in the order in which they are read."""
        key = "".join(_parted(queue))
        steps = sorted({*STEPS, *self._steps.get(key, ())})
        return [f"{key}{SEPARATOR}{step}" if step else key for step in steps]

    # Figures.

    async def figures(self, client: Client, queues: Sequence[str]) -> list[Figures]:
        lists = [self._lists(queue) for queue in queues]
        lengths = iter(await ask(client, [(b"LLEN", key) for keys in lists for key in keys]))
        waiting = [sum(integer(next(lengths)) for _ in keys) for keys in lists]
        fetched = {
            prefix: await self._fetched(client, prefix) for prefix in sorted({_parted(queue)[0] for queue in queues})
        }
        found = []
        for queue, count in zip(queues, waiting, strict=True):
            prefix, name = _parted(queue)
            held = fetched[prefix]
            found.append(
                Figures(
                    library=self.name, name=queue, waiting=count, running=held.share(held.running, name),
                    delayed=held.share(held.delayed, name), exact=held.read >= held.total,
                )
            )  # fmt: skip
        return found

    async def _fetched(self, client: Client, prefix: str) -> _Fetched:
        (reply,) = await ask(client, [(b"HLEN", f"{prefix}unacked")])
        found = _Fetched(integer(reply))
        cursor, size = "0", 0
        while found.total and found.read < SAMPLE and size < BYTES:
            pairs, cursor = await self._fetched_page(client, prefix, cursor, 50)
            for _, data in pairs:
                size += len(data)
                found.read += 1
                message, queue = self._unacked(prefix, data)
                due = due_of(message)
                counts = found.delayed if due is not None and due > self._clock() else found.running
                counts[queue] = counts.get(queue, 0) + 1
            if cursor == "0":
                found.total = found.read
                break
        return found

    @staticmethod
    async def _fetched_page(
        client: Client, prefix: str, cursor: str, count: int
    ) -> tuple[list[tuple[bytes, bytes]], str]:
        (reply,) = await ask(client, [(b"HSCAN", f"{prefix}unacked", cursor, b"COUNT", count)])
        if not (found := known(reply)):
            return [], "0"
        return list(zip(found[1][::2], found[1][1::2], strict=True)), text(found[0])

    def _unacked(self, prefix: str, data: bytes) -> tuple[dict[str, Any], str]:
        """A fetched message, and the queue that it came from."""
        try:
            message, exchange, route = json.loads(data)
        except (ValueError, TypeError, RecursionError):
            return {}, ""
        queue = self._routes.get((prefix, str(exchange), str(route)), str(route))
        return message if isinstance(message, dict) else {}, queue

    # Jobs.

    async def jobs(
        self, client: Client, queue: str, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        if state is State.WAITING:
            items, following = await across(self._sources(client, queue), after, limit, len)
            return [message_row(read_message(item.value), State.WAITING, item.place) for item in items], following
        if state in (State.RUNNING, State.DELAYED):
            return await self._held(client, queue, state, after, limit)
        if state in (State.DEAD, State.DONE):
            return await self._ended(client, queue, state, after, limit)
        return [], None

    def _sources(self, client: Client, queue: str) -> list[Source[bytes]]:
        return [self._source(client, key) for key in self._lists(queue)]

    @staticmethod
    def _source(client: Client, key: str) -> Source[bytes]:
        async def read(offset: int, count: int) -> list[bytes]:
            (reply,) = await ask(client, [(b"LRANGE", key, -offset - count, -offset - 1)])
            return list(reversed(known(reply) or ()))

        async def in_slices(offset: int, count: int) -> list[bytes]:
            return await sliced(count, len, lambda start, some: read(offset + start, some))

        return in_slices

    async def _held(
        self, client: Client, queue: str, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        prefix, name = _parted(queue)
        cursor, rows, read = after or "0", list[JobRow](), 0
        while len(rows) < limit and read < SAMPLE:
            pairs, cursor = await self._fetched_page(client, prefix, cursor, 50)
            read += 50
            for tag, data in pairs:
                message, owner = self._unacked(prefix, data)
                due = due_of(message)
                delayed = due is not None and due > self._clock()
                if owner == name and delayed is (state is State.DELAYED):
                    rows.append(message_row(message, state, f"unacked {text(tag)}"))
            if cursor == "0":
                return rows, None
        return rows, cursor

    async def _ended(
        self, client: Client, queue: str, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        prefix, name = _parted(queue)
        keys, following = await scan(client, f"{escaped(prefix)}{RESULT}*", after, limit)
        replies = await ask(client, [(b"GETRANGE", key, 0, DATA_LIMIT // 16) for key in keys])
        rows = []
        for key, reply in zip(keys, replies, strict=True):
            row, owner = result_row(text(key).removeprefix(f"{prefix}{RESULT}"), known(reply) or b"")
            if row.state is state and owner in (name, None):
                rows.append(row)
        return rows, following

    async def job(self, client: Client, queue: str, id: str, place: str = "") -> JobDetails | None:
        prefix, _ = _parted(queue)
        (stored,) = await ask(client, [(b"GETRANGE", f"{prefix}{RESULT}{id}", 0, DATA_LIMIT)])
        result = known(stored) or b""
        if place.startswith("unacked "):
            (reply,) = await ask(client, [(b"HGET", f"{prefix}unacked", place.partition(" ")[2])])
            if data := known(reply):
                message, _ = self._unacked(prefix, data)
                due = due_of(message)
                state = State.DELAYED if due is not None and due > self._clock() else State.RUNNING
                if id_of(message) == id:
                    return message_details(message, state, place, result)
        elif (item := await self._find(client, queue, id, place)) is not None:
            return message_details(read_message(item.value), State.WAITING, item.place, result)
        if not result:
            return None
        row, _ = result_row(id, result)
        _, meta = decoded(result)
        return message_details({}, row.state, "", result, row) if isinstance(meta, dict) else None

    async def _find(self, client: Client, queue: str, id: str, place: str) -> Item[bytes] | None:
        """A waiting message, looked for where it was and a little around that."""
        source, offset = position(place)
        start = max(0, offset - BEFORE)
        sources = self._sources(client, queue)
        chosen = range(len(sources)) if not place else (source,) if source < len(sources) else ()
        for number in chosen:
            for index, data in enumerate(await sources[number](start, offset - start + BEHIND)):
                if id_of(read_message(data)) == id:
                    return Item(number, start + index, data)
        return None

    # Actions.

    async def act(
        self, client: Client, queue: str, action: str, *, state: State | None = None, id: str = "", place: str = ""
    ) -> str:
        chosen = check(self, action, state, id)
        if chosen.name == "purge":
            return jobs_text(await self._purge(client, queue), "deleted")
        if state is not None and state is not State.WAITING:
            prefix, _ = _parted(queue)
            (reply,) = await ask(client, [(b"DEL", f"{prefix}{RESULT}{id}")])
            if not integer(reply):
                raise Refused(f"there is no result of {id} any more")
            return f"The result of {id} was deleted."
        if (item := await self._find(client, queue, id, place)) is None:
            raise Refused(f"the task {id} is gone: a worker has fetched it, or it has moved too far")
        (reply,) = await ask(client, [(b"LREM", self._lists(queue)[item.source], -1, item.value)])
        if not integer(reply):
            raise Refused(f"the task {id} is gone: a worker has fetched it")
        return f"The task {id} was deleted."

    async def _purge(self, client: Client, queue: str) -> int:
        """Delete the queue's lists, as Celery's purge does, and count what was in them."""
        done = 0
        for key in self._lists(queue):

            async def decide(query: Ask, key: str = key) -> tuple[list[Command], int]:
                (count,) = await query([(b"LLEN", key)])
                return ([(b"UNLINK", key)] if count else []), int(count)

            done += await transaction(client, [key], decide)
        return done


def _joined(prefix: str, queue: str) -> str:
    return f"{prefix}|{queue}" if prefix or "|" in queue else queue


def _parted(queue: str) -> tuple[str, str]:
    prefix, bar, name = queue.partition("|")
    return (prefix, name) if bar else ("", queue)
