"""A consumer behind a network that drops, delays, swallows and half-closes: everything is handled, nothing is stuck."""

import random
from typing import Any

import anyio
import coredis
import pytest

from consumers.streams import Consumer, Message, Producer
from tests.consumers.network import KINDS_OF_TROUBLE, network, trouble
from tests.consumers.streams.running import SOON, Client, pending, running, until

pytestmark = [pytest.mark.both_loops, pytest.mark.spread]

ENTRIES = 200


@pytest.mark.parametrize("kind", KINDS_OF_TROUBLE)
async def test_everything_is_handled_over_a_bad_network(client: Client, server_url: str, kind: str) -> None:
    handled: dict[str, int] = {}
    failures = 0

    async def handler(message: Message[dict[str, str]]) -> None:
        nonlocal failures
        await anyio.sleep(random.uniform(0, 0.01))
        if message.delivery_count == 1 and random.random() < 0.1:
            failures += 1
            raise ValueError("once")
        handled[message.data["n"]] = handled.get(message.data["n"], 0) + 1

    async with network(server_url) as between, coredis.Redis.from_url(between.url) as far:
        consumer: Consumer[Any] = Consumer(
            far, stream="orders", group="billing", consumer="a", ack_wait=2, retry=SOON, prefetch=16, block=1
        )
        async with running(consumer, handler, limit=60), anyio.create_task_group() as tasks:
            tasks.start_soon(trouble, between, kind)
            for n in range(ENTRIES):
                await Producer(client, "orders").publish({"n": str(n)})
                await anyio.sleep(0.004)
            tasks.cancel_scope.cancel()
        between.delay, between.refuse, between.swallow_replies = 0, False, False
        async with running(consumer, handler, limit=60):
            await until(lambda: len(handled) == ENTRIES, 20)
    assert await pending(client) == 0
    assert sum(handled.values()) < 2 * ENTRIES


async def test_an_entry_whose_delivery_was_lost_comes_without_waiting_for_its_lease(
    client: Client, server_url: str
) -> None:
    seen: list[tuple[str, int]] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        seen.append((message.data["n"], message.delivery_count))

    async with network(server_url) as between, coredis.Redis.from_url(between.url) as far:
        consumer: Consumer[Any] = Consumer(far, stream="orders", group="billing", consumer="a", ack_wait=60)
        async with running(consumer, handler):
            await anyio.sleep(0.1)  # the read waits
            between.swallow_replies = True
            await Producer(client, "orders").publish({"n": "1"})
            await anyio.sleep(0.1)
            await between.cut()
            between.swallow_replies = False
            await until(lambda: seen, 5)
    # it was delivered to the connection, not to a handler
    assert seen == [("1", 1)]


async def test_an_acknowledgement_is_repeated_until_the_server_has_it(client: Client, server_url: str) -> None:
    handled = 0

    async with network(server_url) as between, coredis.Redis.from_url(between.url) as far:

        async def handler(message: Message[dict[str, str]]) -> None:
            nonlocal handled
            handled += 1
            between.refuse = True
            await between.cut()

        consumer: Consumer[Any] = Consumer(far, stream="orders", group="billing", consumer="a", ack_wait=60)
        async with running(consumer, handler):
            await Producer(client, "orders").publish({"n": "1"})
            await until(lambda: handled)
            await anyio.sleep(0.5)
            assert await pending(client) == 1
            between.refuse = False
            await until(lambda: consumer.statistics.acknowledged == 1, 15)
    assert handled == 1 and await pending(client) == 0


async def test_a_server_that_is_away_at_the_start_is_waited_for(client: Client, server_url: str) -> None:
    async def handler(message: Message[dict[str, str]]) -> None: ...

    async with network(server_url) as between, coredis.Redis.from_url(between.url) as far:
        between.refuse = True
        consumer: Consumer[Any] = Consumer(far, stream="orders", group="billing", consumer="a")
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(consumer.run, handler)
                await anyio.sleep(0.5)
                between.refuse = False
                await Producer(client, "orders").publish({"n": "1"})
                await until(lambda: consumer.statistics.acknowledged == 1)
                between.refuse = True
                await between.cut()
                await anyio.sleep(0.05)
                await consumer.drain(grace=1)


async def test_a_consumer_that_never_reached_its_server_can_be_drained(client: Client, server_url: str) -> None:
    async def handler(message: Message[dict[str, str]]) -> None: ...

    async with network(server_url) as between, coredis.Redis.from_url(between.url) as far:
        between.refuse = True
        consumer: Consumer[Any] = Consumer(far, stream="orders", group="billing", consumer="a")
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(consumer.run, handler)
                await anyio.sleep(0.3)
                await consumer.drain(grace=1)


async def test_many_cuts_use_up_no_connections_of_the_pool(client: Client, server_url: str) -> None:
    handled: set[str] = set()

    async def handler(message: Message[dict[str, str]]) -> None:
        handled.add(message.id)

    async with (
        network(server_url) as between,
        coredis.Redis.from_url(between.url, max_connections=2) as far,
    ):
        consumer: Consumer[Any] = Consumer(far, stream="orders", group="billing", consumer="a", ack_wait=2)
        async with running(consumer, handler, limit=60):
            for n in range(8):
                id = await Producer(client, "orders").publish({"n": str(n)})
                await until(lambda: id in handled, 10)  # noqa: B023
                await between.cut()
        assert await far.ping()
