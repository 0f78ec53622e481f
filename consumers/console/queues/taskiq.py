"""taskiq with taskiq-redis: a list or a stream for each queue, results by task ID, and schedules by minute.

QUEUE ("taskiq")      a list (ListQueueBroker), whose right end is next, or a stream (RedisStreamBroker)
ID, or PREFIX:ID      a task's result, with an error's type and arguments
PREFIX ("schedule")   is what the keys of a schedule source begin with, see taskiq_schedules.py

Names say nothing, so that lists and streams are recognised by what is in them. A worker takes a message out of a list,
and nothing says that it has it; for streams see taskiq_streams.py. A stream's group "taskiq" goes by the name of the
stream, another group by "STREAM|GROUP".
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from coredis.exceptions import RedisError

from consumers.connecting import Client, Command
from consumers.console.asking import ask, integer, known, pairs, sliced, text, transaction
from consumers.console.queues.counting import StreamCounts
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
)
from consumers.console.queues.paging import Item, Source, across, position
from consumers.console.queues.stream_groups import entry_order, groups_in, last_delivered
from consumers.console.queues.taskiq_messages import (
    is_failure,
    is_message,
    message_details,
    message_id,
    message_row,
    outcome_of,
    read_dict,
)
from consumers.console.queues.taskiq_schedules import Schedules
from consumers.console.queues.taskiq_streams import StreamQueue, data_in, live_consumers
from consumers.console.values import DATA_LIMIT
from consumers.jobs.clock import Clock, wall_clock
from consumers.transactions import Ask

__all__ = ["Taskiq"]

USUAL = "taskiq"
"""The usual name of a queue, and of a stream's group."""

PEEKED = 100
"""Lists and streams of one slice of keys that are looked into; of more than that, these are drawn at random."""

SMALL = 64 << 10
"""Bytes that an element of a list or stream may have, on average, to be looked into."""

CONSUMERS = 1000
"""Consumers of a group that are asked for: each worker that ever was has left one."""

BEFORE, BEHIND = 500, 50
"""Where a message is looked for in a list, around the place where it was: those before it may have been taken."""


class Taskiq:
    """The reader."""

    name = "taskiq"
    title = "taskiq"
    states: ClassVar[tuple[State, ...]] = (State.WAITING, State.RUNNING, State.DELAYED, State.DEAD, State.DONE)
    actions: ClassVar[tuple[Action, ...]] = (
        Action("purge", Scope.STATE, (State.WAITING,)),
        Action(
            "purge", Scope.STATE, (State.DONE,),
            "All ended tasks leave the stream, failed ones, too, up to the first that a group still needs.",
        ),
        Action("redrive", Scope.JOB, (State.DEAD,), "The task's result is replaced by that of the new run."),
        Action("delete", Scope.JOB, (State.WAITING, State.DELAYED)),
        Action("delete", Scope.JOB, (State.DEAD, State.DONE), "The result is kept."),
    )  # fmt: skip
    streams = None
    types = ("list", "stream")
    unseen = (
        "A list says nothing of tasks that are running or have ended. In a stream, running includes what a worker has "
        "fetched in advance, and ended tasks can be listed, not counted: failed are those with a result under their "
        "plain ID. Delayed are the one-time schedules of a source whose prefix is this name; cron and interval "
        "schedules, and messages in a form of the application's own, are not shown."
    )

    def __init__(self, clock: Clock = wall_clock) -> None:
        self._clock = clock
        self._schedules = Schedules()
        self._counts = StreamCounts()

    # Finding.

    async def find(self, client: Client, keys: Sequence[bytes]) -> set[str]:
        names = [one for one in (_name(key) for key in keys) if one] if keys else [USUAL]
        found = await self._schedules.find(client, keys)
        names = [one for one in names if ":time:" not in one]
        if len(names) > PEEKED:
            names = random.sample(names, PEEKED)
        kinds = [known(reply) for reply in await ask(client, [(b"TYPE", one) for one in names])]
        lists = [one for one, kind in zip(names, kinds, strict=True) if kind == b"list"]
        streams = [one for one, kind in zip(names, kinds, strict=True) if kind == b"stream"]
        return found | await self._in_lists(client, lists) | await self._in_streams(client, streams)

    async def _in_lists(self, client: Client, names: Sequence[str]) -> set[str]:
        small = await _small(client, names, b"LLEN")
        replies = await ask(client, [(b"LINDEX", one, 0) for one in small])
        return {
            _joined(one, USUAL)
            for one, reply in zip(small, replies, strict=True)
            if is_message(read_dict(known(reply)))
        }

    async def _in_streams(self, client: Client, names: Sequence[str]) -> set[str]:
        small = await _small(client, names, b"XLEN")
        newest = await ask(client, [(b"XREVRANGE", one, b"+", b"-", b"COUNT", 1) for one in small])
        groups = await ask(client, [(b"XINFO", b"GROUPS", one) for one in small])
        found: set[str] = set()
        for name, entries, reply in zip(small, newest, groups, strict=True):
            named = [text(group[b"name"]) for group in groups_in(reply)]
            if page := known(entries):
                if not is_message(read_dict(data_in(page[0][1]))):
                    continue
            elif USUAL not in named:
                continue
            found |= {_joined(name, one) for one in named or [USUAL] if "|" not in one}
        return found

    # Figures.

    async def figures(self, client: Client, queues: Sequence[str]) -> list[Figures]:
        every = [StreamQueue(client, *_parted(queue)) for queue in queues]
        kinds = [known(reply) for reply in await ask(client, [(b"TYPE", one.key) for one in every])]
        lists = [one.key for one, kind in zip(every, kinds, strict=True) if kind == b"list"]
        lengths = dict(zip(lists, await ask(client, [(b"LLEN", key) for key in lists]), strict=True))
        delayed = await self._schedules.counts(client, queues)
        found = []
        for queue, one, kind, later in zip(queues, every, kinds, delayed, strict=True):
            count, complete = later or (None, True)
            figures = Figures(
                library=self.name, name=queue, waiting=integer(lengths.get(one.key)), delayed=count, exact=complete
            )
            found.append(await self._of_stream(client, one, figures) if kind == b"stream" else figures)
        return found

    async def _of_stream(self, client: Client, one: StreamQueue, figures: Figures) -> Figures:
        """Add what a stream tells."""
        about, reply = await ask(client, [(b"XINFO", b"STREAM", one.key), (b"XINFO", b"GROUPS", one.key)])
        if isinstance(about, RedisError):
            return figures
        info, group = pairs(about), one.own(groups_in(reply))
        waiting, exact = await one.count_waiting(group, int(info[b"length"]))
        running = 0 if group is None else int(group[b"pending"])
        last = "0-0" if group is None else last_delivered(group)
        asked: list[Command] = [(b"XRANGE", one.key, f"({last}", b"+", b"COUNT", 1)]
        if group is not None and group[b"consumers"] <= CONSUMERS:
            asked.append((b"XINFO", b"CONSUMERS", one.key, one.group))
        first, *consumers = await ask(client, asked)
        age = None
        if page := known(first):
            age = max(0.0, self._clock() - entry_order(text(page[0][0]))[0] / 1000)
        added = gone = None
        if exact:
            # ended tasks stay in the stream
            left = {b"entries-added": info[b"entries-added"], b"length": waiting + running}
            added, gone = self._counts.since_first_seen(figures.name, left)
        return replace(
            figures, waiting=waiting, running=running, oldest=age, added=added, finished=gone,
            workers=live_consumers(consumers[0]) if consumers else None if group else 0,
            exact=exact and figures.exact,
        )  # fmt: skip

    # Jobs. A place is "list OFFSET", or as taskiq_streams.py and taskiq_schedules.py say.

    async def jobs(
        self, client: Client, queue: str, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        if state is State.DELAYED:
            return await self._schedules.jobs(client, queue, after, limit)
        key, group = _parted(queue)
        stream = StreamQueue(client, key, group)
        (kind,) = await ask(client, [(b"TYPE", key)])
        if known(kind) == b"stream":
            if state is State.WAITING:
                return await stream.waiting(after, limit)
            if state is State.RUNNING:
                return await stream.running(after, limit)
            return await stream.ended(state, after, limit)
        if state is not State.WAITING:
            return [], None
        items, following = await across([_in_list(client, key)], after, limit, len)
        return [message_row(item.value, state, f"list {item.place}") for item in items], following

    async def job(self, client: Client, queue: str, id: str, place: str = "") -> JobDetails | None:
        kind, _, rest = place.partition(" ")
        if kind == "minute":
            return await self._schedules.job(client, queue, id, rest)
        key, group = _parted(queue)
        (reply,) = await ask(client, [(b"GETRANGE", id, 0, DATA_LIMIT)])
        result = known(reply)
        if kind == "entry":
            found = await StreamQueue(client, key, group).entry(rest)
            if found is None or message_id(read_dict(found[1]), place) != id:
                return None
            state, data = found
            if state is State.DONE and is_failure(result):
                state = State.DEAD
            return message_details(data or b"", message_row(data, state, place, entry_order(rest)[0] / 1000), result)
        if (item := await self._find(client, key, id, rest)) is not None:
            row = message_row(item.value, State.WAITING, f"list {item.place}")
            return message_details(item.value, row, result)
        returned, error = outcome_of(result)
        if returned is None and error is None:
            return None
        row = JobRow(id=id, state=State.DEAD if error else State.DONE, summary="a task")
        return JobDetails(row=row, result=returned, error=error)

    @staticmethod
    async def _find(client: Client, key: str, id: str, rest: str) -> Item[bytes] | None:
        """A message in a list, looked for where it was, and a little around that."""
        _, offset = position(rest)
        start = max(0, offset - BEFORE)
        for index, data in enumerate(await _in_list(client, key)(start, offset - start + BEHIND)):
            if message_id(read_dict(data), f"list 0:{start + index}") == id:
                return Item(0, start + index, data)
        return None

    # Actions.

    async def act(
        self, client: Client, queue: str, action: str, *, state: State | None = None, id: str = "", place: str = ""
    ) -> str:
        chosen = check(self, action, state, id)
        key, group = _parted(queue)
        stream, (kind, _, rest) = StreamQueue(client, key, group), place.partition(" ")
        if chosen.name == "purge":
            return jobs_text(await self._purge(client, stream, state), "deleted")
        if kind == "minute":
            await self._schedules.delete(client, queue, id, rest)
            return f"The schedule {id} was deleted."
        if kind == "entry":
            found = await stream.entry(rest)
            if found is None or message_id(read_dict(found[1]), place) != id:
                raise Refused(f"there is no task {id} any more")
            if chosen.name == "redrive":
                await stream.redrive(rest, id)
                return f"The task {id} was sent once more."
            await stream.delete(rest)
            return f"The task {id} was deleted."
        if chosen.name == "redrive" or (item := await self._find(client, key, id, rest)) is None:
            raise Refused(f"there is no task {id} any more, or it has moved too far: list the tasks again")
        (removed,) = await ask(client, [(b"LREM", key, -1, item.value)])
        if not integer(removed):
            raise Refused(f"the task {id} is gone: a worker has taken it")
        return f"The task {id} was deleted."

    @staticmethod
    async def _purge(client: Client, stream: StreamQueue, state: State | None) -> int:
        (kind,) = await ask(client, [(b"TYPE", stream.key)])
        if known(kind) == b"stream":
            return await (stream.purge_ended() if state is State.DONE else stream.purge_waiting())
        if state is State.DONE:
            raise Refused("a list keeps nothing of tasks that have ended")

        async def decide(query: Ask) -> tuple[list[Command], int]:
            (kind,) = await query([(b"TYPE", stream.key)])
            if kind != b"list":
                return [], 0
            (count,) = await query([(b"LLEN", stream.key)])
            return [(b"UNLINK", stream.key)], int(count)

        return await transaction(client, [stream.key], decide)


async def _small(client: Client, names: Sequence[str], length: bytes) -> list[str]:
    """Those whose first element is likely to be small: no command reads a part of one."""
    counts = await ask(client, [(length, one) for one in names])
    sizes = await ask(client, [(b"MEMORY", b"USAGE", one, b"SAMPLES", 1) for one in names])
    return [
        one
        for one, count, size in zip(names, counts, sizes, strict=True)
        if isinstance(size, int) and size <= SMALL * max(1, integer(count))
    ]


def _in_list(client: Client, key: str) -> Source[bytes]:
    """Reads messages in the order in which they will be taken."""

    async def read(offset: int, count: int) -> list[bytes]:
        (reply,) = await ask(client, [(b"LRANGE", key, -offset - count, -offset - 1)])
        return list(reversed(known(reply) or ()))

    async def in_slices(offset: int, count: int) -> list[bytes]:
        return await sliced(count, len, lambda start, some: read(offset + start, some))

    return in_slices


def _name(key: bytes) -> str | None:
    """A key as a name; None for one that is no text, which no program of taskiq's can have named."""
    try:
        return key.decode()
    except UnicodeDecodeError:
        return None


def _joined(key: str, group: str) -> str:
    return key if group == USUAL and "|" not in key else f"{key}|{group}"


def _parted(queue: str) -> tuple[str, str]:
    key, bar, group = queue.rpartition("|")
    return (key, group) if bar else (queue, USUAL)
