"""The keys of one queue. All carry one hash tag, so that a cluster keeps the queue on one node.

jobs:{NAME}:PRIORITY      a stream for each priority, and `resumed`, which comes before them all
jobs:{NAME}:dead          the dead-letter stream
jobs:{NAME}:later         a sorted set: jobs that wait for a time, by when they are due (seconds since 1970)
jobs:{NAME}:bodies        a hash: what to add to which stream, for jobs that are in no stream
jobs:{NAME}:moves         a counter, raised whenever such a job is taken out: transactions watch it
jobs:{NAME}:result:ID     how a job ended
jobs:{NAME}:place:...     a sorted set: IDs of unique jobs that have claimed this place, by the end of their claim
jobs:{NAME}:cancelled     a sorted set: IDs of jobs that shall not run, by when that was said
jobs:{NAME}:periodic      a hash: the last time for which each periodic job was scheduled
jobs:{NAME}:schedules     a hash: of each periodic job, the schedule in force and who vouches for it, see periodic.py
jobs:{NAME}:running:...   a sorted set: IDs of jobs that hold a place under a limit, by the end of their lease
jobs:{NAME}:parked:...    a sorted set: IDs of jobs that wait for such a place, in order
jobs:{NAME}:limits        a hash: the limits under which jobs are parked, and how high each is
"""

from collections.abc import Sequence

__all__ = ["GROUP", "RESERVED", "Keys"]

GROUP = "workers"
"""The consumer group of every queue."""

RESERVED = frozenset(
    ("resumed", "dead", "later", "bodies", "moves", "cancelled", "periodic", "schedules", "limits", "control")
)
"""What no priority may be called: the names of the queue's other keys."""


class Keys:
    """The names of a queue's keys and shard channels."""

    def __init__(self, name: str, priorities: Sequence[str]) -> None:
        self.prefix = f"jobs:{{{name}}}:"
        self.streams = {priority: f"{self.prefix}{priority}" for priority in priorities}
        self.resumed = f"{self.prefix}resumed"
        self.dead = f"{self.prefix}dead"
        self.later = f"{self.prefix}later"
        self.bodies = f"{self.prefix}bodies"
        self.moves = f"{self.prefix}moves"
        self.cancelled = f"{self.prefix}cancelled"
        self.periodic = f"{self.prefix}periodic"
        self.schedules = f"{self.prefix}schedules"
        self.limits = f"{self.prefix}limits"
        self.control = f"{self.prefix}control"

    @property
    def in_order(self) -> tuple[str, ...]:
        """The streams, those first that are read first."""
        return (self.resumed, *self.streams.values())

    def result(self, id: str) -> str:
        return f"{self.prefix}result:{id}"

    def replies(self, token: str) -> str:
        """The shard channel on which a program hears which of its jobs have ended."""
        return f"{self.prefix}replies:{token}"

    def unique(self, place: str) -> str:
        return f"{self.prefix}place:{place}"

    def running(self, limit: str) -> str:
        return f"{self.prefix}running:{limit}"

    def parked(self, limit: str) -> str:
        return f"{self.prefix}parked:{limit}"
