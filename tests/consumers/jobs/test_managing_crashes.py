"""Programs that are killed while they manage a queue, and workers that are killed while they are watched."""

import random
import sys

import anyio
import coredis
import pytest

from consumers.jobs import JobCancelled, JobState, Worker
from tests.consumers import loops
from tests.consumers.forked import forked
from tests.consumers.jobs.processes import worker
from tests.consumers.jobs.program import held, queue, work

pytestmark = pytest.mark.spread

Client = coredis.Redis[bytes]


async def purge(url: str) -> None:
    async with queue.open(url):
        await queue.counts()
        print("ready", file=sys.stderr)
        await queue.purge("waiting")


async def test_a_killed_purge_loses_no_job(client: Client, server_url: str) -> None:
    chance = random.Random(5)
    with anyio.fail_after(120):
        async with queue.open(client):
            jobs = []
            for _ in range(3):
                jobs += await queue.enqueue_many(work.call(n, 0.0) for n in range(len(jobs), len(jobs) + 500))
                async with forked(loops.run, purge, server_url) as process:
                    await process.stderr.receive()
                    await anyio.sleep(chance.uniform(0, 0.1))
                    process.kill()
            ran, purged = set[int](), 0
            async with Worker(queue, concurrency=50, lease=1).open():
                for n, job in enumerate(jobs):
                    try:
                        assert await job.result(timeout=60) == n
                        ran.add(n)
                    except JobCancelled:
                        purged += 1
            assert len(ran) + purged == len(jobs) and ran == {int(n) for n in await client.lrange("done", 0, -1)}
            assert (await queue.counts()).waiting == 0


async def test_a_killed_worker_is_seen_as_dead_and_its_job_elsewhere(client: Client, server_url: str) -> None:
    with anyio.fail_after(60):
        async with queue.open(client):
            job = await held.enqueue()
            async with worker(server_url, "--lease", "1", "--name", "first") as first:
                while (info := await job.info()).state is not JobState.RUNNING:
                    await anyio.sleep(0.02)
                assert info.worker == "first" and info.attempts == 1
                first.kill()
                await first.wait()
                while (info := await job.info()).state is JobState.RUNNING:
                    await anyio.sleep(0.02)
                assert info.state is JobState.WAITING
                assert [(one.name, one.alive) async for one in queue.workers()] == [("first", False)]
                assert (await queue.counts()).workers == 0
            async with worker(server_url, "--lease", "1", "--name", "second"):
                while (info := await job.info()).state is not JobState.RUNNING:
                    await anyio.sleep(0.02)
                assert info.worker == "second"
                await client.set("released", "")
                await job.result(timeout=30)
        assert (await client.get("begun")) == b"2"


async def test_a_pause_outlives_the_workers(client: Client, server_url: str) -> None:
    with anyio.fail_after(60):
        async with queue.open(client):
            await queue.pause()
            job = await work.enqueue(1, 0.0)
            for name in ("first", "second"):
                async with worker(server_url, "--name", name) as process:
                    while [one.name async for one in queue.workers() if one.alive] != [name]:
                        await anyio.sleep(0.02)
                    await anyio.sleep(0.2)
                    assert await job.status() is JobState.WAITING
                    process.terminate()
                    await process.wait()
            await queue.resume()
            async with worker(server_url):
                assert await job.result(timeout=30) == 1
        assert await client.lrange("begun", 0, -1) == [b"1"]
