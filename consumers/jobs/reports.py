"""What workers report: that they live, which jobs they run, and how far these are.

Each worker writes one field of a hash every second, and learns in the same round trip whether the queue is paused. So a
running job is found without reading streams, and a job that is begun or reports its progress costs no command. Whoever
needs to know more exactly asks: an announcement on the control channel makes every worker report immediately
(`fresh_reports`).

A worker that has been silent for its lease counts as dead, here as well as for its jobs. Its report is removed by the
others some time later.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Protocol

import anyio
import msgspec
from anyio import NoEventLoopError

from consumers.connection import Command, Link
from consumers.doorbell import Doorbell
from consumers.jobs.clock import Clock
from consumers.jobs.entries import JobEntry
from consumers.jobs.names import Keys
from consumers.jobs.searching import query
from consumers.jobs.states import Progress
from consumers.retry import Backoff, persist

__all__ = [
    "REPORT",
    "JobReport",
    "Reporter",
    "WorkerReport",
    "alive",
    "fresh_reports",
    "read_reports",
    "reports_in",
    "running_jobs",
]

REPORT_SECONDS = 1.0

PAUSE = 0.2
"""The shortest time between two reports, in seconds: so often at most is a job's progress written."""

TIDY_SECONDS = 60.0
"""How often the reports of dead workers are looked for, and how long they are kept."""

GOODBYE_SECONDS = 1.0
"""How long removing its report may delay the end of a worker."""

ASK_SECONDS = 0.6
"""How long a question to all workers waits for their answers, at most."""

LOOK_SECONDS = 0.02

REPORT = b"report"
"""The announcement that makes all workers report."""

STEADY = Backoff(initial=REPORT_SECONDS, factor=1, max=REPORT_SECONDS, jitter=False)


class JobReport(msgspec.Struct, frozen=True, array_like=True):
    """A job whose function runs. stream, entry: its stream entry. begun: seconds since 1970."""

    id: str
    job: str
    stream: str
    entry: str
    attempt: int
    begun: float
    progress: Progress | None


class WorkerReport(msgspec.Struct, frozen=True, array_like=True):
    """See WorkerInfo. lease: seconds."""

    name: str
    host: str
    pid: int
    concurrency: int
    lease: float
    since: float
    seen: float
    in_hand: int
    jobs: tuple[JobReport, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(WorkerReport).decode


class Running(Protocol):
    """The part of a running job that is reported."""

    @property
    def stream(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def entry(self) -> JobEntry | None: ...
    @property
    def begun_at(self) -> float: ...
    @property
    def progress(self) -> Progress | None: ...


class Reporter:
    """Reports for one worker. running: the jobs whose functions run. in_hand: returns how many jobs it holds.

    paused: called after each report with whether the queue is paused.
    """

    def __init__(
        self,
        keys: Keys,
        link: Link,
        clock: Clock,
        *,
        name: str,
        concurrency: int,
        lease: float,
        running: Mapping[str, Running],
        in_hand: Callable[[], int],
        paused: Callable[[bool], None],
    ) -> None:
        self._keys = keys
        self._link = link
        self._clock = clock
        self._running = running
        self._in_hand = in_hand
        self._paused = paused
        self._first = WorkerReport(name, socket.gethostname(), os.getpid(), concurrency, lease, clock(), 0.0, 0, ())
        self._bell = Doorbell()
        self._wanted = False
        self._thread = threading.get_ident()
        self._tidy_at = clock()

    def report(self) -> None:
        """Report soon, not only when the second is over. May be called in any thread."""
        if self._wanted:
            return
        self._wanted = True
        if threading.get_ident() == self._thread:
            self._bell.ring()
            return
        try:
            anyio.from_thread.run_sync(self._bell.ring)
        except (RuntimeError, NoEventLoopError):
            # a thread of the job's own, which has no way to the loop: the next report is due within a second
            self._wanted = False

    async def run(self) -> None:
        """Report, forever. Raises the server's permanent refusals."""
        while True:
            with anyio.move_on_after(REPORT_SECONDS):
                await self._bell.wait()
            await persist(self.write, STEADY)
            await anyio.sleep(PAUSE)

    async def write(self) -> None:
        """Report now."""
        self._wanted = False
        keys, now = self._keys, self._clock()
        jobs = tuple(
            JobReport(job.entry.id, job.entry.job, job.stream, job.id, job.entry.failed + 1, job.begun_at, job.progress)
            for job in list(self._running.values())
            if job.entry is not None
        )
        report = msgspec.structs.replace(self._first, seen=now, in_hand=self._in_hand(), jobs=jobs)
        tidy = now >= self._tidy_at
        commands: list[Command] = [(b"HSET", keys.workers, report.name, _encode(report)), (b"EXISTS", keys.paused)]
        if tidy:
            commands.append((b"HVALS", keys.workers))
        _, paused, *others = await query(self._link, commands)
        self._paused(bool(paused))
        if tidy:
            self._tidy_at = now + TIDY_SECONDS
            dead = [one.name for one in reports_in(others[0]) if now - one.seen > max(TIDY_SECONDS, one.lease)]
            if dead:
                await query(self._link, [(b"HDEL", keys.workers, *dead)])

    async def leave(self) -> None:
        """Remove the report: the worker ends. If the server stays away, others remove it."""
        farewell: list[Command] = [(b"HDEL", self._keys.workers, self._first.name)]
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + GOODBYE_SECONDS):
            await persist(partial(query, self._link, farewell))


def alive(report: WorkerReport, now: float) -> bool:
    """Whether the worker counts as living."""
    return now - report.seen <= report.lease


async def read_reports(link: Link, keys: Keys) -> list[WorkerReport]:
    """The last report of each worker."""
    (blobs,) = await query(link, [(b"HVALS", keys.workers)])
    return reports_in(blobs)


async def fresh_reports(link: Link, keys: Keys, clock: Clock) -> list[WorkerReport]:
    """Have all workers report, and return what they say; for one that does not answer, its last report."""
    before = {one.name: one.seen for one in await read_reports(link, keys)}
    # no need to wait for those that have been silent for longer than it takes to report
    asked = {name for name, seen in before.items() if clock() - seen < 3 * REPORT_SECONDS}
    if not asked:
        return await read_reports(link, keys)
    await query(link, [(b"SPUBLISH", keys.control, REPORT)])
    deadline = anyio.current_time() + ASK_SECONDS
    while True:
        found = await read_reports(link, keys)
        silent = [one for one in found if one.name in asked and one.seen == before[one.name]]
        if not silent or anyio.current_time() >= deadline:
            return found
        await anyio.sleep(LOOK_SECONDS)


def running_jobs(reports: Iterable[WorkerReport], now: float) -> dict[str, tuple[WorkerReport, JobReport]]:
    """The jobs that living workers run, by ID."""
    found: dict[str, tuple[WorkerReport, JobReport]] = {}
    for report in reports:
        for job in report.jobs if alive(report, now) else ():
            # one that was cut off may not know yet that another has its job
            if job.id not in found or found[job.id][1].begun < job.begun:
                found[job.id] = report, job
    return found


def reports_in(blobs: Iterable[bytes]) -> list[WorkerReport]:
    found: list[WorkerReport] = []
    for blob in blobs:
        try:
            found.append(_decode(blob))
        except msgspec.MsgspecError:
            # of a release with another form
            continue
    return sorted(found, key=lambda one: one.name)
