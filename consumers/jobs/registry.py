"""The jobs of a queue: functions that are declared by decorators, with their settings."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from datetime import UTC, tzinfo
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from consumers import given
from consumers.given import Duration
from consumers.jobs.batches import BatchDecorator, BatchFunction
from consumers.jobs.calling import Wrapper
from consumers.jobs.declarations import Call, Errors, JobFunction, Settings
from consumers.jobs.handles import Job
from consumers.jobs.injection import Lifespan
from consumers.jobs.names import RESERVED, Keys
from consumers.jobs.options import Unique
from consumers.jobs.payloads import encode
from consumers.jobs.periodic import Periodic
from consumers.jobs.rates import Rate
from consumers.jobs.states import Missed
from consumers.jobs.sync import SyncQueue
from consumers.jobs.thinning import Debounce, Throttle
from consumers.retry import Backoff

__all__ = ["Registry"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class Decorator(Protocol):
    """What Queue.job returns: it takes asynchronous and synchronous functions."""

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> JobFunction[P, R, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> JobFunction[P, R, Awaitable[R]]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> JobFunction[P, R, R]: ...


class Registry(ABC):
    """A queue's names, and what is declared in it; see Queue for its arguments."""

    sync: SyncQueue

    def __init__(
        self, name: str, priorities: Sequence[str], keep_result: Duration, fair_by: str | Sequence[str]
    ) -> None:
        given.text("name", name, empty=True)
        if not name or "{" in name or "}" in name:
            raise ValueError("a queue's name is not empty and has no braces")
        given.texts("priorities", priorities)
        if not priorities or RESERVED & set(priorities) or len(set(priorities)) < len(priorities):
            raise ValueError(f"priorities are names, each once, none of them {', '.join(sorted(RESERVED))}")
        self.name = name
        self.priorities = tuple(priorities)
        self.default_priority = self.priorities[len(self.priorities) // 2]
        self.keep_result = given.duration("keep_result", keep_result)
        if self.keep_result < 0:
            raise ValueError("keep_result can't be negative")
        self.keys = Keys(name, self.priorities)
        self._fair_by = (
            (given.text("fair_by", fair_by),) if isinstance(fair_by, str) else given.texts("fair_by", fair_by)
        )
        self.fair = bool(self._fair_by)
        """Whether its jobs wait for their tenants' turns."""
        self.functions: dict[str, JobFunction[Any, Any]] = {}
        self.periodic_jobs: dict[str, Periodic] = {}
        self.declared_lifespan: Lifespan | None = None
        self.wrappers: list[Wrapper] = []

    @abstractmethod
    async def enqueue_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """See Queue."""

    def job(
        self,
        *,
        name: str | None = None,
        retries: int = 3,
        retry_on: Errors | None = None,
        dead_on: Errors = (),
        backoff: Backoff | None = None,
        timeout: Duration | None = None,
        priority: str | None = None,
        unique: Unique = False,
        limit: int | None = None,
        limit_by: Unique = False,
        rate: Rate | None = None,
        fair_by: Unique | None = None,
        debounce: Debounce | None = None,
        throttle: Throttle | None = None,
        crashes: int = 10,
        process: bool = False,
        keep_result: Duration | None = None,
        cron: str | None = None,
        timezone: tzinfo = UTC,
        jitter: Duration = 0.0,
        missed: Missed = "once",
    ) -> Decorator:
        """Declare a function as a job of this queue.

        An asynchronous function runs in a task of the worker, a synchronous one in a thread. A thread can't be
        stopped: a time-out, a cancellation and the end of the worker wait until the function returns, or calls
        anyio.from_thread.check_cancelled(), which then raises. A result returned after the time-out counts as a
        failure; after a cancellation it is ignored.

        name: the name by which workers know the job, by default the function's; it is stored with enqueued jobs.
        retries: how often it runs again after it raised; then it is dead: it goes to the dead-letter stream. Reject
            makes it dead immediately, Retry(delay=) sets the delay. backoff: the delays.
        retry_on: an exception class or a tuple of some; after any other exception the job is dead (JobTimeout, which
            exceeding `timeout` raises, is one of them). dead_on: exceptions after which it is dead although they are
            among the former. Retry and Reject do as they say in any case.
        timeout: seconds after which a run counts as failed.
        priority: the default of enqueue. unique: see JobFunction.enqueue.
        limit: how many jobs of this function may run at a time across all workers; with limit_by, how many with the
            same values of these parameters. The others wait without holding up other jobs. A crashed worker's places
            are free after its lease.
        rate: Rate(100, per=60, by="customer"): how many runs may begin in any period; the others wait likewise.
        fair_by: the parameter (or several) that names a tenant, by default the queue's: see there. False: none.
        debounce: Debounce(5, by="path", max_wait=60): one job for calls that follow each other quickly, with the last
            arguments. throttle: Throttle(60, by="path"): one job per period. Job.created tells whether a call got one.
        crashes: how often its worker may die under it before it is dead; only a worker that died while it ran nothing
            else proves that the job is the cause, see "Jobs that kill their worker" in docs/worker-queues.md.
        process: run a synchronous function in a process of the worker's pool, on another core. It is killed at its
            time-out, when it is cancelled and when the worker ends; a crash (JobProcessDied) is its own failure.
        keep_result: overrides the queue's.
        cron: run it at these times without arguments, in `timezone`: five fields, or six with seconds first.
        jitter: each time up to so many seconds later, at random. missed: what becomes of occurrences whose time came
            while no worker ran. "once": the first of them is made up for; "all": all of them are; "skip": none is, and
            one that has not begun within a minute is dropped.
        """

        def declare(function: Callable[..., Any]) -> JobFunction[Any, Any]:
            settings = Settings(
                name=_name_of(function, name),
                retries=retries,
                retry_on=retry_on,
                dead_on=dead_on,
                backoff=backoff or Backoff(),
                timeout=None if timeout is None else given.duration("timeout", timeout),
                priority=priority or self.default_priority,
                unique=unique,
                limit=limit,
                limit_by=limit_by,
                rate=rate,
                fair_by=self._tenant(function) if fair_by is None else fair_by,
                debounce=debounce,
                throttle=throttle,
                crashes=crashes,
                process=process,
                keep_result=self.keep_result if keep_result is None else given.duration("keep_result", keep_result),
            )
            declared: JobFunction[Any, Any] = JobFunction(self, function, settings, self.declared_lifespan)
            self._declare(declared)
            if cron is not None:
                self._schedule(declared, cron, timezone, given.duration("jitter", jitter), missed)
            return declared

        return declare

    def batch_job(
        self,
        size: int,
        *,
        wait: Duration = 0.1,
        name: str | None = None,
        retries: int = 3,
        retry_on: Errors | None = None,
        dead_on: Errors = (),
        backoff: Backoff | None = None,
        timeout: Duration | None = None,
        priority: str | None = None,
        unique: Unique = False,
        crashes: int = 10,
        keep_result: Duration | None = None,
    ) -> BatchDecorator:
        """Declare a function that handles many calls in one run, as a job of this queue.

            @queue.batch_job(100, wait=0.5)
            async def index(documents: list[Document]) -> list[int]: ...

            job = await index.enqueue(document)             # one call, whose result is one int

        The function has one parameter, a list, besides injected ones; each call takes one element. It returns a list
        with as many results in the same order, or None. A result that is an exception is the failure of its call alone:
        only that is retried. If the function raises, all its calls have failed.

        size: calls per run, at most; workers need at least that concurrency. wait: how many seconds the first call
            waits for others. timeout: of a run. current_job() is the first call's. The others: see job(); they are each
            call's. A cancelled call is not stopped while others run with it, but its result is dropped.
        """

        def declare(function: Callable[..., Any]) -> BatchFunction[..., Any, Any]:
            settings = Settings(
                name=_name_of(function, name),
                retries=retries,
                retry_on=retry_on,
                dead_on=dead_on,
                backoff=backoff or Backoff(),
                timeout=None if timeout is None else given.duration("timeout", timeout),
                priority=priority or self.default_priority,
                unique=unique,
                fair_by=self._tenant(function),
                batch=given.whole("size", size),
                wait=given.duration("wait", wait),
                crashes=crashes,
                keep_result=self.keep_result if keep_result is None else given.duration("keep_result", keep_result),
            )
            declared: BatchFunction[..., Any, Any] = BatchFunction(self, function, settings, self.declared_lifespan)
            # that it takes a list is said here
            _ = declared.parameter
            self._declare(declared)
            return declared

        return declare

    def _declare(self, declared: JobFunction[Any, Any]) -> None:
        settings = declared.settings
        if settings.priority not in self.priorities:
            raise ValueError(f"{settings.priority!r} is not one of the priorities {', '.join(self.priorities)}")
        if settings.name in self.functions:
            raise ValueError(f"the queue {self.name} has a job {settings.name!r} already")
        self.functions[settings.name] = declared
        self.fair = self.fair or bool(settings.fair_by)

    def _tenant(self, function: Callable[..., Any]) -> Unique:
        """The parameters by which the queue is fair, for a function that has them."""
        if not self._fair_by or not set(self._fair_by) <= inspect.signature(function).parameters.keys():
            return False
        return self._fair_by

    def _schedule(
        self, declared: JobFunction[Any, Any], cron: str, zone: tzinfo, jitter: float, missed: Missed
    ) -> None:
        stream = self.keys.streams[declared.settings.priority]
        self.periodic_jobs[declared.name] = Periodic(
            declared.name, declared.name, cron, zone, encode({}), stream, jitter=jitter, missed=missed
        )

    def lifespan(self, function: F) -> F:
        """Declare what each worker sets up before its first job, and takes down after its last.

            @queue.lifespan
            async def resources() -> AsyncIterator[Resources]:
                async with create_pool(DATABASE) as pool:
                    yield Resources(pool)

            @queue.job()
            async def resize(path: str, pool: Pool = INJECTED) -> None: ...

        The function is an asynchronous generator that yields once, or returns an asynchronous context manager. A job's
        parameter with the default INJECTED gets what is yielded, or the attribute of that which has the same
        annotation (the one of the parameter's name if there are several). Declare it before the jobs that use it.

        Raises TypeError unless the annotation of what it returns says what it yields.
        """
        if self.declared_lifespan is not None:
            raise ValueError(f"the queue {self.name} has a lifespan already")
        self.declared_lifespan = Lifespan(function, self.name)
        return function

    def middleware(self, function: F) -> F:
        """Declare a function that wraps the runs of all jobs; the one that is declared first is the outermost.

            @queue.middleware
            async def timed(job: CurrentJob, call_next: CallNext) -> Any:
                begun = time.perf_counter()
                try:
                    return await call_next()
                finally:
                    observe(job.name, time.perf_counter() - begun)

        What it returns is the job's result, and what it raises counts as raised by the job. It runs in the job's task
        and under its time-out, also for jobs in threads, which see the context variables that it sets. Further
        parameters may be INJECTED. Raises TypeError for anything else.
        """
        self.wrappers.append(Wrapper(function, self.name, self.declared_lifespan))
        return function


def _name_of(function: Callable[..., Any], name: str | None) -> str:
    return name or str(getattr(function, "__name__", ""))
