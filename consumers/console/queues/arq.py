"""arq: one sorted set for each queue, and a few keys for each job.

NAME ("arq:queue")     a sorted set: job IDs by the time at which they are due, in milliseconds
NAME:health-check      what the queue's workers have said last
arq:job:ID             the job: a pickle of its function's name, arguments and time, unless another form was chosen
arq:in-progress:ID     while a worker runs it
arq:retry:ID           how often it has been begun
arq:result:ID          the outcome, for as long as it is kept

Jobs and results don't say in their names which queue they belong to, and there is no list of queues.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from consumers.connecting import Client, Command
from consumers.console.asking import ask, integer, known, text, transaction
from consumers.console.pickles import is_plain
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
    number_in,
)  # fmt: skip
from consumers.console.queues.paging import position
from consumers.console.scanning import scan
from consumers.console.values import DATA_LIMIT, call, decoded, error_text, shown, view
from consumers.jobs.clock import Clock, wall_clock
from consumers.transactions import Ask

__all__ = ["Arq"]

QUEUE = "arq:queue"
JOB, RUNNING, RETRY, RESULT = "arq:job:", "arq:in-progress:", "arq:retry:", "arq:result:"
HEALTH = b":health-check"

FIRST = 200
"""Due jobs of a queue that are asked whether they run: they are begun in this order."""

KEEP_MS = 86_400_000
"""How long arq keeps a job that is not begun, after it was due."""

PAGE = 100
"""Jobs that one transaction removes."""

_CANDIDATE = re.compile(rb"arq:(?!(?:job|in-progress|retry|result|abort)\b).*", re.DOTALL)


class Arq:
    """The reader."""

    name = "arq"
    title = "arq"
    states: ClassVar[tuple[State, ...]] = (State.WAITING, State.RUNNING, State.DELAYED, State.DEAD, State.DONE)
    actions: ClassVar[tuple[Action, ...]] = (
        Action("purge", Scope.STATE, (State.WAITING, State.DELAYED)),
        Action("redrive", Scope.JOB, (State.DEAD,), "The job's result is replaced by that of the new run."),
        Action("delete", Scope.JOB, (State.WAITING, State.DELAYED, State.DEAD, State.DONE)),
    )
    streams = None
    types = ()
    unseen = (
        "A queue with a name of its own is found while a worker has served it within the last hour, or if the name "
        "begins with arq:. Failed jobs can be listed, but not counted."
    )

    def __init__(self, clock: Clock = wall_clock) -> None:
        self._clock = clock

    async def find(self, client: Client, keys: Sequence[bytes]) -> set[str]:
        sets = {key for key in keys if _CANDIDATE.fullmatch(key) and not key.endswith(HEALTH)}
        checks = [key for key in keys if key.endswith(HEALTH)]
        if not keys:
            sets = {QUEUE.encode()}
        kinds = await ask(client, [(b"TYPE", key) for key in sets])
        found = {text(key) for key, kind in zip(sets, kinds, strict=True) if known(kind) == b"zset"}
        said = await ask(client, [(b"GETRANGE", key, 0, 200) for key in checks])
        for key, reply in zip(checks, said, strict=True):
            if b"j_complete=" in (known(reply) or b""):
                found.add(text(key.removesuffix(HEALTH)))
        return found

    # Figures.

    async def figures(self, client: Client, queues: Sequence[str]) -> list[Figures]:
        now = self._clock()
        milliseconds = int(now * 1000)
        asked: list[Command] = []
        for queue in queues:
            asked += [
                (b"ZCARD", queue), (b"ZCOUNT", queue, f"({milliseconds}", b"+inf"),
                (b"ZRANGE", queue, b"-inf", milliseconds, b"BYSCORE", b"LIMIT", 0, FIRST, b"WITHSCORES"),
                (b"EXISTS", f"{queue}:health-check"),
            ]  # fmt: skip
        replies = iter(await ask(client, asked))
        rows: list[tuple[int, int, list[tuple[str, float]], int]] = []
        for _ in queues:
            count, delayed = integer(next(replies)), integer(next(replies))
            first = [(text(id), float(score)) for id, score in known(next(replies)) or ()]
            rows.append((count, delayed, first, integer(next(replies))))
        flags = iter(await ask(client, [(b"EXISTS", RUNNING + id) for _, _, first, _ in rows for id, _ in first]))
        found = []
        for queue, (count, delayed, first, served) in zip(queues, rows, strict=True):
            waiting = [score for _, score in first if not integer(next(flags))]
            running = len(first) - len(waiting)
            found.append(
                Figures(
                    library=self.name, name=queue, waiting=max(0, count - delayed - running), running=running,
                    delayed=delayed, oldest=max(0.0, now - waiting[0] / 1000) if waiting else None,
                    workers=None if served else 0, exact=len(first) < FIRST or bool(waiting),
                )
            )  # fmt: skip
        return found

    # Jobs.

    async def jobs(
        self, client: Client, queue: str, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        if state in (State.DEAD, State.DONE):
            return await self._ended(client, queue, state, after, limit)
        if state not in self.states:
            return [], None
        _, start = position(after)
        milliseconds = int(self._clock() * 1000)
        if state is State.DELAYED:
            bounds: tuple[Any, ...] = (f"({milliseconds}", b"+inf", b"BYSCORE", b"LIMIT", start, limit)
        else:
            bounds = (b"-inf", milliseconds, b"BYSCORE", b"LIMIT", start, limit)
        (reply,) = await ask(client, [(b"ZRANGE", queue, *bounds, b"WITHSCORES")])
        pairs = [(text(id), float(score)) for id, score in known(reply) or ()]
        following = f"0:{start + limit}" if len(pairs) == limit else None
        flags = await ask(client, [(b"EXISTS", RUNNING + id) for id, _ in pairs])
        if state is not State.DELAYED:
            wanted = state is State.RUNNING
            pairs = [pair for pair, flag in zip(pairs, flags, strict=True) if bool(integer(flag)) is wanted]
        jobs = await ask(client, [(b"GETRANGE", JOB + id, 0, DATA_LIMIT // 16) for id, _ in pairs])
        tries = await ask(client, [(b"GET", RETRY + id) for id, _ in pairs])
        rows = [
            _row(id, state, known(job), score if state is State.DELAYED else None, known(attempts))
            for (id, score), job, attempts in zip(pairs, jobs, tries, strict=True)
        ]
        return rows, following

    async def _ended(
        self, client: Client, queue: str, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        """A page of results, which are found among all keys, in no order."""
        keys, following = await scan(client, f"{RESULT}*", after, limit)
        replies = await ask(client, [(b"GETRANGE", key, 0, DATA_LIMIT // 16) for key in keys])
        rows = []
        for key, reply in zip(keys, replies, strict=True):
            data = known(reply) or b""
            fields = _fields(data)
            failed = fields.get("s") is False
            if fields.get("q") in (queue, None) and failed is (state is State.DEAD):
                rows.append(_row(text(key).removeprefix(RESULT), state, data, None, None))
        return rows, following

    async def job(self, client: Client, queue: str, id: str, place: str = "") -> JobDetails | None:
        score, running, job, result, attempts = await ask(
            client,
            [
                (b"ZSCORE", queue, id), (b"EXISTS", RUNNING + id), (b"GETRANGE", JOB + id, 0, DATA_LIMIT),
                (b"GETRANGE", RESULT + id, 0, DATA_LIMIT), (b"GET", RETRY + id),
            ],
        )  # fmt: skip
        due, ended = known(score), known(result)
        data = known(job) or ended
        if not data:
            return None
        fields = _fields(data)
        state, error = State.WAITING, None
        if integer(running):
            state = State.RUNNING
        elif due is not None:
            state = State.DELAYED if float(due) > self._clock() * 1000 else State.WAITING
        elif ended:
            state = State.DEAD if fields.get("s") is False else State.DONE
            outcome = fields.get("r")
            error = error_text(outcome) if state is State.DEAD else None
        kind, _ = decoded(data)
        times = {"begun": fields.get("st"), "ended": fields.get("ft"), "queue": fields.get("q")}
        return JobDetails(
            row=_row(
                id, state, data, float(due) if due is not None and state is State.DELAYED else None, known(attempts)
            ),
            arguments=shown({"args": fields.get("a"), "kwargs": fields.get("k")}, kind) if fields else view(data),
            result=shown(fields.get("r"), kind) if ended and state is State.DONE else None,
            error=error,
            raw=tuple((name, shown(value)) for name, value in times.items() if value is not None),
        )

    # Actions.

    async def act(
        self, client: Client, queue: str, action: str, *, state: State | None = None, id: str = "", place: str = ""
    ) -> str:
        chosen = check(self, action, state, id)
        if chosen.name == "redrive":
            await self._redrive(client, queue, id)
            return f"The job {id} was enqueued again."
        if id:
            await self._delete(client, queue, id)
            return f"The job {id} was deleted."
        return jobs_text(await self._purge(client, queue, delayed=state is State.DELAYED), "deleted")

    async def _redrive(self, client: Client, queue: str, id: str) -> None:
        async def decide(query: Ask) -> tuple[list[Command], None]:
            length, exists = await query([(b"STRLEN", RESULT + id), (b"EXISTS", JOB + id)])
            if not length or exists:
                raise Refused(f"there is no failed job {id}, or it is enqueued again already")
            if length > DATA_LIMIT:
                raise Refused("the job's result is too large to be read")
            (data,) = await query([(b"GET", RESULT + id)])
            now = int(self._clock() * 1000)
            return [
                (b"DEL", RESULT + id, RETRY + id), (b"PSETEX", JOB + id, KEEP_MS, _again(data or b"", queue, now)),
                (b"ZADD", queue, now, id),
            ], None  # fmt: skip

        await transaction(client, [RESULT + id, JOB + id], decide)

    async def _delete(self, client: Client, queue: str, id: str) -> None:
        async def decide(query: Ask) -> tuple[list[Command], bool]:
            score, job, result, running = await query([
                (b"ZSCORE", queue, id), (b"EXISTS", JOB + id), (b"EXISTS", RESULT + id), (b"EXISTS", RUNNING + id),
            ])  # fmt: skip
            if running:
                raise Refused(f"the job {id} is running")
            if score is None and not job and not result:
                return [], False
            return [(b"ZREM", queue, id), (b"DEL", JOB + id, RETRY + id, RESULT + id)], True

        if not await transaction(client, [RUNNING + id, JOB + id], decide):
            raise Refused(f"there is no job {id} any more")

    async def _purge(self, client: Client, queue: str, delayed: bool) -> int:
        """Remove the jobs that are there now, apart from those that a worker runs."""
        now = int(self._clock() * 1000)
        low, high = (f"({now}", "+inf") if delayed else ("-inf", f"{now}")
        done = passed = 0
        while True:
            bounds = (low, high, b"BYSCORE", b"LIMIT", passed, PAGE)
            (reply,) = await ask(client, [(b"ZRANGE", queue, *bounds)])
            if not (ids := [text(id) for id in known(reply) or ()]):
                return done
            removed = await self._remove(client, queue, ids)
            done, passed = done + removed, passed + len(ids) - removed

    async def _remove(self, client: Client, queue: str, ids: Sequence[str]) -> int:
        async def decide(query: Ask) -> tuple[list[Command], int]:
            flags = await query([(b"EXISTS", RUNNING + id) for id in ids])
            gone = [id for id, flag in zip(ids, flags, strict=True) if not flag]
            if not gone:
                return [], 0
            keys = [prefix + id for id in gone for prefix in (JOB, RETRY)]
            return [(b"ZREM", queue, *gone), (b"DEL", *keys)], len(gone)

        return await transaction(client, [RUNNING + id for id in ids], decide)


def _fields(data: bytes | None) -> dict[str, Any]:
    if not data:
        return {}
    _, value = decoded(data)
    return value if isinstance(value, dict) else {}


def _row(id: str, state: State, data: bytes | None, due: float | None, attempts: bytes | None) -> JobRow:
    fields = _fields(data)
    function, enqueued = fields.get("f"), number_in(fields.get("et"))
    tries = number_in(attempts if attempts is not None else fields.get("t"))
    summary = call(function, fields.get("a"), fields.get("k")) if isinstance(function, str) else "a job"
    if state is State.DEAD:
        summary = f"{summary}: {error_text(fields.get('r'))[:200]}"
    return JobRow(
        id=id,
        state=state,
        function=function if isinstance(function, str) else None,
        enqueued=None if enqueued is None else enqueued / 1000,
        due=None if due is None else due / 1000,
        attempts=None if tries is None else int(tries),
        summary=summary,
    )


def _again(data: bytes, queue: str, now: int) -> bytes:
    """The job whose result this is, as arq stores one. Raises Refused."""
    kind, value = decoded(data)
    if kind != "pickle" or not isinstance(value, dict) or value.get("s") is not False:
        raise Refused("the job has not failed, or its result was stored in a form of the application's own")
    if value.get("q") not in (queue, None):
        raise Refused(f"the job belongs to the queue {value.get('q')}")
    job = {"t": None, "f": value.get("f"), "a": value.get("a"), "k": value.get("k"), "et": now}
    if not is_plain(job):
        raise Refused("the job's arguments are more than plain data: only the application can enqueue it again")
    return pickle.dumps(job)
