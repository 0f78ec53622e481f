"""redis-py's asyncio client at work: many tasks on one pool, queues by blocking pops, locks by WATCH, fan-out."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis
import redis.asyncio

Scenario = Callable[["redis.asyncio.Redis"], Awaitable[None]]


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def play(port: int, request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    """Runs a scenario with a client."""

    async def run(scenario: Scenario) -> None:
        async with redis.asyncio.Redis(
            port=port, protocol=request.param, socket_timeout=60, decode_responses=True
        ) as client:
            await scenario(client)

    return lambda scenario: asyncio.run(asyncio.wait_for(run(scenario), 60))


def test_pipelines_of_many_tasks(play: Callable[[Scenario], None]) -> None:
    async def scenario(client: "redis.asyncio.Redis") -> None:
        async def work(number: int) -> None:
            async with client.pipeline(transaction=number % 2 == 0) as pipe:
                for step in range(200):
                    pipe.hset(f"h{number}", f"f{step}", step).incr("total")
                    pipe.expire(f"h{number}", 100)
                replies = await pipe.execute()
            assert replies[::3] == [1] * 200 and replies[2::3] == [1] * 200

        await asyncio.gather(*(work(number) for number in range(20)))
        assert await client.get("total") == "4000"
        assert [name async for name in client.scan_iter("h*", count=3)] != []
        assert await client.hlen("h7") == 200
        with pytest.raises(redis.ResponseError):
            await client.pipeline().set("s", "x").lpush("s", "y").execute()

    play(scenario)


def test_a_queue_by_blocking_pops(play: Callable[[Scenario], None]) -> None:
    async def scenario(client: "redis.asyncio.Redis") -> None:
        done: list[str] = []

        async def worker(name: str) -> None:
            while True:
                job = await client.blmove("jobs", f"working:{name}", 30, "LEFT", "RIGHT")
                if job == "stop":
                    return
                done.append(job)
                await client.lrem(f"working:{name}", 1, job)

        async with asyncio.TaskGroup() as tasks:
            for name in "abcd":
                tasks.create_task(worker(name))
            for first in range(0, 400, 40):
                await client.rpush("jobs", *range(first, first + 40))
            await client.rpush("jobs", *["stop"] * 4)
        assert sorted(map(int, done)) == list(range(400))
        assert await client.llen("jobs") == 0
        assert await client.blpop(["jobs", "others"], timeout=0.05) is None
        waiting = asyncio.create_task(client.bzpopmin(["none", "delayed"], 30))
        while not (await client.info("clients"))["blocked_clients"]:
            await asyncio.sleep(0.01)
        await client.zadd("delayed", {"late": 2, "soon": 1})
        assert list(await waiting) == ["delayed", "soon", 1.0]

    play(scenario)


def test_a_cancelled_wait_takes_nothing(play: Callable[[Scenario], None]) -> None:
    async def scenario(client: "redis.asyncio.Redis") -> None:
        waiting = asyncio.create_task(client.blpop("jobs", 30))
        while not (await client.info("clients"))["blocked_clients"]:
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        while (await client.info("clients"))["blocked_clients"]:
            await asyncio.sleep(0.01)
        assert await client.rpush("jobs", "kept") == 1
        assert await client.lpop("jobs") == "kept"

    play(scenario)


def test_optimistic_locks(play: Callable[[Scenario], None]) -> None:
    async def scenario(client: "redis.asyncio.Redis") -> None:
        await client.mset({"from": 1000, "to": 0})
        conflicts = 0

        async def transfer() -> None:
            nonlocal conflicts
            async with client.pipeline(transaction=True) as pipe:
                while True:
                    try:
                        await pipe.watch("from", "to")
                        source, target = int(await pipe.get("from")), int(await pipe.get("to"))
                        pipe.multi()
                        pipe.set("from", source - 10).set("to", target + 10)
                        await pipe.execute()
                        return
                    except redis.WatchError:
                        conflicts += 1

        await asyncio.gather(*(transfer() for _ in range(25)))
        assert await client.mget("from", "to") == ["750", "250"]
        assert conflicts > 0

    play(scenario)


def test_fan_out(play: Callable[[Scenario], None]) -> None:
    async def scenario(client: "redis.asyncio.Redis") -> None:
        ready = asyncio.Barrier(11)

        async def subscriber(number: int) -> list[str]:
            got: list[str] = []
            async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.psubscribe("news.*")
                if number % 2:
                    await pubsub.subscribe("end")
                else:
                    await pubsub.psubscribe("en?")
                while await pubsub.get_message(timeout=0.05) is not None:
                    pass
                await ready.wait()
                async for message in pubsub.listen():
                    if message["channel"] == "end":
                        return got
                    got.append(message["data"])
            return got

        async with asyncio.TaskGroup() as tasks:
            subscribers = [tasks.create_task(subscriber(number)) for number in range(10)]
            await ready.wait()
            while await client.pubsub_numpat() < 2 or dict(await client.pubsub_numsub("end")) != {"end": 5}:
                await asyncio.sleep(0.01)
            async with client.pipeline(transaction=False) as pipe:
                for number in range(500):
                    pipe.publish(f"news.{number % 3}", number)
                pipe.publish("end", "")
                assert await pipe.execute() == [10] * 501
        assert [task.result() for task in subscribers] == [[str(number) for number in range(500)]] * 10

    play(scenario)
