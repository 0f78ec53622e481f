"""streaQ with two real worker processes on Trio: a library of Lua functions, called with FCALL, over streams."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from subprocess import Popen
from types import ModuleType

import pytest
import trio

from tests.clients.conftest import empty_broker
from tests.clients.processes import DEADLINE, logs_of, workers

streaq = pytest.importorskip("streaq")

COMMAND = [sys.executable, "-m", "streaq", "run", "tests.clients.streaq_jobs:app"]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streaq")


@pytest.fixture(scope="module")
def url(_broker: None) -> str:
    return f"redis://127.0.0.1:{empty_broker()}/0"


@pytest.fixture(scope="module")
def two(url: str, logs: Path) -> Iterator[dict[str, "Popen[bytes]"]]:
    with workers({"first": COMMAND, "second": COMMAND}, logs, CLIENT_TEST_URL=url) as processes:
        yield processes


@pytest.fixture(scope="module")
def application(url: str) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIENT_TEST_URL", url)
        from tests.clients import streaq_jobs
    return streaq_jobs


@pytest.fixture
async def jobs(application: ModuleType, two: object) -> AsyncIterator[ModuleType]:
    """The tasks, with a connection to the broker and no runs counted yet."""
    async with application.app:
        await application.app.redis.delete(["runs"])
        yield application


async def test_jobs_are_each_done_once(jobs: ModuleType) -> None:
    tasks = [jobs.double.enqueue(n) for n in range(100)]
    with trio.fail_after(DEADLINE):
        await jobs.app.enqueue_many(tasks)
        # each result takes a subscription of its own, so only some are fetched
        while len((await jobs.app.redis.hgetall("runs")).keys() - {"cron"}) < 100:
            await trio.sleep(0.02)
        assert [(await task.result()).result for task in tasks[::20]] == [2 * n for n in range(0, 100, 20)]
    counted = {name: runs for name, runs in (await jobs.app.redis.hgetall("runs")).items() if name != "cron"}
    assert counted == {f"double {n}": "1" for n in range(100)}


async def test_retries_delays_and_failures(jobs: ModuleType) -> None:
    with trio.fail_after(DEADLINE):
        retried = await jobs.third_time.enqueue("retried")
        failing = await jobs.fails.enqueue("as asked")
        delayed = await jobs.double.enqueue(1).start(delay=1)
        aborted = await jobs.double.enqueue(2).start(delay=600)
        assert await aborted.status() == streaq.TaskStatus.SCHEDULED
        assert await aborted.abort()
        result = await retried.result()
        assert (result.result, result.tries) == (3, 3)
        assert repr((await failing.result()).exception) == "ValueError('as asked')"
        assert await delayed.status() == streaq.TaskStatus.SCHEDULED
        assert (await delayed.result()).result == 2
        assert await delayed.status() == streaq.TaskStatus.DONE
    assert await jobs.app.redis.hget("runs", "double 2") is None


async def test_dependencies_chains_and_fallbacks(jobs: ModuleType) -> None:
    with trio.fail_after(DEADLINE):
        chain = await (jobs.double.enqueue(1) | jobs.double | jobs.double)
        rescued = await (jobs.fails.enqueue("lost") ^ jobs.rescued)
        first = await jobs.double.enqueue(5).start(delay=1)
        after = await jobs.double.enqueue(6).start(after=first.id)
        assert first.id in (await after.info()).dependencies
        assert (await chain.result()).result == 8
        assert (await rescued.result()).result == "lost, rescued"
        assert (await after.result()).result == 12
        assert (await first.result()).result == 10


async def test_cron_runs_once_a_second_on_all_workers_together(jobs: ModuleType) -> None:
    began = trio.current_time()
    with trio.fail_after(DEADLINE):
        while int(await jobs.app.redis.hget("runs", "cron") or 0) < 2:
            await trio.sleep(0.05)
    assert trio.current_time() - began > 0.5


async def test_a_killed_workers_job_is_done_by_another(
    jobs: ModuleType, two: dict[str, "Popen[bytes]"], logs: Path
) -> None:
    with trio.fail_after(DEADLINE):
        task = await jobs.hangs_once.enqueue("job")
        while not (started := [name for name in two if "hangs_once" in (logs / f"{name}.log").read_text()]):
            await trio.sleep(0.02)
        two[started[0]].kill()
        result = await task.result()
    assert result.result == 2, logs_of(logs)
