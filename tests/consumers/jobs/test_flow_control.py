"""Rates, turns, debouncing, batches and schedules at once: on Valkey, and in a cluster while their queue moves."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import anyio
import coredis
import pytest
from coredis.typing import Key

from consumers.jobs import Debounce, Job, Queue, Rate, Worker
from tests.consumers.clusters import Migration, started_cluster, two_nodes
from tests.consumers.jobs.working import SOON, keys, until
from tests.consumers.servers import RedisServer
from tests.oracle.servers import OracleMissing, find_valkey


class Shop:
    """A queue with a job for each of these, and what has run."""

    def __init__(self) -> None:
        self.queue = Queue("q", fair_by="tenant")
        self.ran: Counter[str] = Counter()
        queue, ran = self.queue, self.ran

        @queue.job(rate=Rate(15, per=0.2, by="tenant"), backoff=SOON)
        async def rated(tenant: str, n: int) -> None:
            ran[f"rated {tenant} {n}"] += 1

        @queue.job(debounce=Debounce(0.2, by="name"))
        async def saved(name: str, n: int) -> None:
            ran[f"saved {name} {n}"] += 1

        @queue.batch_job(5, wait=0.05)
        async def gathered(numbers: list[int]) -> list[int]:
            ran.update(f"gathered {n}" for n in numbers)
            return numbers

        @queue.job()
        async def tick() -> None:
            ran["tick"] += 1

        self.rated, self.saved, self.gathered, self.tick = rated, saved, gathered, tick

    async def enqueue(self, stage: int) -> list[Job[Any]]:
        """Make calls of all kinds; returns the jobs that run as often as they are called."""
        first = 10 * stage
        jobs: list[Job[Any]] = []
        jobs += await self.queue.enqueue_many(self.rated.call("ab"[n % 3 == 0], n) for n in range(first, first + 10))
        jobs += await self.queue.enqueue_many(self.gathered.call(n) for n in range(first, first + 10))
        await self.queue.enqueue_many(self.saved.call(f"stage {stage}", n) for n in range(10))
        return jobs

    async def check(self, jobs: list[Job[Any]], stages: int) -> None:
        for job in jobs:
            await job.result(timeout=30)
        await until(lambda: sum(count for what, count in self.ran.items() if what.startswith("saved")) >= stages, 20)
        await until(lambda: self.ran["tick"] >= 2)
        expected = {f"rated {'ab'[n % 3 == 0]} {n}" for n in range(10 * stages)}
        expected |= {f"gathered {n}" for n in range(10 * stages)}
        expected |= {f"saved stage {stage} 9" for stage in range(stages)} | {"tick"}
        assert self.ran.keys() == expected
        assert all(count == 1 for what, count in self.ran.items() if what != "tick")


async def check_nothing_is_left(client: Any, queue: Queue) -> None:
    with anyio.fail_after(20):
        while left := {key.partition(":")[0] for key in await keys(client, queue)} - {"running", "calls", "workers"}:
            assert left
            await anyio.sleep(0.1)


async def test_on_valkey() -> None:
    try:
        path, _ = find_valkey()
    except OracleMissing:
        pytest.skip("no valkey-server")
    server = RedisServer(path)
    server.start()
    try:
        shop = Shop()
        async with (
            coredis.Redis.from_url(server.url) as client,
            shop.queue.open(client),
            Worker(shop.queue).open(),
            Worker(shop.queue).open(),
        ):
            await shop.queue.schedule("tick", shop.tick.call(), "* * * * * *")
            await shop.check([job for stage in range(3) for job in await shop.enqueue(stage)], 3)
            await shop.queue.unschedule("tick")
            await check_nothing_is_left(client, shop.queue)
    finally:
        server.stop()


async def test_while_the_queue_moves_to_another_node() -> None:
    shop, jobs = Shop(), list[Job[Any]]()

    async def keep_enqueueing() -> None:
        for stage in range(1, 5):
            jobs.extend(await shop.enqueue(stage))

    with two_nodes() as nodes:
        async with (
            started_cluster(nodes) as client,
            shop.queue.open(client),
            Worker(shop.queue).open(),
            Worker(shop.queue).open(),
        ):
            await shop.queue.schedule("tick", shop.tick.call(), "* * * * * *")
            jobs.extend(await shop.enqueue(0))
            migration = Migration(nodes, Key("{q}").slot)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(keep_enqueueing)
                left = migration.left()
                random.Random(1).shuffle(left)
                for key in left:
                    migration.move(key)
                    await anyio.sleep(0.02)
                migration.end()
            await shop.check(jobs, 5)
            await shop.queue.unschedule("tick")
