"""A workflow before it is started: from its nodes to the fields and the first jobs that one transaction writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from consumers.connection import Command
from consumers.jobs import flow_state
from consumers.jobs.cancelling import later
from consumers.jobs.declarations import Call
from consumers.jobs.entries import JobEntry
from consumers.jobs.flow_state import QUEUED, WAITING, Body, Input, Kind, Links, Plan, Position, State, job_id
from consumers.jobs.flow_transitions import start_commands
from consumers.jobs.queue import Queue

__all__ = ["FlowPlan", "NodePlan", "failure_inputs"]


@dataclass(slots=True)
class NodePlan:
    """A node. named: by the caller. after: the nodes it waits for. open_parameters: what gets the result of the node
    before it, which is not known yet. handler: what runs if it fails. followed: another node waits for it."""

    call: Call[Any]
    name: str
    named: bool
    after: list[int]
    inputs: list[Input] = field(default_factory=list)
    open_parameters: list[str] = field(default_factory=list)
    handler: Call[Any] | None = None
    handler_name: str = ""
    followed: bool = False


def failure_inputs(call: Call[Any]) -> list[Input]:
    """The parameter of a call for on_failure that gets the failure. Raises TypeError if others are missing as well."""
    if call.blanks is None:
        return []
    names = sorted(call.blanks.names)
    if len(names) > 1 or any(passed.node is not None for passed in call.blanks.passed.values()):
        raise TypeError(
            f"the job {call.function.name}: {call.blanks.problem}; on_failure passes a failure and no results"
        )
    return [Input(names[0], Kind.FAILURE, [])]


class FlowPlan:
    """A complete workflow. Its nodes come first, then their handlers, then that of the whole."""

    def __init__(
        self, nodes: Sequence[NodePlan], on_failure: NodePlan | None, as_list: bool, keep_failed: float
    ) -> None:
        """Raises ValueError if there are no nodes."""
        if not nodes:
            raise ValueError("a workflow has at least one node")
        self._nodes = nodes
        self._on_failure = on_failure
        self._as_list = as_list
        self._keep_failed = keep_failed

    def commands(self, queue: Queue, id: str, token: str, now: float, trace: str) -> list[Command]:
        """Commands that store the workflow under this ID and enqueue its first jobs. trace: what all are part of."""
        nodes = self._nodes
        followers: list[list[int]] = [[] for _ in nodes]
        for place, node in enumerate(nodes):
            for before in node.after:
                followers[before].append(place)
        fields: dict[str, bytes | str | int] = {}
        started: list[Command] = []
        first = math.inf
        handlers: list[tuple[str, Call[Any]]] = []
        for place, node in enumerate(nodes):
            handler = -1
            if node.handler is not None:
                handler = len(nodes) + len(handlers)
                handlers.append((node.handler_name, node.handler))
            needs = [len(nodes[follower].after) for follower in followers[place]]
            links = Links(node.name, node.call.function.name, followers[place], needs, handler)
            body = _body(queue, job_id(id, place), token, node.call, node.inputs, now, trace)
            fields[f"o:{place}"] = flow_state.encode(links)
            if node.after:
                fields |= {f"s:{place}": _WAITING, f"w:{place}": len(node.after), f"b:{place}": flow_state.encode(body)}
            else:
                fields[f"s:{place}"] = State(QUEUED, 0).stored()
                commands, due = start_commands(queue.keys, Position(id, place, 0), body, {}, now)
                started += commands
                first = min(first, due)
        left = len(nodes) + len(handlers)
        if self._on_failure is not None:
            handlers.append((self._on_failure.name, self._on_failure.call))
        for place, (name, call) in enumerate(handlers, len(nodes)):
            body = _body(queue, job_id(id, place), token, call, failure_inputs(call), now, trace)
            fields[f"o:{place}"] = flow_state.encode(Links(name, call.function.name, [], [], handles=True))
            fields |= {f"s:{place}": _WAITING, f"b:{place}": flow_state.encode(body)}
        count = len(nodes) + len(handlers)
        fields |= {"count": count, "left": left, "failed": 0, "cancelled": 0, "size": 0, "created": f"{now:.3f}"}
        fields["plan"] = flow_state.encode(self._plan(queue, count, token))
        if first < math.inf:
            started.append((b"SPUBLISH", queue.keys.control, later(first)))
        return [(b"HSET", queue.keys.flow(id), *(one for pair in fields.items() for one in pair)), *started]

    def _plan(self, queue: Queue, count: int, token: str) -> Plan:
        last = [place for place, node in enumerate(self._nodes) if not node.followed]
        return Plan(
            last=last,
            single=len(last) == 1 and not self._as_list,
            handler=-1 if self._on_failure is None else count - 1,
            keep=queue.keep_result,
            keep_failed=self._keep_failed,
            reply=token,
        )


_WAITING = State(WAITING, 0).stored()


def _body(queue: Queue, id: str, token: str, call: Call[Any], inputs: list[Input], now: float, trace: str) -> Body:
    expires = now + call.expires if call.expires is not None else call.expires_at or 0.0
    entry = JobEntry(
        id, call.function.name, call.arguments, token, call.place, expires=expires, turn=call.turn, trace=trace
    )
    values = [one if isinstance(one, bytes) else str(one).encode() for one in entry.values()]
    stream = queue.keys.streams[call.priority]
    return Body(stream, values, inputs, call.delay or 0.0, call.due or 0.0, queue.unique_for)
