"""Job queues: functions that run in workers.

    queue = Queue("thumbnails")

    @queue.job(retries=5, timeout=30)
    async def resize(path: str, width: int) -> str: ...

    async with queue.open("redis://127.0.0.1") as queue:        # where jobs are enqueued
        job = await resize.enqueue("cat.png", width=200)
        print(await job.result(timeout=60))

    async with queue.open("redis://127.0.0.1") as queue:        # where they run; or `trimaran work myapp:queue`
        await Worker(queue, concurrency=50).run()

Jobs run at least once, so they must be idempotent (see Queue). The server may be any with Redis 7's commands: Trimaran,
Redis, Valkey. Queues need no scripts.

queue.py     Queue;  registry.py  declaring its jobs;  declarations.py  a declared function;  handles.py  Job
options.py   what enqueueing takes
enqueueing.py, own_ids.py  adding jobs;  sync.py  Queue.sync, for code without an event loop
worker.py    Worker, on the consumers' engine;  running.py  one job in a worker's hands;  current.py  what it knows
calling.py   calls its function, inside middleware;  injection.py  what the lifespan provides
process_pool.py, process_child.py, process_messages.py  processes for jobs
batches.py   many calls, one run
later.py     delayed jobs;  periodic.py  cron;  plans.py  schedules made at run time
limits.py, rates.py  limits by key
turns.py     tenants that take turns;  uniqueness.py  unique jobs;  thinning.py  debounced and throttled ones
cancelling.py, results.py, searching.py, announcing.py;  clock.py  the time;  dead.py  dead jobs
states.py    what is known about jobs and workers;  reports.py  what workers report;  locating.py  finding one job
listing.py   counting and listing;  managing.py  pausing, purging, deleting, rescheduling
flows.py     workflows;  flow_plans.py  how one begins;  flow_handles.py  RunningFlow
flow_state.py, flow_board.py  how it is stored and read;  flow_transitions.py, flow_settling.py, flow_cancelling.py,
flow_resuming.py, flow_removing.py
entries.py   a job as a stream entry;  payloads.py, models.py  arguments and results;  outcomes.py  how a job ended
names.py     the queue's keys
"""

from consumers.errors import ConsumerError, Reject, Retry, ServerUnavailable
from consumers.jobs.calling import CallNext
from consumers.jobs.current import CurrentJob, current_job
from consumers.jobs.declarations import Call, JobFunction
from consumers.jobs.flow_handles import FlowState, FlowStatus, NodeState, NodeStatus, RunningFlow, SyncRunningFlow
from consumers.jobs.flow_state import NodeFailure
from consumers.jobs.flows import PREVIOUS, Flow, Node, chain, group
from consumers.jobs.handles import Job, SyncJob
from consumers.jobs.injection import INJECTED
from consumers.jobs.outcomes import (
    JobCancelled,
    JobError,
    JobExpired,
    JobFailed,
    JobProcessDied,
    JobSkipped,
    JobTimeout,
    NoResult,
)
from consumers.jobs.queue import DeadJob, Queue
from consumers.jobs.rates import Rate
from consumers.jobs.states import Counts, JobInfo, JobState, Progress, Schedule, WorkerInfo
from consumers.jobs.sync import SyncQueue
from consumers.jobs.thinning import Debounce, Throttle
from consumers.jobs.worker import Worker
from consumers.middleware import Middleware
from consumers.retry import Backoff

__all__ = [
    "INJECTED",
    "PREVIOUS",
    "Backoff",
    "Call",
    "CallNext",
    "ConsumerError",
    "Counts",
    "CurrentJob",
    "DeadJob",
    "Debounce",
    "Flow",
    "FlowState",
    "FlowStatus",
    "Job",
    "JobCancelled",
    "JobError",
    "JobExpired",
    "JobFailed",
    "JobFunction",
    "JobInfo",
    "JobProcessDied",
    "JobSkipped",
    "JobState",
    "JobTimeout",
    "Middleware",
    "NoResult",
    "Node",
    "NodeFailure",
    "NodeState",
    "NodeStatus",
    "Progress",
    "Queue",
    "Rate",
    "Reject",
    "Retry",
    "RunningFlow",
    "Schedule",
    "ServerUnavailable",
    "SyncJob",
    "SyncQueue",
    "SyncRunningFlow",
    "Throttle",
    "Worker",
    "WorkerInfo",
    "chain",
    "current_job",
    "group",
]
