"""Rate limits are exact, keep the order and waste nothing: on all servers, and with random arrivals as a model says."""

import math
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise

import anyio
import coredis
import pytest
import trio.testing

from consumers.jobs import JobCancelled, JobExpired, Queue, Rate, Worker, current_job
from consumers.jobs.names import Keys
from consumers.jobs.rates import Opener, Place, server_time
from tests.consumers.jobs.working import SOON, keys, on_test_clock, until

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


async def claimed(queue: Queue, place: Place) -> float:
    """When the running job has taken its place, by the server's clock."""
    client = queue.connection.client
    claims = await client.zrange(queue.keys.running(place.limit), 0, -1, withscores=True)
    # its last attempt, of those whose claims have not ended
    end = max(one.score for one in claims if one.member.decode().startswith(f"{current_job().id} "))
    return float(end) - place.period


def check_windows(starts: list[float], count: int, period: float) -> None:
    ordered = sorted(starts)
    for first, later in zip(ordered, ordered[count:], strict=False):
        # as exact as a score of a sorted set
        assert later - first >= period - 0.000_002


def test_a_rate_is_checked_where_it_is_made() -> None:
    assert Rate(5, per=timedelta(minutes=1)).period == 60
    assert Rate(5, per=1, by=["a", "b"]).by == ("a", "b")  # type: ignore[arg-type]
    for count, per in ((0, 1), (100_001, 1), (1, 0), (1, -1), (1, math.nan), (1, 400 * 86400)):
        with pytest.raises(ValueError):
            Rate(count, per)
    with pytest.raises(TypeError):
        Rate(1.5, 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="work has no parameter user"):

        @Queue("q").job(rate=Rate(1, per=1, by="user"))
        async def work(n: int) -> None: ...

    with pytest.raises(TypeError, match="rate is Rate or None"):
        Queue("q").job(rate=5)(print)  # type: ignore[arg-type]


def test_the_servers_time() -> None:
    assert server_time([b"12", b"500000"]) == 12.5


async def test_a_rate_holds_over_all_workers_by_key(client: Client, queue: Queue) -> None:
    starts: dict[str, list[float]] = {"a": [], "b": []}
    attempts: list[int] = []

    @queue.job(rate=Rate(4, per=0.5, by="user"))
    async def work(user: str, n: int) -> int:
        (place,) = work.places_of({"user": user})
        starts[user].append(await claimed(queue, place))
        attempts.append(current_job().attempt)
        return n

    @queue.job()
    async def free() -> str:
        return "free"

    async with Worker(queue).open(), Worker(queue, concurrency=2).open():
        jobs = await queue.enqueue_many(work.call(user, n) for n in range(10) for user in "ab")
        with anyio.fail_after(60):
            while not (await queue.counts()).parked:
                await anyio.sleep(0.01)
        assert await (await free.enqueue()).result(timeout=30) == "free"
        assert [await job.result(timeout=30) for job in jobs] == [n for n in range(10) for _ in "ab"]
    for times in starts.values():
        assert len(times) == 10
        check_windows(times, 4, 0.5)
    # waiting is not an attempt
    assert set(attempts) == {1}


async def test_every_run_counts_and_so_do_retries(client: Client, queue: Queue) -> None:
    starts: list[float] = []

    @queue.job(rate=Rate(2, per=0.2), retries=3, backoff=SOON)
    async def work() -> None:
        (place,) = work.places_of({})
        starts.append(await claimed(queue, place))
        if len(starts) < 4:
            raise ValueError("not yet")

    async with Worker(queue).open():
        await (await work.enqueue()).result(timeout=30)
    assert len(starts) == 4
    check_windows(starts, 2, 0.2)


async def test_nothing_is_left_but_the_claims_of_the_period(client: Client, queue: Queue) -> None:
    @queue.job(rate=Rate(3, per=0.1), limit=1)
    async def work() -> None: ...

    async with Worker(queue).open() as worker:
        for job in await queue.enqueue_many(work.call() for _ in range(8)):
            await job.result(timeout=30)
        await until(lambda: worker.in_hand == 0)
        while {"rates", "openings", "limits"} & await keys(client, queue):
            await anyio.sleep(0.05)
    left = await keys(client, queue)
    assert {key.partition(":")[0] for key in left} <= {"running"}
    for key in left:
        assert 0 < await client.pttl(queue.keys.prefix + key) <= 32_000


async def test_cancelled_and_expired_jobs_use_no_place(autojump_clock: trio.testing.MockClock) -> None:
    queue, begun = Queue("q"), list[float]()

    @queue.job(rate=Rate(1, per=100))
    async def work(n: int) -> None:
        begun.append(anyio.current_time())

    async with on_test_clock(queue), Worker(queue).open():
        first = await work.enqueue(0)
        await first.result(timeout=30)
        cancelled = await queue.enqueue_many(work.call(n) for n in range(50))
        expired = await work.enqueue(51, expires=20)
        last = await work.enqueue(52)
        await anyio.sleep(5)
        for job in cancelled:
            await job.cancel()
        await last.result(timeout=200)
        for job in cancelled:
            with pytest.raises(JobCancelled):
                await job.result(timeout=30)
        with pytest.raises(JobExpired):
            await expired.result(timeout=30)
    assert 99.9 < begun[1] - begun[0] < 102


async def test_another_worker_takes_over_when_one_dies(autojump_clock: trio.testing.MockClock) -> None:
    queue, begun = Queue("q"), list[float]()

    @queue.job(rate=Rate(1, per=30))
    async def work() -> None:
        begun.append(anyio.current_time())

    async with on_test_clock(queue):
        async with anyio.create_task_group() as tasks:
            await tasks.start(Worker(queue).run)
            jobs = await queue.enqueue_many(work.call() for _ in range(3))
            await anyio.sleep(10)
            tasks.cancel_scope.cancel()
        async with Worker(queue).open(), Worker(queue).open():
            for job in jobs:
                await job.result(timeout=200)
    assert [29.9 < later - earlier < 33 for earlier, later in pairwise(begun)] == [True] * 2


async def test_one_worker_waits_for_places_not_all(autojump_clock: trio.testing.MockClock) -> None:
    queue = Queue("q")

    @queue.job(rate=Rate(1, per=1))
    async def work() -> None: ...

    async with on_test_clock(queue) as client:

        async def watches(workers: int) -> int:
            async with anyio.create_task_group() as tasks:
                for _ in range(workers):
                    await tasks.start(Worker(queue).run)
                jobs = await queue.enqueue_many(work.call() for _ in range(30))
                await anyio.sleep(5)
                before = await client.info("commandstats")
                await anyio.sleep(15)
                after = await client.info("commandstats")
                for job in jobs:
                    await job.delete()
                tasks.cancel_scope.cancel()
            return int(after["cmdstat_watch"]["calls"]) - int(before["cmdstat_watch"]["calls"])

        one, five = await watches(1), await watches(5)
    # each worker has a few tasks that watch something, but none more for each place
    assert five - one < 5 * one / 2


@pytest.mark.parametrize("seed", range(3))
async def test_jobs_begin_when_a_model_says(autojump_clock: trio.testing.MockClock, seed: int) -> None:
    source = random.Random(seed)
    count, period = source.randint(2, 6), source.choice([8.0, 25.0])
    queue, starts = Queue("q"), dict[str, list[tuple[float, int]]]()

    @queue.job(rate=Rate(count, per=period, by="user"))
    async def work(user: str, n: int) -> None:
        (place,) = work.places_of({"user": user})
        starts.setdefault(user, []).append((await claimed(queue, place), n))

    arrivals: dict[str, list[float]] = {}
    one, two = Worker(queue, concurrency=1), Worker(queue, concurrency=1)
    async with on_test_clock(queue) as client, one.open(), two.open():
        jobs = []
        for _ in range(30):
            await anyio.sleep(source.choice([0, 0, period / count * source.random() * 2]))
            user = source.choice("aab")
            arrived = arrivals.setdefault(user, [])
            jobs.append(await work.enqueue(user, len(arrived)))
            arrived.append((await client.time()).timestamp())
        for job in jobs:
            await job.result(timeout=10_000)
    for user, arrived in arrivals.items():
        times = sorted(starts[user])
        check_windows([start for start, _ in times], count, period)
        for n, (start, _) in enumerate(times):
            # never is a place unused while a job waits, except for what a few round trips take by this clock
            ideal = max(arrived[n], times[n - count][0] + period) if n >= count else arrived[n]
            assert -1 < start - ideal < 4
        order = [n for _, n in times]
        # two workers may begin what they take at the same time in either order
        assert all(abs(n - place) <= 2 for place, n in enumerate(order))


def test_a_worker_waits_for_the_first_of_its_places() -> None:
    async def main() -> None:
        opener = Opener(Keys("q", ["normal"]), None, 30.0)  # type: ignore[arg-type]
        assert opener.next == math.inf
        _, deadline = opener.parking(Place("work:1/rate", 1, 5.0), 105.0)
        opener.watch("work:1/rate", 105.0, 100.0, deadline)
        opener.watch("work:2/rate", 103.0, 100.0, deadline)
        assert opener.next - trio.current_time() == pytest.approx(3)
        # those of others are left alone until they are overdue
        opener.overdue([(b"work:3/rate", 110.0)], 109.0)
        assert opener.next > trio.current_time()
        opener.overdue([(b"work:3/rate", 110.0)], 111.0)
        assert opener.next <= trio.current_time()

    trio.run(main, clock=trio.testing.MockClock())
