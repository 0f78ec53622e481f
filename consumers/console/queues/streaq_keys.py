"""The keys of one queue of streaQ, and the entries of its streams, see streaq.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from consumers.console.asking import text
from consumers.console.queues.library import number_in

__all__ = ["GROUP", "Keys", "entries_in"]

GROUP = "workers"


class Keys:
    """The keys of one queue. Streams and sorted sets are in the order of the priorities."""

    def __init__(self, queue: str, priorities: Sequence[str]) -> None:
        prefix = f"streaq:{queue}:"
        self.streams = [f"{prefix}queues:{one}" for one in priorities]
        self.delayed = [f"{prefix}queues:delayed:{one}" for one in priorities]
        self.running, self.results = f"{prefix}index:running", f"{prefix}index:results"
        self.aborted, self.health = f"{prefix}aborted", f"{prefix}health:"
        self._task = f"{prefix}task:"

    def data(self, id: str) -> str:
        return f"{self._task}data:{id}"

    def retry(self, id: str) -> str:
        return f"{self._task}retry:{id}"

    def result(self, id: str) -> str:
        return f"{self._task}results:{id}"

    def dependencies(self, id: str) -> str:
        return f"{self._task}dependencies:{id}"

    def dependents(self, id: str) -> str:
        return f"{self._task}dependents:{id}"


def entries_in(reply: Any) -> list[tuple[str, str, float]]:
    """Entries as IDs, their tasks' IDs, and when these were due, in milliseconds; without what has no task."""
    found = []
    for entry, values in reply or ():
        fields = dict(zip(values[::2], values[1::2], strict=False))
        if (id := fields.get(b"task_id")) is not None:
            due = number_in(fields.get(b"enqueue_time")) or float(entry.partition(b"-")[0])
            found.append((text(entry), text(id), due))
    return found
