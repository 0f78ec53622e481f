"""The priorities of queues, which only their programs know: the usual ones, and those of keys that were seen."""

from __future__ import annotations

__all__ = ["Priorities"]

USUAL = ("high", "normal", "low")
"""What a queue has unless its program says otherwise."""

OTHERS = 20
"""Further priorities of one queue that are remembered."""

QUEUES = 20_000
"""Queues of which some are remembered: a server may have any number of keys that look like it."""


class Priorities:
    """The priorities of one library's queues on one server."""

    def __init__(self) -> None:
        self._others: dict[str, set[str]] = {}

    def add(self, queue: str, priority: str) -> bool:
        """Remember one; False if there are too many."""
        if priority in USUAL:
            return True
        others = self._others.get(queue, set())
        if priority not in others and (len(others) >= OTHERS or (not others and len(self._others) >= QUEUES)):
            return False
        self._others.setdefault(queue, others).add(priority)
        return True

    def of(self, queue: str) -> list[str]:
        """Those that the queue has, as far as is known: the usual ones first."""
        return [*USUAL, *sorted(self._others.get(queue, ()))]
