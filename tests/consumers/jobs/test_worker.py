"""Jobs against each server: results, failures, retries, time-outs, priorities, threads, drain."""

import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import coredis
import pytest

from consumers.jobs import CurrentJob, JobFailed, JobTimeout, Middleware, Queue, Reject, Retry, Worker, current_job
from tests.consumers.jobs.working import SOON, dead, keys, until

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


async def test_a_job_returns_its_result(client: Client, queue: Queue) -> None:
    @queue.job()
    async def add(a: int, b: int = 2) -> int:
        return a + b

    async with Worker(queue).open():
        assert await (await add.enqueue(1)).result(timeout=30) == 3
        assert await (await add.enqueue(1, b=5)).result(timeout=30) == 6
    assert await add(2, 2) == 4
    assert await keys(client, queue) == set()
    assert await client.xlen(queue.keys.streams["normal"]) == 0


@pytest.mark.spread
async def test_many_jobs_in_one_round_trip(client: Client, queue: Queue) -> None:
    done: list[int] = []

    @queue.job()
    async def note(n: int) -> int:
        done.append(n)
        return n

    jobs = await queue.enqueue_many(note.call(n) for n in range(2500))
    assert await client.xlen(queue.keys.streams["normal"]) == 2500
    async with Worker(queue, concurrency=50).open() as worker:
        results = [await job.result(timeout=30) for job in jobs]
        assert results == list(range(2500)) and sorted(done) == results
        await until(lambda: worker.in_hand == 0)
        assert worker.statistics.acknowledged == 2500 and worker.statistics.redelivered == 0
    assert await client.xlen(queue.keys.streams["normal"]) == 0


async def test_many_waiters_for_one_result_and_waiting_elsewhere(client: Client, queue: Queue) -> None:
    @queue.job()
    async def nap() -> str:
        await anyio.sleep(0.2)
        return "rested"

    got: list[str] = []

    async def wait(job: Any) -> None:
        got.append(await job.result(timeout=30))

    other = Queue("q")
    async with other.open(client), Worker(queue).open(), anyio.create_task_group() as tasks:
        job = await nap.enqueue()
        for handle in (job, job, queue.handle(job.id, nap), other.handle(job.id)):
            tasks.start_soon(wait, handle)
    assert got == ["rested"] * 4


async def test_a_result_that_does_not_come_in_time(queue: Queue) -> None:
    @queue.job()
    async def never() -> None: ...

    job = await never.enqueue()
    with pytest.raises(TimeoutError, match=f"the job {job.id} has not ended within 0.1 s"):
        await job.result(timeout=0.1)


async def test_results_are_kept_for_as_long_as_asked(client: Client, queue: Queue) -> None:
    @queue.job(keep_result=0)
    async def forget() -> None: ...

    @queue.job(keep_result=50)
    async def keep() -> None: ...

    async with Worker(queue).open() as worker:
        forgotten, kept = await forget.enqueue(), await keep.enqueue()
        await until(lambda: worker.statistics.acknowledged == 2)
    assert await client.exists([queue.keys.result(forgotten.id)]) == 0
    assert 40_000 < await client.pttl(queue.keys.result(kept.id)) <= 50_000


async def test_a_failing_job_is_retried_with_backoff_and_then_dead(client: Client, queue: Queue) -> None:
    attempts: list[tuple[CurrentJob, float]] = []

    @queue.job(retries=2, backoff=SOON)
    async def fail(what: str) -> None:
        attempts.append((current_job(), anyio.current_time()))
        raise ValueError(f"no {what}")

    async with Worker(queue).open():
        job = await fail.enqueue("good")
        with pytest.raises(JobFailed, match="ValueError: no good") as caught:
            await job.result(timeout=30)
    assert caught.value.attempts == 3 and 'raise ValueError(f"no {what}")' in caught.value.traceback
    assert [(about.id, about.attempt) for about, _ in attempts] == [(job.id, 1), (job.id, 2), (job.id, 3)]
    assert all(later - earlier >= 0.05 for (_, earlier), (_, later) in pairwise(attempts))
    (gone,) = await dead(queue)
    assert (gone.id, gone.name, gone.arguments) == (job.id, "fail", {"what": "good"})
    assert gone.reason == "failed 3 times: ValueError: no good" and abs(gone.time - time.time()) < 60
    assert await keys(client, queue) == {"dead"}


async def test_reject_is_final_and_retry_chooses_the_delay(queue: Queue) -> None:
    attempts: list[str] = []

    @queue.job()
    async def hopeless() -> None:
        attempts.append("hopeless")
        raise Reject("it is spoilt")

    @queue.job()
    async def later() -> str:
        attempts.append("later")
        if current_job().attempt < 3:
            raise Retry(delay=0.0 if current_job().attempt == 1 else 0.1)
        return "now"

    async with Worker(queue).open():
        with pytest.raises(JobFailed, match="Reject: it is spoilt"):
            await (await hopeless.enqueue()).result(timeout=30)
        assert await (await later.enqueue()).result(timeout=30) == "now"
    assert attempts == ["hopeless", "later", "later", "later"]


async def test_dead_jobs_are_redriven(queue: Queue) -> None:
    broken = True

    @queue.job(retries=1, backoff=SOON)
    async def mend(n: int) -> int:
        if broken:
            raise ValueError("broken")
        return current_job().attempt

    async with Worker(queue).open() as worker:
        jobs = [await mend.enqueue(n) for n in range(3)]
        for job in jobs:
            with pytest.raises(JobFailed):
                await job.result(timeout=30)
        broken = False
        assert await queue.redrive(where=lambda job: job.arguments["n"] == 1) == 1
        assert [job.arguments["n"] for job in await dead(queue)] == [0, 2]
        assert await queue.redrive(count=1) == 1 and await queue.redrive() == 1
        await until(lambda: worker.statistics.acknowledged == 9)
        assert [await job.result(timeout=30) for job in jobs] == [1, 1, 1]
    assert await dead(queue) == []


@pytest.mark.spread
async def test_redriving_does_not_chase_jobs_that_die_again(queue: Queue) -> None:
    @queue.job(retries=0)
    async def hopeless(n: int) -> None:
        raise Reject("again")

    async with Worker(queue).open() as worker:
        await queue.enqueue_many(hopeless.call(n) for n in range(150))
        await until(lambda: worker.statistics.acknowledged == 150)
        assert await queue.redrive() == 150
        await until(lambda: worker.statistics.acknowledged == 300)
    assert sorted(job.arguments["n"] for job in await dead(queue)) == list(range(150))


async def test_a_job_that_takes_too_long_has_failed(queue: Queue) -> None:
    stopped: list[str] = []

    @queue.job(timeout=0.1, retries=1, backoff=SOON)
    async def slow() -> None:
        try:
            await anyio.sleep(10)
        except anyio.get_cancelled_exc_class():
            stopped.append("slow")
            raise

    @queue.job(timeout=0.1, retries=0)
    def slow_thread() -> None:
        time.sleep(0.3)

    async with Worker(queue).open():
        with pytest.raises(JobFailed, match=r"JobTimeout: it took longer than 0\.1 s"):
            await (await slow.enqueue()).result(timeout=30)
        with pytest.raises(JobFailed, match=JobTimeout.__name__):
            await (await slow_thread.enqueue()).result(timeout=30)
    assert stopped == ["slow", "slow"]


async def test_urgent_jobs_come_first(queue: Queue) -> None:
    order: list[str] = []

    @queue.job()
    async def note(what: str) -> None:
        order.append(what)

    @queue.job(priority="low")
    async def sweep() -> None:
        order.append("sweep")

    await sweep.enqueue()
    for n in range(3):
        await note.enqueue(f"normal {n}")
    await note.enqueue("high", priority="high")
    async with Worker(queue, concurrency=1, prefetch=2).open():
        await until(lambda: len(order) == 5)
    assert order == ["high", "normal 0", "normal 1", "normal 2", "sweep"]
    with pytest.raises(ValueError, match="'urgent' is not one of the priorities high, normal, low"):
        await note.enqueue("x", priority="urgent")


async def test_no_more_jobs_at_a_time_than_said(queue: Queue) -> None:
    running = most = 0

    @queue.job()
    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.01)
        running -= 1

    await queue.enqueue_many(work.call() for _ in range(30))
    async with Worker(queue, concurrency=5).open() as worker:
        await until(lambda: worker.statistics.acknowledged == 30)
    assert most == 5


@dataclass
class Line:
    article: str
    count: int


@dataclass
class Order:
    id: int
    at: datetime
    lines: list[Line]
    path: Path | None = None


async def test_dataclasses_and_datetimes_arrive_as_such(queue: Queue) -> None:
    seen: list[Any] = []

    @queue.job()
    async def ship(order: Order, naive: datetime, within: timedelta, tags: set[str], plain: Any) -> Order:
        seen.extend((order, naive, within, tags, plain))
        return order

    at = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=timezone(timedelta(hours=2)))
    order = Order(7, at, [Line("pen", 2)], Path("/in/box"))
    arguments = (order, datetime(2026, 1, 1), timedelta(minutes=5), {"a", "b"})
    async with Worker(queue).open():
        assert await (await ship.enqueue(*arguments, plain=Line("x", 1))).result(timeout=30) == order
        assert seen == [*arguments, {"article": "x", "count": 1}]
        assert seen[0].at.tzinfo is UTC
        with pytest.raises(TypeError, match="is not data that a job can carry"):
            await ship.enqueue(*arguments, plain=object())
        with pytest.raises(TypeError, match="missing a required argument: 'tags'"):
            await ship.enqueue(*arguments[:3])  # type: ignore[call-arg]


async def test_arguments_of_another_type_fail_the_job_at_once(client: Client, queue: Queue) -> None:
    @queue.job()
    async def work(n: int) -> None: ...

    async with Worker(queue).open():
        job = await work.enqueue("seven")  # type: ignore[arg-type]
        with pytest.raises(
            JobFailed, match=r"^Reject: its arguments are not valid: Expected `int`, got `str` - at `\$\.n`$"
        ):
            await job.result(timeout=30)
        await client.xadd(queue.keys.streams["normal"], {"what": "no job"})
        with anyio.fail_after(10):
            while (await client.xlen(queue.keys.dead), await client.xlen(queue.keys.streams["normal"])) != (2, 0):
                await anyio.sleep(0.01)
        await client.xadd(queue.keys.streams["normal"], {"id": "a", "job": "gone", "args": b"\x80", "failed": "3"})
        with pytest.raises(JobFailed, match="LookupError: no job 'gone' is declared"):
            await queue.handle("a").result(timeout=30)


async def test_a_result_that_is_no_data_is_a_failure_and_not_repeated(queue: Queue) -> None:
    runs = 0

    @queue.job()
    async def strange() -> object:
        nonlocal runs
        runs += 1
        return object()

    async with Worker(queue).open():
        with pytest.raises(JobFailed, match="Reject: its result can't be stored: object is not data"):
            await (await strange.enqueue()).result(timeout=30)
    assert runs == 1


async def test_synchronous_functions_run_in_threads(queue: Queue) -> None:
    all_run = threading.Barrier(8)

    @queue.job()
    def where(n: int) -> tuple[bool, int, int]:
        all_run.wait(60)
        return threading.current_thread() is threading.main_thread(), n, current_job().attempt

    async with Worker(queue, concurrency=8).open():
        jobs = await queue.enqueue_many(where.call(n) for n in range(8))
        assert [await job.result(timeout=30) for job in jobs] == [(False, n, 1) for n in range(8)]


async def test_hooks_hear_of_every_run(queue: Queue) -> None:
    heard: list[str] = []

    class Hooks(Middleware):
        def start(self, message: Any) -> None:
            heard.append("start")

        def success(self, message: Any, seconds: float) -> None:
            heard.append("success")

        def failure(self, message: Any, error: BaseException, seconds: float) -> None:
            heard.append(f"failure {error}")

        def retry(self, message: Any, delay: float) -> None:
            heard.append(f"retry {delay}")

        def dead(self, message: Any, reason: str) -> None:
            heard.append(f"dead {message.entry.job} {reason}")

    @queue.job(retries=1, backoff=SOON)
    async def work(fail: bool) -> None:
        if fail:
            raise ValueError("x")

    async with Worker(queue, middleware=[Hooks()]).open():
        await (await work.enqueue(False)).result(timeout=30)
        with pytest.raises(JobFailed):
            await (await work.enqueue(True)).result(timeout=30)
    assert heard == [
        "start", "success", "start", "failure x", "retry 0.05", "start", "failure x",
        "dead work failed 2 times: ValueError: x",
    ]  # fmt: skip


async def test_drain_finishes_what_runs_and_gives_back_the_rest(client: Client, queue: Queue) -> None:
    done: list[int] = []
    attempts: list[int] = []

    @queue.job(retries=0)
    async def work(n: int, seconds: float) -> None:
        attempts.append(current_job().attempt)
        await anyio.sleep(seconds)
        done.append(n)

    async with Worker(queue, concurrency=2).open(grace=0.3) as worker:
        await queue.enqueue_many([work.call(1, 0.1), work.call(2, 30.0), work.call(3, 0.0), work.call(4, 0.0)])
        await until(lambda: len(worker.running) == 2)
    assert done == [1]
    names = [consumer[b"name"] for consumer in await client.xinfo_consumers(queue.keys.streams["normal"], "workers")]
    assert worker.name.encode() not in names
    async with Worker(queue, concurrency=4).open(grace=0) as worker:
        await until(lambda: sorted(done) == [1, 3, 4] and len(worker.running) == 1)
    assert attempts == [1] * 5
    assert await dead(queue) == []


async def test_a_cancelled_worker_gives_back_what_it_has(queue: Queue) -> None:
    begun: list[int] = []

    @queue.job()
    async def work() -> None:
        begun.append(current_job().attempt)
        if len(begun) == 1:
            await anyio.sleep_forever()

    job = await work.enqueue()
    async with anyio.create_task_group() as tasks:
        await tasks.start(Worker(queue).run)
        await until(lambda: begun)
        tasks.cancel_scope.cancel()
    async with Worker(queue).open():
        await job.result(timeout=30)
    assert begun == [1, 1]


@pytest.mark.parametrize("alone", [True, False])
async def test_a_job_is_dead_when_its_workers_died_of_it_and_not_when_they_died(
    client: Client, queue: Queue, alone: bool
) -> None:
    ran: list[int] = []

    @queue.job(crashes=2)
    async def work() -> None:
        ran.append(1)

    job = await work.enqueue()
    stream = queue.keys.streams["normal"]
    await client.xgroup_create(stream, "workers", "0")
    for number in range(3):
        if number:
            pending: Any = await client.xpending(stream, "workers", start="-", end="+", count=1)
            owner = "crashed (alone)" if alone and number == 2 else "crashed"
            await client.xclaim(stream, "workers", owner, 0, [pending[0].identifier])
        else:
            await client.xreadgroup("workers", "crashed", {stream: ">"})
    async with Worker(queue, lease=0.2).open():
        if alone:
            with pytest.raises(JobFailed, match="Reject: its worker died 3 times, the last time while nothing else"):
                await job.result(timeout=30)
        else:
            await job.result(timeout=30)
    assert bool(ran) is not alone


async def test_a_worker_waits_for_its_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from tests.consumers.servers import executable, redis_server

    kind = next((kind for kind in ("redis-newest", "redis-older") if executable(kind)), None)
    if kind is None:
        pytest.skip("no redis-server")
    queue = Queue("q")

    @queue.job()
    async def work() -> str:
        return "done"

    with redis_server(kind) as server:
        server.kill()
        async with queue.open(server.url), anyio.create_task_group() as tasks:
            tasks.start_soon(Worker(queue).run)
            with anyio.fail_after(20):
                while not any("the queue q is out of reach" in message for message in caplog.messages):
                    await anyio.sleep(0.01)
            server.start()
            with anyio.fail_after(20):
                while True:
                    try:
                        job = await work.enqueue()
                        break
                    except coredis.exceptions.ConnectionError:
                        await anyio.sleep(0.05)
            assert await job.result(timeout=20) == "done"
            tasks.cancel_scope.cancel()
