"""Huey: a list, or a sorted set by priority, of pickled messages; what is delayed, and results.

huey.redis.NAME       a list, whose right end is next; or a sorted set (PriorityRedisHuey), 8 bytes before each message
huey.schedule.NAME    a sorted set: messages by the time at which they are due
huey.results.NAME     a hash: results by task ID, and locks; RedisExpireHuey has keys huey.r.NAME.ID instead

A consumer takes a message out of the list, and nothing says that it has it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from consumers.connecting import Client, Command
from consumers.console.asking import ask, integer, known, sliced, text, transaction
from consumers.console.pickles import Opaque
from consumers.console.queues.library import (
    Action,
    Figures,
    JobDetails,
    JobRow,
    Refused,
    Scope,
    State,
    check,
    iso_time,
    jobs_text,
    number_in,
)  # fmt: skip
from consumers.console.queues.paging import Item, across, position
from consumers.console.values import DATA_LIMIT, View, call, decoded, shown, view
from consumers.jobs.clock import Clock, wall_clock
from consumers.transactions import Ask

__all__ = ["Huey"]

FIELDS = (
    "id", "name", "eta", "retries", "retry_delay", "priority", "args", "kwargs", "on_complete", "on_error", "expires",
    "expires_resolved", "timeout", "chord_config", "retry_backoff",
)  # fmt: skip
"""Those of Huey's messages, in order. Older releases have the first of them."""

PREFIX_BYTES = 8
"""The time that precedes a message in a sorted set."""

BEFORE, BEHIND = 500, 50
"""Where a message is looked for, around the place where it was: those before it may have been taken."""

_KEY = re.compile(rb"huey\.(?:redis|schedule|results)\.(\w+)|huey\.r\.(\w+)\..+", re.DOTALL)


class Huey:
    """The reader."""

    name = "huey"
    title = "Huey"
    states: ClassVar[tuple[State, ...]] = (State.WAITING, State.DELAYED)
    actions: ClassVar[tuple[Action, ...]] = (
        Action("purge", Scope.STATE, (State.WAITING, State.DELAYED)),
        Action("delete", Scope.JOB, (State.WAITING, State.DELAYED)),
    )
    streams = None
    types = ()
    unseen = "Huey keeps nothing of tasks that are running, and of failed ones only the error, under the task's ID."

    def __init__(self, clock: Clock = wall_clock) -> None:
        self._clock = clock
        self._by_priority: set[str] = set()

    async def find(self, client: Client, keys: Sequence[bytes]) -> set[str]:
        return {
            text(match[1] or match[2])
            for key in keys
            if b"huey." in key[:5] and (match := _KEY.fullmatch(key)) is not None
        }

    # Figures.

    async def figures(self, client: Client, queues: Sequence[str]) -> list[Figures]:
        kinds = await ask(client, [(b"TYPE", _waiting(queue)) for queue in queues])
        asked: list[Command] = []
        for queue, kind in zip(queues, kinds, strict=True):
            # the other one's command would be an error, which the server counts
            asked += [(b"ZCARD" if known(kind) == b"zset" else b"LLEN", _waiting(queue)), (b"ZCARD", _delayed(queue))]
        replies = iter(await ask(client, asked))
        return [
            Figures(library=self.name, name=queue, waiting=integer(next(replies)), delayed=integer(next(replies)))
            for queue in queues
        ]

    # Jobs.

    async def jobs(
        self, client: Client, queue: str, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        if state not in self.states:
            return [], None
        items, following = await across([await self._source(client, queue, state)], after, limit, len)
        return [_row(item, state) for item in items], following

    async def _source(self, client: Client, queue: str, state: State) -> Callable[[int, int], Awaitable[list[bytes]]]:
        """Reads stored messages in the order in which they will be taken."""
        key = _waiting(queue) if state is State.WAITING else _delayed(queue)
        is_list = state is State.WAITING and known((await ask(client, [(b"TYPE", key)]))[0]) != b"zset"

        async def read(offset: int, count: int) -> list[bytes]:
            if is_list:
                (reply,) = await ask(client, [(b"LRANGE", key, -offset - count, -offset - 1)])
                return list(reversed(known(reply) or ()))
            (reply,) = await ask(client, [(b"ZRANGE", key, offset, offset + count - 1)])
            return list(known(reply) or ())

        async def in_slices(offset: int, count: int) -> list[bytes]:
            return await sliced(count, len, lambda start, some: read(offset + start, some))

        return in_slices

    async def _find(self, client: Client, queue: str, id: str, place: str) -> tuple[State, Item[bytes]] | None:
        """A stored message, looked for where it was, and a little around that."""
        kind, _, rest = place.partition(" ")
        _, offset = position(rest)
        for state in self.states:
            if kind in (state.value, ""):
                start = max(0, offset - BEFORE)
                source = await self._source(client, queue, state)
                for index, data in enumerate(await source(start, offset - start + BEHIND)):
                    if _fields(data).get("id") == id:
                        return state, Item(0, start + index, data)
        return None

    async def job(self, client: Client, queue: str, id: str, place: str = "") -> JobDetails | None:
        found = await self._find(client, queue, id, place)
        result, expiring = await ask(
            client, [(b"HGET", f"huey.results.{queue}", id), (b"GETRANGE", f"huey.r.{queue}.{id}", 0, DATA_LIMIT)]
        )
        outcome, error = _outcome(known(result) or known(expiring))
        if found is None:
            if outcome is None and error is None:
                return None
            state = State.DEAD if error else State.DONE
            return JobDetails(row=JobRow(id=id, state=state, summary="a task"), result=outcome, error=error)
        state, item = found
        fields = _fields(item.value)
        rest = {
            name: fields.get(name)
            for name in FIELDS
            if name not in ("id", "name", "args", "kwargs") and fields.get(name)
        }
        return JobDetails(
            row=_row(item, state),
            arguments=shown({"args": fields.get("args"), "kwargs": fields.get("kwargs")}, "pickle"),
            error=error,
            raw=tuple((name, shown(value)) for name, value in rest.items()),
        )

    # Actions.

    async def act(
        self, client: Client, queue: str, action: str, *, state: State | None = None, id: str = "", place: str = ""
    ) -> str:
        check(self, action, state, id)
        if not id:
            assert state is not None
            return jobs_text(await self._purge(client, queue, state), "deleted")
        found = await self._find(client, queue, id, place)
        if found is None:
            raise Refused(f"there is no task {id} any more, or it has moved too far: list the tasks again")
        state, item = found
        key = _waiting(queue) if state is State.WAITING else _delayed(queue)
        removed = await ask(client, [(b"LREM", key, -1, item.value), (b"ZREM", key, item.value)])
        if not sum(map(integer, removed)):
            raise Refused(f"the task {id} is gone: a consumer has taken it")
        return f"The task {id} was deleted."

    async def _purge(self, client: Client, queue: str, state: State) -> int:
        """Remove all messages as Huey's flush does, and count them."""
        key = _waiting(queue) if state is State.WAITING else _delayed(queue)

        async def decide(query: Ask) -> tuple[list[Command], int]:
            (kind,) = await query([(b"TYPE", key)])
            if kind not in (b"list", b"zset"):
                return [], 0
            (count,) = await query([(b"LLEN" if kind == b"list" else b"ZCARD", key)])
            return [(b"UNLINK", key)], int(count)

        return await transaction(client, [key], decide)


def _waiting(queue: str) -> str:
    return f"huey.redis.{queue}"


def _delayed(queue: str) -> str:
    return f"huey.schedule.{queue}"


def _fields(data: bytes) -> dict[str, Any]:
    """A message's fields by name; none of one in a form of the application's own."""
    for some in (data, data[PREFIX_BYTES:]):
        _, value = decoded(some)
        if isinstance(value, Opaque) and value.name.endswith(".Message"):
            return dict(zip(FIELDS, value.arguments or (), strict=False))
    return {}


def _row(item: Item[bytes], state: State) -> JobRow:
    fields = _fields(item.value)
    name = fields.get("name")
    place = f"{state.value} {item.place}"
    if not isinstance(name, str):
        return JobRow(id=f"at {place}", state=state, summary=view(item.value, 100).text, place=place)
    return JobRow(
        id=str(fields.get("id")),
        state=state,
        function=name,
        due=_time(fields.get("eta")),
        summary=call(name.rpartition(".")[2], fields.get("args"), fields.get("kwargs")),
        place=place,
    )


def _time(value: object) -> float | None:
    """A pickled datetime: ten bytes of year, month, day, hour, minute, second and microseconds. Huey's are in UTC."""
    if isinstance(value, Opaque) and value.name == "datetime.datetime" and value.arguments:
        packed = value.arguments[0]
        if isinstance(packed, str):
            packed = packed.encode("latin-1", "replace")
        if isinstance(packed, bytes) and len(packed) == 10:
            year, (month, day, hour, minute, second) = int.from_bytes(packed[:2], "big"), packed[2:7]
            micro = int.from_bytes(packed[7:], "big")
            return iso_time(f"{year:04}-{month & 127:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}")
    return number_in(value) if isinstance(value, int | float) else None


def _outcome(data: bytes | None) -> tuple[View | None, str | None]:
    """A stored result, and a stored error's text with its traceback."""
    if not data:
        return None, None
    _, value = decoded(data)
    if isinstance(value, Opaque) and value.name.endswith(".Error"):
        about = value.arguments[0] if value.arguments else None
        if isinstance(about, dict):
            return None, str(about.get("traceback") or about.get("error"))
        return None, shown(value).text
    return view(data), None
