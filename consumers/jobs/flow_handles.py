"""A started workflow seen from outside: its status, its results, and its cancellation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from coredis.exceptions import RedisError

from consumers import given
from consumers.connection import Command, Reply
from consumers.given import Duration
from consumers.jobs import flow_state
from consumers.jobs.dead import PLAIN
from consumers.jobs.flow_cancelling import cancel_flow
from consumers.jobs.flow_state import CANCELLED, DONE, FAILED, QUEUED, SKIPPED, WAITING, Links, Plan, State, job_id
from consumers.jobs.handles import Job, SyncJob
from consumers.jobs.outcomes import NoResult
from consumers.jobs.queue import Queue

__all__ = [
    "STATES", "FlowState", "FlowStatus", "NodeState", "NodeStatus", "RunningFlow", "SyncRunningFlow", "overall",
]  # fmt: skip

_read_list = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode

PAGE = 1000
"""Results that are read in one reply, at most."""


class NodeState(StrEnum):
    """waiting: for other nodes. queued: its job is enqueued and has not ended. skipped: it was not started, because of
    a node that failed or was cancelled, or because it runs after a failure and there was none."""

    WAITING = "waiting"
    QUEUED = "queued"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class FlowState(StrEnum):
    """running: something of it is left. failed: a node failed. cancelled: none failed, but one was cancelled."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


STATES = {
    WAITING: NodeState.WAITING, QUEUED: NodeState.QUEUED, DONE: NodeState.DONE, FAILED: NodeState.FAILED,
    CANCELLED: NodeState.CANCELLED, SKIPPED: NodeState.SKIPPED,
}  # fmt: skip


def overall(failed: bytes | None, cancelled: bytes | None, ended: bytes | None) -> FlowState:
    """The state of a workflow, from the fields with these names. Raises ValueError for others."""
    if ended is None:
        return FlowState.RUNNING
    if int(failed or 0):
        return FlowState.FAILED
    return FlowState.CANCELLED if int(cancelled or 0) else FlowState.DONE


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """job: the name of its function. id: its job's ID. run: how often it was started again."""

    name: str
    job: str
    id: str
    state: NodeState
    run: int


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """A workflow at one moment. created, ended: seconds since 1970; ended is None while anything is left. nodes: by
    their names, in the order in which they were added."""

    id: str
    state: FlowState
    created: float
    ended: float | None
    nodes: dict[str, NodeStatus]

    def count(self, state: NodeState) -> int:
        """How many nodes are in this state."""
        return sum(node.state is state for node in self.nodes.values())


class RunningFlow:
    """A workflow by its ID, started here or elsewhere. created: False if start() found that it existed already."""

    def __init__(self, queue: Queue, id: str, *, created: bool = True) -> None:
        given.instance("queue", queue, Queue)
        self.queue = queue
        self.id = given.text("id", id)
        self.created = created

    def __repr__(self) -> str:
        return f"<RunningFlow {self.queue.name} {self.id}>"

    @property
    def sync(self) -> SyncRunningFlow:
        """The same workflow for code without an event loop."""
        return SyncRunningFlow(self)

    async def status(self) -> FlowStatus:
        """Return the state of the workflow and of each node, all of the same moment.

        Raises NoResult if there is no such workflow, or it has ended and is not kept any more.
        """
        links = await self._links()
        names = ["failed", "cancelled", "created", "ended", *(f"s:{node}" for node in range(len(links)))]
        failed, cancelled, created, ended, *states = await self._read(names)
        if created is None:
            raise self._gone()
        return FlowStatus(
            self.id,
            overall(failed, cancelled, ended),
            float(created),
            None if ended is None else float(ended),
            {link.name: self._node(node, link, states[node]) for node, link in enumerate(links)},
        )

    def _node(self, node: int, links: Links, stored: bytes | None) -> NodeStatus:
        state = State.read(stored)
        return NodeStatus(links.name, links.job, job_id(self.id, node), STATES[state.letter], state.run)

    async def result(self, timeout: Duration | None = None) -> Any:
        """Wait for the end and return the result of the last node, or the list of results if there are several.

        timeout: seconds or a timedelta. Raises TimeoutError after it, JobFailed if a node failed (its `node` is the
        name of the first one), JobCancelled if one was cancelled. After a redrive it can be called again. Raises
        NoResult if there is no such workflow, or it is not kept any more.
        """
        kept = self.queue.keep_result > 0
        stored: msgspec.Raw = await Job(self.queue, self.id, msgspec.Raw, kept=kept).result(timeout)
        try:
            plan, links = await self._plan(), await self._links()
        except NoResult:
            # its hash is a bit older than its result
            return PLAIN(bytes(stored))
        decode = [self._decoder(links[node].job) for node in plan.last]
        if plan.single:
            return decode[0](bytes(stored))
        return [one(bytes(raw)) for one, raw in zip(decode, _read_list(bytes(stored)), strict=True)]

    async def results(self) -> dict[str, Any]:
        """Return the results of all nodes that are done, by name; they are kept as long as the workflow.

        Raises NoResult as status() does.
        """
        links = await self._links()
        found: dict[str, Any] = {}
        for first in range(0, len(links), PAGE):
            page = links[first : first + PAGE]
            stored = await self._read([f"r:{first + place}" for place in range(len(page))])
            for link, result in zip(page, stored, strict=True):
                if result is not None:
                    found[link.name] = self._decoder(link.job)(result)
        return found

    async def job(self, name: str) -> Job[Any]:
        """Return the job of the node with this name. Raises KeyError if there is none, NoResult as status() does."""
        for node, links in enumerate(await self._links()):
            if links.name == name:
                return Job(self.queue, job_id(self.id, node), self._decoder(links.job))
        raise KeyError(name)

    async def cancel(self) -> bool:
        """Start nothing more, and cancel the jobs that have been started, see Job.cancel; in one transaction.

        Returns False if everything has ended.
        """
        connection = self.queue.connection
        return await cancel_flow(self.queue.keys, connection.transactions, self.id, connection.clock)

    def _decoder(self, job: str) -> Callable[[bytes], Any]:
        function = self.queue.functions.get(job)
        return PLAIN if function is None else function.arguments.decode_result

    async def _plan(self) -> Plan:
        (stored,) = await self._read(["plan"])
        if stored is None:
            raise self._gone()
        return flow_state.read_plan(stored)

    async def _links(self) -> list[Links]:
        (count,) = await self._read(["count"])
        stored = await self._read([f"o:{node}" for node in range(int(count or 0))])
        if not stored or None in stored:
            raise self._gone()
        return [flow_state.read_links(one) for one in stored]

    def _gone(self) -> NoResult:
        return NoResult(f"there is no workflow {self.id}, or it has ended and is not kept any more")

    async def _read(self, names: Iterable[str]) -> list[Any]:
        command: Command = (b"HMGET", self.queue.keys.flow(self.id), *names)
        if len(command) == 2:
            return []
        reply: Reply
        (reply,) = await self.queue.connection.link.execute([command])
        if isinstance(reply, RedisError):
            raise reply
        found: list[Any] = reply
        return found


class SyncRunningFlow:
    """RunningFlow.sync: its methods are the RunningFlow's, and block. See SyncQueue for where they work."""

    def __init__(self, running: RunningFlow) -> None:
        self.running = running
        self._sync = running.queue.sync

    def __repr__(self) -> str:
        return f"<SyncRunningFlow {self.running.queue.name} {self.id}>"

    @property
    def id(self) -> str:
        return self.running.id

    @property
    def created(self) -> bool:
        return self.running.created

    def status(self) -> FlowStatus:
        """RunningFlow.status: the state of the workflow and of each node."""
        return self._sync.run(self.running.status)

    def result(self, timeout: Duration | None = None) -> Any:
        """RunningFlow.result: wait for the end and return the result of the last node, or a list."""
        return self._sync.run(self.running.result, timeout)

    def results(self) -> dict[str, Any]:
        """RunningFlow.results: the results of all nodes that are done, by name."""
        return self._sync.run(self.running.results)

    def job(self, name: str) -> SyncJob[Any]:
        """RunningFlow.job: the job of the node with this name."""
        return SyncJob(self._sync.run(self.running.job, name), self._sync)

    def cancel(self) -> bool:
        """RunningFlow.cancel: start nothing more, and cancel the jobs that have been started."""
        return self._sync.run(self.running.cancel)
