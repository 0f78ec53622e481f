"""Suspects run one at a time, with nothing else in hand, and are written down as begun before they are."""

from typing import Any

import anyio
import pytest

from consumers.streams import Consumer, Message, Producer
from tests.consumers.streams.running import SOON, Client, dead, pending, running, until

ACK_WAIT = 0.3


async def leave_behind(client: Client, count: int, owner: str, deliveries: int = 1) -> list[str]:
    """Entries that a dead consumer left under this name."""
    ids = await Producer(client, "orders").publish_many({"n": n} for n in range(count))
    await client.xgroup_create("orders", "billing", "0")
    await client.xreadgroup("billing", "x", {"orders": ">"})
    await client.xclaim("orders", "billing", owner, 0, ids, idle=1000, retrycount=deliveries, justid=True)
    await anyio.sleep(ACK_WAIT + 0.05)
    return ids


def consumer_of(client: Client, **options: Any) -> Consumer[Any]:
    return Consumer(
        client, stream="orders", group="billing", consumer="a", ack_wait=ACK_WAIT, block=0.2, retry=SOON,
        dead_letter="orders.dead", **options,
    )  # fmt: skip


class Handlers:
    """Notes what runs beside each entry, and under which names everything is pending then."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.running = 0
        self.seen: dict[str, tuple[int, set[bytes], int]] = {}

    async def handle(self, message: Message[dict[str, str]]) -> None:
        self.running += 1
        rows: Any = await self._client.xpending("orders", "billing", start="-", end="+", count=100)
        owners = {row.consumer for row in rows if row.identifier.decode() != message.id}
        (mine,) = [row.consumer for row in rows if row.identifier.decode() == message.id]
        self.seen[message.id] = self.running, owners | {b"me: " + mine}, message.delivery_count
        await anyio.sleep(0.01)
        self.running -= 1


async def test_each_suspect_runs_alone_while_others_wait(client: Client) -> None:
    ids = await leave_behind(client, 5, "x (again)")
    handlers = Handlers(client)
    consumer = consumer_of(client)
    async with running(consumer, handlers.handle):
        await Producer(client, "orders").publish_many({"n": n} for n in range(20))
        await until(lambda: consumer.statistics.acknowledged == 25)
    for id in ids:
        beside, owners, count = handlers.seen[id]
        assert beside == 1 and b"me: a (alone)" in owners and count == 2
        assert owners <= {b"me: a (alone)", b"a (held)", b"", b"(delayed)"}
    assert max(beside for beside, _, _ in handlers.seen.values()) > 1
    assert await pending(client) == 0


async def test_what_runs_is_waited_for_and_what_waits_is_given_back(client: Client) -> None:
    ids = await leave_behind(client, 1, "x")
    finish, begun = anyio.Event(), list[str]()

    async def handler(message: Message[dict[str, str]]) -> None:
        begun.append(message.id)
        if message.id not in ids:
            await finish.wait()

    consumer = consumer_of(client, concurrency=2, max_deliver=1)
    await client.xclaim("orders", "billing", "y", 0, ids, justid=True)
    async with running(consumer, handler):
        await Producer(client, "orders").publish_many({"n": n} for n in range(6))
        await until(lambda: len(begun) == 2 and consumer.in_hand == 3)
        assert ids[0] not in begun
        finish.set()
        await until(lambda: consumer.statistics.acknowledged == 7)
    assert begun.index(ids[0]) == 2 and len(begun) == 7


async def test_an_innocent_regains_the_count_it_had(client: Client) -> None:
    await leave_behind(client, 1, "x (again)", deliveries=2)
    counts: list[int] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        counts.append(message.delivery_count)
        raise ValueError("no")

    # it had been in hand at two crashes, and has failed none of its three times
    consumer = consumer_of(client, max_deliver=3)
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.dead == 1)
    assert counts == [3, 2, 3]
    (fields,) = await dead(client)
    assert fields[b"dead-reason"] == b"failed 3 times: ValueError: no"


async def test_one_that_crashed_alone_is_dead_after_its_deliveries_and_not_before(client: Client) -> None:
    await leave_behind(client, 1, "x (alone)", deliveries=2)
    handled: list[int] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        handled.append(message.delivery_count)

    consumer = consumer_of(client, max_deliver=2)
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.dead == 1)
    (fields,) = await dead(client)
    assert not handled and fields[b"dead-reason"] == (
        b"delivered 2 times, in the last of which its consumer died, handling it alone"
    )


async def test_one_that_was_delivered_too_often_without_being_alone_is_handled(client: Client) -> None:
    await leave_behind(client, 3, "x (again)", deliveries=9)
    consumer = consumer_of(client, max_deliver=2)

    async def handler(message: Message[dict[str, str]]) -> None: ...

    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 3)
    assert await dead(client) == []


@pytest.mark.parametrize("order_by", [None, "n"])
async def test_drained_it_leaves_suspects_under_suspicion(client: Client, order_by: str | None) -> None:
    ids = await leave_behind(client, 3, "x (again)")
    begun = anyio.Event()

    async def handler(message: Message[dict[str, str]]) -> None:
        begun.set()
        await anyio.sleep_forever()

    consumer = consumer_of(client, order_by=order_by)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            await tasks.start(consumer.run, handler)
            await begun.wait()
            await consumer.drain(grace=0.05)
    rows: Any = await client.xpending("orders", "billing", start="-", end="+", count=10)
    assert [(row.identifier.decode(), row.consumer, row.delivered) for row in rows] == [
        (id, b"(held)", 1) for id in ids
    ]


async def test_pulled_messages_are_run_alone_as_well(client: Client) -> None:
    ids = await leave_behind(client, 3, "x (again)")
    seen: list[str] = []
    consumer = consumer_of(client)
    with anyio.fail_after(60):
        async with consumer.open() as messages:
            async for message in messages:
                async with message:
                    seen.append(message.id)
                    rows: Any = await client.xpending("orders", "billing", start="-", end="+", count=10)
                    assert [row.consumer for row in rows].count(b"a (alone)") == 1
                if len(seen) == 3:
                    break
    assert seen == ids and await pending(client) == 0
