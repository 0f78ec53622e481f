"""What taskiq's ListRedisScheduleSource keeps: tasks that are sent at a time.

PREFIX:time:YYYY-MM-DDTHH:MM   a list: IDs of the schedules of this minute, in UTC
PREFIX:data:ID                 the task, its time and its ID: a pickle, unless another form was chosen

There is no list of the minutes: they are found among the server's keys, and remembered here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from consumers.connecting import Client, Command
from consumers.console.asking import ask, integer, known, text, transaction
from consumers.console.queues.library import JobDetails, JobRow, Refused, State
from consumers.console.queues.paging import Source, across
from consumers.console.queues.taskiq_messages import is_schedule, message_details, message_row, read_dict
from consumers.console.values import DATA_LIMIT
from consumers.transactions import Ask

__all__ = ["Schedules"]

MINUTES = 500
"""Minutes of one source that are remembered: the first ones that are found."""

SOURCES = 500
"""Sources that are remembered."""

SMALL = DATA_LIMIT // 16
"""Bytes of a schedule that are read in a list."""

_KEY = re.compile(rb"(.+):time:([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2})", re.DOTALL)


class Schedules:
    """The schedules of all sources on one server, by prefix."""

    def __init__(self) -> None:
        self._minutes: dict[str, set[str]] = {}

    async def find(self, client: Client, keys: Sequence[bytes]) -> set[str]:
        """Return the prefixes of the sources that some lists belong to, and remember their minutes."""
        found: dict[str, set[str]] = {}
        for key in keys:
            if (match := _KEY.fullmatch(key)) is not None:
                found.setdefault(text(match[1]), set()).add(text(match[2]))
        for prefix in [one for one in found if one not in self._minutes]:
            if len(self._minutes) >= SOURCES or not await self._is_source(client, prefix, next(iter(found[prefix]))):
                del found[prefix]
        for prefix, minutes in found.items():
            known_ones = self._minutes.setdefault(prefix, set())
            known_ones |= set(sorted(minutes - known_ones)[: max(0, MINUTES - len(known_ones))])
        return set(found)

    async def _is_source(self, client: Client, prefix: str, minute: str) -> bool:
        """Whether the first schedule of a minute is one of taskiq's."""
        ids = await _ids(client, _key(prefix, minute), 0, 1)
        return bool(ids) and is_schedule(read_dict(await self._data(client, prefix, ids[0])))

    @staticmethod
    async def _data(client: Client, prefix: str, id: str, limit: int = SMALL) -> bytes:
        (reply,) = await ask(client, [(b"GETRANGE", _data(prefix, id), 0, limit)])
        return known(reply) or b""

    async def counts(self, client: Client, prefixes: Sequence[str]) -> list[tuple[int, bool] | None]:
        """How many tasks wait for their time, and whether these are all; None for what is no source's prefix.

        Minutes without any are forgotten.
        """
        every = [(prefix, minute) for prefix in prefixes for minute in sorted(self._minutes.get(prefix, ()))]
        replies = await ask(client, [(b"LLEN", _key(*one)) for one in every])
        totals = dict.fromkeys(prefixes, 0)
        full = {prefix for prefix in prefixes if len(self._minutes.get(prefix, ())) >= MINUTES}
        for (prefix, minute), reply in zip(every, replies, strict=True):
            totals[prefix] += integer(reply)
            if not integer(reply):
                self._minutes[prefix].discard(minute)
        return [(totals[prefix], prefix not in full) if prefix in self._minutes else None for prefix in prefixes]

    # Jobs. A place is "minute MINUTE".

    async def jobs(self, client: Client, prefix: str, after: str | None, limit: int) -> tuple[list[JobRow], str | None]:
        """A page of schedules, by minute. Raises ValueError."""
        minutes = sorted(self._minutes.get(prefix, ()))
        items, following = await across([_source(client, _key(prefix, one)) for one in minutes], after, limit)
        replies = await ask(client, [(b"GETRANGE", _data(prefix, item.value), 0, SMALL) for item in items])
        rows = []
        for item, reply in zip(items, replies, strict=True):
            # without data it was sent or deleted, or nobody knows what it was
            if data := known(reply):
                rows.append(_row(data, item.value, minutes[item.source]))
        return rows, following

    async def job(self, client: Client, prefix: str, id: str, minute: str) -> JobDetails | None:
        """Return a schedule; None if there is none."""
        data = await self._data(client, prefix, id, DATA_LIMIT)
        if not is_schedule(read_dict(data)):
            return None
        return message_details(data, _row(data, id, minute), None)

    async def delete(self, client: Client, prefix: str, id: str, minute: str) -> None:
        """Remove a schedule as taskiq does. Raises Refused."""
        data, key = _data(prefix, id), _key(prefix, minute)

        async def decide(query: Ask) -> tuple[list[Command], None]:
            (exists,) = await query([(b"EXISTS", data)])
            if not exists:
                raise Refused(f"there is no schedule {id} any more")
            return [(b"DEL", data), (b"LREM", key, 0, id)], None

        await transaction(client, [data], decide)


def _key(prefix: str, minute: str) -> str:
    return f"{prefix}:time:{minute}"


def _data(prefix: str, id: str) -> str:
    return f"{prefix}:data:{id}"


def _row(data: bytes, id: str, minute: str) -> JobRow:
    """The row of a schedule, which goes by its own ID, not by that of the task that it will be."""
    return replace(message_row(data, State.DELAYED, f"minute {minute}"), id=id)


async def _ids(client: Client, key: str, offset: int, count: int) -> list[str]:
    (reply,) = await ask(client, [(b"LRANGE", key, offset, offset + count - 1)])
    return [text(id) for id in known(reply) or ()]


def _source(client: Client, key: str) -> Source[str]:
    async def read(offset: int, count: int) -> list[str]:
        return await _ids(client, key, offset, count)

    return read
