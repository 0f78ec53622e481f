"""BullMQ's Python package with real worker processes. All it does are Lua scripts that call cmsgpack and cjson."""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.clients.conftest import empty_broker
from tests.clients.processes import DEADLINE, logs_of, until, worker, workers

bullmq = pytest.importorskip("bullmq")

# BullMQ calls what redis-py has deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

COMMAND = [sys.executable, "-m", "tests.clients.bullmq_jobs"]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bullmq")


@pytest.fixture(scope="module")
def url(_broker: None) -> str:
    return f"redis://127.0.0.1:{empty_broker()}/0"


@pytest.fixture(scope="module")
def two(url: str, logs: Path) -> Iterator[None]:
    with workers({name: [*COMMAND, "work", "more"] for name in ("first", "second")}, logs, CLIENT_TEST_URL=url):
        yield


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url, decode_responses=True) as connected:
        connected.delete("runs")
        yield connected


def run(url: str, logs: Path, scenario: Callable[["bullmq.Queue"], Awaitable[None]]) -> None:
    """Run a scenario with the queue `work` in asyncio, within the deadline."""

    async def main() -> None:
        queue = bullmq.Queue("work", {"connection": url})
        try:
            await asyncio.wait_for(scenario(queue), DEADLINE)
        except TimeoutError:
            raise AssertionError(f"jobs did not end in time\n{logs_of(logs)}") from None
        finally:
            await queue.close()

    asyncio.run(main())


async def ended(jobs: list["bullmq.Job"]) -> list[object]:
    """What the jobs returned, or why they failed, once all of them have ended."""
    results = []
    for job in jobs:
        while (state := await job.getState()) not in ("completed", "failed"):
            await asyncio.sleep(0.02)
        at_end = await bullmq.Job.fromId(job.queue, job.id)
        results.append(at_end.returnvalue if state == "completed" else at_end.failedReason)
    return results


def test_jobs_are_each_done_once(url: str, two: None, client: redis.Redis, logs: Path) -> None:
    async def scenario(queue: "bullmq.Queue") -> None:
        jobs = [await queue.add("double", {"of": n}) for n in range(50)]
        jobs += await queue.addBulk([{"name": "double", "data": {"of": n}} for n in range(50, 100)])
        assert await ended(jobs) == [{"doubled": 2 * n} for n in range(100)]
        counts = await queue.getJobCounts()
        assert {state: count for state, count in counts.items() if count} == {"completed": 100}
        assert await queue.clean(0, 1000, "completed")
        assert await queue.getCompletedCount() == 0

    run(url, logs, scenario)
    assert client.hgetall("runs") == {f"double {n}": "1" for n in range(100)}


def test_retries_delays_and_failures(url: str, two: None, client: redis.Redis, logs: Path) -> None:
    async def scenario(queue: "bullmq.Queue") -> None:
        retried = await queue.add("third time", {"of": 1}, {"attempts": 5, "backoff": {"type": "fixed", "delay": 50}})
        failing = await queue.add("third time", {"of": 2}, {"attempts": 1})
        delayed = await queue.add("double", {"of": 3}, {"delay": 1000})
        assert await delayed.isDelayed()
        promoted = await queue.add("double", {"of": 4}, {"delay": 600_000})
        await promoted.promote()
        assert await ended([retried, failing, promoted]) == [3, "run 1", {"doubled": 8}]
        assert await ended([delayed]) == [{"doubled": 6}]
        at_end = await bullmq.Job.fromId(queue, delayed.id)
        assert at_end.processedOn >= delayed.timestamp + 1000
        assert await delayed.isCompleted()
        assert [job.id for job in await queue.getFailed()] == [failing.id]
        # twice more: the third run succeeds
        for result in ("run 2", 3):
            await failing.retry()
            assert await ended([failing]) == [result]

    run(url, logs, scenario)


def test_events_progress_and_logs(url: str, two: None, client: redis.Redis, logs: Path) -> None:
    async def scenario(queue: "bullmq.Queue") -> None:
        # closing cancels a read, which redis-py's asyncio client may miss; then this ends it
        short = {"blockingTimeout": 100}
        events = bullmq.QueueEvents("work", {"connection": url, "lastEventId": "0", **short})
        seen: list[tuple[str, object]] = []
        done = asyncio.Event()
        for name in ("added", "waiting", "active", "progress", "completed"):
            events.on(name, lambda args, _, name=name: seen.append((name, args.get("data", args.get("returnvalue")))))
        events.on("drained", lambda _: done.set())
        await queue.trimEvents(0)
        job = await queue.add("report", {})
        await done.wait()
        await events.close()
        assert [name for name, _ in seen] == ["added", "waiting", "active", "progress", "completed"]
        assert seen[3:] == [("progress", 50), ("completed", "all of it")]
        assert (await queue.getJobLogs(job.id))["logs"] == ["half of it"]

    run(url, logs, scenario)


def test_priorities_pause_and_deduplication(url: str, two: None, client: redis.Redis, logs: Path) -> None:
    async def scenario(queue: "bullmq.Queue") -> None:
        await queue.pause()
        jobs = [await queue.add("double", {"of": n}, {"priority": 10 - n}) for n in range(5)]
        same = {"deduplication": {"id": "only one"}}
        first = await queue.add("double", {"of": 7}, same)
        assert (await queue.add("double", {"of": 7}, same)).id == first.id
        assert await queue.getCountsPerPriority([0, 6, 7, 8, 9, 10]) == {"0": 1} | {str(n): 1 for n in range(6, 11)}
        assert [job.data["of"] for job in await queue.getPrioritized()] == [4, 3, 2, 1, 0]
        await queue.resume()
        assert await ended([*jobs, first]) == [{"doubled": 2 * n} for n in (*range(5), 7)]

    run(url, logs, scenario)
    assert client.hget("runs", "double 7") == "1"


def test_a_flow_of_jobs_over_two_queues(url: str, two: None, client: redis.Redis, logs: Path) -> None:
    async def scenario(queue: "bullmq.Queue") -> None:
        producer = bullmq.FlowProducer(opts={"connection": url})
        children = [{"name": "double", "queueName": "more", "data": {"of": n}} for n in range(5)]
        flow = await producer.add({"name": "sum", "queueName": "work", "data": {}, "children": children})
        assert await ended([flow["job"]]) == [20]
        await producer.close()

    run(url, logs, scenario)


def test_a_scheduler_makes_jobs_until_it_is_removed(url: str, two: None, client: redis.Redis, logs: Path) -> None:
    async def scenario(queue: "bullmq.Queue") -> None:
        await queue.upsertJobScheduler("often", {"every": 100}, "double", {"of": 9})
        assert await queue.getJobSchedulersCount() == 1
        while int(client.hget("runs", "double 9") or 0) < 3:
            await asyncio.sleep(0.02)
        await queue.removeJobScheduler("often")
        assert await queue.getJobSchedulersCount() == 0
        while counts := Counter(await queue.getJobCounts("waiting", "active", "delayed")).total():
            assert counts <= 2
            await asyncio.sleep(0.02)

    run(url, logs, scenario)


def test_a_killed_workers_job_is_done_by_another(url: str, client: redis.Redis, tmp_path: Path) -> None:
    async def scenario(queue: "bullmq.Queue") -> None:
        await queue.pause()  # for the workers of the other tests
        own = bullmq.Queue("hanging", {"connection": url})
        job = await own.add("hang once", {})
        with worker("killed", [*COMMAND, "hanging"], tmp_path, CLIENT_TEST_URL=url) as process:
            await asyncio.to_thread(until, lambda: client.hget("runs", "hang once ") == "1", "the job runs")
            process.kill()
            process.wait()
        with worker("other", [*COMMAND, "hanging"], tmp_path, CLIENT_TEST_URL=url):
            assert await ended([job]) == [2]
        await own.obliterate(force=True)
        await own.close()
        assert not client.keys("bull:hanging:*")

    run(url, tmp_path, scenario)
