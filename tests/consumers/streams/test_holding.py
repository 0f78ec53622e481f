"""What a consumer has in hand: leases, pulled messages, what comes after a restart, drain, cancellation."""

from typing import Any

import anyio
import pytest

from consumers.streams import AckPolicy, Consumer, ConsumerError, Message, Producer
from tests.consumers.streams.running import SOON, Client, pending, running, until

pytestmark = pytest.mark.both_loops


async def test_a_lease_is_kept_while_a_handler_runs_and_the_count_stays(client: Client) -> None:
    await Producer(client, "orders").publish({"n": "1"})
    handled: list[str] = []

    def handler_of(name: str) -> Any:
        async def handler(message: Message[dict[str, str]]) -> None:
            handled.append(name)
            await anyio.sleep(0.9)
            rows: Any = await client.xpending("orders", "billing", start="-", end="+", count=5)
            assert [row.delivered for row in rows] == [1]

        return handler

    one = Consumer(client, stream="orders", group="billing", consumer="a", ack_wait=0.4)
    two = Consumer(client, stream="orders", group="billing", consumer="b", ack_wait=0.4, block=0.1)
    async with running(one, handler_of("a")), running(two, handler_of("b")):
        await until(lambda: one.statistics.acknowledged + two.statistics.acknowledged == 1)
    assert len(handled) == 1


async def test_in_progress_extends_a_lease_of_a_pulled_message(client: Client) -> None:
    await Producer(client, "orders").publish({"n": "1"})
    consumer = Consumer(client, stream="orders", group="billing", consumer="a", ack_wait=0.4, block=0.1)
    other = Consumer(client, stream="orders", group="billing", consumer="b", ack_wait=0.4, block=0.1)

    async def never(message: Message[dict[str, str]]) -> None:
        raise AssertionError("it was claimed")

    with anyio.fail_after(60):
        async with consumer.open() as messages, running(other, never):
            message = await anext(aiter(messages))
            for _ in range(5):
                await anyio.sleep(0.15)
                assert await message.in_progress()
            rows: Any = await client.xpending("orders", "billing", start="-", end="+", count=5)
            assert [row.delivered for row in rows] == [1]
            await message.ack()
    assert await pending(client) == 0


async def test_a_pulled_message_that_is_left_alone_goes_to_somebody_else(client: Client) -> None:
    await Producer(client, "orders").publish({"n": "1"})
    consumer = Consumer(client, stream="orders", group="billing", consumer="a", ack_wait=0.3, block=0.1, prefetch=1)
    with anyio.fail_after(60):
        async with consumer.open() as messages:
            first = await anext(aiter(messages))
            again = await anext(aiter(messages))
            assert (first.id, first.delivery_count, again.id, again.delivery_count) == (again.id, 1, first.id, 2)
            await again.ack()
            await first.nack()  # too late to matter
    assert await pending(client) == 0


async def test_pulled_messages_are_acknowledged_or_given_back_by_their_block(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"n": str(n)} for n in range(4)])
    consumer = Consumer(client, stream="orders", group="billing", consumer="a", retry=SOON)
    seen: list[tuple[str, int]] = []
    with anyio.fail_after(20):
        async with consumer.open() as messages:
            async for message in messages:
                async with message:
                    seen.append((message.data["n"], message.delivery_count))
                    if seen[-1] == ("2", 1):
                        raise ValueError("once")
                if len(seen) == 5:
                    break
    assert sorted(seen) == [("0", 1), ("1", 1), ("2", 1), ("2", 2), ("3", 1)]
    assert await pending(client) == 0


async def test_what_is_in_hand_when_the_pull_block_ends_is_given_back_at_once(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"n": str(n)} for n in range(10)])
    with anyio.fail_after(20):
        async with Consumer(client, stream="orders", group="billing", consumer="a", ack_wait=30).open() as messages:
            message = await anext(aiter(messages))
            assert message.data["n"] == "0"
        counts: dict[str, int] = {}
        other = Consumer(client, stream="orders", group="billing", consumer="b", ack_wait=30)
        async with other.open() as messages:
            async for message in messages:
                async with message:
                    counts[message.data["n"]] = message.delivery_count
                if len(counts) == 10:
                    break
    # only the one that was handed out has been delivered twice
    assert counts == {"0": 2} | {str(n): 1 for n in range(1, 10)}


async def test_own_pending_entries_come_first_after_a_restart(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"n": str(n)} for n in range(5)])
    await client.xgroup_create("orders", "billing", "0")
    await client.xreadgroup("billing", "a", {"orders": ">"}, count=3)  # and crashed
    seen: list[tuple[str, int]] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        seen.append((message.data["n"], message.delivery_count))

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", ack_wait=60)
    async with running(consumer, handler):
        await until(lambda: len(seen) == 5)
    assert seen == [("0", 2), ("1", 2), ("2", 2), ("3", 1), ("4", 1)]


async def test_idle_entries_of_a_dead_consumer_are_claimed_with_their_count(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"n": str(n)} for n in range(50)])
    await client.xgroup_create("orders", "billing", "0")
    await client.xreadgroup("billing", "dead", {"orders": ">"})
    seen: list[int] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        seen.append(message.delivery_count)

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", ack_wait=0.3, prefetch=10)
    async with running(consumer, handler):
        await until(lambda: len(seen) == 50)
    assert set(seen) == {2}


async def test_drain_finishes_what_runs_and_gives_the_rest_back_at_once(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"n": str(n)} for n in range(20)])
    begun: list[str] = []
    finished: list[str] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        begun.append(message.id)
        await anyio.sleep(0.3)
        finished.append(message.id)

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", concurrency=4)
    async with anyio.create_task_group() as tasks:
        await tasks.start(consumer.run, handler)
        await until(lambda: len(begun) == 4)
        await consumer.drain(grace=5)
    assert sorted(finished) == sorted(begun) and len(begun) == 4
    counts: list[int] = []

    async def other_handler(message: Message[dict[str, str]]) -> None:
        counts.append(message.delivery_count)

    other = Consumer(client, stream="orders", group="billing", consumer="b", ack_wait=600)
    async with running(other, other_handler):
        await until(lambda: len(counts) == 16)
    assert set(counts) == {1}


async def test_drain_cancels_handlers_after_the_grace_time(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"n": str(n)} for n in range(3)])
    begun = cancelled = 0

    async def handler(message: Message[dict[str, str]]) -> None:
        nonlocal begun, cancelled
        begun += 1
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled += 1
            raise

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", ack_wait=60)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            await tasks.start(consumer.run, handler)
            await until(lambda: begun == 3)
            await consumer.drain(grace=0.2)
    assert cancelled == 3
    seen: list[int] = []

    async def succeeds(message: Message[dict[str, str]]) -> None:
        seen.append(message.delivery_count)

    other = Consumer(client, stream="orders", group="billing", consumer="b", ack_wait=60)
    async with running(other, succeeds):
        await until(lambda: len(seen) == 3, seconds=3)


async def test_cancellation_gives_back_at_once_and_loses_no_acknowledgement(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"n": str(n)} for n in range(30)])
    done: list[str] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        if len(done) == 10:
            await anyio.sleep_forever()
        done.append(message.id)

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", ack_wait=60)
    async with anyio.create_task_group() as tasks:
        await tasks.start(consumer.run, handler)
        await until(lambda: len(done) == 10)
        tasks.cancel_scope.cancel()
    seen: list[tuple[str, int]] = []

    async def rest(message: Message[dict[str, str]]) -> None:
        seen.append((message.id, message.delivery_count))

    other = Consumer(client, stream="orders", group="billing", consumer="b", ack_wait=60)
    async with running(other, rest):
        await until(lambda: len(seen) == 20, seconds=3)
    assert not {id for id, _ in seen} & set(done) and {count for _, count in seen} == {1}


async def test_a_consumer_can_run_again_but_not_twice_at_once(client: Client) -> None:
    async def handler(message: Message[dict[str, str]]) -> None: ...

    consumer = Consumer(client, stream="orders", group="billing")
    for _ in range(2):
        async with running(consumer, handler):
            with pytest.raises(RuntimeError):
                await consumer.run(handler)
    await consumer.drain()


async def test_an_idle_consumer_uses_no_connection_of_the_pool_and_leaves_no_tasks(client: Client) -> None:
    async def handler(message: Message[dict[str, str]]) -> None: ...

    before = len(anyio.get_running_tasks())
    for _ in range(3):
        async with running(Consumer(client, stream="orders", group="billing"), handler):
            await anyio.sleep(0.05)
    assert len(anyio.get_running_tasks()) <= before


async def test_a_message_of_a_consumer_that_has_ended_can_not_be_settled(client: Client) -> None:
    await Producer(client, "orders").publish({"n": "1"})
    held: list[Message] = []

    async def handler(message: Message) -> None:
        held.append(message)

    consumer = Consumer(
        client, stream="orders", group="billing", consumer="a", ack_policy=AckPolicy.MANUAL, ack_wait=0.2, prefetch=1
    )
    async with running(consumer, handler):
        await until(lambda: len(held) == 2)  # the first one's lease ran out
    with pytest.raises(ConsumerError):
        await held[0].ack()
