"""Finds one job, wherever it is.

Jobs are not indexed, since that would cost every job a command. What finding one costs depends on where it is:

- One round trip: ended with a kept result, delayed, parked, or running (its worker has reported it).
- Two, and one or two more to ask the worker that has taken it: in a stream, if this program has enqueued it, or if its
  entry is among the first thousand that were added since its enqueueing.
- One for each thousand entries otherwise: the streams, and at last the dead letters, are read in full. So it is for a
  job that waits in a stream again after a delay or a failure, and for one that is nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import anyio
import msgspec
from coredis.exceptions import RedisError

from consumers.connection import Command, Link, Reply
from consumers.deadletters import read_letter
from consumers.groups import is_missing
from consumers.jobs.clock import Clock
from consumers.jobs.dead import PLAIN
from consumers.jobs.entries import DAMAGED, JobEntry, read_body, read_entry, time_in
from consumers.jobs.names import GROUP, Keys
from consumers.jobs.outcomes import CANCELLED, EXPIRED, FAILURE, SUCCESS, ended, error_of
from consumers.jobs.own_ids import time_of
from consumers.jobs.reports import JobReport, WorkerReport, fresh_reports, reports_in, running_jobs
from consumers.jobs.searching import PAGE, query
from consumers.jobs.states import JobInfo, JobState
from consumers.owners import DELAYED, SHELVES

__all__ = ["Found", "Hint", "body_info", "dead_info", "entry_info", "locate", "running_info"]

SKEW_SECONDS = 0.05
"""How much earlier than a job's own time its entry is looked for first: the server's clock is another one."""

AGAIN_SECONDS = 0.05
"""How soon a job that was found nowhere is looked for once more; it may have moved meanwhile."""

ENDED = {
    SUCCESS: JobState.DONE,
    FAILURE: JobState.FAILED,
    CANCELLED: JobState.CANCELLED,
    EXPIRED: JobState.EXPIRED,
}

Hint = tuple[str, bytes]
"""Where a job was put: a stream and the ID of an entry."""


@dataclass(frozen=True, slots=True)
class Found:
    """A job and where it is. stream, entry_id, entry: if it is in a stream, the dead-letter stream included.

    result: the msgpack of what it returned, as long as that is kept.
    """

    info: JobInfo
    stream: str = ""
    entry_id: str = ""
    entry: JobEntry | None = None
    result: bytes | None = None


async def locate(
    link: Link, keys: Keys, id: str, clock: Clock, hint: Hint | None = None, most: int | None = None
) -> Found:
    """Find the job; its state is UNKNOWN if it was found nowhere, twice. Raises coredis's errors.

    most: pages of each stream that are read, for a search that is bounded; None: all of them.
    """
    search = _Search(link, keys, id, clock, most)
    for attempt in range(2):
        found = (
            await search.outside_streams() or await search.at(hint)
            or await search.in_streams() or await search.outside_streams()
        )  # fmt: skip
        if found is not None:
            return found
        if attempt == 0:
            await anyio.sleep(AGAIN_SECONDS)
    return await search.among_dead() or Found(JobInfo(id=id, state=JobState.UNKNOWN, enqueued=search.enqueued))


class _Search:
    """The search for one job."""

    def __init__(self, link: Link, keys: Keys, id: str, clock: Clock, most: int | None) -> None:
        self._most = most
        self._link = link
        self._keys = keys
        self._id = id
        self._clock = clock
        self._is_cancelled = False
        self._postponed: float | None = None
        self.enqueued = time_in(id)

    async def outside_streams(self) -> Found | None:
        """Look wherever a job is found by its ID."""
        keys, id = self._keys, self._id
        stored, left, body, due, reports, cancelled, postponed, marker = await query(
            self._link,
            [
                (b"GET", keys.result(id)), (b"PTTL", keys.result(id)),
                (b"HGET", keys.bodies, id), (b"ZSCORE", keys.later, id), (b"HVALS", keys.workers),
                (b"ZSCORE", keys.cancelled, id), (b"ZSCORE", keys.postponed, id), (b"GET", keys.own_id(id)),
            ],
        )  # fmt: skip
        self._is_cancelled = cancelled is not None
        self._postponed = postponed
        if marker is not None:
            self.enqueued = time_of(marker)
        if body is not None:
            return self._stored(body, due)
        running = running_jobs(reports_in(reports), self._clock()).get(id)
        if stored is not None:
            outcome = self._ended(stored, left)
            # its worker may not have reported yet that it has ended
            if running is None or (outcome.info.ended or 0.0) >= running[1].begun:
                return outcome
        return None if running is None else await self._running(*running)

    def _stored(self, body: bytes, due: float | None) -> Found:
        state = JobState.PARKED if due is None else JobState.DELAYED
        stored = read_body(body)
        info = body_info(self._id, body, state, enqueued=self.enqueued, due=due)
        return Found(info, entry=None if stored is None else stored[1])

    def _ended(self, stored: bytes, left: int) -> Found:
        kind, one = ended(stored)
        return Found(
            JobInfo(
                id=self._id,
                state=ENDED[kind],
                name=one.job or None,
                attempts=one.attempts,
                enqueued=self.enqueued,
                begun=one.begun or None,
                ended=one.ended or None,
                worker=one.worker or None,
                error=str(error_of(one)) if kind == FAILURE else None,
                progress=one.progress,
                kept_until=self._clock() + left / 1000 if left >= 0 else None,
            ),
            result=bytes(one.value) if kind == SUCCESS else None,
        )

    async def _running(self, worker: WorkerReport, job: JobReport) -> Found:
        (entries,) = await query(self._link, [(b"XRANGE", job.stream, job.entry, job.entry)])
        entry = read_entry(entries[0][1]) if entries else None
        return Found(running_info(worker, job, entry, self.enqueued), job.stream, job.entry, entry)

    async def at(self, hint: Hint | None) -> Found | None:
        """Look where it was put when it was enqueued."""
        if hint is None:
            return None
        stream, entry_id = hint
        (entries,) = await query(self._link, [(b"XRANGE", stream, entry_id, entry_id)])
        return await self._among(stream, entries)

    async def in_streams(self) -> Found | None:
        """Read the streams: from about the time at which it was enqueued to their end, and then what is before that."""
        start = "-"
        if self.enqueued is not None:
            start = f"{max(0, round((self.enqueued - SKEW_SECONDS) * 1000))}"
        streams = self._keys.in_order
        pages = await query(self._link, [self._page(stream, start, "+") for stream in streams])
        for stream, page in zip(streams, pages, strict=True):
            if (found := await self._among(stream, page)) is not None:
                return found
        for stream, page in zip(streams, pages, strict=True):
            if len(page) == PAGE and (found := await self._read(stream, _after(page), "+")) is not None:
                return found
        for stream in streams if start != "-" else ():
            if (found := await self._read(stream, "-", f"({start}-0")) is not None:
                return found
        return None

    async def among_dead(self) -> Found | None:
        """Read the dead letters: its result may not be kept any more."""
        found = await self._read(self._keys.dead, "-", "+")
        if found is None or found.entry is None:
            return None
        (page,) = await query(self._link, [self._page(found.stream, found.entry_id, found.entry_id)])
        info = dead_info(found.entry, page[0][1] if page else [], enqueued=self.enqueued)
        return Found(info, found.stream, found.entry_id, found.entry)

    @staticmethod
    def _page(stream: str, first: str, last: str) -> Command:
        return (b"XRANGE", stream, first, last, b"COUNT", PAGE)

    async def _read(self, stream: str, first: str, last: str) -> Found | None:
        read = 0
        while True:
            (page,) = await query(self._link, [self._page(stream, first, last)])
            read += 1
            if (found := await self._among(stream, page)) is not None:
                return found
            if len(page) < PAGE or read == self._most:
                return None
            first = _after(page)

    async def _among(self, stream: str, page: Sequence[Reply]) -> Found | None:
        wanted = self._id.encode()
        for entry_id, values in page:
            # most entries are others, so they are not read
            if wanted in values and (entry := read_entry(values)) is not None and entry.id == self._id:
                return await self._in_stream(stream, entry_id.decode(), entry)
        return None

    async def _in_stream(self, stream: str, entry_id: str, entry: JobEntry) -> Found:
        if stream != self._keys.dead and (running := await self._taken(stream, entry_id)) is not None:
            return Found(running_info(*running, entry, self.enqueued), stream, entry_id, entry)
        state, due = JobState.WAITING, None
        if self._is_cancelled:
            state = JobState.CANCELLED
        elif self._postponed is not None and self._postponed > self._clock():
            state, due = JobState.DELAYED, self._postponed
        return Found(entry_info(entry, state, stream, enqueued=self.enqueued, due=due), stream, entry_id, entry)

    async def _taken(self, stream: str, entry_id: str) -> tuple[WorkerReport, JobReport] | None:
        """Whether a worker that has taken the entry has begun it."""
        try:
            (rows,) = await query(self._link, [(b"XPENDING", stream, GROUP, entry_id, entry_id, 1)])
        except RedisError as error:
            if not is_missing(error):
                raise
            # there was never a worker
            return None
        if not rows or rows[0][1].decode() in (*SHELVES, DELAYED, ""):
            return None
        reports = await fresh_reports(self._link, self._keys, self._clock)
        return running_jobs(reports, self._clock()).get(self._id)


def _after(page: Sequence[Reply]) -> str:
    return f"({page[-1][0].decode()}"


def entry_info(
    entry: JobEntry, state: JobState, stream: str, *, enqueued: float | None = None, due: float | None = None
) -> JobInfo:
    """What a job's entry says about it."""
    priority = stream.rpartition("}:")[2]
    try:
        arguments = PLAIN(entry.arguments)
    except msgspec.DecodeError:
        arguments = None
    return JobInfo(
        id=entry.id,
        state=state,
        name=entry.job,
        arguments=arguments if isinstance(arguments, dict) else None,
        priority=None if priority in ("", "resumed") else priority,
        attempts=entry.failed,
        enqueued=time_in(entry.id) if enqueued is None else enqueued,
        due=due,
        expires=entry.expires or None,
        error=entry.error or None,
    )


def body_info(
    id: str, body: bytes, state: JobState, *, enqueued: float | None = None, due: float | None = None
) -> JobInfo:
    """What is stored of a job that is in no stream; of a damaged one its ID alone, by which it can be deleted."""
    if (stored := read_body(body)) is None:
        return JobInfo(id=id, state=state, enqueued=enqueued, due=due, error=DAMAGED)
    stream, entry = stored
    return entry_info(entry, state, stream, enqueued=enqueued, due=due)


def dead_info(entry: JobEntry, values: Sequence[bytes], *, enqueued: float | None = None) -> JobInfo:
    """What a dead job's entry says about it, and the dead letter around it about its end."""
    info, letter = entry_info(entry, JobState.FAILED, "", enqueued=enqueued), read_letter(b"", values)
    if letter is None:
        return info
    attempts = max(info.attempts, letter.delivery_count)
    return replace(info, attempts=attempts, error=info.error or letter.reason or None, ended=letter.time or None)


def running_info(
    worker: WorkerReport, job: JobReport, entry: JobEntry | None, enqueued: float | None = None
) -> JobInfo:
    """What its worker says about a running job, and its entry if that is known."""
    about = entry_info(entry or JobEntry(job.id, job.job, b""), JobState.RUNNING, job.stream, enqueued=enqueued)
    return replace(about, attempts=job.attempt, begun=job.begun or None, worker=worker.name, progress=job.progress)
