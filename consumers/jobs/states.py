"""What is known about a queue's jobs and workers, as users see it.

Times are seconds since 1970, by the clock of the program that noted them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import msgspec

__all__ = ["Counts", "JobInfo", "JobState", "Missed", "Progress", "Schedule", "WorkerInfo"]


class JobState(StrEnum):
    """Where a job is. The last five have ended; UNKNOWN means that there is no such job, or nothing is kept of it."""

    WAITING = "waiting"
    """It is in a stream, and its function has not begun."""
    DELAYED = "delayed"
    """It waits for a time: that of its first attempt, or of the next one."""
    PARKED = "parked"
    """It waits for a place under a limit or a rate, or for its tenant's turn."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """It was given up, and is in the dead-letter stream unless that was trimmed or purged."""
    CANCELLED = "cancelled"
    """It was cancelled, or is dropped when its turn comes."""
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """What a running job has said about itself, see CurrentJob.progress."""

    done: float
    total: float | None
    note: str
    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """A job as it was at the moment of the question. What is not known is None.

    name: of its function. arguments: by name, without the types that the function's annotations give them; None once
    it has ended. priority: None if it was parked. attempts: how often it has been run, the present run included.
    enqueued: when enqueue() was called. due: before this, it is not begun. expires: after this, it is not begun.
    begun, ended, worker, progress: of the present or the last run, those of earlier attempts are not kept. error: what
    the last attempt raised. kept_until: when result() and this forget the job.
    """

    id: str
    state: JobState
    name: str | None = None
    arguments: dict[str, Any] | None = None
    priority: str | None = None
    attempts: int = 0
    enqueued: float | None = None
    due: float | None = None
    expires: float | None = None
    begun: float | None = None
    ended: float | None = None
    worker: str | None = None
    error: str | None = None
    progress: Progress | None = None
    kept_until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A worker as it has reported itself, which it does every second.

    alive: it has done so within its lease. seen: when. since: when it was started. in_hand: jobs that it holds,
    including those that have not begun. jobs: those that it runs.
    """

    name: str
    host: str
    pid: int
    concurrency: int
    since: float
    seen: float
    alive: bool
    in_hand: int
    jobs: tuple[JobInfo, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many jobs of a queue are in each state, schedules it has, and workers that are alive.

    waiting includes jobs that a worker has taken and not begun. delayed includes the next occurrence of each
    schedule. Jobs that have ended are not counted, except for dead ones. paused: whether workers take no jobs.
    """

    waiting: int
    delayed: int
    running: int
    parked: int
    periodic: int
    dead: int
    workers: int
    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a job runs periodically. due: its next occurrence, None if there is none. jitter, missed: see Queue.job.

    declared: by workers, with cron=; seen is when one last vouched for it. Otherwise it was made by Queue.schedule().
    """

    name: str
    job: str
    expression: str
    timezone: str
    due: float | None
    jitter: float
    missed: Missed
    paused: bool
    declared: bool
    seen: float | None


Missed = Literal["skip", "once", "all"]
"""What becomes of occurrences that came while no worker ran."""
