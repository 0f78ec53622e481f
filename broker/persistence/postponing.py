"""Postponing writes to a file while it is being synced, once one of them was seen to wait for that.

Most file systems take a write during a sync; on some it waits until the sync is over, and all clients with it. That is
why Redis postpones writes during a sync, by up to two seconds. Here they are postponed, within the same limit, only
after one was seen to wait, and every minute another one tries again.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

from broker.persistence.syncing import times_waited

if TYPE_CHECKING:
    from broker.process.log import Log

BLOCKED_SECONDS: Final = 0.02
"""A write during a sync that takes this long, and sleeps, has waited for the disk."""

GATHER_SECONDS: Final = 60
"""How long ticks postpone writes during syncs after a write had to wait, before another write tries."""

POSTPONED_MS: Final = 2000
"""The longest time that effects stay unwritten because a sync is running."""


class Postponement:
    """Whether writes during a sync are postponed."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._until = 0.0

    def applies(self, syncing_ms: int) -> bool:
        """Whether to postpone writes during a sync that has been running for so many milliseconds."""
        return monotonic() < self._until and syncing_ms < POSTPONED_MS

    def attempt(self, write: Callable[[], None]) -> bool:
        """Write during a sync; returns whether the write had to wait for it, which postpones further ones."""
        began, waits = monotonic(), times_waited()
        write()
        if monotonic() - began < BLOCKED_SECONDS or (waits and times_waited() == waits):
            return False  # in the second case, it was another process or thread that had the processor
        if not self._until:
            self._log.warning(
                "a write to the append-only file had to wait for its sync: from now on, changes stay in memory while a"
                " sync is running, for at most two seconds, and are lost if the process is killed then"
            )
        self._until = began + GATHER_SECONDS
        return True
