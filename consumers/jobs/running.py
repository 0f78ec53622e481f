"""A job in a worker's hands: runs its function and settles the outcome, in one transaction each time.

Whatever happens to a job, its entry is acknowledged and deleted together with the commands that record the outcome: a
result, a later attempt, a dead letter. So at any time the job is in exactly one place.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import anyio
import msgspec
from anyio.abc import AsyncBackend

from consumers.connection import Command
from consumers.deadletters import dead_letter_command
from consumers.delivery import Delivery, Inbox, State
from consumers.errors import Reject, Retry, alone
from consumers.jobs.announcing import CompletionNotifier
from consumers.jobs.batches import Batcher, BatchFunction
from consumers.jobs.calling import Caller
from consumers.jobs.cancelling import Cancelled
from consumers.jobs.clock import Clock
from consumers.jobs.current import CURRENT, CurrentJob
from consumers.jobs.declarations import JobFunction, Settings
from consumers.jobs.entries import JobEntry, error_text
from consumers.jobs.flow_resuming import Chance
from consumers.jobs.flow_settling import FlowSettler
from consumers.jobs.flow_state import MAX_RESULT, Position, next_run
from consumers.jobs.flow_transitions import Ending
from consumers.jobs.later import DelayedScheduler, postpone
from consumers.jobs.limits import Limiter
from consumers.jobs.names import GROUP, Keys
from consumers.jobs.outcomes import JobTimeout, Stamp, cancelled, expired, failure, store, success
from consumers.jobs.periodic import Scheduler
from consumers.jobs.plans import Planner
from consumers.jobs.reports import Reporter
from consumers.jobs.states import Progress
from consumers.jobs.turns import Rotation
from consumers.jobs.uniqueness import release
from consumers.middleware import Label, Middlewares
from consumers.owners import Phase
from consumers.settling import Outcome, Settlement

__all__ = ["RunningJob", "WorkerContext"]

logger = logging.getLogger("consumers.jobs")


PASS_OVER_SECONDS = 5.0
"""How long an occurrence is postponed when a worker without its schedule gets it."""

CLAIM_SECONDS = 1.0
"""How long a workflow's unique job is postponed while another one has its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerContext:
    """What the jobs in a worker's hands share: its settings, and the parts that maintain its queue.

    functions: by the names of their jobs. periodic: the names of the jobs that this worker schedules. direct: of those
    that need no caller. unknown: the settings of a job that has not been identified yet. running: jobs whose functions
    are running, by ID.
    """

    name: str
    keys: Keys
    clock: Clock
    loop: type[AsyncBackend]
    functions: Mapping[str, JobFunction[Any, Any]]
    periodic: Container[str]
    unknown: Settings
    hooks: Middlewares
    caller: Caller
    batcher: Batcher
    direct: Container[str]
    dead_maxlen: int | None
    running: dict[str, RunningJob]
    cancelled: Cancelled
    delayed: DelayedScheduler
    limiter: Limiter
    rotation: Rotation
    notifier: CompletionNotifier
    scheduler: Scheduler
    planner: Planner
    reporter: Reporter
    flows: FlowSettler


class RunningJob(Delivery):
    """A delivery of a job. See Delivery for stream, id (the entry's, not the job's) and delivery_count."""

    def __init__(
        self, worker: WorkerContext, inbox: Inbox, stream: str, id: str, values: list[bytes], deliveries: int
    ) -> None:
        super().__init__(inbox, stream, id, values, deliveries)
        self.worker = worker
        self.entry: JobEntry | None = None
        self.settings: Settings = worker.unknown
        self.limit = ""
        self.scope: anyio.CancelScope | None = None
        self.stopped = False
        self.begun = 0.0
        self.begun_at = 0.0
        self.progress: Progress | None = None

    @property
    def label(self) -> Label:
        """The job's, in traces; of names that this worker does not know there may be any number."""
        worker = self.worker
        try:
            entry = self.entry or JobEntry.read(self.values)
        except ValueError:
            return Label(worker.keys.name, self.id, "unknown", 0)
        name = entry.job if entry.job in worker.functions else "unknown"
        return Label(worker.keys.name, entry.id, name, entry.failed + 1)

    @property
    def has_begun(self) -> bool:
        return self.begun_at > 0

    @property
    def context(self) -> Any:
        """What the queue's lifespan has yielded in this worker; None without one."""
        return self.worker.caller.context

    @cached_property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments that were enqueued; decoded once more, as hardly any job's are asked for."""
        assert self.entry is not None
        return self.worker.functions[self.entry.job].arguments.unpack(self.entry.arguments)

    async def run(self) -> None:
        """Run the job's function; raises what it raises."""
        worker = self.worker
        entry = self.entry = JobEntry.read(self.values)
        if entry.id in worker.cancelled.ids and await self._withheld(entry):
            return
        if entry.expires and worker.clock() > entry.expires:
            logger.info("%s %s has expired", entry.job, entry.id, extra=self._about(entry))
            self.end(expired(self._stamp(entry)))
            return
        if entry.periodic and entry.job not in worker.periodic:
            self._pass_over(entry)
            return
        if entry.plan and not await worker.planner.has(entry.plan):
            logger.info("%s %s is dropped: its schedule has changed", entry.job, entry.id, extra=self._about(entry))
            self.end(b"")
            return
        if entry.flow and not await self._starts_in_flow(entry):
            return
        function = worker.functions.get(entry.job)
        if function is None:
            raise LookupError(f"no job {entry.job!r} is declared")
        settings = self.settings = function.settings
        try:
            arguments = function.arguments.unpack(entry.arguments)
        except msgspec.MsgspecError as error:
            raise Reject(f"its arguments are not valid: {error}") from error
        if settings.limited and not await self._admitted(function, arguments):
            return
        returned = await self._call(function, entry, arguments)
        if self.settled:
            return
        try:
            stored = success(returned, self._stamp(entry)) if settings.keep_result > 0 or entry.flow else b""
        except (TypeError, ValueError, OverflowError) as error:
            raise Reject(f"its result can't be stored: {error}") from error
        if len(stored) > MAX_RESULT and entry.flow:
            raise Reject(f"its result has {len(stored)} bytes, in a workflow at most {MAX_RESULT} are passed on")
        self.end(stored)
        if logger.isEnabledFor(logging.INFO):
            logger.info(
                "%s %s is done in %.3f s, attempt %d", entry.job, entry.id, self._seconds(), entry.failed + 1,
                extra=self._about(entry) | self._run(),
            )  # fmt: skip

    async def _withheld(self, entry: JobEntry) -> bool:
        """Drop a job that was cancelled, or postpone one that was rescheduled; False if it may run after all."""
        worker = self.worker
        cancelled, due = await worker.cancelled.verify(entry.id)
        if cancelled:
            self._end_cancelled(entry)
            return True
        if due is None or due <= worker.clock():
            return False
        commands = [(b"ZREM", worker.keys.postponed, entry.id), *postpone(worker.keys, self.stream, entry, due)]
        settlement = self._settle_with(commands, ended=False)
        worker.notifier.expect(settlement, then=worker.delayed.poll)
        return True

    def _pass_over(self, entry: JobEntry) -> None:
        """Leave an occurrence to workers that have its schedule; drop it if there are none."""
        worker = self.worker
        if worker.scheduler.is_abandoned(entry.job):
            logger.info(
                "%s %s is dropped: it is no longer a periodic job", entry.job, entry.id, extra=self._about(entry)
            )
            self.end(b"")
            return
        commands = postpone(worker.keys, self.stream, entry, worker.clock() + PASS_OVER_SECONDS)
        settlement = self._settle_with(commands, ended=False)
        worker.notifier.expect(settlement, then=worker.delayed.poll)

    async def _admitted(self, function: JobFunction[Any, Any], arguments: dict[str, Any]) -> bool:
        assert self.entry is not None
        places = function.places_of(arguments)
        if not await self.worker.limiter.admit(self.entry, places, self.stream, self.id, self.delivery_count):
            # parking has acknowledged it; the engine must forget it
            self._settle(Settlement(self, Outcome.ACK))
            return False
        self.limit = next((place.limit for place in places if not place.period), "")
        return True

    async def _call(self, function: JobFunction[Any, Any], entry: JobEntry, arguments: dict[str, Any]) -> Any:
        timeout = function.settings.timeout
        loop = self.worker.loop
        self.begun, self.begun_at = loop.current_time(), self.worker.clock()
        deadline = math.inf
        if timeout is not None and not self.settings.process and self.settings.batch is None:
            # the time of the others begins later: with that of a process, or of the batch
            deadline = self.begun + timeout
        current = CurrentJob(entry.id, entry.job, entry.failed + 1, self)
        token = CURRENT.set(current)
        running = self.worker.running
        returned = None
        try:
            with loop.create_cancel_scope(deadline=deadline, shield=False) as self.scope:
                running[entry.id] = self
                if entry.id in self.worker.cancelled.ids and entry.id not in self.worker.cancelled.postponed:
                    self.stop()
                if entry.job in self.worker.direct:
                    returned = await function.function(**arguments)
                elif isinstance(function, BatchFunction):
                    argument = arguments[function.parameter]
                    alone = self.phase is not Phase.CLEAN
                    returned = await self.worker.batcher.join(self, current, function, argument, alone=alone)
                else:
                    returned = await self.worker.caller.call(self, current, function, arguments)
                    # a thread is not stopped, so its result is too late; but when the worker ends it is still accepted
                    if self.scope.cancel_called and not function.is_async:
                        await loop.checkpoint_if_cancelled()
        finally:
            CURRENT.reset(token)
            if running.get(entry.id) is self:
                del running[entry.id]
        if self.scope.cancelled_caught:
            if not self.stopped:
                raise JobTimeout(f"it took longer than {timeout} s")
            self._end_cancelled(entry)
        return returned

    def _end_cancelled(self, entry: JobEntry) -> None:
        logger.info("%s %s is cancelled", entry.job, entry.id, extra=self._about(entry))
        self.end(cancelled(self._stamp(entry)))

    def stop(self) -> None:
        """Cancel the running job."""
        self.stopped = True
        if self.scope is not None:
            self.scope.cancel()

    @property
    def packed(self) -> bytes:
        """The arguments, as they were enqueued."""
        assert self.entry is not None
        return self.entry.arguments

    def begin_now(self) -> None:
        """It has waited for a process until now: its time begins."""
        self.begun, self.begun_at = self.worker.loop.current_time(), self.worker.clock()
        if self.scope is not None and self.settings.timeout is not None:
            self.scope.deadline = self.begun + self.settings.timeout

    def note_progress(self, progress: Progress) -> None:
        """Have what the job says about itself reported; called in any thread."""
        self.progress = msgspec.structs.replace(progress, time=self.worker.clock())
        self.worker.reporter.report()

    # The outcome.

    def _stamp(self, entry: JobEntry) -> Stamp:
        worker = self.worker
        attempts = entry.failed + 1 if self.begun_at else entry.failed
        return entry.job, attempts, self.begun_at, worker.clock(), worker.name, self.progress

    def end(self, stored: bytes) -> None:
        """End the job; `stored` is its result."""
        assert self.entry is not None
        worker, entry = self.worker, self.entry
        commands: list[Command] = []
        if stored:
            commands += store(worker.keys, entry.id, stored, self.settings.keep_result)
        commands += release(worker.keys, entry.unique, entry.id)
        if entry.id in worker.cancelled.ids:
            commands += [(b"ZREM", key, entry.id) for key in (worker.keys.cancelled, worker.keys.postponed)]
        if entry.flow:
            self._end_in_flow(entry, commands, stored)
        else:
            self._settle_with(commands)

    def fail(self, error: BaseException) -> None:
        """Decide the job's outcome after an attempt that raised; called by the engine."""
        if self.settled:
            return
        error, entry = alone(error), self.entry
        if entry is None:
            self._bury(str(error))
        elif isinstance(error, Reject):
            self._die(entry, str(error), error)
        elif not self.settings.retries_after(error):
            self._die(entry, f"not retried: {type(error).__name__}: {error}", error)
        elif entry.failed >= self.settings.retries:
            self._die(entry, f"failed {entry.failed + 1} times: {type(error).__name__}: {error}", error)
        else:
            chosen = error.delay if isinstance(error, Retry) else None
            self._again(entry, error, self.settings.backoff.delay(entry.failed + 1) if chosen is None else chosen)

    def crashed_alone(self, maximum: int | None) -> bool:
        """Its worker died while nothing else was in hand. Returns True if the job is given up for that."""
        try:
            entry = JobEntry.read(self.values)
        except ValueError:
            # not a job: running it reports that
            return False
        function, died = self.worker.functions.get(entry.job), self.delivery_count - 1
        if function is None or died <= function.settings.crashes:
            return False
        self.entry, self.settings = entry, function.settings
        times = "once" if died == 1 else f"{died} times"
        self.fail(Reject(f"its worker died {times}, the last time while nothing else ran in it"))
        return True

    def _again(self, entry: JobEntry, error: BaseException, delay: float) -> None:
        worker = self.worker
        logger.warning(
            "%s %s failed after %.3f s, attempt %d, trying again in %.2f s",
            entry.job, entry.id, self._seconds(), entry.failed + 1, delay,
            exc_info=error, extra=self._about(entry) | self._run() | {"delay": delay},
        )  # fmt: skip
        worker.hooks.retry(self, delay)
        again = replace(entry, failed=entry.failed + 1, error=error_text(error))
        if delay > 0:
            commands = postpone(worker.keys, self.stream, again, worker.clock() + delay)
        else:
            commands = [(b"XADD", self.stream, b"*", *again.values())]
        settlement = self._settle_with(commands, ended=False)
        worker.notifier.expect(settlement, then=worker.delayed.poll)

    def _die(self, entry: JobEntry, reason: str, error: BaseException) -> None:
        worker = self.worker
        logger.error(
            "%s %s is given up after %.3f s, attempt %d: %s",
            entry.job, entry.id, self._seconds(), entry.failed + 1, reason,
            exc_info=error, extra=self._about(entry) | self._run() | {"reason": reason},
        )  # fmt: skip
        worker.hooks.dead(self, reason)
        # if redriven, it starts fresh: with all its attempts, and no claim to a place that may be taken by then
        fresh = JobEntry(
            entry.id, entry.job, entry.arguments, entry.reply, flow=next_run(entry.flow), trace=entry.trace
        )
        values = [one if isinstance(one, bytes) else str(one).encode() for one in fresh.values()]
        commands = [self._dead_letter(values, reason, entry.failed + self.delivery_count)]
        name, _, begun, ended, by, progress = self._stamp(entry)
        stored = failure(error, (name, entry.failed + 1, begun, ended, by, progress))
        commands += store(worker.keys, entry.id, stored, self.settings.keep_result)
        commands += release(worker.keys, entry.unique, entry.id)
        if entry.flow:
            self._end_in_flow(entry, commands, stored)
        else:
            self._settle_with(commands)

    def _bury(self, reason: str) -> None:
        """Give up an entry that is not a job: there is nothing to retry, and nobody to tell."""
        logger.error("%s %s is given up: %s", self.stream, self.id, reason, extra={"reason": reason})
        self.worker.hooks.dead(self, reason)
        commands = [self._dead_letter(self.values, reason, self.delivery_count)]
        self._settle(Settlement(self, Outcome.ACK, commands=commands, delete=True))

    def _dead_letter(self, values: Sequence[bytes], reason: str, deliveries: int) -> Command:
        worker, origin = self.worker, (self.stream, self.id, GROUP, self.worker.name)
        return dead_letter_command(
            worker.keys.dead, origin=origin, values=values, reason=reason, deliveries=deliveries,
            maxlen=worker.dead_maxlen,
        )  # fmt: skip

    def _settle_with(self, commands: list[Command], *, ended: bool = True) -> Settlement:
        assert self.entry is not None
        entry, limit, worker = self.entry, self.limit, self.worker
        if limit:
            commands.append(worker.limiter.leave(entry.id, limit))
        settlement = Settlement(self, Outcome.ACK, commands=commands, delete=True)
        if ended and entry.reply:
            worker.notifier.expect(settlement, entry.id, entry.reply)
        if limit:
            self._free(settlement, entry.id)
        if entry.turn:
            worker.notifier.expect(settlement, then=worker.rotation.poll)
        self._settle(settlement)
        return settlement

    def _free(self, settlement: Settlement, id: str) -> None:
        """Let another job have this one's place, once it is settled."""
        limiter, limit, most = self.worker.limiter, self.limit, self.settings.limit or 1
        self.worker.notifier.expect(settlement, then=lambda: limiter.freed(id, limit, most))

    # In a workflow.

    async def _starts_in_flow(self, entry: JobEntry) -> bool:
        """Whether the job may run now; otherwise it is settled. Only redriven and unique ones have to ask."""
        at = Position.read(entry.flow)
        if at.run:
            chance = await self.worker.flows.resume(at)
            if chance is Chance.GONE:
                raise Reject("its workflow is not kept any more")
            if chance is Chance.PASSED:
                logger.info("%s %s is dropped: its workflow has gone on", entry.job, entry.id, extra=self._about(entry))
                self._settle(Settlement(self, Outcome.ACK, delete=True))
                return False
        if entry.unique and await self.worker.flows.must_wait(entry):
            commands = postpone(self.worker.keys, self.stream, entry, self.worker.clock() + CLAIM_SECONDS)
            settlement = self._settle_with(commands, ended=False)
            self.worker.notifier.expect(settlement, then=self.worker.delayed.poll)
            return False
        return True

    def _end_in_flow(self, entry: JobEntry, commands: list[Command], stored: bytes) -> None:
        """Have the end recorded together with what follows from it; only then is the job settled."""
        worker = self.worker
        always: list[Command] = [(b"XACK", self.stream, GROUP, self.id), (b"XDEL", self.stream, self.id)]
        if self.limit:
            always.append(worker.limiter.leave(entry.id, self.limit))
        self.state = State.SETTLING
        worker.flows.submit(self, Ending(Position.read(entry.flow), entry.job, stored, commands, always))

    def flow_ended(self) -> None:
        """The end is recorded, and the entry acknowledged."""
        assert self.entry is not None
        settlement = Settlement(self, Outcome.ACK)
        if self.entry.reply:
            self.worker.notifier.expect(settlement, self.entry.id, self.entry.reply)
        if self.limit:
            self._free(settlement, self.entry.id)
        if self.entry.turn:
            self.worker.notifier.expect(settlement, then=self.worker.rotation.poll)
        self._settle(settlement)

    def flow_refused(self, reason: str) -> None:
        """The end can't be recorded: the job fails."""
        self.state = State.ACTIVE
        self.fail(Reject(reason))

    def give_back(self, *, used: bool) -> None:
        """See Delivery; an end that has not been recorded yet never is."""
        if self.worker.flows.withdraw(self):
            self.state = State.ACTIVE
        super().give_back(used=used)

    def _settle(self, settlement: Settlement) -> None:
        # not awaited: the handler takes the next job while this is being confirmed
        self._inbox.settle(self, settlement)

    def _about(self, entry: JobEntry) -> dict[str, object]:
        return {
            "stream": self.stream, "id": self.id, "delivery_count": self.delivery_count,
            "job": entry.job, "job_id": entry.id,
        }  # fmt: skip

    def _seconds(self) -> float:
        """How long this run took; 0 if it never began."""
        return self.worker.loop.current_time() - self.begun if self.begun else 0.0

    def _run(self) -> dict[str, object]:
        return {"seconds": round(self._seconds(), 6), "attempt": self.entry.failed + 1 if self.entry is not None else 1}
