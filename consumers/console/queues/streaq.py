"""streaQ: a stream and a sorted set for each of a queue's priorities, indexes of what runs and has ended.

streaq:QUEUE:queues:PRIORITY           a stream: IDs of due tasks, and when they were due, in milliseconds
streaq:QUEUE:queues:delayed:PRIORITY   a sorted set: task IDs by the time at which they are due, in milliseconds
streaq:QUEUE:task:data:ID              the task until it has ended: a pickle, unless another form was chosen
streaq:QUEUE:task:retry:ID             how often it has been begun
streaq:QUEUE:task:dependencies:ID      a set: what it waits for; task:dependents:ID: what waits for it
streaq:QUEUE:task:results:ID           the outcome, for as long as it is kept
streaq:QUEUE:index:running             a set: IDs of tasks that a worker runs
streaq:QUEUE:index:results             a sorted set: IDs of ended tasks by the time until which the outcome is kept
streaq:QUEUE:aborted                   a set: IDs of tasks that workers are to stop, or not to begin
streaq:QUEUE:health:WORKER             while that worker is alive

An entry stays in its stream until its task has ended. Workers fetch in advance: fetched entries are pending, but not
all of them run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from coredis.exceptions import RedisError

from consumers.connecting import Client, Command
from consumers.console.asking import ask, integer, known, pairs, text
from consumers.console.queues.counting import StreamCounts
from consumers.console.queues.library import (
    Action,
    Figures,
    JobDetails,
    JobRow,
    Scope,
    State,
    check,
    jobs_text,
    number_in,
)  # fmt: skip
from consumers.console.queues.paging import Source, across, position
from consumers.console.queues.priorities import Priorities
from consumers.console.queues.stream_groups import groups_in, is_entry_id
from consumers.console.queues.streaq_acting import Actor
from consumers.console.queues.streaq_keys import GROUP, Keys, entries_in
from consumers.console.scanning import escaped, scan
from consumers.console.values import DATA_LIMIT, View, call, decoded, error_text, shown, view
from consumers.jobs.clock import Clock, wall_clock

__all__ = ["StreaQ"]


FIRST = 200
"""Entries of a stream that are asked whether they run: they are begun in about this order."""

CONSUMERS = 500
"""Consumers of a stream that are asked for: each worker that ever was has left one."""

READS = 10
"""Pages of streams that are read for one page of waiting tasks: those that run are not among them."""

SMALL = DATA_LIMIT // 16
"""Bytes of a task that are read in a list."""

DEPENDENCIES = 50
"""Tasks that a task waits for, as far as they are shown."""

_KEY = re.compile(
    rb"streaq:(.+?):(?:queues:delayed:(?P<delayed>.+)|queues:(?P<due>.+)|(?P<running>index:running)"
    rb"|(?P<index>index:results|cron:schedule))",
    re.DOTALL,
)
_TYPES = {"delayed": b"zset", "due": b"stream", "running": b"set", "index": b"zset"}


@dataclass(slots=True)
class _Counted:
    """What was read of one queue for its figures.

    added, gone: entries since the streams were first seen. first: the first tasks in the streams, and when they were
    due. groups: streams with workers, and how many have been there; names: theirs.
    """

    running: int
    delayed: int
    entries: int = 0
    added: int = 0
    gone: int = 0
    first: list[tuple[str, float]] = field(default_factory=list)
    groups: list[tuple[str, int]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)


class StreaQ:
    """The reader."""

    name = "streaq"
    title = "streaQ"
    states: ClassVar[tuple[State, ...]] = (
        State.WAITING, State.RUNNING, State.DELAYED, State.PARKED, State.DEAD, State.DONE,
    )  # fmt: skip
    actions: ClassVar[tuple[Action, ...]] = (
        Action("purge", Scope.STATE, (State.WAITING, State.DELAYED), "Tasks that others wait for are kept."),
        Action(
            "abort", Scope.JOB, (State.WAITING, State.RUNNING, State.DELAYED, State.PARKED),
            "A worker stops it, or ends it as failed when its turn comes; tasks that wait for it fail, too.",
        ),
        Action("delete", Scope.JOB, (State.WAITING, State.DELAYED)),
        Action("delete", Scope.JOB, (State.DEAD, State.DONE), "Only the stored result is deleted."),
    )  # fmt: skip
    streams = re.compile(r"streaq:.+:queues:.+", re.DOTALL)
    types = ()
    unseen = (
        "Tasks that wait for other tasks can be listed, not counted, and so can ended ones: failed and successful "
        "tasks are in one index. Results keep no arguments, so only the application can enqueue a failed task again. "
        "Delayed includes the next run of each cron job."
    )

    def __init__(self, clock: Clock = wall_clock) -> None:
        self._clock = clock
        self._priorities = Priorities()
        self._counts = StreamCounts()

    async def find(self, client: Client, keys: Sequence[bytes]) -> set[str]:
        matches = [match for key in keys if key[:7] == b"streaq:" and (match := _KEY.fullmatch(key)) is not None]
        kinds = await ask(client, [(b"TYPE", match[0]) for match in matches])
        found: set[str] = set()
        for match, kind in zip(matches, kinds, strict=True):
            if known(kind) != _TYPES[str(match.lastgroup)]:
                continue
            try:
                queue, priority = match[1].decode(), (match["delayed"] or match["due"] or b"").decode()
            except UnicodeDecodeError:
                continue
            found.add(queue)
            if priority:
                self._priorities.add(queue, priority)
        return found

    def _keys(self, queue: str) -> Keys:
        return Keys(queue, self._priorities.of(queue))

    # Figures.

    async def figures(self, client: Client, queues: Sequence[str]) -> list[Figures]:
        every = [self._keys(queue) for queue in queues]
        counted = await self._count(client, every)
        flags = iter(
            await ask(client, [
                (b"SMISMEMBER", keys.running, *(id for id, _ in one.first))
                for keys, one in zip(every, counted, strict=True) if one.first
            ])
        )  # fmt: skip
        alive = await self._workers(client, every, counted)
        now, found = self._clock(), []
        for queue, one, workers in zip(queues, counted, alive, strict=True):
            runs = (known(next(flags)) or ()) if one.first else ()
            due = [time for (_, time), flag in zip(one.first, runs, strict=False) if not flag]
            waiting = max(0, one.entries - one.running)
            found.append(
                Figures(
                    library=self.name, name=queue, waiting=waiting, running=one.running, delayed=one.delayed,
                    oldest=max(0.0, now - min(due) / 1000) if due and waiting else None, workers=workers,
                    added=one.added, finished=one.gone,
                )
            )  # fmt: skip
        return found

    async def _count(self, client: Client, every: Sequence[Keys]) -> list[_Counted]:
        asked: list[Command] = []
        for keys in every:
            asked += [(b"SCARD", keys.running), *((b"ZCARD", one) for one in keys.delayed)]
            asked += [(b"TYPE", one) for one in keys.streams]
        replies = iter(await ask(client, asked))
        found: list[_Counted] = []
        streams: list[tuple[_Counted, str]] = []
        for keys in every:
            one = _Counted(integer(next(replies)), sum(integer(next(replies)) for _ in keys.delayed))
            found.append(one)
            # about what is no stream, XINFO would be an error
            streams += [(one, stream) for stream in keys.streams if known(next(replies)) == b"stream"]
        asked = []
        for _, stream in streams:
            asked += [
                (b"XINFO", b"STREAM", stream), (b"XINFO", b"GROUPS", stream),
                (b"XRANGE", stream, b"-", b"+", b"COUNT", FIRST),
            ]  # fmt: skip
        replies = iter(await ask(client, asked))
        for one, stream in streams:
            about, groups, entries = next(replies), groups_in(next(replies)), known(next(replies))
            if isinstance(about, RedisError):
                continue
            info = pairs(about)
            added, gone = self._counts.since_first_seen(stream, info)
            one.entries, one.added, one.gone = one.entries + int(info[b"length"]), one.added + added, one.gone + gone
            one.first += [(id, due) for _, id, due in entries_in(entries)]
            ours = [group for group in groups if group[b"name"] == GROUP.encode()]
            one.groups += [(stream, int(group[b"consumers"])) for group in ours]
        return found

    @staticmethod
    async def _workers(client: Client, every: Sequence[Keys], counted: Sequence[_Counted]) -> list[int | None]:
        """How many workers of each queue are alive; None if too many have been there to ask for them."""
        places = [(one, stream) for one in counted for stream, count in one.groups if count <= CONSUMERS]
        replies = await ask(client, [(b"XINFO", b"CONSUMERS", stream, GROUP) for _, stream in places])
        for (one, _), reply in zip(places, replies, strict=True):
            for consumer in map(pairs, reply if isinstance(reply, list) else ()):
                one.names.add(text(consumer.get(b"name")))
        flags = iter(
            await ask(client, [
                (b"EXISTS", keys.health + name) for keys, one in zip(every, counted, strict=True) for name in one.names
            ])
        )  # fmt: skip
        return [
            None if any(count > CONSUMERS for _, count in one.groups) else sum(integer(next(flags)) for _ in one.names)
            for one in counted
        ]

    # Jobs.

    async def jobs(
        self, client: Client, queue: str, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        keys = self._keys(queue)
        if state is State.WAITING:
            return await self._waiting(client, keys, after, limit)
        if state is State.RUNNING:
            ids, following = await self._running(client, keys, after, limit)
            return await self._rows(client, keys, state, [(id, None, "") for id in ids]), following
        if state is State.DELAYED:
            items, following = await across([_in_set(client, key) for key in keys.delayed], after, limit)
            later = [(id, score / 1000, "") for id, score in (item.value for item in items)]
            return await self._rows(client, keys, state, later), following
        if state is State.PARKED:
            prefix = keys.dependencies("")
            found, following = await scan(client, f"{escaped(prefix)}*", after, limit, "set")
            ids = [text(key.removeprefix(prefix.encode())) for key in found]
            return await self._rows(client, keys, state, [(id, None, "") for id in ids]), following
        return await self._ended(client, keys, state, after, limit)

    @staticmethod
    async def _running(client: Client, keys: Keys, after: str | None, limit: int) -> tuple[list[str], str | None]:
        (reply,) = await ask(client, [(b"SSCAN", keys.running, after or "0", b"COUNT", limit)])
        if not (found := known(reply)):
            return [], None
        cursor = text(found[0])
        return [text(id) for id in found[1]], None if cursor == "0" else cursor

    async def _waiting(
        self, client: Client, keys: Keys, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        number, _, last = (after or "0:").partition(":")
        if not number.isdecimal() or not (last == "" or is_entry_id(last)):
            raise ValueError(f"{after!r} is not a position in a list of tasks")
        index, reads = int(number[:9]), 0
        chosen: list[tuple[str, float | None, str]] = []
        while index < len(keys.streams) and len(chosen) < limit and reads < READS:
            first, wanted = f"({last}" if last else "-", limit - len(chosen)
            (reply,) = await ask(client, [(b"XRANGE", keys.streams[index], first, b"+", b"COUNT", wanted)])
            reads += 1
            if not (page := known(reply)):
                index, last = index + 1, ""
                continue
            last = text(page[-1][0])
            some = entries_in(page)
            flags = await _members(client, keys.running, [id for _, id, _ in some])
            chosen += [
                (id, None, f"{index} {entry}") for (entry, id, _), runs in zip(some, flags, strict=True) if not runs
            ]
        rows = await self._rows(client, keys, State.WAITING, chosen)
        return rows, f"{index}:{last}" if index < len(keys.streams) else None

    @staticmethod
    async def _rows(
        client: Client, keys: Keys, state: State, tasks: Sequence[tuple[str, float | None, str]]
    ) -> list[JobRow]:
        """The rows of tasks, by ID, the time at which they are due, and place."""
        replies = await ask(
            client, [
                command for id, _, _ in tasks
                for command in ((b"GETRANGE", keys.data(id), 0, SMALL), (b"GETRANGE", keys.retry(id), 0, 20))
            ],
        )  # fmt: skip
        return [
            _row(id, state, _fields(known(data)), due, known(tries), place)
            for (id, due, place), data, tries in zip(tasks, replies[::2], replies[1::2], strict=True)
        ]

    async def _ended(
        self, client: Client, keys: Keys, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        """A page of the index of ended tasks, whose outcome is kept and of this kind: it may be empty."""
        _, start = position(after)
        bounds = (f"({int(self._clock() * 1000)}", b"+inf", b"BYSCORE", b"LIMIT", start, limit)
        (reply,) = await ask(client, [(b"ZRANGE", keys.results, *bounds)])
        ids = [text(id) for id in known(reply) or ()]
        replies = await ask(client, [(b"GETRANGE", keys.result(id), 0, SMALL) for id in ids])
        rows = []
        for id, data in zip(ids, replies, strict=True):
            fields = _fields(known(data))
            if known(data) and (fields.get("s") is False) is (state is State.DEAD):
                rows.append(_row(id, state, fields, None, None))
        return rows, f"0:{start + limit}" if len(ids) == limit else None

    async def job(self, client: Client, queue: str, id: str, place: str = "") -> JobDetails | None:
        keys = self._keys(queue)
        replies = await ask(
            client,
            [
                (b"GETRANGE", keys.data(id), 0, DATA_LIMIT), (b"GETRANGE", keys.result(id), 0, DATA_LIMIT),
                (b"GETRANGE", keys.retry(id), 0, 20), (b"SISMEMBER", keys.running, id),
                (b"SISMEMBER", keys.aborted, id), (b"SSCAN", keys.dependencies(id), 0, b"COUNT", DEPENDENCIES),
                *((b"ZSCORE", key, id) for key in keys.delayed),
            ],
        )  # fmt: skip
        data, result, tries, running, aborted, dependencies, *scores = (known(reply) for reply in replies)
        due = next((float(score) for score in scores if score is not None), None)
        if not data:
            return _outcome(id, result) if result else None
        waits = [text(one) for one in dependencies[1]][:DEPENDENCIES] if dependencies else []
        state = State.WAITING
        if running:
            state = State.RUNNING
        elif due is not None:
            state = State.DELAYED
        elif waits:
            state = State.PARKED
        fields = _fields(data)
        told = {
            "waits for": waits, "takes the result of": fields.get("A"), "fallback for": fields.get("F"),
            "followed by": fields.get("T") or fields.get("O"), "to be aborted": bool(aborted) or None,
        }  # fmt: skip
        kind, _ = decoded(data)
        return JobDetails(
            row=_row(id, state, fields, None if due is None else due / 1000, tries, place),
            arguments=shown({"args": fields.get("a"), "kwargs": fields.get("k")}, kind) if fields else view(data),
            raw=tuple((name, shown(value)) for name, value in told.items() if value),
        )

    # Actions.

    async def act(
        self, client: Client, queue: str, action: str, *, state: State | None = None, id: str = "", place: str = ""
    ) -> str:
        chosen, actor = check(self, action, state, id), Actor(client, self._keys(queue))
        if chosen.name == "abort":
            await actor.abort(id)
            return f"The task {id} is aborted as soon as a worker sees it."
        if chosen.name == "purge":
            count = await (actor.purge_delayed() if state is State.DELAYED else actor.purge_waiting())
            return jobs_text(count, "deleted")
        if state in (State.DEAD, State.DONE):
            await actor.delete_result(id)
            return f"The result of {id} was deleted."
        await actor.delete(id, place)
        return f"The task {id} was deleted."


async def _members(client: Client, key: str, ids: Sequence[str]) -> list[bool]:
    """Which of these are in a set."""
    if not ids:
        return []
    (reply,) = await ask(client, [(b"SMISMEMBER", key, *ids)])
    return [bool(flag) for flag in known(reply) or [0] * len(ids)]


def _in_set(client: Client, key: str) -> Source[tuple[str, float]]:
    async def read(offset: int, count: int) -> list[tuple[str, float]]:
        (reply,) = await ask(client, [(b"ZRANGE", key, offset, offset + count - 1, b"WITHSCORES")])
        return [(text(id), float(score)) for id, score in known(reply) or ()]

    return read


def _fields(data: bytes | None) -> dict[str, Any]:
    if not data:
        return {}
    _, value = decoded(data)
    return value if isinstance(value, dict) else {}


def _row(
    id: str, state: State, fields: dict[str, Any], due: float | None, attempts: bytes | None, place: str = ""
) -> JobRow:
    """fields: of the task, or of its outcome, which has no arguments."""
    function = fields.get("f")
    ended = state in (State.DEAD, State.DONE)
    enqueued = number_in(fields.get("ct" if ended else "t"))
    tries = number_in(fields.get("t") if ended else attempts)
    summary = call(function, fields.get("a"), fields.get("k")) if isinstance(function, str) else "a task"
    if ended and isinstance(function, str):
        summary = function
    if state is State.DEAD:
        summary = f"{summary}: {error_text(fields.get('r'))[:200]}"
    return JobRow(
        id=id,
        state=state,
        function=function if isinstance(function, str) else None,
        enqueued=None if enqueued is None else enqueued / 1000,
        due=due,
        attempts=None if tries is None else int(tries),
        summary=summary,
        place=place,
    )


def _outcome(id: str, data: bytes) -> JobDetails:
    """A task that has ended."""
    fields = _fields(data)
    state = State.DEAD if fields.get("s") is False else State.DONE
    kind, _ = decoded(data)
    times: dict[str, Any] = {"begun": fields.get("st"), "ended": fields.get("ft"), "worker": fields.get("w")}
    result: View | None = None
    if state is State.DONE:
        result = shown(fields.get("r"), kind) if fields else view(data)
    return JobDetails(
        row=_row(id, state, fields, None, None),
        result=result,
        error=error_text(fields.get("r")) if state is State.DEAD else None,
        raw=tuple((name, shown(value)) for name, value in times.items() if value is not None),
    )
