"""An enqueued job seen from outside: its result, its state, its cancellation."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

import anyio

from consumers.given import Duration, duration, instance
from consumers.jobs.locating import Hint
from consumers.jobs.outcomes import NoResult, outcome
from consumers.jobs.states import JobInfo, JobState

__all__ = ["Job", "JobServer", "OpensJobs", "Runs", "SyncJob"]

P = ParamSpec("P")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


class JobServer(Protocol):
    """What a Job needs from the server, through its queue's connection."""

    async def wait(self, id: str, *, known: bool) -> bytes: ...
    async def cancel(self, id: str) -> bool: ...
    async def info(self, id: str, hint: Hint | None) -> JobInfo: ...
    async def delete(self, id: str, hint: Hint | None) -> bool: ...
    async def reschedule(self, id: str, hint: Hint | None, delay: float | None, due: float | None) -> bool: ...


class OpensJobs(Protocol):
    """The part of a queue that its Jobs need. connection raises RuntimeError while the queue is not open."""

    @property
    def name(self) -> str: ...
    @property
    def connection(self) -> JobServer: ...


class Job(Generic[R_co]):
    """A job, by its ID. created: False if this is one that existed: a unique job, or one that stands for this call."""

    def __init__(
        self,
        queue: OpensJobs,
        id: str,
        decode: Callable[[bytes], Any],
        *,
        created: bool = True,
        kept: bool = True,
        known: bool = False,
        hint: Hint | None = None,
    ) -> None:
        self.queue = queue
        self.id = id
        self.created = created
        self._decode = decode
        self._kept = kept
        self._known = known
        self._hint = hint

    def __repr__(self) -> str:
        return f"<Job {self.queue.name} {self.id}>"

    async def result(self, timeout: Duration | None = None) -> R_co:
        """Wait for the job and return its result, decoded according to its function's return annotation.

        timeout: seconds or a timedelta. Raises TimeoutError after it, JobFailed if the job was given up, JobCancelled
        if it was cancelled, JobExpired if it was not begun in time. Results are kept for keep_result seconds. Later, or
        if that is 0, or if the job never existed or was deleted, this raises NoResult: immediately, or within half a
        minute for a job that this program enqueued.
        """
        if not self._kept:
            raise NoResult(f"results of the job {self.id} are not kept: its keep_result is 0")
        seconds = math.inf if timeout is None else duration("timeout", timeout)
        with anyio.move_on_after(seconds) as scope:
            stored = await self.queue.connection.wait(self.id, known=self._known)
        if scope.cancelled_caught:
            raise TimeoutError(f"the job {self.id} has not ended within {seconds:g} s")
        return cast(R_co, outcome(stored, self._decode))

    async def cancel(self) -> bool:
        """Prevent the job from running, or stop it. Returns True if it was delayed, and is now gone.

        A waiting job is dropped when its turn comes. A running one is cancelled at its next checkpoint (a synchronous
        one when it checks, see Queue.job); its effects so far remain. It takes milliseconds to reach the workers, so a
        job may still return: result() shows which. A job that has ended is left alone.
        """
        return await self.queue.connection.cancel(self.id)

    async def info(self) -> JobInfo:
        """What is known about the job: its state, attempts, times, worker, error, progress.

        This takes one to three round trips, except for a job that waits in a stream and was not enqueued by this
        program a moment ago, or is nowhere: then the queue's streams may be read in full, 1000 jobs per round trip. So
        ask about single jobs, not about every one.
        """
        return await self.queue.connection.info(self.id, self._hint)

    async def status(self) -> JobState:
        """The state in info()."""
        return (await self.info()).state

    async def delete(self) -> bool:
        """Remove the job, its result, and its own ID. Returns False if there was nothing.

        One that runs is stopped as by cancel(), and its outcome is then that it was cancelled.
        """
        return await self.queue.connection.delete(self.id, self._hint)

    async def reschedule(self, *, delay: Duration | None = None, at: datetime | None = None) -> bool:
        """Have a job that has not begun begin at another time, earlier or later: `delay` from now, or `at`.

        Returns False if it runs, has ended, or does not exist. A job that waits in a stream is postponed by the worker
        whose turn it is; as with cancel(), one that takes it within the next milliseconds may still run it.
        """
        if (delay is None) == (at is None):
            raise TypeError("give either delay or at")
        if at is not None:
            instance("at", at, datetime)
        seconds = None if delay is None else duration("delay", delay)
        return await self.queue.connection.reschedule(
            self.id, self._hint, seconds, None if at is None else at.timestamp()
        )


class Runs(Protocol):
    """What a SyncJob needs of Queue.sync."""

    def run(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...


class SyncJob(Generic[R_co]):
    """A Job for programs without an event loop: its methods are the Job's, and block. job: the Job itself."""

    def __init__(self, job: Job[R_co], sync: Runs) -> None:
        self.job = job
        self._sync = sync

    def __repr__(self) -> str:
        return f"<SyncJob {self.job.queue.name} {self.id}>"

    @property
    def id(self) -> str:
        return self.job.id

    @property
    def created(self) -> bool:
        return self.job.created

    def result(self, timeout: Duration | None = None) -> R_co:
        """Job.result: wait for the job and return its result."""
        return self._sync.run(self.job.result, timeout)

    def cancel(self) -> bool:
        """Job.cancel: prevent the job from running, or stop it."""
        return self._sync.run(self.job.cancel)

    def info(self) -> JobInfo:
        """Job.info: what is known about the job."""
        return self._sync.run(self.job.info)

    def status(self) -> JobState:
        """Job.status: the state in info()."""
        return self._sync.run(self.job.status)

    def delete(self) -> bool:
        """Job.delete: remove the job, its result, and its own ID."""
        return self._sync.run(self.job.delete)

    def reschedule(self, *, delay: Duration | None = None, at: datetime | None = None) -> bool:
        """Job.reschedule: have a job that has not begun begin at another time."""
        return self._sync.run(self.job.reschedule, delay=delay, at=at)
