"""Compares workflows that have ended with the model, and what they left on the server with what they must leave."""

import pytest

from consumers.jobs import JobFailed, NodeState, RunningFlow
from tests.consumers.jobs.flow_model import Program, Spec, entries_added
from tests.consumers.jobs.working import dead

__all__ = ["check_all"]


async def ended(running: RunningFlow, spec: Spec, *, repaired: bool = False) -> None:
    """Wait for the end, which is a failure if the model says so."""
    states = spec.states(repaired=repaired).values()
    if NodeState.FAILED in states:
        with pytest.raises(JobFailed):
            await running.result(timeout=40)
    else:
        await running.result(timeout=40)


async def check_all(program: Program, flows: dict[RunningFlow, Spec], *, exactly: bool, others: int = 0) -> None:
    """Wait for the workflows, compare them with the model, repair and redrive what failed, and compare again.

    exactly: nothing made a job run twice. others: jobs that belong to none of them.
    """
    queue = program.queue
    for running, spec in flows.items():
        await ended(running, spec)
        await program.check(spec, running)
    starts = others + sum(spec.starts() for spec in flows.values())
    added = await entries_added(queue)
    assert added == starts, f"{added} jobs were started, and the model starts {starts}"
    runs = await program.ledger.runs()
    assert len(runs) == starts and (not exactly or runs.total() == starts)
    failed = sum(node is NodeState.FAILED for spec in flows.values() for node in spec.states().values())
    assert len(await dead(queue)) == failed
    await program.ledger.repair()
    assert await queue.redrive() == failed
    for running, spec in flows.items():
        await ended(running, spec, repaired=True)
        await program.check(spec, running, repaired=True)
    assert await dead(queue) == []
