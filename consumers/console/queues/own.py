"""consumers' own job queues: streams by priority, a sorted set of delayed jobs, dead letters, workers' reports.

consumers.jobs.names has the keys. A queue's priorities are known to its program only; those of the streams that were
seen are remembered, the usual ones are asked for in any case.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

import msgspec
from coredis.exceptions import RedisError, WrongTypeError

from consumers.connecting import Client, Command, Reply
from consumers.connection import open_link
from consumers.console.asking import ask, integer, known, pairs, text
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
from consumers.console.queues.paging import position
from consumers.console.queues.priorities import Priorities
from consumers.console.values import View, call, shown, view
from consumers.deadletters import read_letter
from consumers.jobs.clock import Clock, wall_clock
from consumers.jobs.dead import dead_job
from consumers.jobs.entries import read_entry
from consumers.jobs.locating import body_info, entry_info, locate, running_info
from consumers.jobs.names import GROUP, RESERVED, Keys
from consumers.jobs.queue import Queue
from consumers.jobs.reports import WorkerReport, alive, reports_in, running_jobs
from consumers.jobs.states import JobInfo, JobState

__all__ = ["Own"]

WORKERS = 500
"""Fields of a queue's hash of workers that are read."""

READS = 10
"""Pages of streams that are read for one page of waiting jobs: those that are running are not among them."""

SEARCHED = 5
"""Pages of 1000 entries of each stream in which a job is looked for that is no longer where it was."""

STREAMS = 100_000
"""Streams of all queues whose counters are read."""

_KEY = re.compile(rb"jobs:\{([^{}]+)\}:(.+)", re.DOTALL)
_OTHERS = re.compile(r"(result|place|id|running|parked|flow|calls|turns):")

STATES = {
    State.WAITING: JobState.WAITING, State.DELAYED: JobState.DELAYED, State.PARKED: JobState.PARKED,
    State.DEAD: JobState.FAILED,
}  # fmt: skip


class Own:
    """The reader."""

    name = "consumers"
    title = "consumers"
    states: ClassVar[tuple[State, ...]] = (State.WAITING, State.RUNNING, State.DELAYED, State.PARKED, State.DEAD)
    actions: ClassVar[tuple[Action, ...]] = (
        Action("pause", Scope.QUEUE),
        Action("resume", Scope.QUEUE),
        Action("redrive", Scope.STATE, (State.DEAD,)),
        Action("purge", Scope.STATE, tuple(STATES), "Programs that wait for their results learn of a cancellation."),
        Action("redrive", Scope.JOB, (State.DEAD,)),
        Action("delete", Scope.JOB, states, "A job that is running is told to stop."),
    )
    streams = None
    types = ()
    unseen = "Jobs that have ended well are found by their IDs only, while their results are kept."

    def __init__(self, clock: Clock = wall_clock) -> None:
        self._clock = clock
        self._priorities = Priorities()
        self._streams: set[str] = set()
        self._counts = StreamCounts()

    async def find(self, client: Client, keys: Sequence[bytes]) -> set[str]:
        found: set[str] = set()
        for key in keys:
            if (match := _KEY.fullmatch(key)) is None:
                continue
            try:
                name, rest = match[1].decode(), match[2].decode()
            except UnicodeDecodeError:
                continue
            found.add(name)
            if rest not in RESERVED and not _OTHERS.match(rest) and self._priorities.add(name, rest):
                self._remember(key.decode())
        return found

    def _keys(self, queue: str) -> Keys:
        if not queue or "{" in queue or "}" in queue or not _is_utf8(queue):
            raise Refused(f"{queue!r} is not the name of a job queue")
        return Keys(queue, self._priorities.of(queue))

    # Figures.

    async def figures(self, client: Client, queues: Sequence[str]) -> list[Figures]:
        every = [self._keys(queue) for queue in queues]
        asked: list[list[Command]] = [
            [
                (b"ZCARD", keys.later), (b"HLEN", keys.bodies), (b"XLEN", keys.dead), (b"EXISTS", keys.paused),
                (b"HSCAN", keys.workers, 0, b"COUNT", WORKERS), *map(self._size, keys.in_order),
            ]
            for keys in every
        ]  # fmt: skip
        replies = iter(await ask(client, [command for commands in asked for command in commands]))
        now = self._clock()
        found: list[Figures] = []
        nonempty: list[tuple[int, str]] = []
        for index, (queue, keys) in enumerate(zip(queues, every, strict=True)):
            delayed, stored, dead, paused = (integer(next(replies)) for _ in range(4))
            reports, complete = _reports(known(next(replies)))
            counts = [self._counted(stream, next(replies)) for stream in keys.in_order]
            lengths = [length for length, _, _ in counts]
            nonempty += [(index, one) for one, length in zip(keys.in_order, lengths, strict=True) if length]
            running = len(running_jobs(reports, now))
            found.append(
                Figures(
                    library=self.name, name=queue, waiting=max(0, sum(lengths) - running), running=running,
                    delayed=max(delayed, stored), dead=dead, paused=bool(paused),
                    workers=sum(alive(report, now) for report in reports), exact=complete,
                    added=sum(added for _, added, _ in counts), finished=sum(gone for _, _, gone in counts),
                )
            )  # fmt: skip
        return await self._with_oldest(client, found, nonempty)

    def _size(self, stream: str) -> Command:
        """What to ask for a stream's length, and for its counter if there is such a stream: else that is an error."""
        return (b"XINFO", b"STREAM", stream) if stream in self._streams else (b"XLEN", stream)

    def _remember(self, stream: str) -> None:
        if len(self._streams) < STREAMS:
            self._streams.add(stream)

    def _counted(self, stream: str, reply: Reply) -> tuple[int, int, int]:
        """The stream's length, how many entries were added to it since it was first seen, and how many have left."""
        if stream not in self._streams:
            if length := integer(reply):
                self._remember(stream)
            return length, 0, 0
        if isinstance(reply, RedisError):
            # there is none any more, or what has its name is no stream
            self._streams.discard(stream)
            return 0, 0, 0
        info = pairs(reply)
        return int(info[b"length"]), *self._counts.since_first_seen(stream, info)

    async def _with_oldest(
        self, client: Client, figures: list[Figures], streams: Sequence[tuple[int, str]]
    ) -> list[Figures]:
        """Add the age of the first entry of each queue that no worker has taken."""
        groups = await ask(client, [(b"XINFO", b"GROUPS", one) for _, one in streams])
        first: list[Command] = []
        for (_, stream), reply in zip(streams, groups, strict=True):
            last = "-"
            for group in reply if isinstance(reply, list) else ():
                about = pairs(group)
                if about.get(b"name") == GROUP.encode():
                    last = f"({text(about[b'last-delivered-id'])}"
            first.append((b"XRANGE", stream, last, b"+", b"COUNT", 1))
        oldest: dict[int, float] = {}
        now = self._clock()
        for (index, _), reply in zip(streams, await ask(client, first), strict=True):
            if entries := known(reply):
                age = max(0.0, now - int(entries[0][0].partition(b"-")[0]) / 1000)
                oldest[index] = max(age, oldest.get(index, 0.0))
        return [
            replace(one, oldest=oldest[index]) if index in oldest and one.waiting else one
            for index, one in enumerate(figures)
        ]

    # Jobs.

    async def jobs(
        self, client: Client, queue: str, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        keys = self._keys(queue)
        if state is State.RUNNING:
            return await self._running(client, keys, after, limit)
        if state is State.WAITING:
            return await self._in_streams(client, keys, after, limit)
        if state is State.DEAD:
            return await self._dead(client, keys, after, limit)
        if state is State.DELAYED:
            return await self._delayed(client, keys, after, limit)
        if state is State.PARKED:
            return await self._parked(client, keys, after, limit)
        return [], None

    async def _read_reports(self, client: Client, keys: Keys) -> list[WorkerReport]:
        (reply,) = await ask(client, [(b"HSCAN", keys.workers, 0, b"COUNT", WORKERS)])
        return _reports(known(reply))[0]

    async def _running(
        self, client: Client, keys: Keys, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        _, offset = position(after)
        reports = await self._read_reports(client, keys)
        pairs = sorted(running_jobs(reports, self._clock()).values(), key=lambda pair: pair[1].begun)
        page = pairs[offset : offset + limit]
        replies = await ask(client, [(b"XRANGE", job.stream, job.entry, job.entry) for _, job in page])
        rows = []
        for (report, job), reply in zip(page, replies, strict=True):
            entries = known(reply)
            info = running_info(report, job, read_entry(entries[0][1]) if entries else None)
            rows.append(_row(info, f"{job.stream} {job.entry}"))
        return rows, f"0:{offset + limit}" if len(pairs) > offset + limit else None

    async def _in_streams(
        self, client: Client, keys: Keys, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        running = running_jobs(await self._read_reports(client, keys), self._clock())
        number, _, last = (after or "0:").partition(":")
        if not number.isdecimal():
            raise ValueError(f"{after!r} is not a position in a list of jobs")
        rows: list[JobRow] = []
        reads = 0
        for index in range(int(number), len(keys.in_order)):
            stream = keys.in_order[index]
            while len(rows) < limit and reads < READS:
                first = f"({last}" if last else "-"
                (reply,) = await ask(client, [(b"XRANGE", stream, first, b"+", b"COUNT", limit - len(rows))])
                page = known(reply) or []
                reads += 1
                for id, values in page:
                    last = id.decode()
                    entry = read_entry(values)
                    if entry is not None and entry.id not in running:
                        rows.append(_row(entry_info(entry, JobState.WAITING, stream), f"{stream} {last}"))
                if not page:
                    break
            if len(rows) >= limit or reads >= READS:
                return rows, f"{index}:{last}"
            last = ""
        return rows, None

    async def _dead(self, client: Client, keys: Keys, after: str | None, limit: int) -> tuple[list[JobRow], str | None]:
        first = f"({after}" if after else "-"
        (reply,) = await ask(client, [(b"XRANGE", keys.dead, first, b"+", b"COUNT", limit)])
        page = known(reply) or []
        rows = []
        for id, values in page:
            if (entry := read_entry(values)) is not None:
                letter = read_letter(id, values)
                info = entry_info(entry, JobState.FAILED, "")
                rows.append(_row(info, f"{keys.dead} {id.decode()}", letter.reason if letter else ""))
        return rows, page[-1][0].decode() if len(page) == limit else None

    async def _delayed(
        self, client: Client, keys: Keys, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        _, offset = position(after)
        (reply,) = await ask(client, [(b"ZRANGE", keys.later, offset, offset + limit - 1, b"WITHSCORES")])
        due = {text(id): float(score) for id, score in known(reply) or ()}
        rows = [
            _row(body_info(id, body, JobState.DELAYED, due=due[id]), "bodies")
            for id, body in await self._bodies(client, keys, list(due))
        ]
        return rows, f"0:{offset + limit}" if len(due) == limit else None

    async def _parked(
        self, client: Client, keys: Keys, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        """A page of jobs that are stored outside the streams, without those that wait for a time."""
        cursor = after or "0"
        (reply,) = await ask(client, [(b"HSCAN", keys.bodies, cursor, b"COUNT", limit)])
        if not (found := known(reply)):
            return [], None
        cursor, pairs = text(found[0]), found[1]
        ids = [text(id) for id in pairs[::2]]
        scores = await ask(client, [(b"ZSCORE", keys.later, id) for id in ids])
        rows = []
        for id, body, score in zip(ids, pairs[1::2], scores, strict=True):
            if known(score) is None:
                rows.append(_row(body_info(id, body, JobState.PARKED), "bodies"))
        return rows, None if cursor == "0" else cursor

    async def _bodies(self, client: Client, keys: Keys, ids: Sequence[str]) -> list[tuple[str, bytes]]:
        if not ids:
            return []
        (reply,) = await ask(client, [(b"HMGET", keys.bodies, *ids)])
        return [(id, body) for id, body in zip(ids, known(reply) or [], strict=False) if body is not None]

    async def job(self, client: Client, queue: str, id: str, place: str = "") -> JobDetails | None:
        keys = self._keys(queue)
        stream, entry_id = self._where(keys, place)
        letter = None
        if stream == keys.dead:
            (reply,) = await ask(client, [(b"XRANGE", stream, entry_id, entry_id)])
            letters = [read_letter(one, values) for one, values in known(reply) or ()]
            letter = next((one for one in letters if one and one.fields.get("id") == id.encode()), None)
        async with open_link(client, keys.later) as link:
            hint = (stream, entry_id.encode()) if stream else None
            try:
                found = await locate(link, keys, id, self._clock, hint, most=SEARCHED)
            except WrongTypeError:
                raise Refused("some of the queue's keys are of another type") from None
        info = found.info
        if info.state is JobState.UNKNOWN:
            return None
        raw = _raw(info)
        if letter is not None:
            died = dead_job(letter)
            raw += ((("died", View("time", f"{died.time:.3f}")),) if died else ()) + (
                ("deliveries", View("data", str(letter.delivery_count))), ("consumer", View("text", letter.consumer)),
            )  # fmt: skip
        arguments = info.arguments
        if arguments is None and letter is not None and (died := dead_job(letter)) is not None:
            arguments = died.arguments
        return JobDetails(
            row=_row(info, place),
            arguments=None if arguments is None else shown(arguments, "msgpack"),
            result=None if found.result is None else _result(found.result),
            error=(letter.reason if letter else None) or info.error,
            raw=raw,
        )

    @staticmethod
    def _where(keys: Keys, place: str) -> tuple[str, str]:
        """The stream and the entry's ID in a row's place; empty for a job that was in no stream."""
        stream, _, entry_id = place.rpartition(" ")
        return (stream, entry_id) if stream in (*keys.in_order, keys.dead) else ("", "")

    # Actions.

    @asynccontextmanager
    async def _opened(self, client: Client, queue: str) -> AsyncIterator[Queue]:
        self._keys(queue)
        async with Queue(queue, priorities=self._priorities.of(queue), clock=self._clock).open(client) as opened:
            yield opened

    async def act(
        self, client: Client, queue: str, action: str, *, state: State | None = None, id: str = "", place: str = ""
    ) -> str:
        chosen = check(self, action, state, id)
        try:
            return await self._act(client, queue, chosen, state, id, place)
        except WrongTypeError:
            raise Refused("some of the queue's keys are of another type") from None
        except ValueError as error:
            raise Refused(f"a stored job is damaged: {error}") from None

    async def _act(self, client: Client, queue: str, chosen: Action, state: State | None, id: str, place: str) -> str:
        async with self._opened(client, queue) as opened:
            if chosen.name == "pause":
                await opened.pause()
                return "The queue is paused: its workers take no more jobs."
            if chosen.name == "resume":
                await opened.resume()
                return "The queue is no longer paused."
            if chosen.name == "purge" and state is not None:
                return jobs_text(await opened.purge(STATES[state]), "removed")
            if chosen.name == "delete":
                stream, entry_id = self._where(opened.keys, place)
                hint = (stream, entry_id.encode()) if stream else None
                if not await opened.connection.manager.delete(id, hint):
                    raise Refused(f"there is no job {id} any more")
                return f"The job {id} was deleted."
            count = await opened.redrive(where=(lambda job: job.id == id) if id else None, count=1 if id else None)
            if id and not count:
                raise Refused(f"there is no dead job {id} any more")
            return jobs_text(count, "returned to the queue")


def _result(data: bytes) -> View:
    try:
        return shown(msgspec.msgpack.decode(data), "msgpack")
    except msgspec.MsgspecError:
        return view(data)


def _is_utf8(name: str) -> bool:
    """Whether a name can be that of a queue, whose program writes text."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _reports(reply: Any) -> tuple[list[WorkerReport], bool]:
    """The reports in a part of the hash of workers, and whether it was all of it."""
    if reply is None:
        return [], True
    cursor, pairs = reply
    return reports_in(pairs[1::2]), cursor in (b"0", 0)


def _row(info: JobInfo, place: str, error: str = "") -> JobRow:
    summary = call(info.name or "?", (), info.arguments)
    return JobRow(
        id=info.id,
        state=_STATES.get(info.state, State.DONE),
        function=info.name,
        enqueued=info.enqueued,
        due=info.due,
        attempts=info.attempts,
        summary=f"{summary}: {error}" if error else summary,
        place=place,
    )


_STATES = {
    JobState.WAITING: State.WAITING, JobState.RUNNING: State.RUNNING, JobState.DELAYED: State.DELAYED,
    JobState.PARKED: State.PARKED, JobState.FAILED: State.DEAD,
}  # fmt: skip


def _raw(info: JobInfo) -> tuple[tuple[str, View], ...]:
    """What a job's information has beyond a row."""
    progress = info.progress
    pairs = (
        ("state", info.state.value), ("priority", info.priority), ("worker", info.worker), ("begun", info.begun),
        ("ended", info.ended), ("expires", info.expires), ("kept until", info.kept_until),
        ("progress", None if progress is None else f"{progress.done:g} of {progress.total} {progress.note}"),
    )  # fmt: skip
    return tuple((name, View("data", str(value))) for name, value in pairs if value is not None)
