"""The console's reader of arq, on jobs that arq itself has put into each state."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from consumers.console.queues.library import Refused, State
from tests.clients.console_reading import Reading, copy_of
from tests.clients.processes import DEADLINE

arq = pytest.importorskip("arq")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def console(url: str) -> Reading:
    return Reading(url, "arq", "arq:queue")


def counts(console: Reading) -> tuple[int | None, ...]:
    found = console.figures()
    return found.waiting, found.running, found.delayed


def run(url: str, scenario: Callable[["arq.ArqRedis"], Awaitable[Any]]) -> Any:
    """Do something with a pool in asyncio."""

    async def main() -> Any:
        pool = await arq.create_pool(arq.connections.RedisSettings.from_dsn(url))
        try:
            return await asyncio.wait_for(scenario(pool), DEADLINE)
        finally:
            await pool.aclose()

    return asyncio.run(main())


def enqueue(url: str, *jobs: tuple[Any, ...], **options: Any) -> list["arq.jobs.Job"]:
    async def scenario(pool: "arq.ArqRedis") -> list["arq.jobs.Job"]:
        return [await pool.enqueue_job(*job, **options) for job in jobs]

    return list(run(url, scenario))


def burst(url: str) -> None:
    """Have a worker do all that is due."""
    settings = copy_of("arq_jobs", url).WorkerSettings

    async def scenario(pool: "arq.ArqRedis") -> None:
        worker = arq.Worker(
            settings.functions, redis_pool=pool, burst=True, poll_delay=0.01, handle_signals=False, keep_result=600
        )
        await worker.main()

    run(url, scenario)


def test_each_state(url: str, console: Reading) -> None:
    seen: list[Any] = []

    async def looks(context: dict[str, Any]) -> None:
        seen.append(await asyncio.to_thread(lambda: (counts(console), console.jobs(State.RUNNING))))

    jobs = enqueue(url, ("double", 1), ("double", 2), ("double", 3))
    enqueue(url, ("double", 9), _defer_by=3600)
    (looking,) = enqueue(url, ("looks",))
    assert counts(console) == (4, 0, 1)
    # those of one millisecond are in no order
    assert {row.id: row.summary for row in console.jobs(State.WAITING)} == {
        **{job.job_id: f"double({n})" for n, job in enumerate(jobs, 1)}, looking.job_id: "looks()",
    }  # fmt: skip
    assert console.figures().oldest is not None
    (row,) = console.jobs(State.DELAYED)
    assert row.due is not None and row.enqueued is not None and 3590 < row.due - row.enqueued < 3610

    async def scenario(pool: "arq.ArqRedis") -> None:
        from arq.worker import func

        for job in jobs:
            await pool.zrem("arq:queue", job.job_id)
        await arq.Worker(
            [func(looks, name="looks")], redis_pool=pool, burst=True, max_burst_jobs=1, handle_signals=False
        ).main()

    run(url, scenario)
    ((figures, running),) = seen
    assert figures == (0, 1, 1) and [row.id for row in running] == [looking.job_id]


def test_failed_jobs_run_again(url: str, console: Reading) -> None:
    jobs = enqueue(url, ("fails",), ("double", 4))
    console.figures()
    burst(url)
    assert counts(console) == (0, 0, 0)
    (row,) = console.jobs(State.DEAD)
    assert row.id == jobs[0].job_id
    assert console.job(row).error == "builtins.ValueError: as asked"
    (done,) = console.jobs(State.DONE)
    details = console.job(done)
    assert done.summary == "double(4)" and details.result is not None and details.result.text == "8"
    with pytest.raises(Refused, match="has not failed"):
        console.act("redrive", State.DEAD, done)
    console.act("redrive", State.DEAD, row)
    assert counts(console) == (1, 0, 0)
    with pytest.raises(Refused, match="no failed job"):
        console.act("redrive", State.DEAD, row)
    burst(url)
    (again,) = console.jobs(State.DEAD)
    assert (again.id, again.enqueued) != (row.id, row.enqueued) and again.id == row.id


def test_deleting_and_purging(url: str, console: Reading) -> None:
    enqueue(url, *(("double", n) for n in range(5)))
    enqueue(url, ("double", 9), _defer_by=3600)
    rows = console.jobs(State.WAITING)
    console.act("delete", State.WAITING, rows[2])
    with pytest.raises(Refused, match="no job"):
        console.act("delete", State.WAITING, rows[2])
    assert counts(console) == (4, 0, 1)
    assert console.act("purge", State.WAITING) == "4 jobs were deleted."
    assert console.act("purge", State.DELAYED) == "1 job was deleted."
    assert run(url, lambda pool: pool.keys("arq:*")) == []


def test_a_queue_with_a_name_of_its_own(url: str) -> None:
    enqueue(url, ("double", 1), _queue_name="arq:reports")
    assert counts(Reading(url, "arq", "arq:reports")) == (1, 0, 0)
