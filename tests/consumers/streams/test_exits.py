"""Handlers of a stream that raise what usually ends a program: the entry fails, and the consumer goes on."""

import sys
from typing import Any

import pytest

from consumers.streams import Consumer, Message, Producer
from tests.consumers.streams.running import SOON, Client, dead, pending, running, until

pytestmark = pytest.mark.both_loops


def _end(how: str) -> None:
    if how == "exit":
        sys.exit(3)
    raise BaseExceptionGroup("several", [SystemExit(3), GeneratorExit()])


@pytest.mark.parametrize("how", ["exit", "group"])
@pytest.mark.parametrize("order_by", [None, "k"])
async def test_the_entry_is_delivered_again_and_then_dead(client: Client, how: str, order_by: str | None) -> None:
    counts: list[int] = []
    good: list[str] = []

    async def handler(message: Message) -> None:
        if message.data["n"] == "2":
            counts.append(message.delivery_count)
            _end(how)
        good.append(message.data["n"])

    await Producer(client, "orders").publish_many({"n": n, "k": "k"} for n in range(5))
    consumer = Consumer(
        client,
        stream="orders",
        group="billing",
        max_deliver=3,
        retry=SOON,
        dead_letter="orders.dead",
        order_by=order_by,
    )
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.dead == 1 and consumer.statistics.acknowledged == 4)
    assert counts == [1, 2, 3] and sorted(good) == ["0", "1", "3", "4"]
    (fields,) = await dead(client)
    assert fields[b"dead-reason"].startswith(b"failed 3 times: ")
    assert await pending(client) == 0


async def test_a_function_for_the_key_that_exits_costs_its_entry_the_order_only(client: Client) -> None:
    handled: list[str] = []

    def key(message: Message) -> str:
        sys.exit(1)

    async def handler(message: Message) -> None:
        handled.append(message.data["n"])

    await Producer(client, "orders").publish({"n": 1})
    consumer = Consumer(client, stream="orders", group="billing", order_by=key)
    async with running(consumer, handler):
        await until(lambda: handled == ["1"])


async def test_a_pulled_message_has_failed_when_its_block_exits(client: Client) -> None:
    await Producer(client, "orders").publish({"n": 1})
    options: Any = {
        "stream": "orders",
        "group": "billing",
        "max_deliver": 2,
        "retry": SOON,
        "dead_letter": "orders.dead",
    }
    counts: list[int] = []
    for _ in range(2):
        with pytest.raises(SystemExit):
            async with Consumer(client, **options).open() as messages:
                async for message in messages:
                    async with message:
                        counts.append(message.delivery_count)
                        sys.exit(1)
    assert counts == [1, 2] and len(await dead(client)) == 1
