"""The stream consumer against each server: delivery, acknowledgement, retries, dead letters, refusals."""

from datetime import UTC, datetime
from typing import Any

import anyio
import coredis
import pytest

from consumers.streams import AckPolicy, Backoff, Consumer, ConsumerError, Message, Producer, Reject, Retry, Start
from tests.consumers.streams.running import SOON, Client, dead, pending, running, until

pytestmark = pytest.mark.both_loops


async def test_each_entry_is_handled_and_acknowledged(client: Client) -> None:
    producer = Producer(client, "orders")
    ids = await producer.publish_many([{"n": str(n)} for n in range(200)])
    seen: list[tuple[str, str]] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        assert message.delivery_count == 1 and message.stream == "orders"
        seen.append((message.id, message.data["n"]))

    consumer = Consumer(client, stream="orders", group="billing", consumer="a")
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 200)
        assert seen == [(id, str(n)) for n, id in enumerate(ids)]
        more = await producer.publish({"n": "more"})
        await until(lambda: seen[-1] == (more, "more"))
    assert await pending(client) == 0
    assert consumer.in_hand == 0


async def test_a_failing_handler_costs_its_entry_an_attempt_and_its_siblings_nothing(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"n": str(n)} for n in range(20)])
    attempts: list[tuple[str, int]] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        attempts.append((message.data["n"], message.delivery_count))
        if message.data["n"] == "7" and message.delivery_count < 3:
            raise ValueError("not yet")

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", retry=SOON)
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 20)
    assert [count for n, count in attempts if n == "7"] == [1, 2, 3]
    assert len(attempts) == 22
    assert consumer.statistics.released == 2 and await pending(client) == 0


async def test_an_entry_that_fails_max_deliver_times_goes_to_the_dead_letters_in_one_step(client: Client) -> None:
    (poisoned,) = await Producer(client, "orders").publish_many([{"n": "poison"}])
    attempts = 0

    async def handler(message: Message[dict[str, str]]) -> None:
        nonlocal attempts
        attempts += 1
        raise ValueError("no good")

    consumer = Consumer(
        client, stream="orders", group="billing", consumer="a", retry=SOON, max_deliver=3, dead_letter="orders.dead"
    )
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.dead == 1)
    assert attempts == 3 and await pending(client) == 0
    (fields,) = await dead(client)
    assert fields.pop(b"dead-time")
    assert fields == {
        b"n": b"poison", b"dead-stream": b"orders", b"dead-id": poisoned.encode(), b"dead-group": b"billing",
        b"dead-reason": b"failed 3 times: ValueError: no good", b"dead-delivery-count": b"3", b"dead-consumer": b"a",
    }  # fmt: skip


async def test_reject_buries_at_once_and_so_does_raising_reject(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"n": "1"}, {"n": "2"}])

    async def handler(message: Message[dict[str, str]]) -> None:
        if message.data["n"] == "1":
            await message.reject("unknown customer")
        else:
            raise Reject("no amount")

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", dead_letter="orders.dead")
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.dead == 2)
    reasons = {fields[b"dead-reason"] for fields in await dead(client)}
    assert reasons == {b"unknown customer", b"no amount"} and await pending(client) == 0


async def test_nack_with_a_delay_comes_again_when_it_is_due(client: Client) -> None:
    await Producer(client, "orders").publish({"n": "1"})
    times: list[float] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        times.append(anyio.current_time())
        assert message.delivery_count == len(times)
        if len(times) == 1:
            await message.nack(delay=0.4)
        elif len(times) == 2:
            raise Retry(delay=0)

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", ack_wait=600)
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 1)
    assert times[1] - times[0] >= 0.39 and len(times) == 3


async def test_a_delay_longer_than_ack_wait_is_kept(client: Client) -> None:
    await Producer(client, "orders").publish({"n": "1"})
    times: list[float] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        times.append(anyio.current_time())
        if len(times) == 1:
            await message.nack(delay=0.7)

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", ack_wait=0.3)
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 1)
    assert times[1] - times[0] >= 0.69
    assert consumer.statistics.received == 2


async def test_a_delayed_entry_survives_its_consumer(client: Client) -> None:
    await Producer(client, "orders").publish({"n": "1"})

    async def fails(message: Message[dict[str, str]]) -> None:
        raise ValueError

    first = Consumer(
        client, stream="orders", group="billing", consumer="a", ack_wait=600, retry=Backoff(0.5, 1, 0.5, jitter=False)
    )
    async with running(first, fails):
        await until(lambda: first.statistics.released == 1)

    async def handler(message: Message[dict[str, str]]) -> None:
        assert message.delivery_count == 2

    second = Consumer(client, stream="orders", group="billing", consumer="b", ack_wait=600, block=0.1)
    async with running(second, handler):
        await until(lambda: second.statistics.acknowledged == 1)


@pytest.mark.parametrize("how", ["beginning", "end", "id", "time"])
async def test_a_new_group_begins_where_it_is_told(client: Client, how: str) -> None:
    ids = [await client.xadd("orders", {"n": str(n)}, identifier=f"{1000 * (n + 1)}-0") for n in range(4)]
    assert ids
    start: Any = {
        "beginning": Start.BEGINNING, "end": Start.END, "id": "2000-0", "time": datetime.fromtimestamp(3, UTC),
    }[how]  # fmt: skip
    seen: list[str] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        seen.append(message.data["n"])

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", start=start)
    async with running(consumer, handler):
        await client.xadd("orders", {"n": "last"})
        await until(lambda: seen and seen[-1] == "last")
    assert seen[:-1] == {"beginning": ["0", "1", "2", "3"], "end": [], "id": ["2", "3"], "time": ["2", "3"]}[how]


async def test_on_receive_acknowledges_before_the_handler_starts(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"n": str(n)} for n in range(5)])
    at_start: list[bool] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        rows = await client.xpending("orders", "billing", start=message.id, end=message.id, count=1)
        at_start.append(not rows)
        raise ValueError("a failure is final")

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", ack_policy=AckPolicy.ON_RECEIVE)
    async with running(consumer, handler):
        await until(lambda: len(at_start) == 5)
    assert all(at_start) and await pending(client) == 0


async def test_manual_leaves_it_to_the_handler(client: Client) -> None:
    await Producer(client, "orders").publish_many([{"n": str(n)} for n in range(6)])
    held: list[Message[dict[str, str]]] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        held.append(message)

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", ack_policy=AckPolicy.MANUAL)
    async with running(consumer, handler):
        await until(lambda: len(held) == 6)
        assert await pending(client) == 6
        for message in held:  # a batch of one's own
            await message.ack()
        assert await pending(client) == 0 and held[0].settled
        await held[0].ack()


async def _overwrite_later(client: Client) -> None:
    await anyio.sleep(0.3)
    await client.set("orders", "a string")


async def test_a_refusal_reaches_the_owner(client: Client) -> None:
    await client.set("orders", "a string")

    async def handler(message: Message[dict[str, str]]) -> None: ...

    with pytest.raises(ConsumerError):
        await Consumer(client, stream="orders", group="billing").run(handler)
    await client.delete(["orders"])
    consumer = Consumer(client, stream="orders", group="billing", block=0.2)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_overwrite_later, client)
            with pytest.raises(ConsumerError):
                await consumer.run(handler)
    await client.set("orders.dead", "a string")
    with pytest.raises(ConsumerError, match="dead letters"):
        await Consumer(client, stream="events", group="g", dead_letter="orders.dead").run(handler)


async def test_a_group_that_is_destroyed_is_created_again_where_it_was(client: Client) -> None:
    seen: list[str] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        seen.append(message.data["n"])

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", block=0.2)
    producer = Producer(client, "orders")
    async with running(consumer, handler):
        await producer.publish({"n": "1"})
        await until(lambda: consumer.statistics.acknowledged == 1)
        await client.xgroup_destroy("orders", "billing")
        await producer.publish({"n": "2"})
        await until(lambda: len(seen) == 2)
        await client.delete(["orders"])
        await producer.publish({"n": "3"})
        await until(lambda: len(seen) == 3)
    assert seen == ["1", "2", "3"]


async def test_a_client_that_decodes_makes_no_difference(server_url: str) -> None:
    async with coredis.Redis.from_url(server_url, decode_responses=True, stream_timeout=0.2) as client:
        await Producer(client, "orders").publish({"n": "\u00fc"})
        seen: list[str] = []

        async def handler(message: Message[dict[str, str]]) -> None:
            seen.append(message.data["n"])

        consumer = Consumer(client, stream="orders", group="billing", block=0.5)
        async with running(consumer, handler):
            await until(lambda: seen == ["\u00fc"])
            await anyio.sleep(0.6)


def test_options_are_checked() -> None:
    anything: Any = coredis.Redis("127.0.0.1", 1)
    for wrong in (
        {}, {"stream": "a", "streams": ["b"]}, {"streams": ["a", "a"]}, {"stream": "a", "prefetch": 0},
        {"stream": "a", "concurrency": 0}, {"stream": "a", "max_deliver": 0}, {"stream": "a", "ack_wait": 0},
        {"stream": "a", "consumer": "(delayed)"}, {"stream": "a", "block": 0},
    ):  # fmt: skip
        with pytest.raises(ValueError):
            Consumer(anything, group="g", **wrong)


async def test_log_lines_say_which_entry(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    id = await Producer(client, "orders").publish({"n": "1"})

    async def handler(message: Message) -> None:
        if message.delivery_count == 1:
            raise ValueError("once")

    consumer = Consumer(client, stream="orders", group="billing", consumer="a", retry=SOON)
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.acknowledged == 1)
    (record,) = [record for record in caplog.records if record.name == "consumers"]
    about: Any = record
    assert (about.stream, about.id, about.delivery_count, about.delay) == ("orders", id, 1, 0.05)
    assert record.exc_info is not None
