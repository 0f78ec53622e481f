"""Counts and lists of a queue's jobs, workers and schedules."""

from collections.abc import AsyncIterator

import anyio
import coredis
import pytest

from consumers.jobs import Counts, JobState, Queue, Reject, Worker
from tests.consumers.jobs.working import until

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


async def numbers(queue: Queue, state: str) -> list[int]:
    return [info.arguments["n"] async for info in queue.jobs(state) if info.arguments]


async def test_jobs_are_counted_and_listed_in_each_state(queue: Queue) -> None:
    release = anyio.Event()

    @queue.job(limit=2)
    async def limited(n: int) -> None:
        await release.wait()

    @queue.job()
    async def rejects(n: int) -> None:
        raise Reject("no")

    @queue.job(cron="0 0 1 1 *")
    async def yearly() -> None: ...

    await queue.enqueue_many(limited.call(n, delay=1000 + n) for n in range(450))
    await queue.enqueue_many(limited.call(1000 + n, delay=1000) for n in range(250))
    nothing = Counts(waiting=0, delayed=700, running=0, parked=0, periodic=0, dead=0, workers=0, paused=False)
    assert await queue.counts() == nothing
    delayed = await numbers(queue, "delayed")
    assert sorted(delayed) == [*range(450), *range(1000, 1250)] and delayed[-1] == 449
    async with Worker(queue, name="w").open() as worker:
        await queue.enqueue_many([*(limited.call(n) for n in range(5)), *(rejects.call(n) for n in range(3))])
        expected = Counts(waiting=0, delayed=701, running=2, parked=3, periodic=1, dead=3, workers=1, paused=False)
        with anyio.fail_after(60):
            while await queue.counts() != expected:
                await anyio.sleep(0.01)
        parked, running = await numbers(queue, "parked"), await numbers(queue, "running")
        assert len(parked) == 3 and len(running) == 2 and sorted(parked + running) == list(range(5))
        dead = [info async for info in queue.jobs(JobState.FAILED)]
        assert [(info.state, info.attempts, info.error) for info in dead] == [(JobState.FAILED, 1, "no")] * 3
        assert all(info.ended for info in dead)
        (seen,) = [info async for info in queue.workers()]
        assert (seen.name, seen.concurrency, seen.alive, seen.in_hand) == ("w", 16, True, worker.in_hand)
        assert sorted(info.arguments["n"] for info in seen.jobs if info.arguments) == sorted(running)
        (schedule,) = [one async for one in queue.schedules()]
        assert (schedule.name, schedule.expression, schedule.timezone) == ("yearly", "0 0 1 1 *", "UTC")
        assert schedule.due > queue.clock()
        release.set()
    with pytest.raises(ValueError, match="done jobs can't be listed, only running, waiting"):
        await anext(queue.jobs("done"))


async def test_waiting_jobs_are_listed_without_those_that_run(queue: Queue) -> None:
    release = anyio.Event()

    @queue.job()
    async def work(n: int) -> None:
        await release.wait()

    await queue.enqueue_many(work.call(n, priority="low") for n in range(500))
    await work.enqueue(500, priority="high")
    assert await numbers(queue, "waiting") == [500, *range(500)]
    async with Worker(queue, concurrency=2).open() as worker:
        await until(lambda: len(worker.running) == 2)
        assert await numbers(queue, "waiting") == list(range(1, 500))
        counts = await queue.counts()
        assert (counts.waiting, counts.running) == (499, 2)
        release.set()
        await until(lambda: worker.statistics.acknowledged == 501)
