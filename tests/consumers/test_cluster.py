"""Consumers in a cluster of two nodes: streams in different slots, and a slot that moves while it is read."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import coredis
import pytest
from coredis.typing import Key

from consumers.streams import Consumer, Message, Producer, Reject, Replay, dead_letters, redrive
from tests.consumers.clusters import Migration, Nodes, move_slot, started_cluster, two_nodes
from tests.consumers.streams.running import running, until


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with two_nodes() as nodes:
        yield nodes


@pytest.fixture
async def cluster(nodes: Nodes) -> "AsyncIterator[coredis.RedisCluster[bytes]]":
    async with started_cluster(nodes) as client:
        yield client


async def test_streams_anywhere_in_a_cluster(cluster: "coredis.RedisCluster[bytes]") -> None:
    async def handler(message: Message) -> None:
        if message.data["n"] == "7":
            raise Reject("seven")

    for name in ("{a}s", "{b}s", "{c}s"):
        await Producer(cluster, name).publish_many({"n": n} for n in range(20))
        consumer = Consumer(
            cluster, streams=[name, f"{name}:more"], group="g", consumer="a", dead_letter=f"{name}:dead"
        )
        async with running(consumer, handler):
            await until(lambda: consumer.statistics.acknowledged == 19 and consumer.statistics.dead == 1)  # noqa: B023
        assert [letter.reason async for letter in dead_letters(cluster, f"{name}:dead")] == ["seven"]
        assert await redrive(cluster, f"{name}:dead") == 1
        async with Replay(cluster, name).open() as entries:
            assert len([entry async for entry in entries]) == 21


async def test_streams_of_different_slots_are_refused(cluster: "coredis.RedisCluster[bytes]") -> None:
    async def handler(message: Message) -> None: ...

    with pytest.raises(ValueError, match="hash tag"):
        await Consumer(cluster, streams=["a", "b"], group="g").run(handler)
    with pytest.raises(ValueError, match="hash tag"):
        await Consumer(cluster, stream="a", group="g", dead_letter="b").run(handler)


async def test_a_slot_that_moves_is_followed(nodes: Nodes, cluster: "coredis.RedisCluster[bytes]") -> None:
    seen: list[str] = []

    async def handler(message: Message) -> None:
        seen.append(message.data["n"])

    consumer = Consumer(cluster, stream="orders", group="g", consumer="a", block=0.5)
    async with running(consumer, handler):
        await Producer(cluster, "orders").publish({"n": "before"})
        await until(lambda: consumer.statistics.acknowledged == 1)
        await cluster.delete(["orders"])
        move_slot(nodes, Key("orders").slot)
        await Producer(cluster, "orders").publish({"n": "after"})
        await until(lambda: seen == ["before", "after"])


async def test_calls_on_any_node_and_while_a_slot_moves(nodes: Nodes, cluster: "coredis.RedisCluster[bytes]") -> None:
    async def handler(message: Message) -> None:
        await message.reply(f"{message.stream} {message.data['n']}")

    for name in ("a", "b{c}"):
        consumer = Consumer(cluster, stream=name, group="g", block=0.5)
        async with running(consumer, handler), Producer(cluster, name) as producer:
            assert await producer.call({"n": 1}) == f"{name} 1"
            migration = Migration(nodes, Key(name).slot)
            async with anyio.create_task_group() as tasks:
                got: list[str] = []

                async def call(n: int, got: list[str] = got, producer: Any = producer) -> None:
                    got.append(await producer.call({"n": n}))

                tasks.start_soon(call, 2)
                await anyio.sleep(0.2)
                migration.end()
            assert got == [f"{name} 2"]
            assert await producer.call({"n": 3}) == f"{name} 3"


async def test_a_name_that_no_hash_tag_can_hold_takes_no_calls(cluster: "coredis.RedisCluster[bytes]") -> None:
    async with Producer(cluster, "a}b") as producer:
        with pytest.raises(ValueError, match="need a hash tag in its name"):
            await producer.call({"n": 1})
