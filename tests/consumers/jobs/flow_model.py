"""Random workflows, and a model in plain Python of how they end.

The jobs note their runs in a ledger, and raise if their label is in its set `broken`.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from consumers.jobs import PREVIOUS, Flow, JobFunction, NodeFailure, NodeState, Queue, RunningFlow

__all__ = ["Ledger", "NodeSpec", "Program", "Spec", "StoredLedger", "entries_added", "random_spec"]


@dataclass(frozen=True)
class NodeSpec:
    """after: earlier nodes. fails: until it is repaired. handler: it has on_failure. delay: seconds."""

    after: tuple[int, ...] = ()
    fails: bool = False
    handler: bool = False
    delay: float = 0.0


@dataclass(frozen=True)
class Spec:
    """A workflow. handler: on_failure of the whole."""

    nodes: tuple[NodeSpec, ...]
    handler: bool = False

    def states(self, *, repaired: bool = False) -> dict[str, NodeState]:
        """The state of each node at the end. repaired: all dead jobs were redriven, and then no node failed."""
        found: list[NodeState] = []
        for node in self.nodes:
            if any(found[place] is not NodeState.DONE for place in node.after):
                found.append(NodeState.SKIPPED)
            else:
                found.append(NodeState.FAILED if node.fails else NodeState.DONE)
        states = {str(place): state for place, state in enumerate(found)}
        for place, node in enumerate(self.nodes):
            if node.handler:
                states[f"handle {place}"] = _handler(found[place] is NodeState.FAILED)
        if self.handler:
            states["handle"] = _handler(NodeState.FAILED in found)
        if repaired:
            states |= {str(place): NodeState.DONE for place in range(len(self.nodes))}
        return states

    def results(self, *, repaired: bool = False) -> dict[str, int]:
        """What the nodes that are done return."""
        values: dict[int, int] = {}
        states = self.states(repaired=repaired)
        for place, node in enumerate(self.nodes):
            if states[str(place)] is NodeState.DONE:
                values[place] = 1 + sum(values[before] for before in node.after)
        return {str(place): value for place, value in values.items()}

    def starts(self) -> int:
        """How many jobs are enqueued until the end, redrives not counted."""
        return sum(state in (NodeState.DONE, NodeState.FAILED) for state in self.states().values())


def _handler(needed: bool) -> NodeState:
    return NodeState.DONE if needed else NodeState.SKIPPED


def random_spec(source: random.Random, size: int = 8) -> Spec:
    """A graph of up to this many nodes."""
    nodes: list[NodeSpec] = []
    for place in range(source.randint(1, size)):
        after = tuple(before for before in range(place) if source.random() < 0.35)
        fails, handler = source.random() < 0.15, source.random() < 0.2
        nodes.append(NodeSpec(after, fails, handler, 0.05 if source.random() < 0.1 else 0.0))
    return Spec(tuple(nodes), source.random() < 0.3)


class Ledger:
    """In memory, for jobs that run in the test's own process: no network comes between."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.failing: set[str] = set()

    async def note(self, label: str) -> None:
        self.noted.append(label)

    async def is_broken(self, label: str) -> bool:
        return label in self.failing

    async def mark(self, labels: list[str]) -> None:
        self.failing.update(labels)

    async def repair(self) -> None:
        self.failing.clear()

    async def runs(self) -> Counter[str]:
        return Counter(self.noted)


class StoredLedger(Ledger):
    """On the server, for jobs that run in processes which are killed."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def note(self, label: str) -> None:
        await self._queue.connection.client.rpush("runs", [label])

    async def is_broken(self, label: str) -> bool:
        found: bool = await self._queue.connection.client.sismember("broken", label)
        return found

    async def mark(self, labels: list[str]) -> None:
        await self._queue.connection.client.sadd("broken", labels)

    async def repair(self) -> None:
        await self._queue.connection.client.delete(["broken"])

    async def runs(self) -> Counter[str]:
        noted: Any = await self._queue.connection.client.lrange("runs", 0, -1)
        return Counter(label.decode() for label in noted)


@dataclass
class Program:
    """A queue with the jobs that random workflows consist of; each program or worker has its own."""

    ledger: Ledger = field(default_factory=Ledger)
    queue: Queue = field(default_factory=lambda: Queue("flows"))
    work: JobFunction[Any, int] = field(init=False)
    handle: JobFunction[Any, str] = field(init=False)

    def __post_init__(self) -> None:
        queue, ledger = self.queue, self.ledger

        @queue.job(retries=0, crashes=100)
        async def work(label: str, inputs: int | list[int] = 0) -> int:
            await ledger.note(label)
            if await ledger.is_broken(label):
                raise ValueError(label)
            return 1 + (sum(inputs) if isinstance(inputs, list) else inputs)

        @queue.job(crashes=100)
        async def handle(failure: NodeFailure, label: str) -> str:
            await ledger.note(label)
            return failure.node

        self.work, self.handle = work, handle

    async def start(self, spec: Spec, id: str) -> RunningFlow:
        """Start a workflow; the jobs that fail are broken until they are repaired."""
        broken = [f"{id}:{place}" for place, node in enumerate(spec.nodes) if node.fails]
        if broken:
            await self.ledger.mark(broken)
        on_failure = self.handle.call(label=f"{id}:handle") if spec.handler else None
        flow = Flow(self.queue, id=id, on_failure=on_failure)
        nodes = []
        for place, node in enumerate(spec.nodes):
            label = f"{id}:{place}"
            arguments = (label, PREVIOUS) if node.after else (label,)
            on_failure = self.handle.call(label=f"{label}:handle") if node.handler else None
            call = self.work.call(*arguments, delay=node.delay)
            after = [nodes[before] for before in node.after]
            nodes.append(flow.add(call, after=after, name=str(place), on_failure=on_failure))
        return await flow.start()

    async def check(self, spec: Spec, running: RunningFlow, *, repaired: bool = False) -> None:
        """Compare a workflow that has ended with the model."""
        status = await running.status()
        states = {name: node.state for name, node in status.nodes.items() if node.job == "work"}
        expected = spec.states(repaired=repaired)
        assert states == {name: state for name, state in expected.items() if not name.startswith("handle")}
        handlers = Counter(node.state for node in status.nodes.values() if node.job == "handle")
        assert handlers == Counter(state for name, state in expected.items() if name.startswith("handle"))
        results = await running.results()
        assert {name: value for name, value in results.items() if name in states} == spec.results(repaired=repaired)


async def entries_added(queue: Queue) -> int:
    """How many entries all streams of the queue ever had: each start of a job adds one, however often it runs."""
    client, total = queue.connection.client, 0
    for stream in queue.keys.in_order:
        if await client.exists([stream]):
            information: Any = await client.xinfo_stream(stream)
            total += int(information["entries-added"])
    return total
