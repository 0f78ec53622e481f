"""A job queue: opening it, enqueueing, and what else can be done with it. Its jobs are declared in registry.py."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, Literal, ParamSpec, TypeVar

from consumers import given
from consumers.addresses import client_from_url, default_url
from consumers.connection import Client, Command, Link, open_link
from consumers.deadletters import DeadLetter, dead_letters, redrive
from consumers.given import Duration
from consumers.jobs import cancelling, flow_resuming, listing
from consumers.jobs.clock import Clock, wall_clock
from consumers.jobs.dead import PLAIN, DeadJob, dead_job
from consumers.jobs.declarations import Call, JobFunction
from consumers.jobs.enqueueing import Adder, Positions
from consumers.jobs.handles import Job
from consumers.jobs.locating import Hint, locate
from consumers.jobs.managing import PURGED, Manager
from consumers.jobs.names import Keys
from consumers.jobs.plans import Plan, Plans, zone_name
from consumers.jobs.registry import Registry
from consumers.jobs.results import Results
from consumers.jobs.states import Counts, JobInfo, JobState, Missed, Schedule, WorkerInfo
from consumers.jobs.sync import SyncQueue
from consumers.task_groups import Border, open_plain_task_group
from consumers.transactions import Transactions

__all__ = ["DeadJob", "Queue"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

PIPELINE = 1000
"""Jobs that are added in one transaction, at most."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What an opened queue works with."""

    client: Client
    link: Link
    transactions: Transactions
    results: Results
    adder: Adder
    manager: Manager
    plans: Plans
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


class Queue(Registry):
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
        if loop not in (None, "asyncio", "trio"):
            raise ValueError(f'loop is "asyncio", "trio" or None, not {loop!r}')
        if url is not None:
            given.text("url", url)
        super().__init__(name, priorities, keep_result, fair_by)
        self.loop = loop
        self.url = url
        self.unique_for = given.duration("unique_for", unique_for)
        self.remember_ids = given.duration("remember_ids", remember_ids)
        if self.unique_for <= 0 or self.remember_ids <= 0:
            raise ValueError("unique_for and remember_ids must be more than 0 s")
        self.clock = clock
        self.sync = SyncQueue(self)
        # each thread with a loop has its own; a thread of a parent process is none of this one's
        self._connections: dict[threading.Thread, Connection] = {}

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
            plans, thread = Plans(keys, transactions, clock), threading.current_thread()
            self._connections[thread] = Connection(
                client, link, transactions, results, adder, manager, plans, keys, self.keep_result, clock
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

    # Schedules.

    async def schedule(
        self,
        name: str,
        call: Call[Any],
        cron: str,
        *,
        timezone: tzinfo = UTC,
        jitter: Duration = 0.0,
        missed: Missed = "once",
    ) -> bool:
        """Have a call run periodically from now on, or change the schedule with this name; workers need no restart.

            await queue.schedule("report 4711", report.call(4711), "0 8 * * 1", timezone=ZoneInfo("Europe/Vienna"))

        It stays until unschedule(), whatever is restarted or deployed. False: there is exactly this schedule already.
        cron, timezone, jitter, missed: see job(); the time zone is datetime.UTC or a ZoneInfo. The call takes no other
        options than its priority. An occurrence of the earlier schedule that has not begun is dropped. Raises
        ValueError for a schedule that never occurs, or if there are 10,000.
        """
        plan = self._plan(given.text("name", name), call, cron, timezone, given.duration("jitter", jitter), missed)
        return await self.connection.plans.put(name, plan)

    def _plan(self, name: str, call: Call[Any], cron: str, timezone: tzinfo, jitter: float, missed: Missed) -> Plan:
        given.instance("call", call, Call)
        if call.function.queue is not self:
            raise ValueError(f"{call.function!r} belongs to another queue")
        if call.blanks is not None:
            raise TypeError(f"the job {call.function.name}: {call.blanks.problem}")
        if call.place or call.id or call.thinning is not None or (call.delay, call.due) != (None, None):
            raise TypeError("a scheduled call takes no delay, at, unique or job_id, and is not thinned out")
        if (call.expires, call.expires_at) != (None, None):
            raise TypeError("a scheduled call does not expire: missed= says what becomes of it")
        stream = self.keys.streams[call.priority]
        plan = Plan(
            job=call.function.name, arguments=call.arguments, stream=stream, expression=cron,
            zone=zone_name(timezone), jitter=jitter, missed=missed, turn=call.turn,
        )  # fmt: skip
        # that the times make sense is said here, not in a worker
        plan.periodic(name)
        return plan

    async def unschedule(self, name: str) -> bool:
        """Remove a schedule that schedule() has made: it never runs again. False if there is none.

        An occurrence that runs goes on.
        """
        return await self.connection.plans.remove(given.text("name", name))

    async def pause_schedule(self, name: str) -> bool:
        """Let no occurrence of this schedule begin until resume_schedule(). False if it is paused, or there is none."""
        return await self.connection.plans.pause(given.text("name", name), True)

    async def resume_schedule(self, name: str) -> bool:
        """End what pause_schedule() began; what came meanwhile is skipped. False if there is nothing to resume."""
        return await self.connection.plans.pause(given.text("name", name), False)

    async def schedules(self) -> AsyncGenerator[Schedule, None]:
        """Yield the schedules of jobs declared with cron=, and then those that schedule() has made."""
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
