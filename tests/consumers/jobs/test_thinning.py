"""Of calls that are debounced or throttled, as many become jobs as a model says, with the right arguments."""

import random
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import anyio
import coredis
import pytest
import trio.testing

from consumers.jobs import Debounce, Queue, Throttle, Worker, chain, current_job
from consumers.jobs.thinning import Thinning
from tests.consumers.jobs.working import SOON, keys, on_test_clock, until

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


def test_mistakes_are_told_at_once() -> None:
    assert Debounce(timedelta(seconds=5)).rule == Thinning(5.0, None)
    assert Debounce(5, max_wait=60).rule == Thinning(5.0, 60.0)
    assert Throttle(60).rule == Thinning(60.0, 60.0, drops=True)
    assert Throttle(60, keep="last").rule.due(100.0, 130.0) == 160.0
    for wrong in (lambda: Debounce(0), lambda: Debounce(5, max_wait=4), lambda: Throttle(0)):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(ValueError, match='keep is "first" or "last"'):
        Throttle(5, keep="both")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Debounce(5, by=7)  # type: ignore[arg-type]
    queue = Queue("q")

    async def work(n: int) -> None: ...

    with pytest.raises(TypeError, match="debounce is Debounce or None"):
        queue.job(debounce=5)(work)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unique, debounced or throttled: one of them"):
        queue.job(debounce=Debounce(5), unique=True)(work)
    with pytest.raises(ValueError, match="unique, debounced or throttled: one of them"):
        queue.job(debounce=Debounce(5), throttle=Throttle(5))(work)
    with pytest.raises(TypeError, match="work has no parameter m"):
        queue.job(throttle=Throttle(5, by="m"))(work)
    thin = queue.job(throttle=Throttle(5))(work)
    for options in ({"delay": 5}, {"unique": True}, {"job_id": "x"}):
        with pytest.raises(TypeError, match="work is debounced or throttled"):
            thin.call(1, **options)
    with pytest.raises(TypeError, match="can't be a part of a workflow"):
        chain(thin.call(1))


@pytest.mark.spread
async def test_the_last_call_of_a_busy_time_runs(client: Client, queue: Queue) -> None:
    ran: list[tuple[str, int, float]] = []

    @queue.job(debounce=Debounce(0.3, by="path", max_wait=0.8))
    async def save(path: str, n: int) -> int:
        ran.append((path, n, time.time()))
        return n

    async with Worker(queue).open():
        begun = time.time()
        jobs = [await save.enqueue("a", n) for n in range(5)]
        jobs += await queue.enqueue_many(save.call("a", n) for n in range(5, 10))
        other = await save.enqueue("b", 0)
        assert [job.created for job in jobs] == [True] + [False] * 9
        assert {job.id for job in jobs} == {jobs[0].id} and other.created
        assert [await job.result(timeout=30) for job in (jobs[0], jobs[-1], other)] == [9, 9, 0]
        assert sorted(one[:2] for one in ran) == [("a", 9), ("b", 0)]
        assert all(when - begun > 0.29 for _, _, when in ran)
        # a job that has begun stands for no further calls
        assert (again := await save.enqueue("a", 20)).created
        for n in range(21, 40):
            await anyio.sleep(0.08)
            await save.enqueue("a", n)
        assert await again.result(timeout=30) > 20
        # although there has not been a quiet period
        assert [n for path, n, _ in ran if path == "a"][1] < 39


async def test_a_throttle_keeps_the_first_or_the_last(client: Client, queue: Queue) -> None:
    ran: list[tuple[str, int]] = []

    @queue.job(throttle=Throttle(0.6, by="key"))
    async def first(key: str, n: int) -> int:
        ran.append(("first", n))
        return n

    @queue.job(throttle=Throttle(0.6, keep="last"))
    async def last(n: int) -> int:
        ran.append(("last", n))
        return n

    async with Worker(queue).open():
        calls = [*(first.call("a", n) for n in range(3)), *(last.call(n) for n in range(3))]
        jobs = await queue.enqueue_many(calls)
        assert [job.created for job in jobs] == [True, False, False] * 2
        more = [await first.enqueue("a", 3), await last.enqueue(3)]
        assert [job.created for job in more] == [False, False]
        assert [await job.result(timeout=30) for job in more] == [0, 3]
        await anyio.sleep(0.3)
        assert (await first.enqueue("a", 4)).created and (await first.enqueue("b", 5)).created
        await until(lambda: len(ran) == 4)
    assert sorted(ran) == [("first", 0), ("first", 4), ("first", 5), ("last", 3)]
    assert not {key for key in await keys(client, queue) if key.startswith(("bodies", "later"))}


async def test_a_waiting_job_that_is_removed_stands_for_nothing(client: Client, queue: Queue) -> None:
    @queue.job(debounce=Debounce(600))
    async def save(n: int) -> None: ...

    job = await save.enqueue(1)
    assert not (await save.enqueue(2)).created
    assert (await job.info()).arguments == {"n": 2}
    assert await job.cancel()
    assert (again := await save.enqueue(3)).created and again.id != job.id
    assert await again.delete()
    assert (await save.enqueue(4)).created
    assert await queue.purge("delayed") == 1
    assert (await save.enqueue(5)).created
    assert (await queue.counts()).delayed == 1


async def test_a_later_attempt_is_not_replaced(client: Client, queue: Queue) -> None:
    ran: list[int] = []

    @queue.job(debounce=Debounce(0.05), retries=2, backoff=SOON)
    async def save(n: int) -> int:
        ran.append(n)
        if current_job().attempt == 1 and n == 1:
            # while this one waits for its next attempt, or before
            await save.enqueue(2)
            raise ValueError("not yet")
        return n

    async with Worker(queue).open():
        assert await (await save.enqueue(1)).result(timeout=30) == 1
        await until(lambda: sorted(ran) == [1, 1, 2])


async def test_many_programs_at_once_make_one_job(client: Client, queue: Queue) -> None:
    ran: list[int] = []

    @queue.job(throttle=Throttle(60))
    async def first(n: int) -> None:
        ran.append(n)

    @queue.job(debounce=Debounce(0.2))
    async def last(n: int) -> None:
        ran.append(n)

    created: list[bool] = []

    async def call(n: int) -> None:
        for job in await queue.enqueue_many([first.call(n), last.call(n)]):
            created.append(job.created)

    async with anyio.create_task_group() as tasks:
        for n in range(20):
            tasks.start_soon(call, n)
    assert sum(created) == 2
    async with Worker(queue).open():
        await until(lambda: len(ran) == 2)


@pytest.mark.parametrize("seed", range(3))
async def test_random_calls_are_as_a_model_says(autojump_clock: trio.testing.MockClock, seed: int) -> None:
    source = random.Random(seed)
    quiet, most = 10.0, source.choice([None, 25.0])
    queue, ran = Queue("q"), dict[str, list[int]]()

    @queue.job(debounce=Debounce(quiet, by="key", max_wait=most))
    async def save(key: str, n: int) -> None:
        ran.setdefault(f"save {key}", []).append(n)

    @queue.job(throttle=Throttle(quiet, by="key"))
    async def first(key: str, n: int) -> None:
        ran.setdefault(f"first {key}", []).append(n)

    @queue.job(throttle=Throttle(quiet, by="key", keep="last"))
    async def last(key: str, n: int) -> None:
        ran.setdefault(f"last {key}", []).append(n)

    expected: dict[str, list[int]] = {}
    waiting: dict[str, tuple[float, float, int]] = {}
    """By job and key: when the job runs, the first call, and the last one's number."""

    def pass_until(now: float) -> None:
        for one, (due, _, n) in list(waiting.items()):
            if due <= now:
                expected.setdefault(one, []).append(n)
                del waiting[one]

    async with on_test_clock(queue), Worker(queue).open():
        dropped_until: dict[str, float] = {}
        for n in range(40):
            # never at a time at which something is due, whatever a few round trips take by this clock
            await anyio.sleep(source.choice([0, 3.0, 3.0, 16.0]))
            key, now = source.choice("ab"), anyio.current_time()
            pass_until(now)
            job = source.choice([save, first, last])
            made, name = await job.enqueue(key, n), f"{job.name} {key}"
            if job is first:
                assert made.created == (now >= dropped_until.get(name, 0.0))
                if made.created:
                    dropped_until[name] = now + quiet
                    expected.setdefault(name, []).append(n)
                continue
            assert made.created == (name not in waiting)
            begun = waiting[name][1] if name in waiting else now
            limit = most if job is save else quiet
            due = now + quiet if limit is None else min(now + quiet, begun + limit)
            waiting[name] = due, begun, n
        await anyio.sleep(30)
        pass_until(anyio.current_time())
    assert ran == expected
