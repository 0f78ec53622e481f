"""Workflows: jobs that start when others are done, and get their results.

    chain(download.call(url), resize.call(PREVIOUS, 200))                   # one after the other
    group([count.call(path) for path in paths], callback=add.call(PREVIOUS))        # the callback once all are done

    flow = Flow(queue)                                                      # any graph without circles
    left, right = flow.add(count.call("a")), flow.add(count.call("b"))
    flow.add(compare.call(left.result, right.result), after=[...])
    running = await flow.start()

A workflow is stored in one hash (flow_state.py) by one transaction, which also enqueues the first jobs. From then on
the end of each job, its result, and the start of what follows are one transaction, too (flow_transitions.py), made by
the worker that ran it (flow_settling.py). So workers and the program that started it may be killed at any moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeAlias, TypeVar, cast

from consumers import given, tracing
from consumers.connection import Command
from consumers.given import Duration
from consumers.jobs.declarations import Call
from consumers.jobs.entries import new_ids, trace_of
from consumers.jobs.flow_handles import RunningFlow, SyncRunningFlow
from consumers.jobs.flow_plans import FlowPlan, NodePlan, failure_inputs
from consumers.jobs.flow_state import MAX_NODES, Input, Kind
from consumers.jobs.payloads import Passed
from consumers.jobs.queue import Queue
from consumers.transactions import Ask

__all__ = ["PREVIOUS", "Flow", "Node", "chain", "group"]

R_co = TypeVar("R_co", covariant=True)

PREVIOUS: Any = Passed()
"""As an argument of a call in a workflow: the result of the node before it, or the list of results of several nodes."""

KEEP_FAILED_SECONDS = 7 * 86400.0


class Node(Generic[R_co]):
    """A job in a workflow. Made by Flow.add()."""

    def __init__(self, flow: Flow, index: int, name: str) -> None:
        self.flow = flow
        self.index = index
        self.name = name

    def __repr__(self) -> str:
        return f"<Node {self.name}>"

    @property
    def result(self) -> R_co:
        """As an argument of a call in the same workflow: what this node returns. Type checkers see that type."""
        return cast(R_co, Passed(self))


class Flow:
    """A workflow to be started: jobs of one queue, with what each of them waits for.

        flow = Flow(queue)
        page = flow.add(fetch.call(url))
        texts = flow.add(extract.call(page.result))
        images = flow.add(find_images.call(page.result))
        flow.add(publish.call(texts.result), after=[images])
        running = await flow.start()
        print(await running.result(timeout=60))

    A node is started once all nodes are done that it comes after: those given as `after`, and those whose results it
    gets. Nodes are jobs like any others, with retries, delays (which count from the node's start), priorities, limits,
    and unique places; a unique node waits until its place is free.

    A node gets results where its call says `node.result` or PREVIOUS. PREVIOUS stands for the nodes in `after`, the
    previous part of a chain, or the members of a group: the result if it is one node, the list of results in order if
    there are several. A call may also leave out one required parameter, which then gets PREVIOUS. If a call leaves out
    none, nothing is passed.

    If a node is given up, the workflow fails: what depends on the node is skipped, and the rest goes on. When the dead
    job is redriven (Queue.redrive), the workflow continues from there.

    queue: all jobs must be of this one. id: starting the same ID again adds nothing while the workflow is kept; by
        default a new one.
    on_failure: a call that is enqueued when the workflow fails: once the first node has failed, and again when one
        fails after all dead ones were redriven. A required parameter that it leaves out gets a NodeFailure.
    keep_failed: seconds (or a timedelta) for which a failed workflow can be resumed; others are kept for the queue's
        keep_result after their end.

    Limits: 10,000 nodes; 1 MiB for a node's result and 64 MiB for all of them, beyond which the node fails.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        id: str | None = None,
        on_failure: Call[Any] | None = None,
        keep_failed: Duration = KEEP_FAILED_SECONDS,
    ) -> None:
        given.instance("queue", queue, Queue)
        self.queue = queue
        self.id = new_ids(queue.clock(), 1)[0] if id is None else given.text("id", id)
        if any(one in self.id for one in " /\r\n"):
            raise ValueError("a workflow's ID has no spaces and no slashes")
        self.keep_failed = given.duration("keep_failed", keep_failed)
        self._nodes: list[NodePlan] = []
        self._names: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._size = 0
        self._as_list = False
        self._on_failure: NodePlan | None = None
        if on_failure is not None:
            self._check(on_failure)
            failure_inputs(on_failure)
            self._on_failure = NodePlan(on_failure, self._new_name(None, on_failure), False, [])
            self._size = 1

    def add(
        self,
        call: Call[R_co],
        *,
        after: Iterable[Node[Any]] = (),
        name: str | None = None,
        on_failure: Call[Any] | None = None,
    ) -> Node[R_co]:
        """Add a node, which runs after the nodes `after` and those whose results are among its arguments.

        name: for status() and results(); by default that of the job, with a number if there are several. on_failure: a
        call that is enqueued each time the node is given up, as for the whole workflow.

        Raises TypeError for a call with missing arguments, ValueError for nodes of other workflows or queues.
        """
        before = [self._index(node) for node in after]
        if not before and call.blanks is not None and call.blanks.previous:
            raise TypeError(f"the job {call.function.name}: {call.blanks.problem}")
        place = self._add(call, before, name, on_failure, many=len(before) > 1)
        return Node(self, place, self._nodes[place].name)

    async def start(self) -> RunningFlow:
        """Store the workflow and enqueue its first jobs, in one transaction.

        If it was started before, nothing is added. So after coredis's ConnectionError or TimeoutError, when it is
        unknown whether it was started, start it again. Raises ValueError if it has no nodes, TypeError if its first
        node gets PREVIOUS.
        """
        queue, connection = self.queue, self.queue.connection
        for node in self._nodes:
            if node.open_parameters:
                raise TypeError(f"the job {node.call.function.name}: nothing comes before it")
        key, now = queue.keys.flow(self.id), self.queue.clock()
        plan = FlowPlan(self._nodes, self._on_failure, self._as_list, self.keep_failed)
        with tracing.sending("workflow", queue.name, len(self._nodes)) as sending:
            commands = plan.commands(queue, self.id, connection.adder.token, now, trace_of(sending.headers))

            async def decide(ask: Ask) -> tuple[Sequence[Command], bool]:
                (exists,) = await ask([(b"EXISTS", key)])
                return ((), False) if exists else (commands, True)

            created = await connection.transactions.run([key], decide)
            sending.sent([self.id])
        return RunningFlow(queue, self.id, created=created)

    @property
    def sync(self) -> SyncFlow:
        """The same workflow for code without an event loop: `running = flow.sync.start()`."""
        return SyncFlow(self)

    # Adding.

    def _append(self, part: Part, before: list[int], many: bool) -> tuple[list[int], bool]:
        """Add a call, or copy another workflow, after these nodes; returns the last ones, and whether they are many."""
        if isinstance(part, Call):
            return [self._add(part, before, None, None, many)], False
        given.instance("a part of a workflow", part, Call, Flow)
        if part.queue is not self.queue:
            raise ValueError(f"the workflow {part.id} belongs to another queue")
        if part._on_failure is not None:
            raise ValueError("on_failure is for a node, or for the whole workflow")
        places: list[int] = []
        for node in part._nodes:
            after = [places[one] for one in node.after]
            inputs = [Input(one.parameter, one.kind, [places[place] for place in one.nodes]) for one in node.inputs]
            copy = replace(node, after=after or before, inputs=inputs, open_parameters=[], followed=False)
            copy.name = self._new_name(node.name if node.named else None, node.call)
            for parameter in node.open_parameters:
                self._fill(copy, parameter, before, many)
            places.append(self._put(copy))
        return [places[one] for one in part._last()], part._as_list or len(part._last()) > 1

    def _add(
        self, call: Call[Any], before: list[int], name: str | None, on_failure: Call[Any] | None, many: bool
    ) -> int:
        self._check(call)
        if on_failure is not None:
            self._check(on_failure)
            failure_inputs(on_failure)
        node = NodePlan(call, "", name is not None, list(dict.fromkeys(before)), handler=on_failure)
        if (blanks := call.blanks) is not None:
            for parameter, passed in blanks.passed.items():
                if passed.node is not None:
                    place = self._index(cast("Node[Any]", passed.node))
                    node.inputs.append(Input(parameter, Kind.RESULT, [place]))
            if len(blanks.missing) > 1 or (blanks.missing and len(blanks.previous) > 1):
                raise TypeError(f"the job {call.function.name}: {blanks.problem}")
            for parameter in blanks.previous:
                self._fill(node, parameter, node.after.copy(), many)
        node.after = list(dict.fromkeys([*node.after, *(place for one in node.inputs for place in one.nodes)]))
        node.name = self._new_name(name, call)
        return self._put(node)

    def _fill(self, node: NodePlan, parameter: str, before: list[int], many: bool) -> None:
        """Have a parameter get the results of the nodes before it, or leave it open if there are none yet."""
        if before:
            node.inputs.append(Input(parameter, Kind.LIST if many else Kind.RESULT, before))
        else:
            node.open_parameters.append(parameter)

    def _put(self, node: NodePlan) -> int:
        self._size += 1 if node.handler is None else 2
        if self._size > MAX_NODES:
            raise ValueError(f"a workflow has at most {MAX_NODES} nodes")
        if node.handler is not None:
            node.handler_name = self._new_name(None, node.handler)
        for place in node.after:
            self._nodes[place].followed = True
        self._nodes.append(node)
        return len(self._nodes) - 1

    def _last(self) -> list[int]:
        return [place for place, node in enumerate(self._nodes) if not node.followed]

    def _check(self, call: Call[Any]) -> None:
        given.instance("a part of a workflow", call, Call)
        if call.function.queue is not self.queue:
            raise ValueError(f"{call.function!r} belongs to another queue")
        if call.thinning is not None:
            raise TypeError(f"{call.function.name} is debounced or throttled, so it can't be a part of a workflow")
        if call.id:
            raise ValueError(f"a workflow's jobs have IDs of their own, so {call.function.name} can't have {call.id!r}")

    def _index(self, node: Node[Any]) -> int:
        given.instance("each of after", node, Node)
        if node.flow is not self:
            raise ValueError(f"{node!r} belongs to another workflow")
        return node.index

    def _new_name(self, name: str | None, call: Call[Any]) -> str:
        if name is not None:
            given.text("name", name)
            if name in self._names:
                raise ValueError(f"the workflow has a node {name!r} already")
        else:
            name = base = call.function.name
            while name in self._names:
                number = self._numbers[base] = self._numbers.get(base, 1) + 1
                name = f"{base}-{number}"
        self._names.add(name)
        return name


Part: TypeAlias = Call[Any] | Flow
"""A part of a chain or a group: a call, or another workflow, which is copied."""


@dataclass(frozen=True, slots=True)
class SyncFlow:
    """Flow.sync."""

    flow: Flow

    def start(self) -> SyncRunningFlow:
        """Flow.start: store the workflow and enqueue its first jobs, in one transaction."""
        return self.flow.queue.sync.run(self.flow.start).sync


def chain(
    *parts: Part,
    id: str | None = None,
    on_failure: Call[Any] | None = None,
    keep_failed: Duration = KEEP_FAILED_SECONDS,
) -> Flow:
    """Return a workflow of parts that run one after the other, each getting the result of the one before it, see Flow.

    A group in a chain is followed by its callback, if it has one; otherwise the next part gets the list of its results.
    """
    flow = Flow(_queue_of(parts), id=id, on_failure=on_failure, keep_failed=keep_failed)
    last: list[int] = []
    many = False
    for part in parts:
        last, many = flow._append(part, last, many)
    flow._as_list = many
    return flow


def group(
    parts: Iterable[Part],
    *,
    callback: Call[Any] | None = None,
    id: str | None = None,
    on_failure: Call[Any] | None = None,
    keep_failed: Duration = KEEP_FAILED_SECONDS,
) -> Flow:
    """Return a workflow of parts that run side by side. callback: a call that gets the list of their results, in order.

    Without a callback this list is the workflow's result. Groups in a group are one group.
    """
    members = list(parts)
    flow = Flow(_queue_of(members), id=id, on_failure=on_failure, keep_failed=keep_failed)
    last: list[int] = []
    for part in members:
        last += flow._append(part, [], False)[0]
    flow._as_list = callback is None
    if callback is not None:
        flow._append(callback, last, True)
    return flow


def _queue_of(parts: Sequence[Part]) -> Queue:
    if not parts:
        raise ValueError("a workflow has at least one part")
    first = parts[0]
    given.instance("a part of a workflow", first, Call, Flow)
    queue = first.function.queue if isinstance(first, Call) else first.queue
    if not isinstance(queue, Queue):
        raise TypeError(f"{first!r} is not a call of a queue's job")
    return queue
