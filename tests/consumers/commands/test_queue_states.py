"""How queues are found and measured."""

import time
from dataclasses import replace
from typing import Any

import coredis
import pytest

from consumers.commands import queue_states
from consumers.commands.queue_states import QueueState, find_streams, folded, states
from consumers.deadletters import dead_letter_command

Client = coredis.Redis[bytes]


async def put_to_death(client: Client, stream: str, group: str, dead: str) -> None:
    command = dead_letter_command(
        dead, origin=(stream, "1-1", group, "c"), values=[b"n", b"1"], reason="no", deliveries=5, maxlen=None
    )
    name, *arguments = command
    request: Any = client.create_request(name, *arguments, callback=lambda reply: reply)  # type: ignore[arg-type]
    await request


async def test_streams_are_found_by_type_and_name(client: Client) -> None:
    for name in ("orders", "jobs:a", "jobs:b"):
        await client.xadd(name, {"n": "1"})
    await client.rpush("jobs:list", ["x"])
    assert await find_streams(client) == ["jobs:a", "jobs:b", "orders"]
    assert await find_streams(client, "jobs:*") == ["jobs:a", "jobs:b"]


async def test_a_groups_state(client: Client) -> None:
    now = int(time.time() * 1000)
    for number in range(5):
        await client.xadd("orders", {"n": "1"}, identifier=f"{now - 60_000 + number}-1")
    await client.xgroup_create("orders", "billing", "0")
    await client.xgroup_create("orders", "shipping", "0")
    await client.xreadgroup("billing", "c", {"orders": ">"}, count=3)
    await client.xack("orders", "billing", [f"{now - 60_000}-1"])
    billing, shipping = await states(client, ["orders"])
    assert billing.oldest is not None and shipping.oldest is not None
    assert 59 < billing.oldest <= shipping.oldest < 100
    assert replace(billing, oldest=0) == QueueState("orders", "billing", 5, in_hand=2, lag=2, oldest=0)
    assert replace(shipping, oldest=0) == QueueState("orders", "shipping", 5, in_hand=0, lag=5, oldest=0)


async def test_nothing_waits_and_ids_that_are_no_time(client: Client) -> None:
    await client.xadd("orders", {"n": "1"}, identifier="5-1")
    await client.xgroup_create("orders", "a", "$")
    (state,) = await states(client, ["orders"])
    assert state == QueueState("orders", "a", 1, in_hand=0, lag=0, oldest=None)
    await client.xadd("orders", {"n": "1"}, identifier=f"{2**63}-1")
    assert (await states(client, ["orders"]))[0].oldest is None


async def test_streams_without_groups_lists_and_what_is_no_queue(client: Client) -> None:
    await client.xadd("log", {"n": "1"})
    await client.rpush("list", ["x", "y"])
    await client.set("string", "x")
    assert await states(client, ["string", "log", "missing", "list"]) == [
        QueueState("list", None, 2),
        QueueState("log", None, 1),
    ]
    assert await states(client, []) == []


async def test_dead_letters_are_counted_where_they_come_from(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    await client.xadd("orders", {"n": "1"})
    for group in ("billing", "shipping"):
        await client.xgroup_create("orders", group, "$")
    for group in ("billing", "billing", "shipping"):
        await put_to_death(client, "orders", group, "orders.dead")
    found = await states(client, ["orders"], ["orders.dead", "missing"])
    assert [(state.group, state.dead, state.dead_complete) for state in found] == [
        ("billing", 2, True),
        ("shipping", 1, True),
    ]
    everything = await states(client, await find_streams(client))
    assert [(state.queue, state.dead) for state in everything] == [("orders", 2), ("orders", 1), ("orders.dead", 0)]
    monkeypatch.setattr(queue_states, "DEAD_LIMIT", 2)
    billing, shipping = await states(client, ["orders"], ["orders.dead"])
    assert (billing.dead, shipping.dead, billing.dead_complete) == (2, 0, False)


def test_states_of_partitions_are_added_up() -> None:
    parts = [
        QueueState("s:{0}", "g", 3, in_hand=1, lag=2, oldest=4.0, dead=1),
        QueueState("s:{1}", "g", 4, in_hand=0, lag=3, oldest=None, dead=2, dead_complete=False),
        QueueState("s:{1}", "h", 4, in_hand=0, lag=0),
        QueueState("s:{2}", None, 0),
        QueueState("s:{3}", None, 9),
        QueueState("t:{0}", None, 1),
    ]
    assert folded(parts, {"s": 3, "t": 1}) == [
        QueueState("s", "g", 7, in_hand=1, lag=5, oldest=4.0, dead=3, dead_complete=False, partitions=3),
        # what the first partition holds it may still get
        QueueState("s", "h", 7, in_hand=0, lag=None, partitions=3),
        parts[4],
        QueueState("t", None, 1, partitions=1),
    ]
    assert folded(parts[3:4], {"s": 3}, {"s:{2}"}) == [QueueState("s", None, 0, partitions=3), parts[3]]
    assert folded(parts, {}) == parts
