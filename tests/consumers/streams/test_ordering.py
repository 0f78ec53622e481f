"""How many at a time and in which order: prefetch, concurrency, keys, several streams."""

from typing import Any

import anyio
import pytest

from consumers.streams import Consumer, Message, Priority, Producer
from tests.consumers.streams.running import SOON, Client, pending, running, until

pytestmark = pytest.mark.both_loops


async def test_never_more_than_prefetch_in_hand(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"n": str(n)} for n in range(60)])
    most = 0

    async def handler(message: Message[dict[str, str]]) -> None:
        nonlocal most
        most = max(most, await pending(client))
        await anyio.sleep(0.002)

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", prefetch=7, concurrency=3)
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 60)
    assert 3 <= most <= 7


@pytest.mark.parametrize("priority", [Priority.STRICT, Priority.FAIR])
async def test_never_more_than_prefetch_in_hand_of_several_streams(client: Client, priority: Priority) -> None:
    names = ["a", "b", "c", "d", "e"]
    for name in names:
        await Producer(client, name).publish_many([{"n": str(n)} for n in range(12)])
    most = 0

    async def handler(message: Message[dict[str, str]]) -> None:
        nonlocal most
        async with client.pipeline(transaction=True) as pipeline:
            counts: list[Any] = [pipeline.xpending(name, "g") for name in names]
        most = max(most, sum([(await count).pending for count in counts]))

    consumer = Consumer(client, streams=names, group="g", consumer="a", prefetch=3, concurrency=2, priority=priority)
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 60)
    assert most <= 3


async def test_never_more_than_concurrency_handlers(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"n": str(n)} for n in range(40)])
    now = most = 0

    async def handler(message: Message[dict[str, str]]) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await anyio.sleep(0.005)
        now -= 1

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", concurrency=5)
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 40)
    assert most == 5


async def test_entries_of_one_key_are_handled_one_after_the_other(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"customer": str(n % 5), "n": str(n)} for n in range(100)])
    busy: set[str] = set()
    order: dict[str, list[int]] = {}
    together = 0

    async def handler(message: Message[dict[str, str]]) -> None:
        nonlocal together
        customer, n = message.data["customer"], int(message.data["n"])
        assert customer not in busy
        busy.add(customer)
        together = max(together, len(busy))
        await anyio.sleep(0.002)
        if n % 30 == 0 and message.delivery_count == 1:
            busy.discard(customer)
            raise ValueError("once")
        order.setdefault(customer, []).append(n)
        busy.discard(customer)

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", order_by="customer", retry=SOON)
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 100)
    assert together == 5
    assert order == {str(c): list(range(c, 100, 5)) for c in range(5)}
    assert await pending(client) == 0


async def test_a_key_goes_on_after_its_dead_entry(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"customer": "x", "n": str(n)} for n in range(3)])
    seen: list[str] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        if message.data["n"] == "0":
            raise ValueError
        seen.append(message.data["n"])

    consumer = Consumer(
        client, stream="orders", group="billing", order_by=lambda m: m.data["customer"], retry=SOON, max_deliver=3
    )
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 2)
    assert seen == ["1", "2"] and consumer.statistics.dead == 1
    assert await pending(client) == 0


async def test_strict_priority_serves_the_first_stream_first(client: Client) -> None:
    for name in ("low", "high"):
        await Producer(client, name).publish_many([{"n": str(n)} for n in range(30)])
    seen: list[str] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        seen.append(message.stream)
        await anyio.sleep(0)

    consumer = Consumer(client, streams=["high", "low"], group="g", consumer="a", prefetch=8, concurrency=1)
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 60)
        await Producer(client, "low").publish({"n": "new"})
        await until(lambda: consumer.statistics.acknowledged == 61)
    assert seen[:30] == ["high"] * 30


async def test_fair_priority_serves_all_streams_in_turn(client: Client) -> None:
    for name in ("a", "b"):
        await Producer(client, name).publish_many([{"n": str(n)} for n in range(30)])
    seen: list[str] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        seen.append(message.stream)
        await anyio.sleep(0)

    consumer = Consumer(
        client, streams=["a", "b"], group="g", consumer="a", prefetch=8, concurrency=1, priority=Priority.FAIR
    )
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 60)
    assert 10 <= seen[:30].count("a") <= 20
