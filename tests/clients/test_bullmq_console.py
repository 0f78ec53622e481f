"""The console's reader of BullMQ, on jobs that BullMQ itself has put into each state."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from consumers.console.queues.library import Refused, State
from tests.clients.console_reading import Reading
from tests.clients.processes import DEADLINE

bullmq = pytest.importorskip("bullmq")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def console(url: str) -> Reading:
    return Reading(url, "bullmq", "work")


def counts(console: Reading) -> tuple[int | None, ...]:
    found = console.figures()
    return found.waiting, found.running, found.delayed, found.dead, found.done


def run(url: str, scenario: Callable[["bullmq.Queue"], Awaitable[Any]], prefix: str = "bull") -> Any:
    """Do something with the queue `work` in asyncio."""

    async def main() -> Any:
        queue = bullmq.Queue("work", {"connection": url, "prefix": prefix})
        try:
            return await asyncio.wait_for(scenario(queue), DEADLINE)
        finally:
            await queue.close()

    return asyncio.run(main())


async def work(
    queue: "bullmq.Queue", url: str, process: Callable[[Any, str], Awaitable[Any]], count: int, more: Any = None
) -> None:
    """Run a worker until it has ended so many jobs."""
    ended = 0
    done = asyncio.Event()

    def one(*_: Any) -> None:
        nonlocal ended
        ended += 1
        if ended >= count:
            done.set()

    worker = bullmq.Worker("work", process, {"connection": url, "drainDelay": 1, **(more or {})})
    worker.on("completed", one)
    worker.on("failed", one)
    await done.wait()
    await worker.close(force=True)


def test_each_state(url: str, console: Reading) -> None:
    seen: list[Any] = []

    async def process(job: Any, token: str) -> Any:
        if job.name == "fail":
            raise ValueError("as asked")
        if job.name == "look":
            seen.append(await asyncio.to_thread(lambda: (counts(console), console.jobs(State.RUNNING))))
        return {"of": job.data}

    async def scenario(queue: "bullmq.Queue") -> None:
        await queue.add("fail", {"n": 1}, {"attempts": 1})
        look = await queue.add("look", {"n": 2}, {})
        await queue.add("later", {"n": 3}, {"delay": 3_600_000})
        await work(queue, url, process, 2)
        await queue.add("wait", {"n": 4}, {})
        await queue.add("wait", {"n": 5}, {})
        await queue.add("urgent", {"n": 6}, {"priority": 2})
        ((figures, running),) = seen
        assert figures == (0, 1, 1, 1, 0) and [row.id for row in running] == [look.id]

    run(url, scenario)
    assert counts(console) == (3, 0, 1, 1, 1)
    assert console.figures().oldest is not None and console.figures().paused is False
    assert [row.summary for row in console.jobs(State.WAITING)] == [
        'wait { "n": 4 }', 'wait { "n": 5 }', 'urgent { "n": 6 }',
    ]  # fmt: skip
    (row,) = console.jobs(State.DELAYED)
    assert row.due is not None and row.enqueued is not None and row.due - row.enqueued == pytest.approx(3600, abs=0.01)
    (row,) = console.jobs(State.DEAD)
    details = console.job(row)
    assert details.error is not None and details.error.startswith("as asked") and "Traceback" in details.error
    assert details.arguments is not None and details.arguments.text.split() == ["{", '"n":', "1", "}"]
    (row,) = console.jobs(State.DONE)
    details = console.job(row)
    assert details.result is not None and "".join(details.result.text.split()) == '{"of":{"n":2}}'


def fail_some(url: str, count: int, **options: Any) -> None:
    async def process(job: Any, token: str) -> Any:
        raise ValueError("as asked")

    async def scenario(queue: "bullmq.Queue") -> None:
        for n in range(count):
            await queue.add("job", {"n": n}, {"attempts": 1, **options})
        await work(queue, url, process, count)

    run(url, scenario)


@pytest.mark.parametrize("priority", [0, 3])
def test_failed_jobs_run_again(url: str, console: Reading, priority: int) -> None:
    fail_some(url, 3, priority=priority)
    assert counts(console) == (0, 0, 0, 3, 0)
    row = console.jobs(State.DEAD)[0]
    console.act("redrive", State.DEAD, row)
    with pytest.raises(Refused, match="no failed job"):
        console.act("redrive", State.DEAD, row)
    assert counts(console) == (1, 0, 0, 2, 0)
    assert console.act("redrive", State.DEAD) == "2 jobs were returned to the queue."

    async def process(job: Any, token: str) -> Any:
        return job.data["n"]

    async def scenario(queue: "bullmq.Queue") -> list[Any]:
        # the first retried job waits for a worker that was asleep: the marker wakes it
        await work(queue, url, process, 3)
        return [job.returnvalue for job in await queue.getCompleted()]

    assert sorted(run(url, scenario)) == [0, 1, 2]


def test_pausing(url: str, console: Reading) -> None:
    fail_some(url, 1)
    run(url, lambda queue: queue.add("job", {"n": 1}, {}))
    console.act("pause")
    assert run(url, lambda queue: queue.isPaused()) is True
    run(url, lambda queue: queue.add("job", {"n": 2}, {}))
    assert console.figures().paused and counts(console) == (2, 0, 0, 1, 0)
    with pytest.raises(Refused, match="paused"):
        console.act("redrive", State.DEAD)
    console.act("resume")
    assert run(url, lambda queue: queue.isPaused()) is False

    async def process(job: Any, token: str) -> Any:
        return job.data["n"]

    run(url, lambda queue: work(queue, url, process, 2))
    assert counts(console) == (0, 0, 0, 1, 2)
    console.act("pause")
    run(url, lambda queue: queue.resume())
    assert not console.figures().paused


def test_what_was_paused_by_an_older_release(url: str, console: Reading) -> None:
    """Its waiting jobs are in a list of their own, and go first once the queue is resumed."""

    async def scenario(queue: "bullmq.Queue") -> list[Any]:
        return [(await queue.add("job", {"n": n}, {})).id for n in range(5)]

    ids = run(url, scenario)
    with redis.Redis.from_url(url, decode_responses=True) as client:
        client.hset("bull:work:meta", "paused", 1)
        client.rename("bull:work:wait", "bull:work:paused")
        client.lpush("bull:work:wait", client.lpop("bull:work:paused"))
        assert counts(console) == (5, 0, 0, 0, 0)
        console.act("resume")
        assert client.lrange("bull:work:wait", 0, -1) == ids[::-1]
        assert not client.exists("bull:work:paused")


def test_deleting_and_purging(url: str, console: Reading) -> None:
    fail_some(url, 2)

    async def scenario(queue: "bullmq.Queue") -> None:
        for n in range(4):
            await queue.add("job", {"n": n}, {"deduplication": {"id": f"once {n}"}} if n == 1 else {})
        await queue.add("later", {"n": 3}, {"delay": 3_600_000})
        producer = bullmq.FlowProducer(opts={"connection": url})
        children = [{"name": "child", "queueName": "work", "data": {}}]
        await producer.add({"name": "parent", "queueName": "work", "data": {}, "children": children})
        await producer.close()

    run(url, scenario)
    assert counts(console) == (5, 0, 2, 2, 0)
    rows = console.jobs(State.WAITING)
    console.act("delete", State.WAITING, rows[1])
    with pytest.raises(Refused, match="no job"):
        console.act("delete", State.WAITING, rows[1])
    with pytest.raises(Refused, match="flow"):
        console.act("delete", State.WAITING, rows[4])
    assert console.act("purge", State.WAITING) == "3 jobs were deleted."
    assert console.act("purge", State.DEAD) == "2 jobs were deleted."
    assert console.act("purge", State.DELAYED) == "1 job was deleted."
    assert counts(console) == (1, 0, 1, 0, 0)
    with redis.Redis.from_url(url, decode_responses=True) as client:
        left = set(client.scan_iter("bull:work:*"))
    assert not {key for key in left if key.startswith("bull:work:de:")}
    assert len({key for key in left if "-" in key.split(":")[2] and key.split(":")[2] != "waiting-children"}) <= 3


def test_another_prefix(url: str) -> None:
    run(url, lambda queue: queue.add("job", {"n": 1}, {}), prefix="shop")
    assert counts(Reading(url, "bullmq", "shop:work")) == (1, 0, 0, 0, 0)


def test_jobs_are_counted_as_far_as_is_told(url: str, console: Reading) -> None:
    async def process(job: Any, token: str) -> None:
        if job.name == "fail":
            raise ValueError("as asked")

    async def scenario(queue: "bullmq.Queue") -> None:
        await queue.add("work", {}, {"removeOnComplete": True})
        await queue.add("fail", {}, {"attempts": 1})
        found = await asyncio.to_thread(console.figures)
        assert (found.added, found.finished) == (2, None)
        await work(queue, url, process, 2, {"metrics": {"maxDataPoints": 10}})
        await queue.add("work", {}, {"delay": 3_600_000})
        found = await asyncio.to_thread(console.figures)
        assert (found.added, found.finished) == (3, 2)

    run(url, scenario)
