"""What workers report about themselves."""

import anyio
import coredis
from trio.testing import MockClock

from broker.testing.pytest_plugin import InProcessBroker
from consumers.connection import open_link
from consumers.jobs import Queue, Worker
from consumers.jobs.names import Keys
from consumers.jobs.reports import JobReport, Reporter, WorkerReport, alive, fresh_reports, read_reports, running_jobs

Client = coredis.Redis[bytes]


def report(name: str, seen: float, *jobs: JobReport) -> WorkerReport:
    return WorkerReport(name, "host", 1, 16, 30.0, 0.0, seen, len(jobs), jobs)


async def test_a_worker_is_there_while_it_runs(client: Client) -> None:
    queue = Queue("q")
    async with queue.open(client), open_link(client, queue.keys.later) as link:
        async with Worker(queue, name="a", concurrency=3).open(), Worker(queue, name="b").open():
            found = await read_reports(link, queue.keys)
            assert [(one.name, one.concurrency) for one in found] == [("a", 3), ("b", 16)]
            before = [one.seen for one in found]
            after = [one.seen for one in await fresh_reports(link, queue.keys, queue.clock)]
            assert all(new > old for new, old in zip(after, before, strict=True))
        assert await read_reports(link, queue.keys) == []


async def test_reports_of_the_dead_and_of_others_do_no_harm(broker: InProcessBroker, autojump_clock: MockClock) -> None:
    keys = Keys("q", ("normal",))
    now = 1000.0

    def reporter(name: str) -> Reporter:
        return Reporter(
            keys, link, lambda: now, name=name, concurrency=1, lease=30, running={}, in_hand=lambda: 0,
            paused=lambda paused: None,
        )  # fmt: skip

    async with broker.client() as client, open_link(client, keys.later) as link:
        await reporter("dead").write()
        await client.hset(keys.workers, {"of a later release": b"\x01"})
        now = 1050.0
        living = reporter("living")
        await living.write()
        found = await fresh_reports(link, keys, lambda: now)
        assert [(one.name, alive(one, now)) for one in found] == [("dead", False), ("living", True)]
        now = 1120.0
        await living.write()
        assert [one.name for one in await read_reports(link, keys)] == ["living"]
        await living.leave()
        assert await read_reports(link, keys) == []


def test_a_job_that_two_report_is_that_of_the_later_one() -> None:
    cut_off = JobReport("1", "work", "s", "1-1", 1, 100.0, None)
    again = JobReport("1", "work", "s", "1-1", 1, 131.0, None)
    silent = JobReport("2", "work", "s", "1-2", 1, 100.0, None)
    found = running_jobs([report("b", 130.0, again), report("a", 129.0, cut_off), report("c", 90.0, silent)], 132.0)
    assert {id: worker.name for id, (worker, _) in found.items()} == {"1": "b"}


async def test_progress_is_written_a_few_times_a_second_however_often_it_is_reported(
    broker: InProcessBroker, autojump_clock: MockClock
) -> None:
    keys, written = Keys("q", ("normal",)), 0

    def count(paused: bool) -> None:
        nonlocal written
        written += 1

    async with broker.client() as client, open_link(client, keys.later) as link, anyio.create_task_group() as tasks:
        reporter = Reporter(
            keys, link, lambda: 1.0, name="w", concurrency=1, lease=30, running={}, in_hand=lambda: 0, paused=count
        )
        tasks.start_soon(reporter.run)
        await anyio.sleep(10.5)
        assert written == 10 // 1.2
        for _ in range(1000):
            reporter.report()
            await anyio.sleep(0.01)
        assert 8 + 40 <= written <= 8 + 52
        tasks.cancel_scope.cancel()
