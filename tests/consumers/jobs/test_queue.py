"""What makes jobs wait, come once, or not at all: delays, unique places, cancellation, limits, cron."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import anyio
import coredis
import pytest

from consumers.jobs import JobCancelled, JobFailed, Queue, Reject, Worker, current_job
from tests.consumers.jobs.working import SOON, dead, keys, until

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


# Delays.


async def test_delayed_jobs_run_when_they_are_due_in_order(client: Client, queue: Queue) -> None:
    ran: list[tuple[str, float]] = []

    @queue.job()
    async def note(what: str) -> None:
        ran.append((what, time.time()))

    async with Worker(queue).open():
        begun = time.time()
        await note.enqueue("third", at=datetime.now(UTC) + timedelta(seconds=0.5))
        await note.enqueue("second", delay=0.3)
        await note.enqueue("first", delay=0)
        await queue.enqueue_many([note.call("past", at=datetime.now(UTC) - timedelta(days=1))])
        await until(lambda: len(ran) == 4)
    due = {"first": 0.0, "past": 0.0, "second": 0.3, "third": 0.5}
    assert all(due[what] <= when - begun for what, when in ran)
    assert [what for what, _ in ran][2:] == ["second", "third"]
    assert await keys(client, queue) == set()
    with pytest.raises(TypeError, match="give either delay or at"):
        await note.enqueue("x", delay=1, at=datetime.now())  # type: ignore[call-overload]


@pytest.mark.spread
async def test_delayed_jobs_survive_and_are_moved_once_by_many_workers(client: Client, queue: Queue) -> None:
    ran: list[int] = []

    @queue.job()
    async def note(n: int) -> None:
        ran.append(n)

    await queue.enqueue_many(note.call(n, delay=0.1 + n % 3 / 20) for n in range(600))
    async with anyio.create_task_group() as tasks:
        workers = [Worker(queue) for _ in range(4)]
        for worker in workers:
            await tasks.start(worker.run)
        await until(lambda: len(ran) >= 600)
        await anyio.sleep(0.1)
        for worker in workers:
            await worker.drain(1)
    assert sorted(ran) == list(range(600))
    assert await keys(client, queue) == set()


# Unique jobs.


async def test_a_unique_job_is_there_once_while_it_waits_or_runs(client: Client, queue: Queue) -> None:
    ran: list[tuple[str, int]] = []

    @queue.job(retries=1, backoff=SOON)
    async def resize(path: str, width: int = 100) -> None:
        ran.append((path, width))
        if path == "bad":
            raise ValueError("bad")

    first = await resize.enqueue("a", 1, unique="path")
    again = await resize.enqueue("a", 2, unique="path")
    assert first.created and not again.created and again.id == first.id
    both = await queue.enqueue_many(
        [resize.call("a", unique="path"), resize.call("b", unique="path"), resize.call("b", unique="path")]
    )
    assert [job.created for job in both] == [False, True, False] and both[0].id == first.id
    whole = await resize.enqueue("a", unique=True)
    assert whole.created and (await resize.enqueue("a", 100, unique=("width", "path"))).id == whole.id
    other = await resize.enqueue("a", 1)
    assert other.created
    bad = await resize.enqueue("bad", unique="path")
    async with Worker(queue).open():
        for job in (first, both[1], whole, other):
            await job.result(timeout=30)
        with pytest.raises(JobFailed):
            await bad.result(timeout=30)
        assert (await resize.enqueue("a", 1, unique="path")).created
        assert (await resize.enqueue("bad", unique="path")).created
        await until(lambda: len(ran) == 9)
    assert sorted(ran)[:4] == [("a", 1), ("a", 1), ("a", 1), ("a", 100)]
    with pytest.raises(TypeError, match="resize has no parameter size"):
        await resize.enqueue("a", unique="size")


async def test_rivals_add_a_unique_job_once(client: Client, queue: Queue) -> None:
    @queue.job(unique=True)
    async def work(n: int) -> None: ...

    other = Queue("q")
    theirs = other.job(unique=True, name="work")(work.function)
    created: list[bool] = []

    async def enqueue(job: object) -> None:
        created.append((await job.enqueue(1)).created)  # type: ignore[attr-defined]

    async with other.open(client), anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(enqueue, work)
            tasks.start_soon(enqueue, theirs)
    assert sum(created) == 1 and len(created) == 40
    assert await client.xlen(queue.keys.streams["normal"]) == 1


async def test_a_cancelled_unique_job_holds_its_place_no_longer(client: Client, queue: Queue) -> None:
    ran: list[str] = []

    @queue.job(unique=True, retries=0)
    async def work(n: int) -> str:
        ran.append(current_job().id)
        if n == 2:
            await anyio.sleep(30)
        return current_job().id

    waiting, delayed = await work.enqueue(0), await work.enqueue(1, delay=60)
    assert not await waiting.cancel() and await delayed.cancel()
    after = await work.enqueue(0), await work.enqueue(1)
    assert after[0].created and after[1].created
    assert not (await work.enqueue(0)).created
    async with Worker(queue).open():
        assert [await job.result(timeout=30) for job in after] == [job.id for job in after]
        running = await work.enqueue(2)
        await until(lambda: running.id in ran)
        assert not (await work.enqueue(2)).created
        await running.cancel()
        last = await work.enqueue(2)
        assert last.created
        with pytest.raises(JobCancelled):
            await running.result(timeout=30)
        # the end of the one before has not freed the place of this one
        await until(lambda: last.id in ran)
        assert not (await work.enqueue(2)).created
        await last.cancel()
    assert await keys(client, queue) == set()


async def test_a_unique_job_that_outlives_its_claim_does_not_end_its_successors(client: Client) -> None:
    free = anyio.Event()
    async with Queue("q", unique_for=0.3).open(client) as queue:

        @queue.job(unique=True)
        async def work() -> None:
            await free.wait()

        async with Worker(queue).open():
            first = await work.enqueue()
            assert not (await work.enqueue()).created
            await anyio.sleep(0.35)
            queue.unique_for = 60.0
            assert (await work.enqueue()).created
            await first.cancel()
            with pytest.raises(JobCancelled):
                await first.result(timeout=30)
            assert not (await work.enqueue()).created
            free.set()


# Cancellation.


async def test_delayed_waiting_and_running_jobs_are_cancelled(client: Client, queue: Queue) -> None:
    begun: list[str] = []
    stopped: list[str] = []

    @queue.job()
    async def work(what: str) -> str:
        begun.append(what)
        try:
            await anyio.sleep(0 if what == "quick" else 30)
        except anyio.get_cancelled_exc_class():
            stopped.append(what)
            raise
        return what

    delayed = await work.enqueue("delayed", delay=100, unique="what")
    assert await delayed.cancel() is True
    with pytest.raises(JobCancelled):
        await delayed.result(timeout=30)
    assert (await work.enqueue("delayed", delay=100, unique="what")).created
    waiting = await work.enqueue("waiting")
    assert await waiting.cancel() is False
    async with Worker(queue).open() as worker:
        with pytest.raises(JobCancelled):
            await waiting.result(timeout=30)
        running, quick = await work.enqueue("running"), await work.enqueue("quick")
        assert await quick.result(timeout=30) == "quick"
        await until(lambda: worker.running)
        assert await running.cancel() is False
        with pytest.raises(JobCancelled):
            await running.result(timeout=30)
        assert await quick.cancel() is False
        assert await quick.result(timeout=30) == "quick"
        await until(lambda: worker.in_hand == 0)
    assert sorted(begun) == ["quick", "running"] and stopped == ["running"]
    assert await client.zcard(queue.keys.cancelled) == 0
    assert await dead(queue) == []


async def test_a_thread_is_told_of_its_cancellation_when_it_asks(queue: Queue) -> None:
    asked: list[str] = []

    @queue.job()
    def work() -> None:
        for _ in range(500):
            time.sleep(0.01)
            try:
                anyio.from_thread.check_cancelled()
            except BaseException:
                asked.append("stopped")
                raise

    async with Worker(queue).open() as worker:
        job = await work.enqueue()
        await until(lambda: worker.running)
        await job.cancel()
        with pytest.raises(JobCancelled):
            await job.result(timeout=30)
    assert asked == ["stopped"]


async def test_a_job_that_waits_for_a_retry_is_cancelled(queue: Queue) -> None:
    from consumers.jobs import Backoff

    @queue.job(backoff=Backoff(initial=100))
    async def work() -> None:
        raise ValueError("no")

    async with Worker(queue).open() as worker:
        job = await work.enqueue()
        await until(lambda: worker.statistics.acknowledged == 1)
        assert await job.cancel() is True
        with pytest.raises(JobCancelled):
            await job.result(timeout=30)


# Limits.


async def test_limits_by_key_hold_over_all_workers(client: Client, queue: Queue) -> None:
    running: dict[str, int] = {}
    most: dict[str, int] = {}
    done: list[tuple[str, int]] = []

    @queue.job(limit=2, limit_by="user")
    async def work(user: str, n: int) -> None:
        running[user] = running.get(user, 0) + 1
        most[user] = max(most.get(user, 0), running[user])
        await anyio.sleep(0.02)
        running[user] -= 1
        done.append((user, n))

    @queue.job()
    async def free() -> str:
        return "free"

    jobs = await queue.enqueue_many(work.call(user, n) for n in range(12) for user in "abc")
    other = await free.enqueue()
    async with anyio.create_task_group() as tasks:
        workers = [Worker(queue, concurrency=8, prefetch=8) for _ in range(3)]
        for worker in workers:
            await tasks.start(worker.run)
        assert await other.result(timeout=30) == "free"
        for job in jobs:
            await job.result(timeout=20)
        for worker in workers:
            await worker.drain(1)
    assert most == {"a": 2, "b": 2, "c": 2}
    assert sorted(done) == sorted((user, n) for n in range(12) for user in "abc")
    left = await keys(client, queue)
    assert not {key for key in left if key.startswith(("running", "parked"))} and "bodies" not in left


async def test_a_limit_over_a_function_and_the_order_of_those_who_wait(queue: Queue) -> None:
    done: list[int] = []

    @queue.job(limit=1)
    async def work(n: int) -> None:
        await anyio.sleep(0.02)
        done.append(n)

    async with Worker(queue, concurrency=1).open() as one, Worker(queue, concurrency=4).open() as four:
        await queue.enqueue_many(work.call(n) for n in range(10))
        await until(lambda: len(done) == 10, seconds=20)
        await until(lambda: one.in_hand == four.in_hand == 0)
    assert sorted(done) == list(range(10))


async def test_places_of_a_dead_worker_are_free_after_its_lease(client: Client, queue: Queue) -> None:
    @queue.job(limit=1, limit_by="user")
    async def work(user: str) -> str:
        return user

    (place,) = work.places_of({"user": "a"})
    await client.zadd(queue.keys.running(place.limit), {"somebody": time.time() + 0.5})
    async with Worker(queue, lease=1).open():
        job = await work.enqueue("a")
        with pytest.raises(TimeoutError):
            await job.result(timeout=0.3)
        assert await job.result(timeout=30) == "a"


async def test_places_are_freed_by_failure_and_rejection_too(queue: Queue) -> None:
    @queue.job(limit=1, retries=1, backoff=SOON)
    async def work(n: int) -> int:
        if n == 0:
            raise Reject("no")
        if n == 1 and current_job().attempt == 1:
            raise ValueError("not yet")
        return n

    async with Worker(queue).open():
        jobs = await queue.enqueue_many(work.call(n) for n in range(4))
        with pytest.raises(JobFailed):
            await jobs[0].result(timeout=30)
        assert [await job.result(timeout=30) for job in jobs[1:]] == [1, 2, 3]


# Cron.


@pytest.mark.spread
async def test_a_periodic_job_runs_once_each_time_over_all_workers(client: Client, queue: Queue) -> None:
    ran: list[tuple[str, float]] = []

    @queue.job(cron="* * * * * *", priority="high")
    async def tick(n: int = 5) -> None:
        ran.append((current_job().id, time.time()))

    async with anyio.create_task_group() as tasks:
        workers = [Worker(queue) for _ in range(3)]
        for worker in workers:
            await tasks.start(worker.run)
        await until(lambda: len(ran) == 3)
        await anyio.sleep(0.3)
        for worker in workers:
            await worker.drain(1)
    ids = [id for id, _ in ran]
    assert len(set(ids)) == len(ids) and all(id.startswith("tick@") for id in ids)
    seconds = [int(id.removeprefix("tick@")) for id in ids]
    assert seconds == sorted(seconds)
    assert all(when >= second for second, (_, when) in zip(seconds, ran, strict=True))


# Opening.


async def test_a_queue_is_used_while_it_is_open(client: Client) -> None:
    queue = Queue("q", priorities=["only"])

    @queue.job()
    async def work() -> None: ...

    with pytest.raises(RuntimeError, match="the queue q is not open"):
        await work.enqueue()
    async with queue.open(client):
        await work.enqueue()
        with pytest.raises(RuntimeError, match="is open already"):
            async with queue.open(client):
                pass
    async with queue.open(client):
        await work.enqueue()
    assert await client.xlen(queue.keys.streams["only"]) == 2


async def test_jobs_of_another_queue_are_refused(queue: Queue) -> None:
    @Queue("other").job()
    async def work() -> None: ...

    with pytest.raises(ValueError, match="belongs to another queue"):
        await queue.enqueue_many([work.call()])
