"""BullMQ: lists of job IDs, sorted sets for the other states, and a hash for each job.

PREFIX:QUEUE:meta                     a hash: settings, and `paused`; every queue has it
PREFIX:QUEUE:wait, :active, :paused   lists of job IDs, whose right end is next
PREFIX:QUEUE:prioritized              a sorted set: by priority and order; :pc counts for the order
PREFIX:QUEUE:delayed                  a sorted set: by 4096 times the time at which they are due, in milliseconds
PREFIX:QUEUE:failed, :completed       sorted sets: by the time at which they ended, in milliseconds
PREFIX:QUEUE:waiting-children         a sorted set: jobs that wait for their children
PREFIX:QUEUE:ID                       a hash: name, data, opts, times, error, result
PREFIX:QUEUE:id                       a counter of jobs that were added, also of those that were there already
PREFIX:QUEUE:metrics:completed, :failed    hashes: how many jobs have ended like that, if workers are to count them
PREFIX:QUEUE:marker, :events          what wakes workers, and a stream of what has happened

PREFIX is "bull" unless another one was chosen. Releases differ in where the jobs of a paused queue are: in `paused`, or
still in `wait`. What is done here suits both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from consumers.connecting import Client, Command
from consumers.console.asking import ask, integer, known, text
from consumers.console.queues.bullmq_acting import Actor
from consumers.console.queues.bullmq_keys import PREFIX, Keys
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
from consumers.console.queues.naming import joined
from consumers.console.queues.paging import Source, across
from consumers.console.values import DATA_LIMIT, View, decoded, line, shown, view
from consumers.jobs.clock import Clock, wall_clock

__all__ = ["BullMQ"]

FIELDS = (
    b"name", b"data", b"timestamp", b"atm", b"attemptsMade", b"failedReason", b"processedOn", b"finishedOn", b"delay",
)  # fmt: skip

SMALL = 16 << 10
"""Bytes of a job's data that are read in a list."""

_META = re.compile(rb"(.+):([^:]+):meta", re.DOTALL)


class BullMQ:
    """The reader."""

    name = "bullmq"
    title = "BullMQ"
    states: ClassVar[tuple[State, ...]] = (
        State.WAITING, State.RUNNING, State.DELAYED, State.PARKED, State.DEAD, State.DONE,
    )  # fmt: skip
    actions: ClassVar[tuple[Action, ...]] = (
        Action("pause", Scope.QUEUE),
        Action("resume", Scope.QUEUE),
        Action("redrive", Scope.STATE, (State.DEAD,)),
        Action(
            "purge", Scope.STATE, (State.WAITING, State.DELAYED, State.DEAD, State.DONE),
            "Jobs of flows and of schedulers are kept, and those that keep duplicates out.",
        ),
        Action("redrive", Scope.JOB, (State.DEAD,)),
        Action("delete", Scope.JOB, (State.WAITING, State.DELAYED, State.DEAD, State.DONE)),
    )  # fmt: skip
    streams = re.compile(r".+:[^:]+:events", re.DOTALL)
    types = ()
    unseen = (
        "Workers leave no trace by which they could be counted. How many jobs are finished is counted if workers have "
        "the option `metrics`."
    )

    def __init__(self, clock: Clock = wall_clock) -> None:
        self._clock = clock

    async def find(self, client: Client, keys: Sequence[bytes]) -> set[str]:
        candidates = {key: match for key in keys if (match := _META.fullmatch(key)) is not None}
        replies = await ask(client, [(b"HMGET", key, b"opts.maxLenEvents", b"version") for key in candidates])
        found: set[str] = set()
        for match, reply in zip(candidates.values(), replies, strict=True):
            if any(known(reply) or ()):
                found.add(joined(text(match[1]), text(match[2]), PREFIX))
        return found

    # Figures.

    async def figures(self, client: Client, queues: Sequence[str]) -> list[Figures]:
        every = [Keys(queue) for queue in queues]
        asked: list[Command] = []
        for keys in every:
            asked += [
                (b"LLEN", keys.wait), (b"LLEN", keys.paused), (b"ZCARD", keys.prioritized), (b"LLEN", keys.active),
                (b"ZCARD", keys.delayed), (b"ZCARD", keys.waiting_children), (b"ZCARD", keys.failed),
                (b"ZCARD", keys.completed), (b"HEXISTS", keys.meta, b"paused"), (b"LINDEX", keys.wait, -1),
                (b"LINDEX", keys.paused, -1), (b"GET", keys.ids),
                (b"HGET", keys.completed_metrics, b"count"), (b"HGET", keys.failed_metrics, b"count"),
            ]  # fmt: skip
        replies = iter(await ask(client, asked))
        rows = [[integer(next(replies)) for _ in range(9)] + [known(next(replies)) for _ in range(5)] for _ in every]
        first = [(index, row[9] or row[10]) for index, row in enumerate(rows) if row[9] or row[10]]
        sent = await ask(client, [(b"HGET", every[index].job(text(id)), b"timestamp") for index, id in first])
        oldest: dict[int, float] = {}
        for (index, _), reply in zip(first, sent, strict=True):
            if (time := number_in(known(reply))) is not None:
                oldest[index] = max(0.0, self._clock() - time / 1000)
        return [
            Figures(
                library=self.name, name=queue, waiting=row[0] + row[1] + row[2], running=row[3],
                delayed=row[4] + row[5], dead=row[6], done=row[7], paused=bool(row[8]), oldest=oldest.get(index),
                added=_counter(row[11]), finished=_finished(row[12], row[13]),
            )
            for index, (queue, row) in enumerate(zip(queues, rows, strict=True))
        ]  # fmt: skip

    # Jobs.

    async def jobs(
        self, client: Client, queue: str, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        keys = Keys(queue)
        sources: dict[State, list[Source[tuple[str, float | None]]]] = {
            State.WAITING: [
                _in_list(client, keys.wait), _in_list(client, keys.paused), _in_set(client, keys.prioritized),
            ],
            State.RUNNING: [_in_list(client, keys.active)],
            State.DELAYED: [_in_set(client, keys.delayed)],
            State.PARKED: [_in_set(client, keys.waiting_children)],
            State.DEAD: [_in_set(client, keys.failed)],
            State.DONE: [_in_set(client, keys.completed)],
        }  # fmt: skip
        items, following = await across(sources[state], after, limit)
        ids = [item.value[0] for item in items]
        sizes = await ask(client, [(b"HSTRLEN", keys.job(id), b"data") for id in ids])
        replies = await ask(
            client, [(b"HMGET", keys.job(id), *_small(size)) for id, size in zip(ids, sizes, strict=True)]
        )
        rows = []
        for item, reply in zip(items, replies, strict=True):
            id, score = item.value
            due = score / 4096 if state is State.DELAYED and score is not None else None
            rows.append(_row(id, state, dict(zip(FIELDS, known(reply) or (), strict=False)), due))
        return rows, following

    async def job(self, client: Client, queue: str, id: str, place: str = "") -> JobDetails | None:
        keys = Keys(queue)
        size, delayed, failed, completed, parked, active, stack = await ask(
            client,
            [
                (b"HSTRLEN", keys.job(id), b"data"), (b"ZSCORE", keys.delayed, id), (b"ZSCORE", keys.failed, id),
                (b"ZSCORE", keys.completed, id), (b"ZSCORE", keys.waiting_children, id),
                (b"LPOS", keys.active, id, b"MAXLEN", 10_000), (b"HSTRLEN", keys.job(id), b"stacktrace"),
            ],
        )  # fmt: skip
        more = [b"returnvalue", b"opts", b"progress", b"parentKey", b"rjk", b"ats", b"priority"]
        if integer(stack) <= DATA_LIMIT:
            more.append(b"stacktrace")
        names = [*_small(size, DATA_LIMIT), *more]
        (reply,) = await ask(client, [(b"HMGET", keys.job(id), *names)])
        fields = {name: value for name, value in zip(names, known(reply) or (), strict=False) if value is not None}
        if not fields:
            return None
        due = number_in(known(delayed))
        states = ((due, State.DELAYED), (failed, State.DEAD), (completed, State.DONE), (parked, State.PARKED))
        state = next((one for found, one in states if known(found) is not None), State.WAITING)
        if state is State.WAITING and known(active) is not None:
            state = State.RUNNING
        data = fields.get(b"data")
        result = fields.get(b"returnvalue")
        return JobDetails(
            row=_row(id, state, fields, None if due is None else due / 4096),
            arguments=View("data", f"{integer(size)} bytes", True) if data is None else view(data),
            result=view(result) if result is not None else None,
            error=_error(fields),
            raw=tuple(
                (name.decode(), view(value))
                for name, value in fields.items()
                if name not in (b"data", b"returnvalue", b"stacktrace")
            ),
        )

    # Actions.

    async def act(
        self, client: Client, queue: str, action: str, *, state: State | None = None, id: str = "", place: str = ""
    ) -> str:
        chosen = check(self, action, state, id)
        actor = Actor(client, Keys(queue), self._clock)
        if chosen.name == "pause":
            await actor.pause()
            return "The queue is paused: its workers take no more jobs."
        if chosen.name == "resume":
            await actor.resume()
            return "The queue is no longer paused."
        if chosen.name == "redrive":
            if id:
                await actor.redrive(id)
                return f"The job {id} was returned to the queue."
            return await actor.redrive_all()
        if id:
            await actor.delete(id)
            return f"The job {id} was deleted."
        assert state is not None
        return jobs_text(await actor.purge(state), "deleted")


def _finished(completed: bytes | None, failed: bytes | None) -> int | None:
    """How many jobs have ended; None if no worker has been told to count them."""
    return None if completed is None and failed is None else _counter(completed) + _counter(failed)


def _counter(stored: bytes | None) -> int:
    return int(number_in(stored) or 0)


def _small(size: Any, limit: int = SMALL) -> list[bytes]:
    """The fields to read of a job, without its data if that is large."""
    return [name for name in FIELDS if name != b"data"] if integer(size) > limit else list(FIELDS)


def _in_list(client: Client, key: str) -> Source[tuple[str, float | None]]:
    async def read(offset: int, count: int) -> list[tuple[str, float | None]]:
        (reply,) = await ask(client, [(b"LRANGE", key, -offset - count, -offset - 1)])
        # releases before 5 put markers into the list
        return [(text(id), None) for id in reversed(known(reply) or ()) if not id.startswith(b"0:")]

    return read


def _in_set(client: Client, key: str) -> Source[tuple[str, float | None]]:
    async def read(offset: int, count: int) -> list[tuple[str, float | None]]:
        (reply,) = await ask(client, [(b"ZRANGE", key, offset, offset + count - 1, b"WITHSCORES")])
        return [(text(id), float(score)) for id, score in known(reply) or ()]

    return read


def _row(id: str, state: State, fields: dict[bytes, bytes | None], due: float | None) -> JobRow:
    name, data = text(fields.get(b"name")), fields.get(b"data")
    sent = number_in(fields.get(b"timestamp"))
    attempts = number_in(fields.get(b"atm") or fields.get(b"attemptsMade"))
    inside = "" if data is None else line(decoded(data)[1])
    summary = f"{name} {inside}"
    if state is State.DEAD:
        summary = f"{summary}: {text(fields.get(b'failedReason'))[:200]}"
    return JobRow(
        id=id,
        state=state,
        function=name or None,
        enqueued=None if sent is None else sent / 1000,
        due=None if due is None else due / 1000,
        attempts=None if attempts is None else int(attempts),
        summary=summary.strip(),
    )


def _error(fields: dict[bytes, bytes]) -> str | None:
    """The reason of a failure and the last traceback."""
    reason = text(fields.get(b"failedReason")) or None
    _, stack = decoded(fields.get(b"stacktrace", b""))
    if isinstance(stack, list) and stack:
        last = stack[-1]
        return f"{reason}\n{last}" if reason else last if isinstance(last, str) else shown(last).text
    return reason
