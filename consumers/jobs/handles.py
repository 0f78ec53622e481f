"""A job that was enqueued, seen from the outside: its result, and its cancellation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import trio

from consumers.given import Duration, duration
from consumers.jobs.outcomes import outcome

if TYPE_CHECKING:
    from consumers.jobs.queue import Queue

__all__ = ["Job"]

R_co = TypeVar("R_co", covariant=True)


class Job(Generic[R_co]):
    """A job, by its ID. created: False where a unique job was there already and this is that one."""

    def __init__(self, queue: Queue, id: str, decode: Callable[[bytes], Any], *, created: bool = True) -> None:
        self.queue = queue
        self.id = id
        self.created = created
        self._decode = decode

    def __repr__(self) -> str:
        return f"<Job {self.queue.name} {self.id}>"

    async def result(self, timeout: Duration | None = None) -> R_co:
        """What the job returned, decoded by its function's return annotation; waits for it.

        timeout: seconds. Raises TimeoutError after them; JobFailed when the job was given up, JobCancelled when it
        was cancelled. Results are kept for the queue's keep_results seconds; later (or where that is 0) this waits
        for ever.
        """
        seconds = math.inf if timeout is None else duration("timeout", timeout)
        with trio.move_on_after(seconds) as scope:
            stored = await self.queue.connection.results.wait(self.id)
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
