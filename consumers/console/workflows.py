"""Workflows of consumers' own job queues, and where each of their nodes is drawn.

consumers/jobs/flow_state.py has how they are stored. Anybody could write such a hash, so nothing in it is relied upon.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from coredis.exceptions import RedisError

from consumers.connecting import Client, Reply
from consumers.console.asking import BYTES, ask
from consumers.console.scanning import scan
from consumers.jobs.flow_handles import STATES, FlowState, NodeState, overall
from consumers.jobs.flow_state import MAX_NODES, State, job_id, read_links
from consumers.jobs.names import Keys
from consumers.names import encoded

__all__ = ["DRAWN", "Edge", "Graph", "Node", "Workflow", "WorkflowRow", "draw", "find", "read"]

NODES = 1000
"""Nodes that are read."""

SLICE = 100
"""Nodes that are read at once: one that many wait for has a long list of these."""

DRAWN = 200
"""Nodes of the largest workflow that is drawn."""

COLUMN, ROW, WIDTH, HEIGHT, MARGIN = 230, 64, 180, 44, 10
"""Of the drawing, in pixels."""

_KEY = re.compile(rb"jobs:\{([^{}]+)\}:flow:(.+)", re.DOTALL)
_SUMMARY = ("count", "left", "failed", "cancelled", "created", "ended")


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """A workflow. left: nodes that have not ended. created, ended: seconds since 1970."""

    queue: str
    id: str
    state: FlowState
    nodes: int
    left: int
    failed: int
    cancelled: int
    created: float
    ended: float | None


@dataclass(frozen=True, slots=True)
class Node:
    """job: the name of its function. id: its job's. followers: the numbers of the nodes that wait for it.

    handler: the number of the node that runs if it fails; -1 for none.
    """

    number: int
    name: str
    job: str
    id: str
    state: NodeState
    run: int
    followers: tuple[int, ...]
    handler: int

    @property
    def started(self) -> bool:
        """Whether there is a job that has not ended well."""
        return self.state in (NodeState.QUEUED, NodeState.FAILED)


@dataclass(frozen=True, slots=True)
class Workflow:
    """nodes: the first NODES of them."""

    row: WorkflowRow
    nodes: list[Node]


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow between two nodes. path: as SVG has it. failure: it is followed if the first one fails."""

    path: str
    failure: bool


@dataclass(frozen=True, slots=True)
class Graph:
    """places: the upper left corner of each node, by its number."""

    width: int
    height: int
    places: dict[int, tuple[int, int]]
    edges: list[Edge] = field(default_factory=list)


async def find(client: Client, after: str | None, limit: int) -> tuple[list[WorkflowRow], str | None]:
    """Return about `limit` workflows, the newest of them first, and the position of the next page; None at the end.

    Raises ValueError for another position, and the server's refusal.
    """
    names, position = await scan(client, b"jobs:{*}:flow:*", after, limit, "hash")
    wanted = sorted(name for name in set(names) if _KEY.fullmatch(name))
    replies = await ask(client, [(b"HMGET", name, *_SUMMARY) for name in wanted])
    rows = [row for name, reply in zip(wanted, replies, strict=True) if (row := _row(name, reply)) is not None]
    return sorted(rows, key=lambda one: -one.created), position


def _row(name: bytes, reply: Reply) -> WorkflowRow | None:
    """Return a workflow; None if this is none."""
    match = _KEY.fullmatch(name)
    if match is None or not isinstance(reply, list) or None in reply[:5]:
        return None
    count, left, failed, cancelled, created, ended = reply
    try:
        return WorkflowRow(
            queue=match[1].decode(), id=match[2].decode(), state=overall(failed, cancelled, ended), nodes=int(count),
            left=int(left), failed=int(failed), cancelled=int(cancelled), created=_moment(created),
            ended=None if ended is None else _moment(ended),
        )  # fmt: skip
    except ValueError:
        return None


def _moment(stored: bytes) -> float:
    """Seconds since 1970. Raises ValueError, also for what is in no calendar."""
    moment = float(stored)
    if not 0 <= moment < 253_402_300_799:
        raise ValueError(f"{moment} is no time")
    return moment


async def read(client: Client, queue: str, id: str) -> Workflow | None:
    """Return a workflow; None if there is none, or it is not one. Raises the server's refusal."""
    key = Keys(queue, ()).flow(id)
    (reply,) = await ask(client, [(b"HMGET", key, *_SUMMARY)])
    if isinstance(reply, RedisError):
        raise reply
    row = _row(encoded(key), reply)
    if row is None:
        return None
    nodes: list[Node] = []
    total, count = 0, min(row.nodes, NODES, MAX_NODES)
    while len(nodes) < count and total < BYTES:
        numbers = range(len(nodes), min(count, len(nodes) + SLICE))
        (stored,) = await ask(client, [(b"HMGET", key, *(f"{kind}:{n}" for kind in "os" for n in numbers))])
        if isinstance(stored, RedisError):
            raise stored
        total += sum(len(one or b"") for one in stored)
        links, states = stored[: len(numbers)], stored[len(numbers) :]
        try:
            nodes += [_node(id, n, *pair) for n, pair in zip(numbers, zip(links, states, strict=True), strict=True)]
        except (msgspec.MsgspecError, KeyError, ValueError, IndexError):
            return None
    return Workflow(row, nodes)


def _node(flow: str, number: int, links: bytes | None, state: bytes | None) -> Node:
    found, now = read_links(links or b""), State.read(state)
    return Node(
        number=number, name=found.name, job=found.job, id=job_id(flow, number), state=STATES[now.letter], run=now.run,
        followers=tuple(found.followers), handler=found.handler,
    )  # fmt: skip


# The drawing.


def draw(nodes: Sequence[Node]) -> Graph:
    """Place nodes in columns, each to the right of all that it waits for, and join them with arrows."""
    after = {
        node.number: [one for one in (*node.followers, node.handler) if 0 <= one < len(nodes)] for node in nodes
    }  # fmt: skip
    columns = _columns(after)
    filled: dict[int, int] = {}
    places: dict[int, tuple[int, int]] = {}
    for node in nodes:
        column = columns[node.number]
        row = filled.get(column, 0)
        filled[column] = row + 1
        places[node.number] = MARGIN + column * COLUMN, MARGIN + row * ROW
    edges = [
        Edge(_arrow(places[node.number], places[one]), one == node.handler and one not in node.followers)
        for node in nodes for one in dict.fromkeys(after[node.number])
    ]  # fmt: skip
    width = max((x for x, _ in places.values()), default=0) + WIDTH + MARGIN
    height = max((y for _, y in places.values()), default=0) + HEIGHT + MARGIN
    return Graph(width, height, places, edges)


def _columns(after: dict[int, list[int]]) -> dict[int, int]:
    """Return each node's column: the length of the longest way to it. Nodes of a circle are in the first one."""
    columns = dict.fromkeys(after, 0)
    waiting = dict.fromkeys(after, 0)
    for followers in after.values():
        for one in followers:
            waiting[one] += 1
    ready = [number for number, count in waiting.items() if count == 0]
    while ready:
        number = ready.pop()
        for one in after[number]:
            columns[one] = max(columns[one], columns[number] + 1)
            waiting[one] -= 1
            if waiting[one] == 0:
                ready.append(one)
    return {number: column if waiting[number] == 0 else 0 for number, column in columns.items()}


def _arrow(begin: tuple[int, int], end: tuple[int, int]) -> str:
    x, y = begin[0] + WIDTH, begin[1] + HEIGHT // 2
    to_x, to_y = end[0], end[1] + HEIGHT // 2
    middle = (x + to_x) // 2
    return f"M{x} {y}C{middle} {y} {middle} {to_y} {to_x} {to_y}"
