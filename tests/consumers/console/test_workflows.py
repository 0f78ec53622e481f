"""Workflows as they are stored, and their drawing."""

import coredis
import pytest

from consumers.console import workflows as module
from consumers.console.workflows import Node, draw, find, read
from consumers.jobs import Flow, Queue
from consumers.jobs.flow_handles import FlowState, NodeState

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
QUEUE = "shop<b>"


async def started(client: Client, id: str) -> None:
    """A workflow: one node, two that wait for it, and one that waits for both; two handlers of failures."""
    queue = Queue(QUEUE)

    @queue.job()
    async def step(text: str) -> str:
        raise AssertionError("nobody runs this")

    async with queue.open(client):
        flow = Flow(queue, id=id, on_failure=step.call("whole"))
        first = flow.add(step.call("1"), name="first<i>")
        second = flow.add(step.call("2"), after=[first], name="second", on_failure=step.call("own"))
        third = flow.add(step.call("3"), after=[first], name="third")
        flow.add(step.call("4"), after=[second, third], name="last")
        await flow.start()


async def test_workflows_are_found_and_read(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE", 2)
    await started(client, "one")
    await started(client, "two")
    await client.hset("jobs:{x}:flow:y", {"count": "evil"})
    await client.hset("jobs:{x}:flow:z", dict.fromkeys(module._SUMMARY, "1e999"))
    await client.set("jobs:{x}:flow:text", "x")
    rows, after = await find(client, None, 100)
    assert [(row.queue, row.id) for row in rows] == [(QUEUE, "two"), (QUEUE, "one")] and after is None
    assert (rows[0].state, rows[0].nodes, rows[0].left, rows[0].failed, rows[0].ended) == (
        FlowState.RUNNING, 6, 5, 0, None
    )  # fmt: skip
    found = await read(client, QUEUE, "one")
    assert found is not None and len(found.nodes) == 6
    by_name = {node.name: node for node in found.nodes}
    assert by_name["first<i>"].state is NodeState.QUEUED and by_name["first<i>"].started
    assert by_name["last"].state is NodeState.WAITING and by_name["last"].id == "one/3"
    assert {found.nodes[one].name for one in by_name["first<i>"].followers} == {"second", "third"}
    assert by_name["second"].handler >= 4
    for wrong in ("y", "z", "nosuch"):
        assert await read(client, "x", wrong) is None


async def test_a_hash_that_is_no_workflow(client: Client) -> None:
    good = {"count": "1", "left": "1", "failed": "0", "cancelled": "0", "created": "1"}
    for fields in ({}, {"o:0": "x"}, {"o:0": b"\x93\xa1a\xa1b\x90"}, {"s:0": "D"}, {"count": "9" * 30}):
        await client.delete(["jobs:{x}:flow:y"])
        await client.hset("jobs:{x}:flow:y", {**good, **fields})
        assert await read(client, "x", "y") is None


def node(number: int, *followers: int, handler: int = -1) -> Node:
    return Node(number, str(number), "job", f"f/{number}", NodeState.WAITING, 0, followers, handler)


def test_nodes_are_to_the_right_of_all_that_they_wait_for() -> None:
    graph = draw([node(0, 1, 2), node(1, 3), node(2, 1, handler=4), node(3), node(4)])
    columns = {number: x // module.COLUMN for number, (x, _) in graph.places.items()}
    assert columns == {0: 0, 2: 1, 1: 2, 3: 3, 4: 2}
    assert len(set(graph.places.values())) == 5
    assert len(graph.edges) == 5 and [edge.failure for edge in graph.edges].count(True) == 1
    assert graph.width > 3 * module.COLUMN and graph.height > module.ROW


def test_a_circle_and_numbers_of_no_nodes_do_no_harm() -> None:
    graph = draw([node(0, 1, 99, -5), node(1, 0), node(2, 2)])
    assert set(graph.places) == {0, 1, 2} and len(graph.edges) == 3
    assert draw([]).edges == []
