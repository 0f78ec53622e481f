"""RQ: lists of job IDs, a hash for each job, and sorted sets as registries of jobs in the other states.

rq:queues                    a set: the keys of all queues
rq:queue:NAME                a list: IDs of waiting jobs, the next one first
rq:wip|scheduled|deferred|failed|finished:NAME   sorted sets: by the time at which they expire, are due, or were added
rq:job:ID                    a hash: description, data (zlib of a pickle), times, status
rq:results:ID                a stream: results, with tracebacks (base64 of zlib)
rq:workers:NAME              a set: workers that serve the queue
rq:suspended                 while it exists, no worker takes a job

RQ_KEY_PREFIX may replace "rq". Such a queue goes by the name of its key, PREFIX:queue:NAME.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from consumers.connecting import Client, Command
from consumers.console.asking import ask, integer, known, text, transaction
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
from consumers.console.queues.paging import Source, across, position
from consumers.console.queues.rq_limits import held_back
from consumers.console.values import DATA_LIMIT, View, decoded, shown, view
from consumers.jobs.clock import Clock, wall_clock
from consumers.transactions import Ask

__all__ = ["RQ"]

PREFIX = "rq"
REGISTRIES = {State.DELAYED: "scheduled", State.PARKED: "deferred", State.DEAD: "failed", State.DONE: "finished"}
FIELDS = (
    b"description", b"enqueued_at", b"created_at", b"number_of_retries", b"retries_left", b"status", b"started_at",
)  # fmt: skip

PAGE = 200
"""Jobs that one transaction removes."""

_REGISTRY = re.compile(rb"(.+):queues")
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


class _Keys:
    """The keys of one queue."""

    def __init__(self, queue: str) -> None:
        prefix, marked, name = queue.partition(":queue:")
        self.prefix, self.name = (prefix, name) if marked else (PREFIX, queue)
        self.queue = f"{self.prefix}:queue:{self.name}"
        self.running = f"{self.prefix}:wip:{self.name}"
        self.workers = f"{self.prefix}:workers:{self.name}"
        self.suspended = f"{self.prefix}:suspended"
        self.queues = f"{self.prefix}:queues"

    def registry(self, state: State) -> str:
        return f"{self.prefix}:{REGISTRIES[state]}:{self.name}"

    def job(self, id: str) -> str:
        return f"{self.prefix}:job:{id}"

    def of_job(self, id: str) -> tuple[str, ...]:
        """All keys of a job."""
        job = self.job(id)
        # RQ itself has two colons in one of them
        return job, f"{job}:dependents", f"{self.prefix}:job::{id}:dependencies", f"{self.prefix}:results:{id}"


REGISTERED = 20_000
"""Queues of one registry that are read."""


class RQ:
    """The reader."""

    name = "rq"
    title = "RQ"
    states: ClassVar[tuple[State, ...]] = (
        State.WAITING, State.RUNNING, State.DELAYED, State.PARKED, State.DEAD, State.DONE,
    )  # fmt: skip
    actions: ClassVar[tuple[Action, ...]] = (
        Action("pause", Scope.QUEUE, warning="RQ suspends all workers, of every queue."),
        Action("resume", Scope.QUEUE),
        Action("redrive", Scope.STATE, (State.DEAD,)),
        Action("purge", Scope.STATE, (State.WAITING, State.DEAD, State.DONE)),
        Action("redrive", Scope.JOB, (State.DEAD,)),
        Action("delete", Scope.JOB, (State.WAITING, State.DELAYED, State.DEAD, State.DONE)),
    )
    streams = re.compile(r".+:results:.+", re.DOTALL)
    types = ()
    unseen = (
        "Figures of ended jobs are of those that RQ still keeps, by their time to live. Of very many jobs that rate "
        "limits hold back, only some are read, and the rest is counted in proportion."
    )

    def __init__(self, clock: Clock = wall_clock) -> None:
        self._clock = clock
        self._registries = {f"{PREFIX}:queues".encode()}

    async def find(self, client: Client, keys: Sequence[bytes]) -> set[str]:
        if not keys:
            # the registries themselves, once for each look
            return await self._registered(client, sorted(self._registries))
        new = [key for key in keys if _REGISTRY.fullmatch(key) and key not in self._registries]
        return await self._registered(client, new)

    async def _registered(self, client: Client, registries: Sequence[bytes]) -> set[str]:
        found: set[str] = set()
        for registry in registries:
            cursor: Any = 0
            prefix = registry.removesuffix(b"s") + b":"
            while True:
                (reply,) = await ask(client, [(b"SSCAN", registry, cursor, b"COUNT", 1000)])
                if not (reply := known(reply)):
                    break
                cursor, members = reply
                names = [member for member in members if member.startswith(prefix)]
                if names:
                    self._registries.add(registry)
                found |= {self._named(registry, member) for member in names}
                if cursor in (b"0", 0) or not names or len(found) >= REGISTERED:
                    break
        return found

    @staticmethod
    def _named(registry: bytes, key: bytes) -> str:
        whole = text(key)
        name = whole.removeprefix(f"{PREFIX}:queue:")
        return whole if registry != f"{PREFIX}:queues".encode() or ":queue:" in name else name

    # Figures.

    async def figures(self, client: Client, queues: Sequence[str]) -> list[Figures]:
        every = [_Keys(queue) for queue in queues]
        now = self._clock()
        asked: list[Command] = []
        for keys in every:
            asked += [
                (b"LLEN", keys.queue), (b"ZCOUNT", keys.running, now, b"+inf"),
                (b"ZCARD", keys.registry(State.DELAYED)), (b"ZCARD", keys.registry(State.PARKED)),
                # those beyond their time are still there until a worker tidies up
                (b"ZCOUNT", keys.registry(State.DEAD), now, b"+inf"),
                (b"ZCOUNT", keys.registry(State.DONE), now, b"+inf"),
                (b"SCARD", keys.workers), (b"EXISTS", keys.suspended), (b"LINDEX", keys.queue, 0),
            ]  # fmt: skip
        replies = iter(await ask(client, asked))
        rows = [([integer(next(replies)) for _ in range(8)], known(next(replies))) for _ in every]
        limited = {prefix: await held_back(client, prefix) for prefix in sorted({keys.prefix for keys in every})}
        times = await self._enqueued(client, [(keys, first) for keys, (_, first) in zip(every, rows, strict=True)])
        return [
            Figures(
                library=self.name, name=queue, waiting=row[0], running=row[1], dead=row[4],
                delayed=row[2] + row[3] + limited[keys.prefix].share(keys.name),
                done=row[5], workers=row[6], paused=bool(row[7]),
                oldest=None if time is None else max(0.0, now - time),
                exact=limited[keys.prefix].read >= limited[keys.prefix].total,
            )
            for queue, keys, (row, _), time in zip(queues, every, rows, times, strict=True)
        ]  # fmt: skip

    @staticmethod
    async def _enqueued(client: Client, first: Sequence[tuple[_Keys, bytes | None]]) -> list[float | None]:
        """When the first job of each queue was enqueued."""
        wanted = [(keys.job(text(id)), index) for index, (keys, id) in enumerate(first) if id is not None]
        replies = await ask(client, [(b"HGET", job, b"enqueued_at") for job, _ in wanted])
        found: list[float | None] = [None] * len(first)
        for (_, index), reply in zip(wanted, replies, strict=True):
            found[index] = iso_time(known(reply))
        return found

    # Jobs.

    async def jobs(
        self, client: Client, queue: str, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        keys = _Keys(queue)
        if state is State.PARKED:
            items, following = await across(self._parked(client, keys), after, limit)
            return await self._rows(client, keys, state, [(item.value, None) for item in items]), following
        _, start = position(after)
        stop = start + limit - 1
        if state is State.WAITING:
            (reply,) = await ask(client, [(b"LRANGE", keys.queue, start, stop)])
            pairs = [(id, 0.0) for id in known(reply) or ()]
        elif state is State.RUNNING or state in REGISTRIES:
            key = keys.running if state is State.RUNNING else keys.registry(state)
            (reply,) = await ask(client, [(b"ZRANGE", key, start, stop, b"WITHSCORES")])
            pairs = [(id, float(score)) for id, score in known(reply) or ()]
        else:
            return [], None
        # a running job's member has its execution, too
        ids = [text(id).partition(":")[0] if state is State.RUNNING else text(id) for id, _ in pairs]
        due = [score if state is State.DELAYED else None for _, score in pairs]
        rows = await self._rows(client, keys, state, list(zip(ids, due, strict=True)))
        return rows, f"0:{start + limit}" if len(pairs) == limit else None

    @staticmethod
    async def _rows(
        client: Client, keys: _Keys, state: State, jobs: Sequence[tuple[str, float | None]]
    ) -> list[JobRow]:
        replies = await ask(client, [(b"HMGET", keys.job(id), *FIELDS) for id, _ in jobs])
        return [
            _row(id, state, known(reply) or [None] * len(FIELDS), due)
            for (id, due), reply in zip(jobs, replies, strict=True)
        ]

    @staticmethod
    def _parked(client: Client, keys: _Keys) -> list[Source[str]]:
        """Those that wait for other jobs, and those that a rate limit holds back."""

        async def deferred(offset: int, count: int) -> list[str]:
            key = keys.registry(State.PARKED)
            (reply,) = await ask(client, [(b"ZRANGE", key, offset, offset + count - 1)])
            return [text(id) for id in known(reply) or ()]

        async def limited(offset: int, count: int) -> list[str]:
            held = await held_back(client, keys.prefix)
            return held.queues.get(keys.name, [])[offset : offset + count]

        return [deferred, limited]

    async def job(self, client: Client, queue: str, id: str, place: str = "") -> JobDetails | None:
        keys = _Keys(queue)
        lengths, results = await ask(
            client,
            [
                (b"HSTRLEN", keys.job(id), b"data"),
                (b"XREVRANGE", f"{keys.prefix}:results:{id}", b"+", b"-", b"COUNT", 1),
            ],
        )
        if not known(lengths):
            return None
        names = [
            *FIELDS, b"origin", b"ended_at", b"worker_name", b"timeout", b"ttl", b"result_ttl", b"failure_ttl",
            b"last_heartbeat", b"group_id", b"dependency_ids", b"meta",
        ]  # fmt: skip
        if integer(lengths) <= DATA_LIMIT:
            names.append(b"data")
        scored, values = await ask(
            client,
            [(b"ZSCORE", keys.registry(State.DELAYED), id), (b"HMGET", keys.job(id), *names)],
        )
        fields = dict(zip(names, known(values), strict=True))
        state = _STATUSES.get(text(fields[b"status"]), State.WAITING)
        due = known(scored)
        data = fields.pop(b"data", None)
        result, error = _outcome(known(results))
        return JobDetails(
            row=_row(id, state, [fields[name] for name in FIELDS], None if due is None else float(due)),
            arguments=View("data", f"{integer(lengths)} bytes", True) if data is None else _arguments(data),
            result=result,
            error=error,
            raw=tuple((name.decode(), view(value)) for name, value in fields.items() if value),
        )

    # Actions.

    async def act(
        self, client: Client, queue: str, action: str, *, state: State | None = None, id: str = "", place: str = ""
    ) -> str:
        chosen = check(self, action, state, id)
        keys = _Keys(queue)
        if chosen.name == "pause":
            await self._now(client, (b"SET", keys.suspended, 1))
            return "All RQ workers are suspended: they take no more jobs."
        if chosen.name == "resume":
            await self._now(client, (b"DEL", keys.suspended))
            return "RQ's workers are no longer suspended."
        if chosen.name == "redrive":
            if id:
                await self._redrive(client, keys, id)
                return f"The job {id} was returned to the queue."
            return await self._redrive_all(client, keys)
        if id:
            await self._delete(client, keys, id)
            return f"The job {id} was deleted."
        assert state is not None
        return jobs_text(await self._purge(client, keys, state), "deleted")

    @staticmethod
    async def _now(client: Client, command: Command) -> None:
        known((await ask(client, [command]))[0])

    async def _redrive_all(self, client: Client, keys: _Keys) -> str:
        failed = keys.registry(State.DEAD)
        (count,) = await ask(client, [(b"ZCARD", failed)])
        done = refused = 0
        while done + refused < integer(count):
            (page,) = await ask(client, [(b"ZRANGE", failed, refused, refused + PAGE - 1)])
            if not (ids := known(page)):
                break
            for id in ids:
                try:
                    await self._redrive(client, keys, text(id))
                    done += 1
                except Refused:
                    refused += 1
        kept = f" {jobs_text(refused, 'left, see each for the reason')}" if refused else ""
        return jobs_text(done, "returned to the queue") + kept

    async def _redrive(self, client: Client, keys: _Keys, id: str) -> None:
        failed, job = keys.registry(State.DEAD), keys.job(id)

        async def decide(query: Ask) -> tuple[list[Command], None]:
            score, fields = await query([
                (b"ZSCORE", failed, id), (b"HMGET", job, b"status", b"rate_limit_key", b"ttl"),
            ])  # fmt: skip
            status, limited, ttl = fields
            if score is None or status is None:
                raise Refused(f"there is no failed job {id} any more")
            if limited:
                raise Refused("the job has a rate limit, whose places only RQ itself can assign: use `rq requeue`")
            now = datetime.fromtimestamp(self._clock(), UTC).strftime(_TIME)
            seconds = int(number_in(ttl) or 0)
            return [
                (b"ZREM", failed, id),
                (b"HSET", job, b"status", b"queued", b"enqueued_at", now, b"started_at", b"", b"ended_at", b""),
                (b"HDEL", job, b"exc_info"),
                # a failed job expires, one that waits does so only with a time to live
                (b"EXPIRE", job, seconds) if seconds > 0 else (b"PERSIST", job),
                (b"SADD", keys.queues, keys.queue), (b"RPUSH", keys.queue, id),
            ], None  # fmt: skip

        await transaction(client, [failed, job], decide)

    async def _delete(self, client: Client, keys: _Keys, id: str) -> None:
        job = keys.job(id)
        dependents = f"{job}:dependents"

        async def decide(query: Ask) -> tuple[list[Command], None]:
            fields, waiting_for_it = await query([
                (b"HMGET", job, b"status", b"rate_limit_key", b"group_id"), (b"SCARD", dependents),
            ])  # fmt: skip
            status, limited, group = fields
            if status is None:
                raise Refused(f"there is no job {id} any more")
            state = _STATUSES.get(text(status))
            if state not in (State.WAITING, State.DELAYED, State.DEAD, State.DONE) or limited or group:
                raise Refused(f"only RQ itself can delete this job: it is {text(status)}, has a rate limit or a group")
            if waiting_for_it and state is not State.DONE:
                raise Refused("other jobs depend on this one")
            leave: Command = (b"LREM", keys.queue, 1, id)
            if state is not State.WAITING:
                leave = (b"ZREM", keys.registry(state), id)
            return [leave, (b"DEL", *keys.of_job(id))], None

        await transaction(client, [job, dependents], decide)

    async def _purge(self, client: Client, keys: _Keys, state: State) -> int:
        """Remove all jobs, as RQ's own `empty` does: not those that are added meanwhile."""
        waiting = state is State.WAITING
        key = keys.queue if waiting else keys.registry(state)
        (count,) = await ask(client, [(b"LLEN" if waiting else b"ZCARD", key)])
        done = 0
        while done < integer(count):

            async def decide(query: Ask) -> tuple[list[Command], int]:
                (ids,) = await query([(b"LRANGE" if waiting else b"ZRANGE", key, 0, PAGE - 1)])
                if not ids:
                    return [], 0
                leave: Command = (b"LTRIM", key, len(ids), -1) if waiting else (b"ZREM", key, *ids)
                gone = [one for id in ids for one in keys.of_job(text(id))]
                return [leave, (b"DEL", *gone)], len(ids)

            removed = await transaction(client, [key], decide)
            if not removed:
                break
            done += removed
        return done


_STATUSES = {
    "queued": State.WAITING, "started": State.RUNNING, "scheduled": State.DELAYED, "deferred": State.PARKED,
    "rate_limited": State.PARKED, "failed": State.DEAD, "stopped": State.DEAD, "finished": State.DONE,
}  # fmt: skip


def _row(id: str, state: State, fields: Sequence[bytes | None], due: float | None) -> JobRow:
    description, enqueued, created, most, left, _, started = fields
    summary = text(description)[:300]
    attempts = None
    if most is not None and left is not None:
        attempts = int((number_in(most) or 0) - (number_in(left) or 0)) + (1 if started else 0)
    function = summary.partition("(")[0]
    return JobRow(
        id=id,
        state=state,
        function=function if function != summary else None,
        enqueued=iso_time(enqueued) or iso_time(created),
        due=due,
        attempts=attempts,
        summary=summary,
    )


def _arguments(data: bytes) -> View:
    """What is to be called: a tuple of the function's name, an instance, arguments and named arguments."""
    kind, value = decoded(data)
    if isinstance(value, list | tuple) and len(value) == 4:
        function, instance, positional, named = value
        told = {"function": function, "instance": instance, "args": positional, "kwargs": named}
        return shown({name: one for name, one in told.items() if one not in (None, (), {}, [])}, kind)
    return view(data)


def _outcome(results: Any) -> tuple[View | None, str | None]:
    """The last result, and the last error's traceback."""
    if not results:
        return None, None
    values = results[0][1]
    fields = dict(zip(values[::2], values[1::2], strict=False))
    result, error = fields.get(b"return_value"), fields.get(b"exc_string")
    return (
        view(_unpacked(result)) if result else None,
        text(_unpacked(error)) if error else None,
    )


def _unpacked(data: bytes) -> bytes:
    """Undo base64 and zlib, as far as they were applied."""
    try:
        plain = base64.b64decode(data, validate=True)
    except ValueError:
        return data
    try:
        return zlib.decompressobj().decompress(plain, DATA_LIMIT)
    except zlib.error:
        return plain
