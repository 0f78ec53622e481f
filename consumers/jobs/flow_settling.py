"""A worker's part in workflows: it records the ends of their jobs, many in one transaction.

An ordinary job's outcome is a fixed list of commands. What follows from the end of a workflow's job depends on the
other nodes, so its transaction watches the workflow and belongs to a task of its own. Ends that arrive during one
transaction go into the next one. Workers that end nodes of the same workflow at the same time repeat each other's
transactions, so batches grow with such competition.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

from consumers.connection import Command
from consumers.doorbell import Doorbell
from consumers.jobs.clock import Clock
from consumers.jobs.entries import JobEntry
from consumers.jobs.flow_resuming import Chance, resume
from consumers.jobs.flow_state import MAX_RESULTS, Position
from consumers.jobs.flow_transitions import Ending, Settled, settle
from consumers.jobs.names import Keys
from consumers.jobs.uniqueness import precedes
from consumers.retry import persist
from consumers.transactions import Ask, Transactions

__all__ = ["FlowSettler", "InFlow"]

BATCH = 500
"""Ends recorded in one transaction, at most."""


class InFlow(Protocol):
    """A running job, as this module sees it. ended: its end is recorded. failed: it can't be, for this reason."""

    def flow_ended(self) -> None: ...
    def flow_refused(self, reason: str) -> None: ...


class FlowSettler:
    """Records ends, for one worker. postponed: called with the time at which the first delayed job is due."""

    def __init__(
        self, keys: Keys, transactions: Transactions, clock: Clock, postponed: Callable[[float], None]
    ) -> None:
        self._keys = keys
        self._transactions = transactions
        self._clock = clock
        self._postponed = postponed
        self._waiting: dict[InFlow, Ending] = {}
        self._bell = Doorbell()

    def submit(self, job: InFlow, ending: Ending) -> None:
        """Record this end soon."""
        self._waiting[job] = ending
        self._bell.ring()

    def withdraw(self, job: InFlow) -> bool:
        """Do not record it after all, unless that has happened already; returns False if it was not submitted."""
        return self._waiting.pop(job, None) is not None

    async def run(self) -> None:
        """Record submitted ends, forever. Raises the server's permanent refusals."""
        while True:
            await self._bell.wait()
            while self._waiting:
                await persist(self._settle_some)

    async def _settle_some(self) -> None:
        batch = dict(islice(self._waiting.items(), BATCH))
        flows = dict.fromkeys(self._keys.flow(ending.at.flow) for ending in batch.values())

        async def decide(ask: Ask) -> tuple[Sequence[Command], Settled]:
            settled = await settle(ask, self._keys, list(batch.values()), self._clock())
            return settled.commands, settled

        settled = await self._transactions.run(list(flows), decide)
        refused = set(settled.too_large)
        for job, ending in batch.items():
            if not self.withdraw(job):
                continue
            if ending in refused:
                job.flow_refused(f"the results of its workflow would be larger than {MAX_RESULTS} bytes")
            else:
                job.flow_ended()
        if settled.due < math.inf:
            self._postponed(settled.due)

    # Before a job runs.

    async def resume(self, at: Position) -> Chance:
        """Queue a redriven node again, unless that has been done; returns whether it may run."""

        async def attempt() -> Chance:
            return await self._transactions.run([self._keys.flow(at.flow)], lambda ask: resume(ask, self._keys, at))

        return await persist(attempt)

    async def must_wait(self, entry: JobEntry) -> bool:
        """Whether another job has an earlier claim to the node's unique place."""

        async def decide(ask: Ask) -> tuple[list[Command], bool]:
            return [], await precedes(ask, self._keys, entry.unique, entry.id, self._clock())

        async def attempt() -> bool:
            return await self._transactions.run([], decide)

        return await persist(attempt)
