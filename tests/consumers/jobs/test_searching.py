"""Jobs that are nowhere, and those that are somewhere: what result() makes of them."""

from datetime import timedelta

import anyio
import coredis
import pytest
from trio.testing import MockClock

from broker.testing.pytest_plugin import InProcessBroker
from consumers.connection import open_link
from consumers.jobs import JobCancelled, NoResult, Queue, Worker
from consumers.jobs.searching import missing

Client = coredis.Redis[bytes]


async def test_jobs_are_found_wherever_they_are(client: Client) -> None:
    queue = Queue("q")
    release = anyio.Event()

    @queue.job(limit=1)
    async def work(n: int) -> int:
        await release.wait()
        return n

    async with queue.open(client), open_link(client, queue.keys.later) as link:
        waiting = await queue.enqueue_many(work.call(n, priority="low") for n in range(2500))
        delayed = await work.enqueue(1, delay=60)
        ids = [job.id for job in (*waiting, delayed)]
        assert await missing(link, queue.keys, [*ids, "nosuch"]) == {"nosuch"}
        await client.delete([queue.keys.streams["low"]])
        async with Worker(queue).open():
            running, parked = await work.enqueue(2), await work.enqueue(3)
            with anyio.fail_after(60):
                while not await client.hlen(queue.keys.limits):
                    await anyio.sleep(0.01)
            assert await missing(link, queue.keys, [running.id, parked.id, ids[0]]) == {ids[0]}
            release.set()
            assert [await running.result(30), await parked.result(30)] == [2, 3]
            assert await missing(link, queue.keys, [running.id, parked.id]) == set()


async def test_a_job_that_never_was_has_no_result(client: Client) -> None:
    async with Queue("q").open(client) as queue:
        with anyio.fail_after(60), pytest.raises(NoResult, match="there is no job nosuch, or it has ended"):
            await queue.handle("nosuch").result()
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for n in range(20):

                    async def wait(id: str) -> None:
                        with pytest.raises(NoResult):
                            await queue.handle(id).result()

                    tasks.start_soon(wait, f"nosuch {n}")


async def test_a_result_that_is_not_kept_is_told_at_once(client: Client) -> None:
    queue = Queue("q")

    @queue.job(keep_result=0)
    async def forgotten() -> int:
        return 5

    async with queue.open(client), Worker(queue).open():
        job = await forgotten.enqueue()
        for handle in (job, queue.handle(job.id, forgotten)):
            with pytest.raises(NoResult, match="are not kept: its keep_result is 0"):
                await handle.result()
        with anyio.fail_after(60), pytest.raises(NoResult):
            while True:
                await queue.handle(job.id).result(timeout=30)


async def test_a_result_that_has_expired_is_told_at_once(client: Client) -> None:
    queue = Queue("q")

    @queue.job(keep_result=timedelta(milliseconds=50))
    async def work() -> int:
        return 5

    async with queue.open(client), Worker(queue).open():
        job = await work.enqueue()
        assert await job.result(timeout=30) == 5
        with anyio.fail_after(60):
            while await client.exists([queue.keys.result(job.id)]):
                await anyio.sleep(0.01)
            with pytest.raises(NoResult):
                await queue.handle(job.id).result()


@pytest.mark.parametrize("delay", [0, 5000])
async def test_a_job_that_is_deleted_while_one_waits(
    broker: InProcessBroker, autojump_clock: MockClock, delay: int
) -> None:
    queue = Queue("q")

    @queue.job()
    async def work() -> None: ...

    async with broker.client() as client, queue.open(client), anyio.create_task_group() as tasks:
        job = await work.with_options(delay=delay).enqueue()
        told = anyio.Event()

        async def wait() -> None:
            with pytest.raises(NoResult):
                await job.result()
            told.set()

        tasks.start_soon(wait)
        await anyio.sleep(100)
        assert not told.is_set()
        await client.flushall()
        with anyio.fail_after(30):
            await told.wait()


async def test_a_job_that_is_cancelled_while_one_waits(client: Client) -> None:
    queue = Queue("q")

    @queue.job()
    async def work() -> None: ...

    async with queue.open(client), anyio.create_task_group() as tasks:
        jobs = [await work.enqueue(delay=60), await work.enqueue()]

        async def wait(n: int) -> None:
            with pytest.raises(JobCancelled):
                await jobs[n].result(timeout=30)

        for n in range(2):
            tasks.start_soon(wait, n)
        await anyio.sleep(0.05)
        for job in jobs:
            await job.cancel()
        async with Worker(queue).open():
            with pytest.raises(JobCancelled):
                await jobs[1].result(timeout=30)
