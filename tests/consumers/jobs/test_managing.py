"""Pausing, purging, deleting and rescheduling, while workers are at work."""

import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import anyio
import coredis
import pytest
from trio.testing import MockClock

from broker.testing.pytest_plugin import InProcessBroker
from consumers.deadletters import dead_letters
from consumers.jobs import Job, JobCancelled, JobFailed, JobState, NoResult, Queue, Reject, Worker, managing
from tests.consumers.jobs.working import dead, keys, until

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


# Pause and resume.


async def test_a_paused_queue_starts_no_job(queue: Queue) -> None:
    release, ran = anyio.Event(), list[int]()

    @queue.job()
    async def work(n: int) -> None:
        if n < 2:
            await release.wait()
        ran.append(n)

    async with Worker(queue, concurrency=2, prefetch=4).open() as worker:
        await queue.enqueue_many(work.call(n) for n in range(10))
        await until(lambda: worker.in_hand == 4 and len(worker.running) == 2)
        await queue.pause()
        # what has not begun is given back, what runs goes on
        await until(lambda: worker.paused and worker.in_hand == 2)
        release.set()
        await until(lambda: worker.in_hand == 0)
        await work.enqueue(10)
        counts = await queue.counts()
        assert (counts.paused, counts.waiting, counts.running) == (True, 9, 0) and sorted(ran) == [0, 1]
        # one that is started meanwhile does not begin either
        async with Worker(queue).open() as other:
            assert other.paused and sorted(ran) == [0, 1]
            await queue.pause()
            await queue.resume()
            await until(lambda: len(ran) == 11)
    assert sorted(ran) == list(range(11)) and not (await queue.counts()).paused


async def test_a_job_that_reaches_a_paused_worker_is_given_back(queue: Queue) -> None:
    ran = list[int]()

    @queue.job()
    async def work(n: int) -> int:
        ran.append(n)
        return n

    async with Worker(queue).open() as worker:
        # now it waits for the next one, in a read that goes on while the queue is paused
        assert await (await work.enqueue(0)).result(timeout=30) == 0
        await anyio.sleep(0.1)
        await queue.pause()
        await until(lambda: worker.paused)
        job = await work.enqueue(1)
        await anyio.sleep(0.3)
        assert ran == [0] and await job.status() is JobState.WAITING
        await queue.resume()
        assert await job.result(timeout=30) == 1


@pytest.mark.spread
async def test_no_job_runs_twice_or_never_when_a_queue_is_paused_again_and_again(queue: Queue) -> None:
    ran = Counter[int]()

    @queue.job()
    async def work(n: int) -> None:
        await anyio.sleep(0)
        ran[n] += 1

    await queue.enqueue_many(work.call(n) for n in range(2000))
    async with Worker(queue, concurrency=4).open(), Worker(queue, concurrency=4).open():
        for _ in range(5):
            await anyio.sleep(0.05)
            await queue.pause()
            await anyio.sleep(0.05)
            await queue.resume()
        await until(lambda: len(ran) == 2000, 30)
    assert set(ran.values()) == {1}


async def test_of_a_periodic_job_one_occurrence_waits_while_the_queue_is_paused(
    broker: InProcessBroker, autojump_clock: MockClock
) -> None:
    queue, ran = Queue("q"), list[float]()

    @queue.job(cron="* * * * *")
    async def minutely() -> None:
        ran.append(queue.clock())

    async with broker.client() as client, queue.open(client), Worker(queue).open():
        # one that is due while workers learn of the end of the pause may be left out: that is at no full minute
        await anyio.sleep(150 - queue.clock() % 60)
        before = len(ran)
        await queue.pause()
        await anyio.sleep(180)
        assert len(ran) == before and (await queue.counts()).waiting == 1
        await queue.resume()
        await anyio.sleep(180)
        # the one that waited, and three in time
        assert len(ran) - before == 4


# Purging.


async def test_each_state_is_purged(client: Client, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managing, "PAGE", 20)
    release = anyio.Event()

    @queue.job(limit=1, unique=True)
    async def limited(n: int) -> int:
        await release.wait()
        return n

    @queue.job()
    async def rejects() -> None:
        raise Reject("no")

    @queue.job(cron="0 0 1 1 *")
    async def yearly() -> None: ...

    async with Worker(queue).open() as worker:
        parked = await queue.enqueue_many(limited.call(n) for n in range(30))
        rejected = await queue.enqueue_many(rejects.call() for _ in range(25))
        for job in rejected:
            with pytest.raises(JobFailed):
                await job.result(timeout=30)
        with anyio.fail_after(60):
            while (await queue.counts()).parked < 29:
                await anyio.sleep(0.01)
        delayed = await queue.enqueue_many(limited.call(1000 + n, delay=600) for n in range(45))
        await queue.pause()
        await until(lambda: worker.paused)
        waiting = await queue.enqueue_many(limited.call(5000 + n) for n in range(65))
        counts = await queue.counts()
        assert (counts.waiting, counts.delayed, counts.parked, counts.dead) == (65, 46, 29, 25)
        purged = {state: await queue.purge(state) for state in ("waiting", "delayed", "parked", "failed")}
        assert purged == {"waiting": 65, "delayed": 45, "parked": 29, "failed": 25}
        running = [job for job in parked if await job.status() is JobState.RUNNING]
        for job in (*waiting, *delayed, *(set(parked) - set(running))):
            with pytest.raises(JobCancelled):
                await job.result(timeout=30)
        # their places are free
        assert (await limited.enqueue(5000)).created and (await limited.enqueue(1000)).created
        release.set()
        await queue.resume()
        assert len(running) == 1 and await running[0].result(timeout=30) == parked.index(running[0])
        await until(lambda: worker.in_hand == 0)
    with pytest.raises(ValueError, match="running jobs can't be purged"):
        await queue.purge("running")


DAMAGED = [b"\xc1", b"\x91\xc4\x01s", b"\x93\xc4\x01s\xc4\x02id\xc4\x011"]
"""Stored forms of jobs: no msgpack, without fields, without a function's name."""


async def damage(client: Client, queue: Queue, parked: str = "") -> list[str]:
    """Three delayed jobs, or parked ones, of which only the IDs can be read."""
    ids = [f"{parked or 'later'} {number}" for number in range(len(DAMAGED))]
    for number, (id, body) in enumerate(zip(ids, DAMAGED, strict=True)):
        await client.hset(queue.keys.bodies, {id: body})
        score = number if parked else time.time() + 600 + number
        await client.zadd(queue.keys.parked(parked) if parked else queue.keys.later, {id: score})
    if parked:
        await client.hset(queue.keys.limits, {parked: 1})
    return ids


async def test_damaged_jobs_are_listed_by_their_ids_and_purged(
    client: Client, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    @queue.job()
    async def work() -> None: ...

    later, parked = await damage(client, queue), await damage(client, queue, "work")
    whole = await work.enqueue(delay=9999)
    counts = await queue.counts()
    assert (counts.delayed, counts.parked) == (4, 3)
    for state, ids in (("delayed", [*later, whole.id]), ("parked", parked)):
        found = [info async for info in queue.jobs(state)]
        assert [info.id for info in found] == ids
        assert {info.error for info in found} - {None} == {"what is stored of it is damaged"}
    with caplog.at_level("WARNING", "consumers.jobs"):
        assert (await queue.purge("delayed"), await queue.purge("parked")) == (4, 3)
    assert caplog.messages == [f"the queue q: a damaged job was removed: {id!r}" for id in (*later, *parked)]
    assert await whole.status() is JobState.CANCELLED
    assert await keys(client, queue) <= {"limits"}


async def test_damaged_jobs_are_found_cancelled_and_deleted_one_by_one(client: Client, queue: Queue) -> None:
    for parked, state in (("", JobState.DELAYED), ("work", JobState.PARKED)):
        found: list[Job[Any]] = [queue.handle(id) for id in await damage(client, queue, parked)]
        for job in found:
            info = await job.info()
            assert (info.state, info.name, info.error) == (state, None, "what is stored of it is damaged")
            assert not await job.reschedule(delay=5)
        if not parked:
            assert await found[0].cancel() and await found[0].status() is JobState.CANCELLED
        assert [await job.delete() for job in found] == [True] * 3
    assert await keys(client, queue) <= {"limits", "cancelled"}


async def test_damaged_jobs_become_dead_letters_when_their_time_has_come(client: Client, queue: Queue) -> None:
    @queue.job()
    async def work() -> None: ...

    await client.hset(queue.keys.bodies, dict(zip("abc", DAMAGED, strict=True)))
    await client.zadd(queue.keys.later, dict.fromkeys("abc", 1))
    job = await work.enqueue(delay=0.01)
    async with Worker(queue).open():
        await job.result(timeout=30)
        with anyio.fail_after(60):
            while (await queue.counts()).dead < 3:
                await anyio.sleep(0.01)
    assert await client.hlen(queue.keys.bodies) == 0
    letters = [letter async for letter in dead_letters(client, queue.keys.dead)]
    assert {letter.fields["damaged"] for letter in letters} == {*DAMAGED}
    assert {letter.reason for letter in letters} == {"not a job: the field job is missing"}
    counts = await queue.counts()
    assert (counts.waiting, counts.dead, await queue.redrive(), await queue.purge("failed")) == (0, 3, 0, 3)


async def test_jobs_that_were_given_back_are_purged_as_well(queue: Queue) -> None:
    ran, release = list[int](), anyio.Event()

    @queue.job()
    async def work(n: int) -> None:
        ran.append(n)
        await release.wait()

    async with Worker(queue, concurrency=1, prefetch=10).open() as worker:
        await queue.enqueue_many(work.call(n) for n in range(20))
        await until(lambda: worker.in_hand == 10)
        await queue.pause()
        await until(lambda: worker.in_hand == 1)
        assert await queue.purge("waiting") == 19
        await queue.resume()
        release.set()
        await until(lambda: worker.in_hand == 0)
        counts = await queue.counts()
        assert counts.waiting == counts.running == 0 and ran == [0]


@pytest.mark.spread
async def test_a_job_is_either_run_or_purged(queue: Queue) -> None:
    ran = Counter[int]()

    @queue.job()
    async def work(n: int) -> None:
        await anyio.sleep(0)
        ran[n] += 1

    jobs = await queue.enqueue_many(work.call(n) for n in range(2000))
    async with Worker(queue, concurrency=4).open(), Worker(queue, concurrency=4).open():
        await until(lambda: len(ran) > 100)
        purged = await queue.purge("waiting")
        states = Counter[JobState]()
        for job in jobs:
            with anyio.move_on_after(10):
                try:
                    await job.result()
                    states[JobState.DONE] += 1
                except JobCancelled:
                    states[JobState.CANCELLED] += 1
    assert states == {JobState.DONE: len(ran), JobState.CANCELLED: purged} and len(ran) + purged == 2000
    assert purged > 0 and set(ran.values()) == {1}


# Single jobs.


async def test_a_job_is_deleted_wherever_it_is(client: Client, queue: Queue) -> None:
    begun, release, ran = anyio.Event(), anyio.Event(), list[str]()

    @queue.job(limit=1, unique=True)
    async def work(name: str) -> str:
        ran.append(name)
        begun.set()
        await release.wait()
        return name

    @queue.job()
    async def rejects() -> None:
        raise Reject("no")

    waiting, delayed = await work.enqueue("waiting"), await work.enqueue("delayed", delay=60)
    assert await waiting.delete() and await delayed.delete() and not await waiting.delete()
    assert await waiting.status() is await delayed.status() is JobState.UNKNOWN
    # nothing is left, not even a place
    assert await keys(client, queue) == set()
    async with Worker(queue).open() as worker:
        running = await work.enqueue("running")
        await begun.wait()
        parked = await work.enqueue("parked")
        with anyio.fail_after(60):
            while await parked.status() is not JobState.PARKED:
                await anyio.sleep(0.01)
        assert await parked.delete() and await running.delete()
        await until(lambda: not worker.running)
        assert await parked.status() is JobState.UNKNOWN
        release.set()
        done, dies = await work.enqueue("done"), await rejects.enqueue()
        assert await done.result(timeout=30) == "done"
        with pytest.raises(JobFailed):
            await dies.result(timeout=30)
        assert await done.delete() and await dies.delete()
        assert await done.status() is await dies.status() is JobState.UNKNOWN and await dead(queue) == []
        with pytest.raises(NoResult):
            await queue.handle(done.id).result(timeout=30)
    assert ran == ["running", "done"]
    assert await keys(client, queue) == {"dead"}


async def test_a_program_that_waits_for_a_deleted_job_learns_of_it(queue: Queue) -> None:
    @queue.job()
    async def work() -> None: ...

    job = await work.enqueue()
    async with anyio.create_task_group() as tasks:

        async def wait() -> None:
            with anyio.fail_after(60), pytest.raises(NoResult):
                await job.result()

        tasks.start_soon(wait)
        await anyio.sleep(0.05)
        assert await job.delete()


async def test_a_job_begins_when_it_was_rescheduled_to(queue: Queue) -> None:
    begun = list[str]()

    @queue.job()
    async def work(name: str) -> str:
        begun.append(name)
        return name

    jobs = {name: await work.enqueue(name, delay=600) for name in ("earlier", "later")}
    jobs["waiting"] = await work.enqueue("waiting")
    jobs["twice"] = await work.enqueue("twice")
    assert await jobs["earlier"].reschedule(delay=0.5) and await jobs["later"].reschedule(delay=1200)
    assert await jobs["waiting"].reschedule(delay=600) and await jobs["twice"].reschedule(delay=600)
    assert await jobs["twice"].reschedule(delay=-1)
    for name, least in (("earlier", 0), ("later", 1100), ("waiting", 500)):
        info = await jobs[name].info()
        assert info.state is JobState.DELAYED and info.due is not None and info.due - queue.clock() > least
    assert await jobs["twice"].status() is JobState.WAITING
    async with Worker(queue).open() as worker:
        assert await jobs["earlier"].result(timeout=30) == "earlier"
        assert await jobs["twice"].result(timeout=30) == "twice"
        await until(lambda: worker.in_hand == 0)
        assert begun == ["twice", "earlier"] and (await queue.counts()).delayed == 2
        assert await jobs["waiting"].status() is JobState.DELAYED
        assert not await jobs["earlier"].reschedule(delay=1)
        assert not await queue.handle("nosuch").reschedule(delay=1)
        assert await jobs["waiting"].reschedule(delay=0) and await jobs["later"].reschedule(delay=0)
        assert await jobs["waiting"].result(timeout=30) == "waiting"
        assert await jobs["later"].result(timeout=30) == "later"
    with pytest.raises(TypeError, match="give either delay or at"):
        await jobs["later"].reschedule()


async def test_a_parked_job_is_rescheduled_and_a_running_one_is_not(queue: Queue) -> None:
    begun, release = anyio.Event(), anyio.Event()

    @queue.job(limit=1)
    async def work() -> None:
        begun.set()
        await release.wait()

    async with Worker(queue).open():
        running = await work.enqueue()
        await begun.wait()
        parked = await work.enqueue()
        with anyio.fail_after(60):
            while await parked.status() is not JobState.PARKED:
                await anyio.sleep(0.01)
        assert not await running.reschedule(delay=60) and await parked.reschedule(delay=60)
        assert await parked.status() is JobState.DELAYED and (await queue.counts()).parked == 0
        release.set()
        await running.result(timeout=30)
        assert await parked.reschedule(delay=0)
        await parked.result(timeout=30)


@pytest.mark.spread
async def test_rescheduling_at_random_loses_no_job_and_runs_none_twice(queue: Queue) -> None:
    ran, chance = Counter[int](), random.Random(7)

    @queue.job()
    async def work(n: int) -> int:
        ran[n] += 1
        return n

    jobs = await queue.enqueue_many(work.call(n, delay=chance.choice([0, 0.2, 0.5])) for n in range(300))
    async with Worker(queue).open(), Worker(queue).open():
        for job in chance.sample(jobs, 60):
            await job.reschedule(delay=chance.uniform(0, 0.3))
        assert [await job.result(timeout=30) for job in jobs] == list(range(300))
    assert set(ran.values()) == {1}
