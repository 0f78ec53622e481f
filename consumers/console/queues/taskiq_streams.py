"""One consumer group of a stream in which taskiq's RedisStreamBroker keeps tasks.

Each entry has one field, the message. Workers acknowledge entries and leave them in the stream: those up to the group's
last delivered ID that are not pending have ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from consumers.connecting import Client, Command, slot_of
from consumers.connection import open_link
from consumers.console.asking import BYTES, SLICE, ask, encoded, integer, known, pairs, sliced, text, transaction
from consumers.console.queues.library import JobRow, Refused, State
from consumers.console.queues.stream_groups import entry_order, groups_in, is_entry_id, last_delivered
from consumers.console.queues.taskiq_messages import is_failure, message_id, message_row, read_dict, refreshed
from consumers.console.values import DATA_LIMIT
from consumers.transactions import Ask

__all__ = ["FIELD", "StreamQueue", "data_in", "live_consumers"]

FIELD = b"data"

COUNTED = 200
"""Entries that are counted where the server does not know how many have not been delivered."""

READS = 20
"""Slices that are read for one page of ended tasks."""

PAGE = 100
"""Entries that are deleted at once."""

SMALL = DATA_LIMIT // 16
"""Bytes of a result that are read in a list."""

ASKING_MS, CLAIMED_MS = 60_000, 600_000
"""A worker that has nothing to do asks every few seconds. What one holds is claimed by others after ten minutes."""

Entry = tuple[str, bytes | None]
"""An entry's ID, and its message; None if it has none."""


def live_consumers(reply: Any) -> int | None:
    """How many workers live, of those in a reply of XINFO CONSUMERS; None before Redis 7.2, which can't tell."""
    consumers = [pairs(one) for one in reply] if isinstance(reply, list) else []
    if any(b"inactive" not in one for one in consumers):
        return None
    return sum(int(one[b"idle"]) < (CLAIMED_MS if one[b"pending"] else ASKING_MS) for one in consumers)


def data_in(values: Sequence[bytes]) -> bytes | None:
    """The message in an entry's fields."""
    return values[1] if len(values) == 2 and values[0] == FIELD else None


def _sent(id: str) -> float:
    return entry_order(id)[0] / 1000


class StreamQueue:
    """group: its name; a stream may have been created by a producer, and not have it yet."""

    def __init__(self, client: Client, key: str, group: str) -> None:
        self._client = client
        self.key = key
        self.group = group

    async def _groups(self) -> list[Mapping[bytes, Any]]:
        (reply,) = await ask(self._client, [(b"XINFO", b"GROUPS", self.key)])
        return groups_in(reply)

    def own(self, groups: Sequence[Mapping[bytes, Any]]) -> Mapping[bytes, Any] | None:
        """The facts of this group among those of all."""
        return next((one for one in groups if text(one[b"name"]) == self.group), None)

    async def _last(self) -> str:
        found = self.own(await self._groups())
        return "0-0" if found is None else last_delivered(found)

    async def _read(self, first: str, last: str, count: int) -> list[Entry]:
        """Entries from one ID to another, in slices; fewer than `count` if they are large."""

        async def read(_: int, some: int) -> list[Entry]:
            nonlocal first
            (reply,) = await ask(self._client, [(b"XRANGE", self.key, first, last, b"COUNT", some)])
            page = [(text(id), data_in(values)) for id, values in known(reply) or ()]
            first = f"({page[-1][0]}" if page else first
            return page

        return await sliced(count, lambda entry: len(entry[1] or b""), read)

    async def count_waiting(self, group: Mapping[bytes, Any] | None, length: int) -> tuple[int, bool]:
        """How many entries have not been delivered, and whether that is all. length: of the stream."""
        if group is None:
            return length, True
        if (lag := group.get(b"lag")) is not None:
            return int(lag), True
        found = await self._read(f"({last_delivered(group)}", "+", COUNTED)
        rest = await self._read(f"({found[-1][0]}", "+", 1) if found else []
        return len(found), not rest

    # Jobs. A place is "entry ID".

    async def waiting(self, after: str | None, limit: int) -> tuple[list[JobRow], str | None]:
        """A page of tasks that were not delivered. Raises ValueError."""
        first = _checked(after) or await self._last()
        found = await self._read(f"({first}", "+", limit)
        rows = [message_row(data, State.WAITING, f"entry {id}", _sent(id)) for id, data in found]
        return rows, found[-1][0] if found else None

    async def running(self, after: str | None, limit: int) -> tuple[list[JobRow], str | None]:
        """A page of tasks that a worker has. Raises ValueError."""
        begin = f"({_checked(after)}" if after else "-"
        (reply,) = await ask(self._client, [(b"XPENDING", self.key, self.group, begin, "+", limit)])
        ids = [text(one[0]) for one in reply] if isinstance(reply, list) else []
        rows: list[JobRow] = []
        for id in ids:
            # one of them may have been deleted
            data = next((data for _, data in await self._read(id, id, 1)), None)
            rows.append(message_row(data, State.RUNNING, f"entry {id}", _sent(id)))
        return rows, ids[-1] if len(ids) == limit else None

    async def ended(self, state: State, after: str | None, limit: int) -> tuple[list[JobRow], str | None]:
        """A page of tasks that have ended, newest first: dead are those whose result is kept and says so.

        It may be empty, and not the last. Raises ValueError.
        """
        last, rows, size = _checked(after), list[JobRow](), 0
        last = f"({last}" if last else await self._last()
        for _ in range(READS):
            (reply,) = await ask(self._client, [(b"XREVRANGE", self.key, last, b"-", b"COUNT", SLICE)])
            if not (page := known(reply)):
                return rows, None
            entries: list[Entry] = [(text(id), data_in(values)) for id, values in page]
            last = f"({entries[-1][0]}"
            held = await self._pending(entries[-1][0], entries[0][0])
            gone = [(id, data) for id, data in entries if id not in held]
            results = await ask(
                self._client, [(b"GETRANGE", message_id(read_dict(data), ""), 0, SMALL) for _, data in gone]
            )
            rows += [
                message_row(data, state, f"entry {id}", _sent(id))
                for (id, data), result in zip(gone, results, strict=True)
                if is_failure(known(result)) is (state is State.DEAD)
            ]
            size += sum(len(part) for _, values in page for part in values)
            if len(rows) >= limit or size >= BYTES:
                break
        return rows, last[1:]

    async def _pending(self, first: str, last: str) -> set[str]:
        (reply,) = await ask(self._client, [(b"XPENDING", self.key, self.group, first, last, SLICE)])
        return {text(one[0]) for one in reply} if isinstance(reply, list) else set()

    async def entry(self, id: str) -> tuple[State, bytes | None] | None:
        """Where an entry is, waiting, running or done, and its message; None if there is none."""
        if not is_entry_id(id) or not (found := await self._read(id, id, 1)):
            return None
        if entry_order(id) > entry_order(await self._last()):
            return State.WAITING, found[0][1]
        return State.RUNNING if await self._pending(id, id) else State.DONE, found[0][1]

    # Actions.

    async def _settled(self, groups: Sequence[Mapping[bytes, Any]], id: str) -> bool:
        """Whether every group has been given an entry and has acknowledged it."""
        if any(entry_order(last_delivered(one)) < entry_order(id) for one in groups):
            return False
        replies = await ask(self._client, [(b"XPENDING", self.key, one[b"name"], id, id, 1) for one in groups])
        return not any(replies)

    async def delete(self, id: str) -> None:
        """Remove an entry that no group has been given, or that all have acknowledged. Raises Refused."""
        groups = await self._groups()
        new = all(entry_order(last_delivered(one)) < entry_order(id) for one in groups)
        if not new and not await self._settled(groups, id):
            raise Refused("a worker has the task, or another group of the stream still needs it")
        # what a worker has been given meanwhile is in the list of what it holds
        commands: list[Command] = [(b"XDEL", self.key, id)]
        commands += [(b"XPENDING", self.key, one[b"name"], id, id, 1) for one in groups]
        removed, *pending = await ask(self._client, commands)
        if not integer(removed):
            raise Refused("the task is gone")
        if any(pending):
            raise Refused("a worker has taken the task at this moment, and runs it")

    async def purge_waiting(self) -> int:
        """Delete the entries that are there now and that no group has been given, and count them.

        One that a worker takes at that moment is deleted as well, but it runs, and does not count.
        """
        key = encoded(self.key)
        (newest,) = await ask(self._client, [(b"XREVRANGE", self.key, b"+", b"-", b"COUNT", 1)])
        done = 0
        async with open_link(self._client, key) as link:
            while last := known(newest):
                page = await self._read(f"({_given(await self._groups())}", text(last[0][0]), PAGE)
                if not page:
                    break
                ids = [id for id, _ in page]
                commands: list[Command] = [*((b"XDEL", key, id) for id in ids), (b"XINFO", b"GROUPS", key)]
                *removed, groups = await link.transaction(commands)
                given = entry_order(_given(groups_in(groups)))
                done += sum(integer(reply) for id, reply in zip(ids, removed, strict=True) if entry_order(id) > given)
        return done

    async def purge_ended(self) -> int:
        """Remove the oldest entries, up to the first one that a group still needs, and count them."""
        groups = await self._groups()
        if not groups:
            return 0
        asked: list[Command] = [(b"XPENDING", self.key, one[b"name"], "-", "+", 1) for one in groups]
        needed = [text(reply[0][0]) for reply in await ask(self._client, asked) if isinstance(reply, list) and reply]
        following = min(entry_order(last_delivered(one)) for one in groups)
        needed.append(f"{following[0]}-{following[1] + 1}")
        first = min(needed, key=entry_order)
        (removed,) = await ask(self._client, [(b"XTRIM", self.key, b"MINID", b"=", first)])
        return integer(removed)

    async def redrive(self, id: str, task: str) -> None:
        """Send a task that has failed once more, in place of its entry and its result. Raises Refused."""
        if slot_of(self._client, self.key) != slot_of(self._client, task):
            raise Refused("the queue and the task's result are on different nodes of the cluster")

        async def decide(query: Ask) -> tuple[list[Command], None]:
            found, groups, result = await query([
                (b"XRANGE", self.key, id, id), (b"XINFO", b"GROUPS", self.key), (b"GETRANGE", task, 0, DATA_LIMIT),
            ])  # fmt: skip
            data = data_in(found[0][1]) if found else None
            if data is None or read_dict(data).get("task_id") != task or not is_failure(result):
                raise Refused(f"there is no failed task {task} any more, or it was sent once more already")
            if len(groups) > 1:
                raise Refused("the stream has several groups, which all would be given the task")
            if not await self._settled(groups_in(groups), id):
                raise Refused("a worker has the task")
            return [(b"XDEL", self.key, id), (b"XADD", self.key, b"*", FIELD, refreshed(data)), (b"DEL", task)], None

        await transaction(self._client, [task], decide)


def _given(groups: Sequence[Mapping[bytes, Any]]) -> str:
    """The ID of the last entry that any of the groups has been given."""
    return max(map(last_delivered, groups), key=entry_order, default="0-0")


def _checked(after: str | None) -> str | None:
    if after and not is_entry_id(after):
        raise ValueError(f"{after!r} is not a position in a stream")
    return after
