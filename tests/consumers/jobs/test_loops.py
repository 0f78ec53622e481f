"""Jobs and the loops that they are written for, and what asyncio alone does to them."""

import asyncio
from collections.abc import AsyncIterator

import coredis
import pytest

from consumers.jobs import JobFailed, Queue, Worker
from consumers.loops import current_loop
from tests.consumers.jobs.working import SOON, until

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


async def test_jobs_run_on_the_loop_for_which_they_are_written(client: Client, loop: str) -> None:
    for written_for in ("asyncio", "trio"):
        queue = Queue("q", loop="asyncio" if written_for == "asyncio" else "trio")

        @queue.job()
        async def where() -> str:
            return current_loop()

        async with queue.open(client):
            job = await where.enqueue()
            if written_for == loop:
                async with Worker(queue).open():
                    assert await job.result(timeout=30) == loop
            else:
                with pytest.raises(RuntimeError, match=f"has jobs for {written_for}, and this program runs {loop}"):
                    await Worker(queue).run()


@pytest.mark.asyncio_only
async def test_a_job_that_awaits_a_cancelled_task_or_cancels_itself_has_failed(client: Client, queue: Queue) -> None:
    @queue.job(retries=1, backoff=SOON)
    async def waits() -> None:
        other = asyncio.ensure_future(asyncio.sleep(60))
        other.cancel()
        await other

    @queue.job(retries=1, backoff=SOON)
    async def itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    @queue.job()
    async def good() -> int:
        return 1

    # one task for all: it must go on
    async with Worker(queue, concurrency=1).open():
        for bad in (waits, itself):
            with pytest.raises(JobFailed, match="CancelledError") as caught:
                await (await bad.enqueue()).result(timeout=30)
            assert caught.value.attempts == 2
        assert await (await good.enqueue()).result(timeout=30) == 1


@pytest.mark.asyncio_only
async def test_a_task_of_asyncio_that_works_gives_back_its_jobs_when_it_is_cancelled(queue: Queue) -> None:
    begun: list[int] = []

    @queue.job(retries=0)
    async def waits() -> int:
        begun.append(1)
        if len(begun) == 1:
            await asyncio.sleep(60)
        return len(begun)

    job = await waits.enqueue()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60) as limit:
            task = asyncio.ensure_future(until(lambda: begun))
            task.add_done_callback(lambda _: limit.reschedule(0))
            await Worker(queue).run()
    async with Worker(queue).open():
        assert await job.result(timeout=30) == 2
