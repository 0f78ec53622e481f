"""Adding jobs: what is known about where they were put, and jobs that expire."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import anyio
import coredis
import pytest

from consumers.jobs import JobExpired, JobState, Queue, Worker
from tests.consumers.jobs.working import SOON, keys, until

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


async def test_where_a_job_was_put_is_remembered(client: Client, queue: Queue) -> None:
    @queue.job()
    async def work(n: int) -> None: ...

    single = [await work.enqueue(0)]
    several = await queue.enqueue_many([work.call(1), work.call(2, priority="high")])
    for job, priority in zip(single + several, ("normal", "normal", "high"), strict=True):
        assert job._hint is not None
        stream, entry_id = job._hint
        (entry,) = await client.xrange(stream, start=entry_id, end=entry_id)
        assert stream == queue.keys.streams[priority] and entry.field_values[b"id"] == job.id.encode()
    mixed = await queue.enqueue_many([work.call(3), work.call(4, delay=60)])
    assert [await job.status() for job in mixed] == [JobState.WAITING, JobState.DELAYED]


async def test_a_job_that_was_not_begun_in_time_is_dropped(client: Client, queue: Queue) -> None:
    ran, release = list[int](), anyio.Event()

    @queue.job(unique=True)
    async def work(n: int) -> int:
        ran.append(n)
        await release.wait()
        return n

    soon = datetime.now(UTC) + timedelta(seconds=0.1)
    jobs = [
        await work.enqueue(0), await work.enqueue(1, expires=0.1), await work.enqueue(2, expires=timedelta(hours=1)),
        await work.enqueue(3, expires=soon), await work.enqueue(4, expires=0.05, delay=0.1),
    ]  # fmt: skip
    async with Worker(queue, concurrency=1).open() as worker:
        await until(lambda: len(ran) == 1)
        await anyio.sleep(0.15)
        release.set()
        assert await jobs[0].result(timeout=30) == 0 and await jobs[2].result(timeout=30) == 2
        for job in (jobs[1], jobs[3], jobs[4]):
            with pytest.raises(JobExpired, match="the job had expired before it was begun"):
                await job.result(timeout=30)
            info = await job.info()
            assert (info.state, info.attempts, info.begun) == (JobState.EXPIRED, 0, None)
        # its place is free
        assert await (await work.enqueue(1)).result(timeout=30) == 1
        await until(lambda: worker.in_hand == 0)
    assert sorted(ran) == [0, 1, 2] and await keys(client, queue) == set()


async def test_an_attempt_after_the_expiry_does_not_begin(queue: Queue) -> None:
    ran = list[float]()

    @queue.job(backoff=SOON, retries=1000)
    async def work() -> None:
        ran.append(queue.clock())
        raise ValueError("again")

    async with Worker(queue).open():
        job = await work.enqueue(expires=0.8)
        waits = await job.info()
        assert waits.expires is not None and waits.expires - queue.clock() <= 0.8
        with pytest.raises(JobExpired):
            await job.result(timeout=30)
    assert len(ran) >= 1 and max(ran) <= waits.expires + 2  # the last may have begun just before
    assert (await job.info()).attempts == len(ran)
