"""The keys of one BullMQ queue, see bullmq.py."""

from __future__ import annotations

from consumers.console.queues.library import State
from consumers.console.queues.naming import parted

__all__ = ["PREFIX", "Keys"]

PREFIX = "bull"


class Keys:
    """The names, by BullMQ's own words."""

    def __init__(self, queue: str) -> None:
        prefix, name = parted(queue, PREFIX)
        self.base = f"{prefix}:{name}:"
        self.meta = f"{self.base}meta"
        self.wait = f"{self.base}wait"
        self.paused = f"{self.base}paused"
        self.active = f"{self.base}active"
        self.prioritized = f"{self.base}prioritized"
        self.counter = f"{self.base}pc"
        self.ids = f"{self.base}id"
        self.completed_metrics = f"{self.base}metrics:completed"
        self.failed_metrics = f"{self.base}metrics:failed"
        self.delayed = f"{self.base}delayed"
        self.waiting_children = f"{self.base}waiting-children"
        self.failed = f"{self.base}failed"
        self.completed = f"{self.base}completed"
        self.marker = f"{self.base}marker"
        self.events = f"{self.base}events"

    def job(self, id: str) -> str:
        return f"{self.base}{id}"

    def of_job(self, id: str) -> tuple[str, ...]:
        """All keys of a job, apart from its lock and that of its deduplication."""
        job = self.job(id)
        return job, *(f"{job}:{part}" for part in ("logs", "dependencies", "processed", "failed", "unsuccessful"))

    def deduplication(self, id: str) -> str:
        return f"{self.base}de:{id}"

    def set_of(self, state: State) -> str:
        """The sorted set of the jobs in a state that has one."""
        return {State.DELAYED: self.delayed, State.DEAD: self.failed, State.DONE: self.completed}[state]
