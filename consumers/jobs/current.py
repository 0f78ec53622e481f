"""What a job's function can know about the job that it runs for, wherever it runs: in a task, a thread or a process."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from consumers.jobs.states import Progress

__all__ = ["CURRENT", "CurrentJob", "current_job"]


class Run(Protocol):
    """The part of a running job that its function can use."""

    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def context(self) -> Any: ...
    def note_progress(self, progress: Progress) -> None: ...


@dataclass(frozen=True, slots=True)
class CurrentJob:
    """What a job's function can know about the job: its ID, which is the same for all attempts, name and attempt."""

    id: str
    name: str
    attempt: int
    _run: Run | None = field(default=None, repr=False, compare=False)

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments that were enqueued, by parameter name. Middleware may read them."""
        return self._run.arguments if self._run is not None else {}

    @property
    def context(self) -> Any:
        """What the queue's lifespan yields; None without one."""
        return self._run.context if self._run is not None else None

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far the job is, for Job.info(). Any number of calls is fine, in threads and processes as well.

        The worker writes at most five times per second, for all its jobs together, and never makes the job wait. The
        last call is kept with the result.
        """
        if self._run is not None:
            self._run.note_progress(Progress(done, total, note, 0.0))


CURRENT: ContextVar[CurrentJob] = ContextVar("current_job")


def current_job() -> CurrentJob:
    """Return the running job, in its function and whatever that calls, threads included. Raises LookupError."""
    return CURRENT.get()
