"""coredis on Trio, in its default RESP3: commands, pipelines, pub/sub, stream consumers and client-side caching."""

from collections.abc import AsyncIterator

import coredis
import pytest
import trio
from coredis.patterns.cache import LRUCache
from coredis.patterns.streams import GroupConsumer


@pytest.fixture
async def client(port: int) -> AsyncIterator["coredis.Redis[str]"]:
    async with coredis.Redis("127.0.0.1", port, decode_responses=True) as connected:
        yield connected


async def test_values_of_every_type(client: "coredis.Redis[str]") -> None:
    assert await client.set("s", "1")
    assert await client.incrby("s", 4) == 5
    assert await client.expire("s", 100)
    assert await client.rpush("l", ["a", "b"]) == 2
    assert await client.lrange("l", 0, -1) == ["a", "b"]
    assert await client.hset("h", {"f": "1", "g": "2"}) == 2
    assert await client.hgetall("h") == {"f": "1", "g": "2"}
    assert await client.sadd("t", ["a", "b"]) == 2
    assert await client.smembers("t") == {"a", "b"}
    assert await client.zadd("z", {"a": 1.5, "b": 2}) == 2
    assert await client.zrange("z", 0, -1, withscores=True) == (("a", 1.5), ("b", 2.0))
    assert {key async for key in client.scan_iter()} == {"s", "l", "h", "t", "z"}
    with pytest.raises(coredis.exceptions.WrongTypeError):
        await client.lpush("s", ["x"])


async def test_many_tasks_share_one_client(client: "coredis.Redis[str]") -> None:
    async def count() -> None:
        for _ in range(20):
            await client.incr("n")

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(count)
    assert await client.get("n") == "1000"


async def test_pipelines_and_transactions(client: "coredis.Redis[str]") -> None:
    async with client.pipeline(transaction=True) as pipeline:
        first = pipeline.incr("k")
        second = pipeline.incr("k")
        value = pipeline.get("k")
    assert (await first, await second, await value) == (1, 2, "2")


async def test_pubsub(client: "coredis.Redis[str]") -> None:
    with trio.fail_after(60):
        async with client.pubsub(channels=["news"], patterns=["n*"], ignore_subscribe_messages=True) as subscriber:
            assert await client.publish("news", "hello") == 2
            got: list[tuple[object, object]] = []
            while len(got) < 2:
                # None stands for a confirmation that was ignored
                if message := await subscriber.get_message(timeout=1):
                    got.append((message["type"], message["data"]))
            assert got == [("message", "hello"), ("pmessage", "hello")]


async def test_blocking_pop_is_handed_the_element(client: "coredis.Redis[str]") -> None:
    got: list[object] = []

    async def pop() -> None:
        got.append(await client.blpop(["queue"], timeout=30))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pop)
            while (await client.info("clients"))["blocked_clients"] == 0:
                await trio.sleep(0.01)
            await client.rpush("queue", ["job"])
    assert list(got[0]) == ["queue", "job"]


async def test_group_consumers_share_a_stream(client: "coredis.Redis[str]") -> None:
    sent = [await client.xadd("jobs", {"n": str(number)}) for number in range(40)]
    received: list[str] = []
    with trio.fail_after(60):
        consumers = [
            GroupConsumer(
                client, ["jobs"], "g", name, auto_create=True, auto_acknowledge=True, start_from_backlog=False
            )
            for name in ("a", "b")
        ]
        await client.xgroup_create("jobs", "g", "0")
        while len(received) < len(sent):
            for consumer in consumers:
                async with consumer:
                    _, entry = await consumer.get_entry()
                    if entry is not None:
                        received.append(entry.identifier)
    assert sorted(received) == sent
    assert (await client.xpending("jobs", "g")).pending == 0


async def test_the_client_side_cache(port: int, client: "coredis.Redis[str]") -> None:
    async def until_it_reads(value: str | None) -> None:
        with trio.fail_after(60):
            while await caching.get("k") != value:
                await trio.lowlevel.checkpoint()

    cache = LRUCache()
    async with coredis.Redis("127.0.0.1", port, decode_responses=True, cache=cache) as caching:
        await client.set("k", "1")
        assert [await caching.get("k") for _ in range(10)] == ["1"] * 10
        assert sum(cache.stats.hits.values()) == 9
        await client.set("k", "2")
        await until_it_reads("2")
        await client.delete(["k"])
        await until_it_reads(None)
        assert cache.stats.invalidations
