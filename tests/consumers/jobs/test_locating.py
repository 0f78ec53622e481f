"""Job.info() and Job.status(): where a job is, and what is known about it."""

from collections.abc import AsyncIterator

import anyio
import coredis
import pytest

from consumers.connection import open_link
from consumers.jobs import JobFailed, JobState, Queue, Reject, Worker, current_job
from consumers.jobs.locating import locate
from tests.consumers.jobs.working import SOON, until

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


async def test_a_job_is_followed_from_its_enqueueing_to_its_end(queue: Queue) -> None:
    begun, release = anyio.Event(), anyio.Event()
    before = queue.clock() - 0.001

    @queue.job(retries=1, backoff=SOON)
    async def work(n: int) -> int:
        if current_job().attempt == 1:
            raise ValueError("not yet")
        begun.set()
        await release.wait()
        return n

    job = await work.enqueue(5, delay=60)
    waits = await job.info()
    assert waits.state is JobState.DELAYED and waits.name == "work" and waits.arguments == {"n": 5}
    assert waits.enqueued is not None and waits.due is not None and before <= waits.enqueued <= waits.due - 59
    assert waits.attempts == 0 and waits.begun is waits.ended is waits.worker is waits.error is None
    job = await work.enqueue(6, priority="high")
    stranger = queue.handle(job.id)
    for handle in (job, stranger):
        waits = await handle.info()
        assert (waits.state, waits.priority, waits.arguments) == (JobState.WAITING, "high", {"n": 6})
    async with Worker(queue, name="w").open():
        await begun.wait()
        for handle in (job, stranger):
            runs = await handle.info()
            assert (runs.state, runs.worker, runs.attempts) == (JobState.RUNNING, "w", 2)
            assert runs.error == "ValueError: not yet" and runs.arguments == {"n": 6}
            assert runs.enqueued is not None and runs.begun is not None and before <= runs.enqueued <= runs.begun
        release.set()
        assert await job.result(timeout=30) == 6
    done = await stranger.info()
    assert (done.state, done.name, done.attempts, done.worker) == (JobState.DONE, "work", 2, "w")
    assert done.begun is not None and done.ended is not None and done.kept_until is not None
    assert runs.begun == done.begun <= done.ended <= queue.clock() and 500 < done.kept_until - done.ended < 601
    assert done.arguments is done.error is None


async def test_each_state_is_told(queue: Queue) -> None:
    release = anyio.Event()

    @queue.job(limit=1, retries=0)
    async def limited(n: int) -> None:
        await release.wait()

    @queue.job(retries=3, backoff=SOON)
    async def rejects() -> None:
        raise Reject("no such page")

    @queue.job()
    async def never() -> None: ...

    assert await queue.handle("nosuch").status() is JobState.UNKNOWN
    cancelled, expired = await never.enqueue(), await never.enqueue(expires=-1)
    await cancelled.cancel()
    assert await cancelled.status() is JobState.CANCELLED and await expired.status() is JobState.WAITING
    async with Worker(queue).open():
        jobs = await queue.enqueue_many(limited.call(n) for n in range(2))
        dead = await rejects.enqueue()
        with pytest.raises(JobFailed):
            await dead.result(timeout=30)
        failed = await dead.info()
        assert (failed.state, failed.error, failed.attempts) == (JobState.FAILED, "Reject: no such page", 1)

        async def states() -> set[JobState]:
            return {await job.status() for job in jobs}

        with anyio.fail_after(60):
            while await states() != {JobState.RUNNING, JobState.PARKED}:
                await anyio.sleep(0.01)
            while await expired.status() is not JobState.EXPIRED:
                await anyio.sleep(0.01)
        gone = await cancelled.info()
        assert gone.state is JobState.CANCELLED and gone.attempts == 0 and gone.ended is not None
        release.set()
        for job in jobs:
            await job.result(timeout=30)
    # when the result is forgotten, the dead letter remains
    await queue.connection.client.delete([queue.keys.result(dead.id)])
    forgotten = await dead.info()
    assert (forgotten.state, forgotten.name, forgotten.arguments) == (JobState.FAILED, "rejects", {})


async def test_a_job_that_its_worker_has_not_begun_is_waiting(queue: Queue) -> None:
    release = anyio.Event()

    @queue.job()
    async def work(n: int) -> None:
        await release.wait()

    async with Worker(queue, concurrency=1, prefetch=4).open() as worker:
        jobs = await queue.enqueue_many(work.call(n) for n in range(3))
        await until(lambda: worker.in_hand == 3)
        assert [await job.status() for job in jobs] == [JobState.RUNNING, JobState.WAITING, JobState.WAITING]
        release.set()


async def test_a_job_is_found_among_thousands(client: Client, queue: Queue) -> None:
    @queue.job()
    async def work(n: int) -> None: ...

    jobs = await queue.enqueue_many(work.call(n, priority="low") for n in range(2500))
    async with open_link(client, queue.keys.later) as link:
        for job in (jobs[0], jobs[1999], jobs[-1]):
            found = await locate(link, queue.keys, job.id, queue.clock)
            assert found.info.state is JobState.WAITING and found.stream == queue.keys.streams["low"]
        # an ID of another program, which does not tell the time
        await client.xadd(queue.keys.streams["low"], {"id": "a", "job": "work", "args": b"\x80"})
        assert (await locate(link, queue.keys, "a", queue.clock)).info.state is JobState.WAITING
        # and one whose clock is ahead
        late = f"{round((queue.clock() + 100) * 1000):012x}{'0' * 18}"
        await client.xadd(queue.keys.streams["low"], {"id": late, "job": "work", "args": b"\x80"})
        assert (await locate(link, queue.keys, late, queue.clock)).info.state is JobState.WAITING


async def test_progress_is_reported_and_kept(queue: Queue) -> None:
    release = anyio.Event()

    @queue.job()
    async def copies(files: int) -> None:
        for n in range(files):
            current_job().progress(n, files, f"file {n}")
        await release.wait()
        current_job().progress(files, files)

    @queue.job()
    def in_a_thread() -> None:
        current_job().progress(0.5)
        anyio.from_thread.run(release.wait)

    async with Worker(queue).open():
        jobs = [await copies.enqueue(1000), await in_a_thread.enqueue()]
        seen = []
        for job in jobs:
            with anyio.fail_after(60):
                while (info := await job.info()).progress is None:
                    await anyio.sleep(0.01)
                seen.append(info.progress)
        # the last one is the one that counts, wherever it fell between two reports
        with anyio.fail_after(60):
            while (info := await jobs[0].info()).progress is None or info.progress.done < 999:
                await anyio.sleep(0.01)
        assert (info.progress.done, info.progress.total, info.progress.note) == (999, 1000, "file 999")
        assert seen[1].done == 0.5 and seen[1].total is None and seen[1].note == ""
        release.set()
        for job in jobs:
            await job.result(timeout=30)
        kept = (await jobs[0].info()).progress
        assert kept is not None and (kept.done, kept.total, kept.note) == (1000, 1000, "")
        assert (await jobs[1].info()).progress == seen[1]
