"""A consumer that is cancelled at the first step of its loop, the second, the third, ... up to the last.

Each time the server must be left so that the next consumer goes on at once: what was finished is acknowledged, all
else is free to be taken, not left to a lease that runs out, and its delivery count is that of used deliveries.

TRIMARAN_CANCELLATION_STRIDE tests only every n-th step (1 tests all of them).
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import coredis
import pytest

from consumers.streams import Consumer, Message, Producer
from tests.consumers.steps import at_step
from tests.consumers.streams.running import SOON, Client

pytestmark = [pytest.mark.both_loops, pytest.mark.spread]

STRIDE = int(os.environ.get("TRIMARAN_CANCELLATION_STRIDE", "5"))
ENTRIES = 8
FREE = (b"", b"(delayed)")


class Work:
    """Handlers that end in every way; `finished` are the entries of which the server must not deliver any more."""

    def __init__(self) -> None:
        self.finished: set[str] = set()
        self.tried: set[str] = set()

    async def handle(self, message: Message[dict[str, str]]) -> None:
        kind = int(message.data["n"]) % 4
        if kind == 1:
            await anyio.sleep(0.001)
        elif kind == 2 and message.delivery_count == 1:
            self.tried.add(message.id)
            raise ValueError("once")
        elif kind == 3:
            await message.ack()
            self.finished.add(message.id)
            await anyio.sleep(0.001)
        self.finished.add(message.id)


async def _pushed(consumer: Consumer[dict[str, str]], work: Work) -> None:
    async with anyio.create_task_group() as tasks:
        await tasks.start(consumer.run, work.handle)
        while consumer.statistics.acknowledged < ENTRIES:
            await anyio.sleep(0.002)
        await consumer.drain(grace=1)


async def _pulled(consumer: Consumer[dict[str, str]], work: Work) -> None:
    async with consumer.open() as messages:
        async for message in messages:
            try:
                await work.handle(message)
            except ValueError as error:
                message.fail(error)
            else:
                await message.ack()
            if consumer.statistics.acknowledged >= ENTRIES:
                return


async def _state(client: Client) -> tuple[list[Any], str]:
    """The pending entries, and the last ID that was delivered."""
    try:
        pending: Any = await client.xpending("orders", "billing", start="-", end="+", count=100)
        groups: Any = await client.xinfo_groups("orders")
    except coredis.exceptions.StreamConsumerGroupError:
        return [], "0-0"  # cancelled before the group was there
    return list(pending), groups[0][b"last-delivered-id"].decode()


def _number(id: str) -> tuple[int, int]:
    milliseconds, _, sequence = id.partition("-")
    return int(milliseconds), int(sequence)


@pytest.mark.parametrize("order_by", [None, "key"])
@pytest.mark.parametrize("way", [_pushed, _pulled])
async def test_cancelled_at_any_step_nothing_is_lost_held_or_done_again(
    client: Client, way: Callable[..., Awaitable[None]], order_by: str | None
) -> None:
    async def run(step: int, consumer: Consumer[dict[str, str]], work: Work) -> bool:
        with anyio.CancelScope() as scope, at_step(step, scope.cancel):
            await way(consumer, work)
        return scope.cancelled_caught

    await _cancelled_at_any_step(client, run, order_by)


@pytest.mark.asyncio_only
@pytest.mark.parametrize("way", [_pushed, _pulled])
async def test_a_task_cancelled_by_asyncio_at_any_step_does_the_same(
    client: Client, way: Callable[..., Awaitable[None]]
) -> None:
    async def run(step: int, consumer: Consumer[dict[str, str]], work: Work) -> bool:
        task = asyncio.ensure_future(way(consumer, work))
        with at_step(step, task.cancel):
            await asyncio.wait([task])
        if not task.cancelled():
            task.result()
        return task.cancelled()

    await _cancelled_at_any_step(client, run, None)


async def _cancelled_at_any_step(
    client: Client, run: Callable[[int, Consumer[dict[str, str]], Work], Awaitable[bool]], order_by: str | None
) -> None:
    step, cancelled = 0, True
    while cancelled:
        step += STRIDE
        await client.flushall()
        ids = await Producer(client, "orders").publish_many([{"n": n, "key": n % 3} for n in range(ENTRIES)])
        work = Work()
        consumer: Consumer[dict[str, str]] = Consumer(
            client, stream="orders", group="billing", consumer="a", ack_wait=60, retry=SOON, prefetch=5,
            order_by=order_by, block=1,
        )  # fmt: skip
        with anyio.fail_after(20):
            cancelled = await run(step, consumer, work)
        pending, last = await _state(client)
        waiting = {row.identifier.decode(): row for row in pending}
        assert not waiting.keys() & work.finished, f"step {step}: done but not acknowledged"
        for id in ids:
            if _number(id) > _number(last):
                continue  # not yet delivered
            row = waiting.get(id)
            if row is None:
                assert id in work.finished or int(ids.index(id)) % 4 == 3, f"step {step}: {id} is lost"
            else:
                assert row.consumer in FREE, f"step {step}: {id} is held by {row.consumer!r}"
                assert row.delivered <= (1 if id in work.tried else 0), f"step {step}: {id} was counted"
    assert not waiting and work.finished == set(ids)
    assert step > 50
