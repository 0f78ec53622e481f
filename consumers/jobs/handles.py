"""A job that was enqueued, seen from the outside: its result, and its cancellation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, cast

import trio

from consumers.given import Duration, duration
from consumers.jobs.outcomes import NoResult, outcome

__all__ = ["Job", "JobServer", "OpensJobs"]

R_co = TypeVar("R_co", covariant=True)


class JobServer(Protocol):
    """What a Job asks the server, through its queue's connection."""

    async def wait(self, id: str, *, known: bool) -> bytes: ...
    async def cancel(self, id: str) -> bool: ...


class OpensJobs(Protocol):
    """A queue, as far as its Jobs need it. connection raises RuntimeError while the queue is not open."""

    @property
    def name(self) -> str: ...
    @property
    def connection(self) -> JobServer: ...


class Job(Generic[R_co]):
    """A job, by its ID. created: False where a unique job was there already and this is that one."""

    def __init__(
        self,
        queue: OpensJobs,
        id: str,
        decode: Callable[[bytes], Any],
        *,
        created: bool = True,
        kept: bool = True,
        known: bool = False,
    ) -> None:
        self.queue = queue
        self.id = id
        self.created = created
        self._decode = decode
        self._kept = kept
        self._known = known

    def __repr__(self) -> str:
        return f"<Job {self.queue.name} {self.id}>"

    async def result(self, timeout: Duration | None = None) -> R_co:
        """What the job returned, decoded by its function's return annotation; waits for it.

        timeout: seconds, or a timedelta. Raises TimeoutError after it; JobFailed when the job was given up,
        JobCancelled when it was cancelled. Results are kept for keep_result seconds; later, or where that is 0, or if
        there never was such a job or it was deleted, this raises NoResult: at once, or for a job that was enqueued by
        this program within half a minute.
        """
        if not self._kept:
            raise NoResult(f"results of the job {self.id} are not kept: its keep_result is 0")
        seconds = math.inf if timeout is None else duration("timeout", timeout)
        with trio.move_on_after(seconds) as scope:
            stored = await self.queue.connection.wait(self.id, known=self._known)
        if scope.cancelled_caught:
            raise TimeoutError(f"the job {self.id} has not ended within {seconds:g} s")
        return cast(R_co, outcome(stored, self._decode))

    async def cancel(self) -> bool:
        """See to it that the job does not run, or is stopped. True: it was delayed, and is gone now.

        A job that waits is dropped when its turn comes; one that runs is cancelled at its next checkpoint (a
        synchronous one when it asks, see Queue.job); what it has done is done. Workers hear of it within
        milliseconds, so a job may still return: result() tells. A job that has ended is left alone.
        """
        return await self.queue.connection.cancel(self.id)
