"""A queue in programs without an event loop: Django and Flask views, scripts.

    job = resize.sync.enqueue("cat.png", width=200)
    print(job.result(timeout=60))

Everything is done by the asynchronous methods, in the process's one loop (consumers.background), where the queue is
opened when it is first needed and stays open. So all threads share one connection; a forked child opens its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from typing import Any, ParamSpec, Protocol, Self, TypeVar

from consumers import given, loops
from consumers.background import Hosted
from consumers.jobs.declarations import Call, JobFunction
from consumers.jobs.handles import Job, SyncJob

__all__ = ["SyncQueue"]

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


class AsyncQueue(Protocol):
    """The part of a Queue that is needed here."""

    @property
    def name(self) -> str: ...
    def open(self, server: str | None = None) -> AbstractAsyncContextManager[object]: ...
    async def enqueue_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]: ...
    def handle(self, id: str, function: JobFunction[Any, R] | None = None) -> Job[R]: ...


class SyncQueue:
    """Queue.sync: the queue for code that does not await. All threads may use it at the same time.

    The server is the one that open() names, or the Queue's `url`, or the one in the environment's REDIS_URL. A lost
    connection is opened again by the next call; a child process opens its own.

    Its methods block. So in a thread that runs an event loop they raise RuntimeError: there, await the asynchronous
    ones. They work in all other threads of such a program, as in those of FastAPI's `def` views and of jobs.
    """

    def __init__(self, queue: AsyncQueue) -> None:
        self._queue = queue
        self._server: str | None = None
        self._hosted = Hosted(lambda: queue.open(self._server), f"the queue {queue.name}")

    @contextmanager
    def open(self, server: str | None = None) -> Iterator[Self]:
        """Have the queue use this server (a URL) while the block runs, and close it at the end: for scripts and tests.

        Raises RuntimeError if it is open already.
        """
        if server is not None:
            given.text("server", server)
        if self._hosted.is_open:
            raise RuntimeError(f"the queue {self._queue.name} is open already")
        self._server = server
        try:
            yield self
        finally:
            self._server = None
            self._hosted.close()

    def enqueue_many(self, calls: Iterable[Call[R]]) -> list[SyncJob[R]]:
        """Queue.enqueue_many: add jobs, up to 1000 in one transaction and round trip; returns them in order."""
        # an iterator of the caller's runs in the caller's thread
        return [SyncJob(job, self) for job in self.run(self._queue.enqueue_many, list(calls))]

    def handle(self, id: str, function: JobFunction[Any, R] | None = None) -> SyncJob[R]:
        """Queue.handle: return the job with this ID, enqueued here or elsewhere."""
        return SyncJob(self._queue.handle(id, function), self)

    def run(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call an asynchronous function with the queue open, and return its result:

            counts = queue.sync.run(queue.counts)
            queue.sync.run(queue.unschedule, "report 4711")

        With it, everything that works inside `async with queue.open()` works here. The function must not block: it
        would hold up all other threads. Ctrl-C cancels it.
        """
        if loops.is_running():
            raise RuntimeError(
                f"{self._queue.name}: queue.sync would block the event loop that runs in this thread; "
                "await the asynchronous methods instead, inside `async with queue.open()`"
            )
        return self._hosted.run(partial(function, *args, **kwargs))

    def collect(self, things: AsyncIterable[T]) -> list[T]:
        """Return all things that an asynchronous iterator of the queue yields, as in collect(queue.jobs("running"))."""

        async def everything() -> list[T]:
            return [thing async for thing in things]

        return self.run(everything)
