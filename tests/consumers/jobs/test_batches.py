"""Batch jobs: many calls in one run, each with its own result, failure, attempts and cancellation."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio
import coredis
import pytest

from consumers.jobs import CurrentJob, JobCancelled, JobFailed, Queue, Worker, current_job
from consumers.jobs.batches import Batcher, BatchFunction
from consumers.jobs.calling import Caller
from consumers.jobs.process_pool import ProcessPool
from tests.consumers.jobs.working import SOON, dead, until

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


@dataclass
class Document:
    path: str
    words: int = 0


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


def test_mistakes_are_told_at_once() -> None:
    queue = Queue("q")

    async def two(a: list[int], b: int) -> None: ...
    async def one(a: int) -> None: ...
    async def number(a: list[int]) -> int:
        return len(a)

    with pytest.raises(TypeError, match="two: a batch job has one parameter, the list"):
        queue.batch_job(5)(two)
    assert not queue.functions
    with pytest.raises(TypeError, match="one: the parameter 'a' of a batch job is a list, not <class 'int'>"):
        _ = queue.batch_job(5)(one).arguments
    with pytest.raises(TypeError, match="number: the return value of a batch job is a list"):
        _ = queue.batch_job(5)(number).arguments
    with pytest.raises(ValueError, match="a batch has at least 1 call"):
        queue.batch_job(0, name="none")(one)
    with pytest.raises(ValueError, match="a batch has at least 1 call"):
        queue.batch_job(5, wait=-1, name="none")(one)


async def test_a_call_takes_and_returns_an_element() -> None:
    queue = Queue("q")

    @queue.batch_job(5)
    async def index(documents: list[Document]) -> list[int | Exception]:
        return [document.words for document in documents]

    assert isinstance(index, BatchFunction)
    assert await index([Document("a", 1), Document("b", 2)]) == [1, 2]
    call = index.call(Document("a", 3))
    assert index.arguments.unpack(call.arguments) == {"documents": Document("a", 3)}
    assert index.arguments.decode_result(b"\x05") == 5
    with pytest.raises(ValueError):
        index.arguments.decode_result(b"\xa1a")
    with pytest.raises(TypeError):
        index.call(Document("a"), Document("b"))


async def test_many_calls_are_one_run(client: Client, queue: Queue) -> None:
    runs: list[list[Document]] = []
    ids: list[str] = []

    @queue.batch_job(10, wait=0.2)
    async def index(documents: list[Document]) -> list[int]:
        runs.append(documents)
        ids.append(current_job().id)
        return [document.words * 2 for document in documents]

    @queue.batch_job(4, wait=0.05)
    def in_thread(numbers: list[int]) -> None:
        runs.append([Document("thread", number) for number in numbers])

    jobs = await queue.enqueue_many(index.call(Document(str(n), n)) for n in range(24))
    async with Worker(queue, concurrency=10).open():
        assert [await job.result(timeout=30) for job in jobs] == [2 * n for n in range(24)]
        assert [len(run) for run in runs] == [10, 10, 4]
        assert [document.words for run in runs for document in run] == list(range(24))
        assert ids[0] == jobs[0].id
        assert (await jobs[5].info()).attempts == 1
        others = await queue.enqueue_many(in_thread.call(n) for n in range(4))
        assert [await job.result(timeout=30) for job in others] == [None] * 4
        assert sorted(document.words for document in runs[-1]) == [0, 1, 2, 3]


async def test_failures_per_call_and_of_the_whole(client: Client, queue: Queue) -> None:
    runs: list[list[int]] = []

    @queue.batch_job(8, wait=0.1, retries=1, backoff=SOON)
    async def work(numbers: list[int]) -> list[int | Exception]:
        runs.append(sorted(numbers))
        return [ValueError(f"not {n}") if n % 3 == 0 or (n == 1 and len(runs) == 1) else n for n in numbers]

    @queue.batch_job(8, wait=0.1, retries=1, backoff=SOON)
    async def fails(numbers: list[int]) -> list[int]:
        if len(numbers) == 3:
            raise SystemExit("all of it")
        return numbers[1:]

    async with Worker(queue).open():
        jobs = await queue.enqueue_many(work.call(n) for n in range(6))
        assert [await jobs[n].result(timeout=30) for n in (1, 2, 4, 5)] == [1, 2, 4, 5]
        for n in (0, 3):
            with pytest.raises(JobFailed, match=f"not {n}"):
                await jobs[n].result(timeout=30)
        assert runs == [[0, 1, 2, 3, 4, 5], [0, 1, 3]]
        assert (await jobs[1].info()).attempts == 2
        for job in await queue.enqueue_many(fails.call(n) for n in range(3)):
            with pytest.raises(JobFailed, match="SystemExit: all of it"):
                await job.result(timeout=30)
        with pytest.raises(JobFailed, match="a batch of 1 calls returned 0 results"):
            await (await fails.enqueue(7)).result(timeout=30)
    assert len(await dead(queue)) == 6


async def test_a_cancelled_call_leaves_the_others_alone(client: Client, queue: Queue) -> None:
    begun, release = anyio.Event(), anyio.Event()
    runs: list[list[int]] = []

    @queue.batch_job(3, wait=5)
    async def work(numbers: list[int]) -> list[int]:
        runs.append(numbers)
        begun.set()
        await release.wait()
        return numbers

    async with Worker(queue).open():
        jobs = await queue.enqueue_many(work.call(n) for n in range(3))
        await begun.wait()
        await jobs[0].cancel()
        with pytest.raises(JobCancelled):
            await jobs[0].result(timeout=30)
        release.set()
        assert [await job.result(timeout=30) for job in jobs[1:]] == [1, 2]
    assert runs == [[0, 1, 2]]


async def test_a_run_that_nobody_waits_for_is_stopped_and_so_is_a_long_one(client: Client, queue: Queue) -> None:
    stopped: list[int] = []

    @queue.batch_job(2, wait=0.05, timeout=0.3, retries=0)
    async def work(numbers: list[int]) -> None:
        try:
            await anyio.sleep(60)
        finally:
            stopped.append(len(numbers))

    async with Worker(queue).open():
        for job in await queue.enqueue_many(work.call(n) for n in range(2)):
            with pytest.raises(JobFailed, match=r"JobTimeout: it took longer than 0\.3 s"):
                await job.result(timeout=30)
        assert stopped == [2]
        one = await work.enqueue(2)
        await anyio.sleep(0.15)
        await one.cancel()
        with pytest.raises(JobCancelled):
            await one.result(timeout=30)
        await until(lambda: len(stopped) == 2)


async def test_what_a_drained_worker_had_gathered_runs_elsewhere(client: Client, queue: Queue) -> None:
    ran: list[int] = []

    @queue.batch_job(4, wait=60)
    async def work(numbers: list[int]) -> list[int]:
        ran.extend(numbers)
        return numbers

    async with Worker(queue).open(grace=0.1) as first:
        jobs = await queue.enqueue_many(work.call(n) for n in range(3))
        await until(lambda: first.in_hand == 3)
    assert not ran
    async with Worker(queue).open():
        jobs.append(await work.enqueue(3))
        assert [await job.result(timeout=30) for job in jobs] == [0, 1, 2, 3]
        assert (await jobs[0].info()).attempts == 1


async def test_a_worker_too_small_for_a_batch_says_so(client: Client, queue: Queue) -> None:
    @queue.batch_job(100)
    async def work(numbers: list[int]) -> None: ...

    with pytest.raises(ValueError, match="concurrency must be at least that, not 16"):
        await Worker(queue).run()


@pytest.mark.trio_only("about the module alone")
async def test_a_suspect_runs_alone() -> None:
    sizes: list[int] = []
    queue = Queue("q")

    @queue.batch_job(5, wait=60)
    async def work(numbers: list[int]) -> None:
        sizes.append(len(numbers))

    batcher = Batcher(Caller(None, anyio.CapacityLimiter(1), ProcessPool(1), []))
    job: Any = CurrentJob("id", "work", 1)
    async with anyio.create_task_group() as tasks:
        await tasks.start(batcher.run)
        # it does not wait a minute for others
        with anyio.fail_after(60):
            assert await batcher.join(job, job, work, 1, alone=True) is None
        tasks.cancel_scope.cancel()
    assert sizes == [1]
