"""A worker: the shared engine on a queue's streams, and the tasks that every worker performs for its queue."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

import anyio
from anyio.abc import TaskStatus
from coredis.exceptions import RedisError

from consumers import given, loops, tracing
from consumers.backlog import Priority
from consumers.connection import Link, open_link
from consumers.delivery import Inbox
from consumers.engine import Engine
from consumers.errors import ConsumerError
from consumers.given import Duration
from consumers.jobs.announcing import CompletionNotifier, listen
from consumers.jobs.batches import Batcher
from consumers.jobs.burst import until_nothing_is_left
from consumers.jobs.calling import Caller
from consumers.jobs.cancelling import CANCEL, LATER, Cancelled
from consumers.jobs.declarations import Settings
from consumers.jobs.flow_settling import FlowSettler
from consumers.jobs.later import DelayedScheduler
from consumers.jobs.limits import Limiter
from consumers.jobs.names import GROUP
from consumers.jobs.periodic import Scheduler
from consumers.jobs.plans import PLANS, Planner
from consumers.jobs.process_pool import ProcessPool
from consumers.jobs.queue import Queue
from consumers.jobs.reports import REPORT, Reporter
from consumers.jobs.running import RunningJob, WorkerContext
from consumers.jobs.turns import TURN, Rotation
from consumers.middleware import Middleware, Middlewares
from consumers.options import AckPolicy, Options, Statistics
from consumers.owners import unique_name
from consumers.retry import persist
from consumers.task_groups import open_plain_task_group
from consumers.transactions import Transactions

__all__ = ["Worker"]

logger = logging.getLogger("consumers.jobs")

CONTROL = 1000
"""Announcements on the control channel that may wait to be read."""


class Worker:
    """Runs the jobs of a queue, in the program in which the queue is open.

        async with queue.open("redis://127.0.0.1") as queue:
            async with Worker(queue, concurrency=50).open():
                ...

    See Queue for what at-least-once delivery requires of jobs, and Queue.job for synchronous functions.

    concurrency: jobs that run at a time, at most. prefetch: jobs in hand, including waiting ones, by default twice as
        many; set it to concurrency if jobs take long, so that none waits here while another worker is idle.
    lease: seconds without a sign of life after which a crashed worker's jobs are given to others. The same for all
        workers of a queue. A job may run longer than that as long as its worker lives.
    name: unique among the queue's workers, by default made of host, process and random characters.
    middleware: hooks, which get the RunningJob. dead_maxlen: the dead-letter stream is trimmed to about this many
        entries.
    pool_size: processes for jobs that are declared with process=True, at most (one per processor core).
    """

    def __init__(
        self,
        queue: Queue,
        *,
        concurrency: int = 16,
        prefetch: int | None = None,
        lease: Duration = 30.0,
        name: str | None = None,
        middleware: Sequence[Middleware] = (),
        dead_maxlen: int | None = None,
        pool_size: int | None = None,
    ) -> None:
        given.instance("queue", queue, Queue)
        given.instance("name", name, str, type(None))
        given.instance("dead_maxlen", dead_maxlen, int, type(None))
        given.instance("pool_size", pool_size, int, type(None))
        if pool_size is not None and pool_size < 1:
            raise ValueError("pool_size must be at least 1")
        self.queue = queue
        self.name = name or unique_name()
        self.running: dict[str, RunningJob] = {}
        self.paused = False
        self._keys = queue.keys
        self._dead_maxlen = dead_maxlen
        hooks = tracing.hooks_of(middleware, "")
        self._hooks = Middlewares(hooks)
        self._pool_size = pool_size or _cores()
        self._threads = anyio.CapacityLimiter(max(1, given.whole("concurrency", concurrency)))
        self._options = Options(
            streams=self._keys.in_order,
            group=GROUP,
            consumer=self.name,
            passing=True,
            ack_policy=AckPolicy.ON_SUCCESS,
            ack_wait=given.duration("lease", lease),
            prefetch=prefetch if prefetch is not None else 2 * concurrency,
            concurrency=concurrency,
            priority=Priority.STRICT,
            middleware=(self._hooks,) if hooks else (),
        )
        self._engine: Engine[RunningJob] | None = None
        self._ended: anyio.Event
        self._context: WorkerContext

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until drained or cancelled. Started once it takes jobs.

        An exception in a job, even SystemExit (but not the user's KeyboardInterrupt), affects only that job. Raises
        ConsumerError if the server refuses what the worker needs, and RuntimeError on a loop that the queue's jobs are
        not for; it waits for lost connections. When cancelled, it gives back what it has in hand, which takes at most a
        few seconds (except that it waits for threads).

        The queue's lifespan is entered before the first job and left after the last; what it raises is raised here.
        """
        if self.queue.loop not in (None, loop := loops.current_loop()):
            raise RuntimeError(
                f"the queue {self.queue.name} has jobs for {self.queue.loop}, and this program runs {loop}"
            )
        for function in self.queue.functions.values():
            # an annotation that can't be decoded fails here, not in the first job
            _ = function.arguments
            if (size := function.settings.batch or 0) > self._options.concurrency:
                raise ValueError(
                    f"the job {function.name} has batches of {size} calls, which run at the same time: "
                    f"the worker's concurrency must be at least that, not {self._options.concurrency}"
                )
        client = self.queue.connection.client
        # if a job must not crash a third time, jobs run alone after one crash that they may have caused
        patience = 2 if all(function.settings.crashes > 1 for function in self.queue.functions.values()) else 1
        self.paused = False
        engine = self._engine = Engine(client, replace(self._options, patience=patience), self._make)
        self._ended = anyio.Event()
        try:
            async with self._lifespan() as caller:
                await self._run(engine, caller, task_status)
        finally:
            self._ended.set()

    async def _run(self, engine: Engine[RunningJob], caller: Caller, task_status: TaskStatus[None]) -> None:
        client = self.queue.connection.client
        async with (
            open_link(client, self._keys.later) as link,
            open_link(client, self._keys.later) as transaction_link,
            open_link(client, self._keys.later) as flow_link,
        ):
            transactions, flows = Transactions(transaction_link), Transactions(flow_link)
            context = self._context = self._new_context(link, transactions, flows, caller)
            try:
                # before the first job, as the queue may be paused
                await persist(context.reporter.write, failed=self._note_absence)
                async with open_plain_task_group() as tasks:
                    work = (
                        context.delayed.run, context.limiter.run, context.cancelled.run, context.notifier.run,
                        context.scheduler.run, context.reporter.run, context.flows.run, context.rotation.run,
                        context.planner.run,
                        self._listen,
                    )  # fmt: skip
                    await tasks.start(context.batcher.run)
                    for task in work:
                        tasks.start_soon(task)
                    if tracing.active() is not None:
                        tasks.start_soon(tracing.report_depths, self._depths, "")
                    await engine.run(RunningJob.run, task_status=task_status)
                    tasks.cancel_scope.cancel()
            except RedisError as error:
                raise ConsumerError(str(error)) from error
            finally:
                await context.reporter.leave()

    def _note_absence(self, error: Exception, failures: int, delay: float) -> None:
        logger.warning(
            "the queue %s is out of reach, trying again in %.2f s: %s", self.queue.name, delay, error,
            extra={"attempt": failures},
        )  # fmt: skip

    async def _depths(self) -> tracing.Counts:
        counts = await self.queue.counts()
        states = ("waiting", "delayed", "running", "parked", "dead")
        return {self.queue.name: {state: getattr(counts, state) for state in states}}

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[Caller]:
        """What calls the jobs' functions, while the queue's lifespan has provided what they need."""
        lifespan = self.queue.declared_lifespan
        async with AsyncExitStack() as stack:
            context = None
            if lifespan is not None:
                try:
                    context = await stack.enter_async_context(lifespan.open())
                except Exception:
                    logger.exception("the lifespan of the queue %s failed", self.queue.name)
                    raise
            pool = ProcessPool(self._pool_size)
            stack.push_async_callback(pool.aclose)
            yield Caller(context, self._threads, pool, self.queue.wrappers)

    def _new_context(
        self, link: Link, transactions: Transactions, flows: Transactions, caller: Caller
    ) -> WorkerContext:
        queue, keys, clock = self.queue, self._keys, self.queue.clock
        delayed = DelayedScheduler(keys, transactions, clock)
        scheduler = Scheduler(keys, transactions, list(queue.periodic_jobs.values()), clock, delayed.poll)
        reporter = Reporter(
            keys, link, clock, name=self.name, concurrency=self._options.concurrency, lease=self._options.ack_wait,
            running=self.running, in_hand=lambda: self.in_hand, paused=self._pause,
        )  # fmt: skip
        return WorkerContext(
            name=self.name,
            keys=keys,
            clock=clock,
            loop=loops.backend(),
            functions=queue.functions,
            periodic=queue.periodic_jobs,
            unknown=Settings(name="unknown", priority=queue.default_priority, keep_result=queue.keep_result),
            hooks=self._hooks,
            caller=caller,
            batcher=Batcher(caller),
            direct=caller.direct(queue.functions),
            dead_maxlen=self._dead_maxlen,
            running=self.running,
            cancelled=Cancelled(keys, link, self._stop),
            delayed=delayed,
            limiter=Limiter(keys, transactions, self._options.ack_wait, clock),
            rotation=Rotation(keys, transactions, self._room, self._look),
            notifier=CompletionNotifier(keys, link),
            scheduler=scheduler,
            planner=Planner(keys, link, transactions, clock, delayed.poll),
            reporter=reporter,
            flows=FlowSettler(keys, flows, clock, delayed.poll),
        )

    @asynccontextmanager
    async def open(self, grace: Duration = 10.0) -> AsyncIterator[Worker]:
        """Work while the block runs; then stop taking jobs, and give running ones `grace` seconds to end."""
        async with open_plain_task_group() as tasks:
            await tasks.start(self.run)
            yield self
            await self.drain(grace)

    async def burst(self) -> None:
        """Run the jobs that there are, and what they enqueue, until none is waiting, due, parked or running; then end.

        Jobs for a later time are not waited for, nor those that wait for their next attempt.
        """
        async with self.open():
            await until_nothing_is_left(self.queue, lambda: self.in_hand)

    async def drain(self, grace: Duration = 10.0) -> None:
        """Take no more jobs, give back those that have not begun, wait for running ones, and end run().

        Jobs that still run after `grace` seconds are cancelled and given back; that does not count as an attempt.
        A thread can't be cancelled; this waits for it. A job must not call this.
        """
        if (engine := self._engine) is not None:
            await engine.drain(given.duration("grace", grace))
            if engine.used:
                # what the lifespan has set up may be taken down only now
                await self._ended.wait()

    @property
    def in_hand(self) -> int:
        """How many jobs this worker holds: waiting, running, or not yet confirmed by the server."""
        return self._engine.in_hand if self._engine is not None else 0

    @property
    def statistics(self) -> Statistics:
        """Counts since the last start; `acknowledged` is all jobs that left their stream, however they ended."""
        return self._engine.statistics if self._engine is not None else Statistics()

    def _room(self) -> int:
        """How many jobs it could take."""
        return 0 if self.paused else self._options.prefetch - self.in_hand

    async def _look(self) -> None:
        if self._engine is not None:
            await self._engine.look()

    def _make(self, inbox: Inbox, stream: str, id: str, values: list[bytes], deliveries: int) -> RunningJob:
        return RunningJob(self._context, inbox, stream, id, values, deliveries)

    def _pause(self, paused: bool) -> None:
        if self._engine is not None and paused != self.paused:
            logger.info("the queue %s is %s", self.queue.name, "paused" if paused else "resumed")
            self.paused = self._context.scheduler.paused = self._context.planner.paused = paused
            self._engine.pause(paused)

    def _stop(self, id: str) -> None:
        if (job := self.running.get(id)) is not None:
            job.stop()

    async def _listen(self) -> None:
        """Receive announcements to all workers, forever."""
        await listen(self.queue.connection.client, self._keys.control, CONTROL, self._announced)

    def _announced(self, message: bytes | None) -> None:
        if message is None or message == CANCEL:
            self._context.cancelled.poll()
        if message is None or message == REPORT:
            self._context.reporter.report()
        if message is None or message == TURN:
            self._context.rotation.poll()
        if message is None or message == PLANS:
            self._context.planner.poll()
        if message in (REPORT, TURN, PLANS):
            return
        if message is None or not message.startswith(LATER):
            self._context.delayed.poll()
            return
        with suppress(ValueError):
            self._context.delayed.poll(float(message.removeprefix(LATER)))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
