"""arq with two real worker processes: results, unique job ids, retries, deferred jobs and failures."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.processes import DEADLINE, TOOLS, logs_of, until
from tests.clients.processes import workers as start_workers

arq = pytest.importorskip("arq")

# arq calls what redis-py has deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def workers(url: str, tmp_path: Path) -> Iterator[Path]:
    """Two workers that have started; the folder of their logs."""
    command = [str(TOOLS / "arq"), "tests.clients.arq_jobs.WorkerSettings"]
    commands = {"first": command, "second": command}
    # redis-py's asyncio client may miss that it is cancelled while a reply arrives; arq then polls on forever
    with start_workers(commands, tmp_path, patience=1, CLIENT_TEST_URL=url):
        until(
            lambda: all("Starting worker" in log.read_text() for log in tmp_path.glob("*.log")),
            "both workers have started",
            lambda: logs_of(tmp_path),
        )
        yield tmp_path


def run(url: str, logs: Path, scenario: Callable[["arq.ArqRedis"], Awaitable[None]]) -> None:
    """Run a scenario with a pool in asyncio, within the deadline."""

    async def main() -> None:
        pool = await arq.create_pool(arq.connections.RedisSettings.from_dsn(url))
        try:
            await asyncio.wait_for(scenario(pool), DEADLINE)
        except TimeoutError:
            raise AssertionError(f"jobs did not end in time\n{logs_of(logs)}") from None
        finally:
            await pool.aclose()

    asyncio.run(main())


def test_jobs_are_each_done_once(url: str, workers: Path) -> None:
    async def scenario(pool: "arq.ArqRedis") -> None:
        jobs = [await pool.enqueue_job("double", n) for n in range(100)]
        assert [await job.result(timeout=DEADLINE, poll_delay=0.05) for job in jobs] == [2 * n for n in range(100)]
        assert await pool.hgetall("runs") == {b"double %d" % n: b"1" for n in range(100)}
        assert await pool.zcard("arq:queue") == 0

    run(url, workers, scenario)


def test_a_job_id_is_queued_once(url: str, workers: Path) -> None:
    async def scenario(pool: "arq.ArqRedis") -> None:
        first = await pool.enqueue_job("double", 1, _job_id="only", _defer_by=1)
        assert await pool.enqueue_job("double", 1, _job_id="only") is None
        assert await first.status() == arq.jobs.JobStatus.deferred
        assert await first.result(timeout=DEADLINE, poll_delay=0.05) == 2
        assert await first.status() == arq.jobs.JobStatus.complete

    run(url, workers, scenario)


def test_retries_and_failures(url: str, workers: Path) -> None:
    async def scenario(pool: "arq.ArqRedis") -> None:
        retried = [await pool.enqueue_job("third_time") for _ in range(5)]
        failing = await pool.enqueue_job("fails")
        assert [await job.result(timeout=DEADLINE, poll_delay=0.05) for job in retried] == [3] * 5
        with pytest.raises(ValueError, match="as asked"):
            await failing.result(timeout=DEADLINE, poll_delay=0.05)

    run(url, workers, scenario)
