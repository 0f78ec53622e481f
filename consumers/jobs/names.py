"""The keys of one queue. All have the same hash tag, so a cluster keeps the queue on one node.

jobs:{NAME}:PRIORITY      a stream for each priority, and `resumed`, which precedes them all
jobs:{NAME}:dead          the dead-letter stream
jobs:{NAME}:later         a sorted set: jobs that wait for a time, by due time (seconds since 1970)
jobs:{NAME}:bodies        a hash: what to add to which stream, for jobs that are in no stream
jobs:{NAME}:moves         a counter, raised whenever such a job is removed: transactions watch it
jobs:{NAME}:result:ID     a job's outcome
jobs:{NAME}:place:...     a sorted set: IDs of unique jobs that have claimed this place, by the end of their claim
jobs:{NAME}:cancelled     a sorted set: IDs of jobs that must not run, by the time of their cancellation
jobs:{NAME}:postponed     a sorted set: IDs of waiting jobs that were rescheduled, by their new time
jobs:{NAME}:id:ID         when a job with an ID of the caller's was enqueued, so that it is not added again (own_ids.py)
jobs:{NAME}:workers       a hash: what each worker reports about itself and the jobs that it runs (reports.py)
jobs:{NAME}:paused        since when no worker takes a job
jobs:{NAME}:periodic      a hash: the last time for which each periodic job was scheduled
jobs:{NAME}:schedules     a hash: each periodic job's schedule in force and its workers' last sign of life (periodic.py)
jobs:{NAME}:plans         a hash: the schedules that were made at run time (plans.py)
jobs:{NAME}:planned       a hash: the last time for which each of them has an occurrence, and its revision
jobs:{NAME}:running:...   a sorted set: IDs of jobs that hold a place under a limit, by the end of their lease; and the
                          runs that hold one under a rate, by the end of its period (rates.py)
jobs:{NAME}:parked:...    a sorted set: IDs of jobs that wait for such a place, in order
jobs:{NAME}:limits        a hash: the limits under which jobs are parked, with their sizes; 0: a rate or a backlog
jobs:{NAME}:rates         a hash: the number and the period of the rates under which jobs are parked
jobs:{NAME}:openings      a sorted set: these rates, by the time at which any worker may bring their jobs back
jobs:{NAME}:calls:...     the job that stands for further calls, and the time of the first of them (thinning.py)
jobs:{NAME}:turns:...     a sorted set: the tenants that wait for a turn at a priority, by their next round (turns.py)
jobs:{NAME}:admissions    a counter, raised whenever a job is removed from a tenant's backlog
jobs:{NAME}:flow:ID       a hash: a workflow (flow_state.py)
"""

from collections.abc import Sequence

__all__ = ["GROUP", "RESERVED", "Keys"]

GROUP = "workers"
"""The consumer group of every queue."""

_OTHERS = (
    "resumed", "dead", "later", "bodies", "moves", "cancelled", "periodic", "schedules", "limits", "control",
    "postponed", "workers", "paused", "rates", "openings", "admissions", "plans",
    "planned",
)  # fmt: skip
RESERVED = frozenset(_OTHERS)
"""Names that no priority may have, because the queue's other keys have them."""


class Keys:
    """The names of a queue's keys and shard channels."""

    def __init__(self, name: str, priorities: Sequence[str]) -> None:
        self.name = name
        self.prefix = f"jobs:{{{name}}}:"
        self.streams = {priority: f"{self.prefix}{priority}" for priority in priorities}
        self.resumed = f"{self.prefix}resumed"
        self.dead = f"{self.prefix}dead"
        self.later = f"{self.prefix}later"
        self.bodies = f"{self.prefix}bodies"
        self.moves = f"{self.prefix}moves"
        self.cancelled = f"{self.prefix}cancelled"
        self.postponed = f"{self.prefix}postponed"
        self.workers = f"{self.prefix}workers"
        self.paused = f"{self.prefix}paused"
        self.periodic = f"{self.prefix}periodic"
        self.schedules = f"{self.prefix}schedules"
        self.limits = f"{self.prefix}limits"
        self.rates = f"{self.prefix}rates"
        self.openings = f"{self.prefix}openings"
        self.admissions = f"{self.prefix}admissions"
        self.plans = f"{self.prefix}plans"
        self.planned = f"{self.prefix}planned"
        self.control = f"{self.prefix}control"

    @property
    def in_order(self) -> tuple[str, ...]:
        """The streams, in the order in which they are read."""
        return (self.resumed, *self.streams.values())

    def result(self, id: str) -> str:
        return f"{self.prefix}result:{id}"

    def own_id(self, id: str) -> str:
        return f"{self.prefix}id:{id}"

    def replies(self, token: str) -> str:
        """The shard channel that tells a program which of its jobs have ended."""
        return f"{self.prefix}replies:{token}"

    def calls(self, place: str) -> str:
        return f"{self.prefix}calls:{place}"

    def turns(self, stream: str) -> str:
        """The rotation of the tenants whose jobs are to be added to this stream."""
        return f"{self.prefix}turns:{stream.removeprefix(self.prefix)}"

    def flow(self, id: str) -> str:
        return f"{self.prefix}flow:{id}"

    def unique(self, place: str) -> str:
        return f"{self.prefix}place:{place}"

    def running(self, limit: str) -> str:
        return f"{self.prefix}running:{limit}"

    def parked(self, limit: str) -> str:
        return f"{self.prefix}parked:{limit}"
