"""Consumers that share the partitions of a stream: everything once, in order per key, whoever comes, goes or dies."""

from typing import Any

import anyio
import coredis
import pytest

from consumers.partitions import members_key, partition_of, partition_stream, partition_streams
from consumers.streams import (
    Consumer,
    ConsumerError,
    Message,
    Producer,
    Reject,
    dead_letters,
)
from tests.consumers.network import network
from tests.consumers.streams.running import SOON, Client, dead, pending, running, until

pytestmark = pytest.mark.both_loops

KEY = members_key("orders", "billing")


def consumer_of(client: Client, name: str, partitions: int = 4, **options: Any) -> Consumer[dict[str, str]]:
    return Consumer(
        client, stream="orders", group="billing", consumer=name, partitions=partitions,
        **{"ack_wait": 5, "retry": SOON, "block": 0.5, "order_by": "customer", **options},
    )  # fmt: skip


def orders(first: int, last: int) -> list[dict[str, str]]:
    return [{"customer": f"c{n % 10}", "n": str(n)} for n in range(first, last)]


async def left(client: Client, partitions: int = 4) -> int:
    return sum([await pending(client, name) for name in partition_streams("orders", partitions)])


async def test_one_member_has_everything_and_messages_say_from_where(client: Client) -> None:
    seen: dict[str, list[int]] = {}

    async def handler(message: Message[dict[str, str]]) -> None:
        assert message.partition is not None and message.epoch == 1
        assert message.partition == partition_of(message.data["customer"], 4)
        assert message.stream == partition_stream("orders", message.partition)
        seen.setdefault(message.data["customer"], []).append(int(message.data["n"]))
        await anyio.sleep(0.001)

    producer = Producer(client, "orders", partitions=4, key="customer")
    ids = await producer.publish_many(orders(0, 100))
    assert len(ids) == 100
    consumer = consumer_of(client, "a")
    async with running(consumer, handler):
        assert consumer.owned == dict.fromkeys(range(4), 1)
        await until(lambda: consumer.statistics.acknowledged == 100)
        assert consumer.in_hand == 0
    assert seen == {f"c{c}": list(range(c, 100, 10)) for c in range(10)}
    assert consumer.statistics.received == 100
    # nothing of it stays but the epochs
    assert {name: value.split()[1] for name, value in (await client.hgetall(KEY)).items()} == {
        b"partition:%d" % n: b"left" for n in range(4)
    }
    for name in partition_streams("orders", 4):
        assert await client.xinfo_consumers(name, "billing") == ()


@pytest.mark.spread
async def test_members_that_come_and_go_keep_the_order_of_each_key(client: Client) -> None:
    seen: dict[str, list[int]] = {}
    owners: set[str] = set()
    failed: set[int] = set()

    def handler_of(name: str) -> Any:
        async def handler(message: Message[dict[str, str]]) -> None:
            n = int(message.data["n"])
            if n % 17 == 0 and n not in failed:
                failed.add(n)
                raise ValueError("once")
            await anyio.sleep(0.004)
            seen.setdefault(message.data["customer"], []).append(n)
            owners.add(name)
            # acknowledged with the effect, so that a handler that is cancelled has had none
            await message.ack()

        return handler

    producer = Producer(client, "orders", partitions=4, key="customer")

    published = 0
    stop = False

    async def publish() -> None:
        nonlocal published
        while not stop:
            await producer.publish_many(orders(published, published + 10))
            published += 10
            await anyio.sleep(0.03)

    consumers = {name: consumer_of(client, name) for name in "abc"}
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            await tasks.start(consumers["a"].run, handler_of("a"))
            tasks.start_soon(publish)
            await anyio.sleep(0.2)
            await tasks.start(consumers["b"].run, handler_of("b"))
            await until(lambda: len(consumers["a"].owned) == len(consumers["b"].owned) == 2)
            await tasks.start(consumers["c"].run, handler_of("c"))
            await until(lambda: sorted(len(one.owned) for one in consumers.values()) == [1, 1, 2])
            await until(lambda: "c" in owners)
            await consumers["a"].drain(5)
            await until(lambda: len(consumers["b"].owned) == len(consumers["c"].owned) == 2)
            stop = True
            await until(lambda: sum(map(len, seen.values())) >= published, 30)
            for name in "bc":
                await consumers[name].drain(5)
    assert seen == {f"c{c}": list(range(c, published, 10)) for c in range(10)}
    assert owners == {"a", "b", "c"}
    assert await left(client) == 0


async def test_what_waits_at_a_handover_is_not_suspected_of_anything(client: Client) -> None:
    begun: list[tuple[str, int]] = []

    async def slow(message: Message[dict[str, str]]) -> None:
        await anyio.sleep_forever()

    async def handler(message: Message[dict[str, str]]) -> None:
        begun.append((message.data["n"], message.delivery_count))

    await Producer(client, "orders", partitions=1, key="customer").publish_many(orders(0, 30))
    for _ in range(3):
        first = consumer_of(client, "a", 1, concurrency=2)
        async with anyio.create_task_group() as tasks:
            await tasks.start(first.run, slow)
            await until(lambda: first.in_hand == 30)  # noqa: B023
            tasks.cancel_scope.cancel()
    second = consumer_of(client, "b", 1, concurrency=1)
    async with running(second, handler):
        await until(lambda: len(begun) == 30)
    assert sorted(begun, key=lambda one: int(one[0])) == [(str(n), 1) for n in range(30)]
    for c in range(10):
        assert [int(n) for n, _ in begun if int(n) % 10 == c] == [c, c + 10, c + 20]


@pytest.mark.spread
async def test_a_handler_that_holds_up_a_handover_is_finished_first(client: Client) -> None:
    release, handled = anyio.Event(), list[str]()

    async def handler(message: Message[dict[str, str]]) -> None:
        if message.data["n"] == "0":
            await release.wait()
        handled.append(message.data["n"])

    await Producer(client, "orders", partitions=2, key="customer").publish({"customer": "x", "n": "0"})
    one, other = consumer_of(client, "a", 2), consumer_of(client, "b", 2)
    with anyio.fail_after(30):
        async with running(one, handler):
            await until(lambda: one.in_hand == 1)
            async with running(other, handler):
                await anyio.sleep(1)
                assert partition_of("x", 2) not in other.owned
                release.set()
                await until(lambda: handled == ["0"] and len(one.owned) == len(other.owned) == 1)
    assert one.statistics.acknowledged == 1


@pytest.mark.spread
async def test_a_member_that_is_cut_off_stops_and_another_one_takes_over(client: Client, server_url: str) -> None:
    cancelled: list[str] = []
    seen: list[tuple[str, int | None]] = []

    async def stuck(message: Message[dict[str, str]]) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(message.data["n"])

    async def handler(message: Message[dict[str, str]]) -> None:
        # the one that is cut off knows first
        assert len(cancelled) == 5
        seen.append((message.data["n"], message.epoch))

    await Producer(client, "orders", partitions=1, key="customer").publish_many(orders(0, 5))
    with anyio.fail_after(40):
        async with network(server_url) as between, coredis.Redis.from_url(between.url) as far:
            lost, other = consumer_of(far, "a", 1, ack_wait=1), consumer_of(client, "b", 1, ack_wait=1)
            async with anyio.create_task_group() as tasks:
                await tasks.start(lost.run, stuck)
                await until(lambda: lost.in_hand == 5)
                between.refuse = True
                await between.cut()
                async with running(other, handler):
                    await until(lambda: len(seen) == 5, 20)
                assert sorted(cancelled) == [str(n) for n in range(5)]
                assert lost.owned == {}
                tasks.cancel_scope.cancel()
    assert [n for n, _ in seen] == [str(n) for n in range(5)]
    # a machine that stands still for a second may cost the other one its lease as well, and it takes the next
    assert all(epoch is not None and epoch >= 2 for _, epoch in seen)


async def test_what_a_dead_owner_had_in_hand_comes_before_all_that_is_newer(client: Client) -> None:
    seen: list[tuple[int, int]] = []

    async def handler(message: Message[dict[str, str]]) -> None:
        seen.append((int(message.data["n"]), message.delivery_count))

    await Producer(client, "orders", partitions=1, key="customer").publish_many(orders(0, 10))
    await client.xgroup_create("orders:{0}", "billing", "0")
    # not idle for as long as another member would have to wait before it took them
    await client.xreadgroup("billing", "dead/1", streams={"orders:{0}": ">"}, count=5)
    await client.hset(KEY, {"partition:0": "1 died dead"})
    consumer = consumer_of(client, "a", 1, concurrency=1, prefetch=2, order_by=lambda message: "one key")
    async with running(consumer, handler):
        await until(lambda: len(seen) == 10)
        assert consumer.owned == {0: 2}
    assert seen == [(n, 2 if n < 5 else 1) for n in range(10)]


async def test_dead_letters_are_in_partitions_of_their_own(client: Client) -> None:
    async def handler(message: Message[dict[str, str]]) -> None:
        raise Reject("no")

    await Producer(client, "orders", partitions=4, key="customer").publish_many(orders(0, 20))
    consumer = consumer_of(client, "a", dead_letter="orders.dead")
    async with running(consumer, handler):
        await until(lambda: consumer.statistics.dead == 20)
    for n, name in enumerate(partition_streams("orders.dead", 4)):
        letters = [letter async for letter in dead_letters(client, name)]
        assert {letter.stream for letter in letters} == {f"orders:{{{n}}}"}
        assert len(await dead(client, name)) == len(letters) > 0


async def test_another_number_of_partitions_is_refused(client: Client) -> None:
    await Producer(client, "orders", partitions=4, key="customer").publish({"customer": "x"})
    with pytest.raises(ConsumerError, match="orders has 4 partitions, not 8"):
        await consumer_of(client, "a", 8).run(_nothing)
    with pytest.raises(ConsumerError, match="orders has 4 partitions, not 2"):
        await Producer(client, "orders", partitions=2).publish({"customer": "x"})


async def test_a_hash_of_another_type_is_refused(client: Client) -> None:
    await client.set(KEY, "x")
    with pytest.raises(ConsumerError, match=r"WRONGTYPE|wrong kind"):
        await consumer_of(client, "a").run(_nothing)


async def test_calls_go_to_the_partition_of_their_key(client: Client) -> None:
    async def handler(message: Message[dict[str, str]]) -> None:
        await message.reply(str(message.partition))

    producer = Producer(client, "orders", partitions=4, key=lambda value: str(value["who"]))
    async with running(consumer_of(client, "a"), handler), producer:
        for who in ("ann", "bob", "eve"):
            assert await producer.call({"who": who}) == str(partition_of(who, 4))


async def test_without_a_key_entries_are_spread(client: Client) -> None:
    await Producer(client, "orders", partitions=4).publish_many(orders(0, 20))
    assert [await client.xlen(name) for name in partition_streams("orders", 4)] == [5] * 4


async def test_what_a_producer_and_a_consumer_refuse(client: Client) -> None:
    with pytest.raises(ValueError, match="no field customer"):
        await Producer(client, "orders", partitions=4, key="customer").publish({"n": 1})
    with pytest.raises(ValueError, match="there are none"):
        Producer(client, "orders", key="customer")
    with pytest.raises(TypeError, match="key is a function"):
        Producer(client, "orders", partitions=4, key=7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one stream"):
        Consumer(client, streams=["a", "b"], group="g", partitions=4)
    with pytest.raises(RuntimeError, match="takes a handler"):
        async with consumer_of(client, "a").open():
            pass


async def _nothing(message: Message[dict[str, str]]) -> None: ...
