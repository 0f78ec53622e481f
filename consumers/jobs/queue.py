"""A job queue: functions declared as jobs, and enqueueing."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, overload

from consumers import given
from consumers.addresses import client_from_url, default_url
from consumers.connection import Client, Command, Link, open_link
from consumers.deadletters import DeadLetter, dead_letters, redrive
from consumers.given import Duration
from consumers.jobs import cancelling, flow_resuming, listing
from consumers.jobs.calling import Wrapper
from consumers.jobs.clock import Clock, wall_clock
from consumers.jobs.dead import PLAIN, DeadJob, dead_job
from consumers.jobs.declarations import Call, Errors, JobFunction, Settings
from consumers.jobs.enqueueing import Adder, Positions
from consumers.jobs.handles import Job
from consumers.jobs.injection import Lifespan
from consumers.jobs.locating import Hint, locate
from consumers.jobs.managing import PURGED, Manager
from consumers.jobs.names import RESERVED, Keys
from consumers.jobs.options import Unique
from consumers.jobs.payloads import encode
from consumers.jobs.periodic import Periodic
from consumers.jobs.rates import Rate
from consumers.jobs.results import Results
from consumers.jobs.states import Counts, JobInfo, JobState, Schedule, WorkerInfo
from consumers.jobs.sync import SyncQueue
from consumers.jobs.thinning import Debounce, Throttle
from consumers.retry import Backoff
from consumers.task_groups import Border, open_plain_task_group
from consumers.transactions import Transactions

__all__ = ["DeadJob", "Queue"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

PIPELINE = 1000
"""Jobs that are added in one transaction, at most."""


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


@dataclass(frozen=True, slots=True)
class Connection:
    """What an opened queue works with."""

    client: Client
    link: Link
    transactions: Transactions
    results: Results
    adder: Adder
    manager: Manager
    keys: Keys
    keep_result: float
    clock: Clock

    async def wait(self, id: str, *, known: bool) -> bytes:
        return await self.results.wait(id, known=known)

    async def cancel(self, id: str) -> bool:
        return await cancelling.cancel(self.keys, self.transactions, id, self.keep_result, self.clock)

    async def info(self, id: str, hint: Hint | None) -> JobInfo:
        return (await locate(self.link, self.keys, id, self.clock, hint)).info

    async def delete(self, id: str, hint: Hint | None) -> bool:
        return await self.manager.delete(id, hint)

    async def reschedule(self, id: str, hint: Hint | None, delay: float | None, due: float | None) -> bool:
        return await self.manager.reschedule(id, self.clock() + (delay or 0.0) if due is None else due, hint)


class Queue:
    """A job queue, identified by its name, the same in all programs that enqueue or work.

        queue = Queue("thumbnails")

        @queue.job(retries=5, timeout=30)
        async def resize(path: str, width: int) -> str: ...

        async with queue.open("redis://127.0.0.1") as queue:
            job = await resize.enqueue("cat.png", width=200)
            print(await job.result(timeout=60))

    Jobs run *at least once*: again after they failed, after a worker crashed or lost its connection for longer than its
    lease, and in rare cases after they had succeeded. So a job's effects must be idempotent: writing the same file
    again, an upsert, a payment with an idempotency key (current_job().id stays the same for all attempts).

    priorities: starting with the most urgent; workers take no job while a more urgent one waits. The second of three
        (or the only one) is the default.
    keep_result: how many seconds results are kept, unless a job has its own setting; 0: not at all.
    unique_for: seconds after which a unique job's place is free in any case.
    remember_ids: how many seconds after a job was due an ID of the caller's can't be used again (enqueue's job_id).
    fair_by: the parameter (or several) whose value is a tenant, in the jobs that have it. Tenants take turns: each has
        one job begun, then the next one, however many jobs one of them has waiting. The jobs without it are together
        one more tenant.
    loop: the loop for which asynchronous jobs are written: "asyncio" (uvloop included), "trio", or None for jobs that
        run on either, as those do that await only anyio's functions. Workers refuse another loop, and `trimaran work`
        chooses this one. Jobs are enqueued from either in any case.
    url: the server for open() and `trimaran work` without one, and for `sync`; by default that in the environment's
        REDIS_URL.

    sync: the queue for code without an event loop, see SyncQueue.
    """

    def __init__(
        self,
        name: str,
        *,
        priorities: Sequence[str] = ("high", "normal", "low"),
        keep_result: Duration = 600.0,
        unique_for: Duration = 86400.0,
        remember_ids: Duration = 86400.0,
        loop: Literal["asyncio", "trio"] | None = None,
        url: str | None = None,
        fair_by: str | Sequence[str] = (),
        clock: Clock = wall_clock,
    ) -> None:
        given.text("name", name, empty=True)
        if not name or "{" in name or "}" in name:
            raise ValueError("a queue's name is not empty and has no braces")
        given.texts("priorities", priorities)
        if not priorities or RESERVED & set(priorities) or len(set(priorities)) < len(priorities):
            raise ValueError(f"priorities are names, each once, none of them {', '.join(sorted(RESERVED))}")
        if loop not in (None, "asyncio", "trio"):
            raise ValueError(f'loop is "asyncio", "trio" or None, not {loop!r}')
        if url is not None:
            given.text("url", url)
        self.name = name
        self.loop = loop
        self.url = url
        self.priorities = tuple(priorities)
        self.default_priority = self.priorities[len(self.priorities) // 2]
        self.keep_result = given.duration("keep_result", keep_result)
        self.unique_for = given.duration("unique_for", unique_for)
        self.remember_ids = given.duration("remember_ids", remember_ids)
        if self.keep_result < 0 or self.unique_for <= 0 or self.remember_ids <= 0:
            raise ValueError("keep_result can't be negative, unique_for and remember_ids must be more than 0 s")
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
        self.clock = clock
        self.sync = SyncQueue(self)
        # each thread with a loop has its own; a thread of a parent process is none of this one's
        self._connections: dict[threading.Thread, Connection] = {}

    # Declaring.

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
        keep_result: Duration | None = None,
        cron: str | None = None,
        timezone: tzinfo = UTC,
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
        keep_result: overrides the queue's.
        cron: run it at these times without arguments, in `timezone`: five fields, or six with seconds first.
        """

        def declare(function: Callable[..., Any]) -> JobFunction[Any, Any]:
            settings = Settings(
                name=name or str(getattr(function, "__name__", "")),
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
                keep_result=self.keep_result if keep_result is None else given.duration("keep_result", keep_result),
            )
            if settings.priority not in self.priorities:
                raise ValueError(f"{settings.priority!r} is not one of the priorities {', '.join(self.priorities)}")
            if settings.name in self.functions:
                raise ValueError(f"the queue {self.name} has a job {settings.name!r} already")
            declared: JobFunction[Any, Any] = JobFunction(self, function, settings, self.declared_lifespan)
            self.functions[settings.name] = declared
            self.fair = self.fair or bool(settings.fair_by)
            if cron is not None:
                self._schedule(declared, cron, timezone)
            return declared

        return declare

    def _tenant(self, function: Callable[..., Any]) -> Unique:
        """The parameters by which the queue is fair, for a function that has them."""
        if not self._fair_by or not set(self._fair_by) <= inspect.signature(function).parameters.keys():
            return False
        return self._fair_by

    def _schedule(self, declared: JobFunction[Any, Any], cron: str, zone: tzinfo) -> None:
        stream = self.keys.streams[declared.settings.priority]
        self.periodic_jobs[declared.name] = Periodic(declared.name, declared.name, cron, zone, encode({}), stream)

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

    # Opening.

    @asynccontextmanager
    async def open(self, server: Client | str | None = None) -> AsyncIterator[Queue]:
        """Connect the queue in this program while the block runs; enqueue, wait and work inside.

        server: a URL (consumers.addresses has their forms) or an entered coredis client (Redis, Sentinel's,
        RedisCluster); without one, the queue's `url`, or that in the environment's REDIS_URL, or
            redis://127.0.0.1:6379.

        Exceptions raised by the block propagate unchanged. If the server is unreachable, workers wait; everything else
        raises ServerUnavailable. Raises ValueError for another URL.
        """
        if server is None:
            server = self.url or default_url()
        elif not isinstance(server, str):
            given.client_of(server)
        if threading.current_thread() in self._connections:
            raise RuntimeError(f"the queue {self.name} is open already")
        border = Border()
        with border.outside():
            async with self._open(server):
                with border.inside():
                    yield self

    @asynccontextmanager
    async def _open(self, server: Client | str) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            client: Client
            if isinstance(server, str):
                client = await stack.enter_async_context(client_from_url(server))
            else:
                client = server
            link = await stack.enter_async_context(open_link(client, self.keys.later))
            transaction_link = await stack.enter_async_context(open_link(client, self.keys.later))
            token, keys, clock = os.urandom(6).hex(), self.keys, self.clock
            transactions = Transactions(transaction_link)
            results = Results(client, link, keys, token)
            adder = Adder(link, transactions, keys, clock, token, self.unique_for, self.remember_ids, Positions(clock))
            manager = Manager(client, link, transactions, keys, clock, self.keep_result, self.unique_for)
            thread = threading.current_thread()
            self._connections[thread] = Connection(
                client, link, transactions, results, adder, manager, keys, self.keep_result, clock
            )
            try:
                async with open_plain_task_group() as tasks:
                    tasks.start_soon(results.run)
                    yield
                    tasks.cancel_scope.cancel()
            finally:
                del self._connections[thread]

    @property
    def connection(self) -> Connection:
        """What open() has set up for the loop of this thread. Raises RuntimeError outside open()."""
        connection = self._connections.get(threading.current_thread())
        if connection is None:
            raise RuntimeError(f"the queue {self.name} is not open: use it inside `async with queue.open(...)`")
        return connection

    # Enqueueing.

    async def enqueue_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]:
        """Add jobs, up to 1000 in one transaction and round trip; returns their Jobs in order.

            await queue.enqueue_many([resize.call(path, width=200) for path in paths])

        Raises as JobFunction.enqueue does; with more than 1000 jobs, some may have been added by then.
        """
        jobs: list[Job[R]] = []
        batch: list[Call[R]] = []
        for call in calls:
            if call.function.queue is not self:
                raise ValueError(f"{call.function!r} belongs to another queue")
            if call.blanks is not None:
                raise TypeError(f"the job {call.function.name}: {call.blanks.problem}")
            batch.append(call)
            if len(batch) == PIPELINE:
                jobs += await self._enqueue(batch)
                batch = []
        return jobs + await self._enqueue(batch) if batch else jobs

    async def _enqueue(self, calls: list[Call[R]]) -> list[Job[R]]:
        jobs: list[Job[R]] = []
        for call, (id, created, hint) in zip(calls, await self.connection.adder.add(calls), strict=True):
            function = call.function
            kept = function.settings.keep_result > 0
            jobs.append(
                Job(self, id, function.arguments.decode_result, created=created, kept=kept, known=True, hint=hint)
            )
        return jobs

    def handle(self, id: str, function: JobFunction[Any, R] | None = None) -> Job[R]:
        """Return the Job with this ID, enqueued here or elsewhere. function: its annotation decodes the result."""
        if function is None:
            return Job(self, id, PLAIN)
        return Job(self, id, function.arguments.decode_result, kept=function.settings.keep_result > 0)

    # Looking at the queue, and managing it.

    async def counts(self) -> Counts:
        """Count the jobs in each state, and the workers. Running jobs are those that the workers report now."""
        connection = self.connection
        return await listing.count(connection.link, self.keys, self.clock)

    async def jobs(self, state: JobState | str) -> AsyncGenerator[JobInfo, None]:
        """Yield the jobs that are "running", "waiting", "delayed", "parked" or "failed", in pages.

        They come in the order in which they will run; failed ones, which are the dead ones, oldest first. Jobs move
        meanwhile, so one may be missed or come twice.
        """
        chosen = JobState(state)
        if chosen not in listing.LISTED:
            raise ValueError(f"{chosen} jobs can't be listed, only {', '.join(listing.LISTED)} ones")
        async with aclosing(listing.jobs(self.connection.link, self.keys, self.clock, chosen)) as found:
            async for info in found:
                yield info

    async def workers(self) -> AsyncGenerator[WorkerInfo, None]:
        """Yield the workers with the jobs that they run; one that died for about a minute more, as not alive."""
        async with aclosing(listing.workers(self.connection.link, self.keys, self.clock)) as found:
            async for info in found:
                yield info

    async def schedules(self) -> AsyncGenerator[Schedule, None]:
        """Yield the periodic jobs' schedules that are in force."""
        async with aclosing(listing.schedules(self.connection.link, self.keys)) as found:
            async for schedule in found:
                yield schedule

    async def pause(self) -> None:
        """Have all workers take no more jobs, within a second, until resume(); those that run go on.

        Jobs that workers have taken and not begun are given back. The server keeps this: restarts, of workers or of the
        server, change nothing. Meanwhile jobs may be enqueued; delayed ones become waiting when they are due; of a
        periodic job, one occurrence waits, and the others are skipped.
        """
        await self.connection.manager.pause()

    async def resume(self) -> None:
        """End what pause() began."""
        await self.connection.manager.resume()

    async def purge(self, state: JobState | str) -> int:
        """Remove all jobs that are "waiting", "delayed", "parked" or "failed" (dead) at the start; returns how many.

        They count as cancelled: result() raises JobCancelled. Waiting jobs that workers have already taken are run, so
        pause() the queue before this if none may be. Occurrences of periodic jobs that are not due yet stay.
        """
        chosen = JobState(state)
        if chosen not in PURGED:
            raise ValueError(f"{chosen} jobs can't be purged, only {', '.join(PURGED)} ones")
        return await self.connection.manager.purge(chosen)

    # Dead jobs.

    async def dead_jobs(self) -> AsyncIterator[DeadJob]:
        """Yield the jobs that were given up, oldest first."""
        async with aclosing(dead_letters(self.connection.client, self.keys.dead)) as letters:
            async for letter in letters:
                if (job := dead_job(letter)) is not None:
                    yield job

    async def redrive(self, *, where: Callable[[DeadJob], bool] | None = None, count: int | None = None) -> int:
        """Give dead jobs (those for which `where` is true, at most `count`) another chance; returns how many.

        They keep their IDs, have all their retries again, and are no longer unique. A workflow's job resumes it.
        """

        def chosen(letter: DeadLetter) -> bool:
            job = dead_job(letter)
            return job is not None and (where is None or where(job))

        async def resume(letter: DeadLetter, commands: list[Command]) -> bool:
            return await flow_resuming.redrive(self.keys, self.connection.transactions, letter, commands)

        return await redrive(self.connection.client, self.keys.dead, where=chosen, count=count, execute=resume)
