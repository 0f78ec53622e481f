"""Consumers of a server that has policies: it orders whole groups, not only what one consumer has in hand."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import coredis
import pytest

from consumers.streams import Consumer, Message, Producer
from tests.consumers.servers import in_process_broker
from tests.consumers.streams.running import SOON, Client, dead, pending, running, until

VALUES, EACH = 8, 12


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with in_process_broker(**{"stream-extensions": "yes"}) as url, coredis.Redis.from_url(url) as connected:
        yield connected


@pytest.mark.parametrize("streams", [["orders"], ["orders", "more"]])
async def test_a_group_of_consumers_keeps_the_order_of_each_value(client: Client, streams: list[str]) -> None:
    for stream in streams:
        await Producer(client, stream).publish_many(
            [{"customer": f"{stream} {n % VALUES}", "n": str(n)} for n in range(VALUES * EACH)]
        )
    busy: set[str] = set()
    order: dict[str, list[int]] = {}
    by: set[str] = set()
    chance = random.Random(0)

    def handler_of(name: str) -> Callable[[Message[Any]], Awaitable[None]]:
        async def handler(message: Message[Any]) -> None:
            customer, n = message.data["customer"], int(message.data["n"])
            assert customer not in busy
            busy.add(customer)
            await anyio.sleep(chance.random() * 0.004)
            busy.discard(customer)
            if n % 10 == 3 and message.delivery_count == 1:
                raise ValueError("once")
            if n == 5:
                raise ValueError("always")
            order.setdefault(customer, []).append(n)
            by.add(name)

        return handler

    consumers = [
        Consumer(
            client, streams=streams, group="billing", consumer=name, order_by="customer", retry=SOON, prefetch=6,
            concurrency=3, max_deliver=3, dead_letter="orders.dead",
        )
        for name in ("a", "b")
    ]  # fmt: skip
    async with running(consumers[0], handler_of("a")), running(consumers[1], handler_of("b")):
        done = len(streams) * (VALUES * EACH - 1)
        await until(lambda: sum(one.statistics.acknowledged for one in consumers) == done, 25)
    assert by == {"a", "b"}
    assert order == {
        f"{stream} {c}": [n for n in range(c, VALUES * EACH, VALUES) if n != 5]
        for stream in streams
        for c in range(VALUES)
    }
    assert len(await dead(client)) == len(streams)
    for stream in streams:
        assert await pending(client, stream) == 0
