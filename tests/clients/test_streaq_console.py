"""The console's reader of streaQ, on tasks that streaQ and its workers have put into each state."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest
import trio

from consumers.console.queues.library import Figures, JobRow, Refused, State
from tests.clients.console_reading import Reading, copy_of
from tests.clients.processes import DEADLINE, worker

streaq = pytest.importorskip("streaq")

T = TypeVar("T")


@pytest.fixture
def console(url: str) -> Reading:
    return Reading(url, "streaq", "mail")


@pytest.fixture
async def jobs(url: str) -> AsyncIterator[ModuleType]:
    """The tasks, with a connection to the broker."""
    module = copy_of("streaq_jobs", url)
    async with module.mail:
        yield module


@pytest.fixture
def working(url: str, tmp_path: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "streaq", "run", "tests.clients.streaq_jobs:mail"]
    with worker("worker", command, tmp_path, CLIENT_TEST_URL=url):
        yield


async def seen(look: Callable[..., T], *args: Any) -> T:
    """The console is another program: it looks from a thread with a loop of its own."""
    return await trio.to_thread.run_sync(look, *args)


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    with trio.fail_after(DEADLINE):
        while not await condition():
            await trio.sleep(0.02)


def counts(found: Figures) -> tuple[int | None, ...]:
    """Delayed is one more if the worker has been there: the next run of its cron job."""
    return found.waiting, found.running, found.delayed, found.workers


def summaries(rows: list[JobRow]) -> list[str]:
    return [row.summary for row in rows]


async def test_before_a_worker_has_come(jobs: ModuleType, console: Reading) -> None:
    waiting = [await jobs.mail_double.enqueue(n) for n in range(3)]
    low = await jobs.mail_double.enqueue(9).start(priority="low")
    delayed = await jobs.mail_double.enqueue(5).start(delay=3600)
    parked = await jobs.mail_double.enqueue(6).start(after=delayed.id)
    found = await seen(console.figures)
    assert counts(found) == (4, 0, 1, 0) and found.oldest is not None and found.paused is None
    assert await seen(console.errors) == 0
    rows = await seen(console.jobs, State.WAITING)
    assert {row.id for row in rows} == {task.id for task in (*waiting, low)}
    assert [row.summary for row in rows if row.id == low.id] == ["double(9)"]
    (row,) = await seen(console.jobs, State.DELAYED)
    assert row.due is not None and row.enqueued is not None and 3590 < row.due - row.enqueued < 3610
    (row,) = await seen(console.jobs, State.PARKED)
    assert (row.id, row.summary) == (parked.id, "double(6)")
    details = await seen(console.job, row)
    assert details.row.state is State.PARKED and delayed.id in details.raw[0][1].text
    assert details.arguments is not None and "".join(details.arguments.text.split()) == '{"args":[6],"kwargs":{}}'


async def test_what_a_worker_runs_and_has_run(jobs: ModuleType, working: None, console: Reading) -> None:
    tasks = [await jobs.mail_blocks.enqueue(n) for n in range(6)]

    async def two_run() -> bool:
        return counts(await seen(console.figures)) == (4, 2, 1, 1)

    await until(two_run)
    before = await seen(console.figures)
    running = await seen(console.jobs, State.RUNNING)
    waiting = await seen(console.jobs, State.WAITING)
    assert len(running) == 2 and len(waiting) == 4
    assert {row.id for row in running} | {row.id for row in waiting} == {task.id for task in tasks}
    assert [row.attempts for row in running] == [1, 1]
    assert (await seen(console.job, running[0])).row.state is State.RUNNING
    await jobs.mail.redis.set("release", "1")
    failed = await jobs.mail_fails.enqueue("as asked")
    with trio.fail_after(DEADLINE):
        for task in (*tasks, failed):
            await task.result()
    assert counts(await seen(console.figures)) == (0, 0, 1, 1)
    after = await seen(console.figures)
    assert before.added is not None and before.finished is not None
    assert (after.added, after.finished) == (before.added + 1, before.finished + 7)
    (row,) = await seen(console.jobs, State.DEAD)
    assert (row.id, row.summary) == (failed.id, "fails: builtins.ValueError: as asked")
    assert (await seen(console.job, row)).error == "builtins.ValueError: as asked"
    done = await seen(console.jobs, State.DONE)
    assert {row.id for row in done} == {task.id for task in tasks}
    details = await seen(console.job, done[0])
    assert details.result is not None and details.result.text == "null" and details.row.attempts == 1
    await seen(console.act, "delete", State.DEAD, row)
    assert await seen(console.jobs, State.DEAD) == []
    with pytest.raises(Refused, match="no result"):
        await seen(console.act, "delete", State.DEAD, row)


async def test_aborting(jobs: ModuleType, working: None, console: Reading) -> None:
    blocked = await jobs.mail_blocks.enqueue(1)
    after = await jobs.mail_double.enqueue(2).start(after=blocked.id)
    await seen(console.figures)

    async def runs() -> bool:
        return bool(await seen(console.jobs, State.RUNNING))

    await until(runs)
    (row,) = await seen(console.jobs, State.RUNNING)
    await seen(console.act, "abort", State.RUNNING, row)
    with trio.fail_after(DEADLINE):
        assert isinstance((await blocked.result()).exception, streaq.types.StreaqCancelled)
        assert not (await after.result()).success
    with pytest.raises(Refused, match="no task"):
        await seen(console.act, "abort", State.RUNNING, row)


async def test_deleting_and_purging(jobs: ModuleType, console: Reading) -> None:
    tasks = [await jobs.mail_double.enqueue(n) for n in range(5)]
    later = [await jobs.mail_double.enqueue(n).start(delay=3600) for n in range(3)]
    await jobs.mail_double.enqueue(7).start(after=tasks[0].id)
    await jobs.mail_double.enqueue(8).start(after=later[0].id)
    await seen(console.figures)
    first, second, *_ = rows = await seen(console.jobs, State.WAITING)
    assert len(rows) == 5
    with pytest.raises(Refused, match="abort it, so that they learn of it"):
        await seen(console.act, "delete", State.WAITING, first)
    await seen(console.act, "delete", State.WAITING, second)
    with pytest.raises(Refused, match="no task"):
        await seen(console.act, "delete", State.WAITING, second)
    assert await seen(console.act, "purge", State.WAITING) == "3 jobs were deleted."
    delayed = await seen(console.jobs, State.DELAYED)
    await seen(console.act, "delete", State.DELAYED, delayed[2])
    assert await seen(console.act, "purge", State.DELAYED) == "1 job was deleted."
    assert counts(await seen(console.figures)) == (1, 0, 1, 0)
    stored = {key async for key in jobs.mail.redis.scan_iter("*:data:*")}
    assert len(stored) == 4


async def test_a_task_that_a_worker_has_fetched_is_not_deleted(
    jobs: ModuleType, working: None, console: Reading
) -> None:
    tasks = [await jobs.mail_blocks.enqueue(n) for n in range(6)]
    await seen(console.figures)

    async def two_run() -> bool:
        return len(await seen(console.jobs, State.RUNNING)) == 2

    await until(two_run)
    rows = {row.id: row for row in await seen(console.jobs, State.WAITING)}
    waiting = [row for task in tasks if (row := rows.get(task.id)) is not None]
    with pytest.raises(Refused, match="a worker has fetched it"):
        await seen(console.act, "delete", State.WAITING, waiting[0])
    # those that the worker has fetched stay: two that run and two more
    assert await seen(console.act, "purge", State.WAITING) == "2 jobs were deleted."
    await jobs.mail.redis.set("release", "1")

    async def all_ended() -> bool:
        return counts(await seen(console.figures)) == (0, 0, 1, 1)

    await until(all_ended)
    assert len(await seen(console.jobs, State.DONE)) == 4 and await seen(console.jobs, State.DEAD) == []


async def test_cron_jobs_and_other_keys(jobs: ModuleType, working: None, console: Reading) -> None:
    client = jobs.mail.redis
    await client.set("streaq:other:queues:normal", "text")
    await client.zadd("streaq:third:index:running", {"x": 1})
    await client.sadd("streaq:", {"x"})

    async def scheduled() -> bool:
        return bool(await seen(console.jobs, State.DELAYED))

    await until(scheduled)
    found = await seen(console.figures)
    assert (found.waiting, found.delayed) == (0, 1)
    assert [name for library, name in console.discovery.queues if library == "streaq"] == ["mail"]
    (row,) = await seen(console.jobs, State.DELAYED)
    assert row.summary == "yearly()"
