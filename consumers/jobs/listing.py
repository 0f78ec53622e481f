"""Counts and lists a queue's jobs and workers.

Lists are read in pages, and jobs move while they are read: one may be missed or listed twice, none is listed in a state
that it has not been in. Jobs that have ended are not listed, dead ones excepted: their results are found by ID only.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from consumers.connection import Command, Link
from consumers.jobs import plans
from consumers.jobs.clock import Clock
from consumers.jobs.entries import read_entry
from consumers.jobs.locating import body_info, dead_info, entry_info, running_info
from consumers.jobs.names import Keys
from consumers.jobs.periodic import read_due, read_schedule
from consumers.jobs.reports import WorkerReport, alive, fresh_reports, running_jobs
from consumers.jobs.searching import query
from consumers.jobs.states import Counts, JobInfo, JobState, Schedule, WorkerInfo
from consumers.names import decoded

__all__ = ["LISTED", "count", "jobs", "schedules", "workers"]

PAGE = 200

LISTED = (JobState.RUNNING, JobState.WAITING, JobState.DELAYED, JobState.PARKED, JobState.FAILED)
"""The states whose jobs can be listed."""


async def count(link: Link, keys: Keys, clock: Clock) -> Counts:
    """Count, in one transaction, after the workers have reported."""
    reports = await fresh_reports(link, keys, clock)
    commands: list[Command] = [
        (b"ZCARD", keys.later), (b"HLEN", keys.bodies), (b"HLEN", keys.periodic),
        (b"HLEN", keys.plans), (b"XLEN", keys.dead),
        (b"EXISTS", keys.paused), *((b"XLEN", stream) for stream in keys.in_order),
    ]  # fmt: skip
    replies = await link.transaction(commands)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    delayed, stored, periodic, planned, dead, paused, *lengths = replies
    running = len(running_jobs(reports, clock()))
    return Counts(
        waiting=max(0, sum(lengths) - running),
        delayed=delayed,
        running=running,
        # a job that is in no stream waits for a time or for a place
        parked=max(0, stored - delayed),
        periodic=periodic + planned,
        dead=dead,
        workers=sum(alive(report, clock()) for report in reports),
        paused=bool(paused),
    )


async def workers(link: Link, keys: Keys, clock: Clock) -> AsyncGenerator[WorkerInfo, None]:
    """Yield the workers, dead ones for a minute as well."""
    for report in await fresh_reports(link, keys, clock):
        yield WorkerInfo(
            name=report.name,
            host=report.host,
            pid=report.pid,
            concurrency=report.concurrency,
            since=report.since,
            seen=report.seen,
            alive=alive(report, clock()),
            in_hand=report.in_hand,
            jobs=tuple([one async for one in _reported(link, [report], None)]),
        )


async def schedules(link: Link, keys: Keys) -> AsyncGenerator[Schedule, None]:
    """Yield the schedules that workers have declared and then those made at run time, by name."""
    due, stored = await query(link, [(b"HGETALL", keys.periodic), (b"HGETALL", keys.schedules)])
    for name in sorted(due):
        yield read_schedule(decoded(name), read_due(due[name]), stored.get(name))
    for schedule in await plans.listed(link, keys):
        yield schedule


async def jobs(link: Link, keys: Keys, clock: Clock, state: JobState) -> AsyncGenerator[JobInfo, None]:
    """Yield the jobs in one of the states LISTED: in the order in which they will run; dead ones oldest first."""
    if state is JobState.RUNNING:
        source = _reported(link, await fresh_reports(link, keys, clock), clock)
    elif state is JobState.WAITING:
        source = _waiting(link, keys, clock)
    elif state is JobState.DELAYED:
        source = _delayed(link, keys)
    elif state is JobState.PARKED:
        source = _parked(link, keys)
    else:
        source = _entries(link, keys.dead, JobState.FAILED)
    async with aclosing(source) as found:
        async for info in found:
            yield info


async def _reported(link: Link, reports: list[WorkerReport], clock: Clock | None) -> AsyncGenerator[JobInfo, None]:
    """Jobs that run; clock: only those of workers that live."""
    if clock is None:
        pairs = [(report, job) for report in reports for job in report.jobs]
    else:
        pairs = sorted(running_jobs(reports, clock()).values(), key=lambda pair: pair[1].begun)
    for begin in range(0, len(pairs), PAGE):
        page = pairs[begin : begin + PAGE]
        replies = await query(link, [(b"XRANGE", job.stream, job.entry, job.entry) for _, job in page])
        for (report, job), entries in zip(page, replies, strict=True):
            yield running_info(report, job, read_entry(entries[0][1]) if entries else None)


async def _waiting(link: Link, keys: Keys, clock: Clock) -> AsyncGenerator[JobInfo, None]:
    running = running_jobs(await fresh_reports(link, keys, clock), clock())
    for stream in keys.in_order:
        async with aclosing(_entries(link, stream, JobState.WAITING)) as found:
            async for info in found:
                if info.id not in running:
                    yield info


async def _entries(link: Link, stream: str, state: JobState) -> AsyncGenerator[JobInfo, None]:
    """The jobs in a stream, up to its present end."""
    first, last = "-", "+"
    while True:
        (page,) = await query(link, [(b"XRANGE", stream, first, last, b"COUNT", PAGE)])
        if page and last == "+":
            (newest,) = await query(link, [(b"XREVRANGE", stream, b"+", b"-", b"COUNT", 1)])
            last = newest[0][0].decode() if newest else page[-1][0].decode()
        for _, values in page:
            if (entry := read_entry(values)) is not None:
                yield dead_info(entry, values) if state is JobState.FAILED else entry_info(entry, state, stream)
        if len(page) < PAGE:
            return
        first = f"({page[-1][0].decode()}"


async def _delayed(link: Link, keys: Keys) -> AsyncGenerator[JobInfo, None]:
    # by time, not by position: positions shift while jobs become due
    least, seen = "-inf", set[bytes]()
    while True:
        (page,) = await query(
            link,
            [(b"ZRANGE", keys.later, least, b"+inf", b"BYSCORE", b"LIMIT", len(seen), PAGE, b"WITHSCORES")],
        )
        bodies = await _bodies(link, keys, [id for id, _ in page])
        for (id, due), body in zip(page, bodies, strict=True):
            if body is not None and id not in seen:
                yield body_info(decoded(id), body, JobState.DELAYED, due=float(due))
        if len(page) < PAGE:
            return
        latest = page[-1][1]
        same = {id for id, due in page if due == latest}
        seen = seen | same if least == repr(float(latest)) else same
        least = repr(float(latest))


async def _parked(link: Link, keys: Keys) -> AsyncGenerator[JobInfo, None]:
    async with aclosing(parked_limits(link, keys)) as limits:
        async for limit in limits:
            least = "-inf"
            while True:
                (page,) = await query(
                    link,
                    [(b"ZRANGE", keys.parked(limit), least, b"+inf", b"BYSCORE", b"LIMIT", 0, PAGE, b"WITHSCORES")],
                )
                bodies = await _bodies(link, keys, [id for id, _ in page])
                for (id, _), body in zip(page, bodies, strict=True):
                    if body is not None:
                        yield body_info(decoded(id), body, JobState.PARKED)
                if len(page) < PAGE:
                    break
                # positions in a queue of their own: equal ones are hardly possible, and then listed once
                least = f"({page[-1][1]:.0f}"


async def parked_limits(link: Link, keys: Keys) -> AsyncGenerator[str, None]:
    """Yield the limits under which jobs are parked."""
    cursor = b"0"
    while True:
        (reply,) = await query(link, [(b"HSCAN", keys.limits, cursor, b"COUNT", PAGE)])
        cursor, pairs = reply
        for limit in pairs if isinstance(pairs, dict) else pairs[::2]:
            yield limit.decode()
        if cursor in (b"0", 0):
            return


async def _bodies(link: Link, keys: Keys, ids: list[bytes]) -> list[bytes | None]:
    if not ids:
        return []
    (bodies,) = await query(link, [(b"HMGET", keys.bodies, *ids)])
    return list(bodies)
