"""taskiq-redis with two real worker processes: jobs in a stream, read and claimed under redis-py locks."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import redis

from tests.clients.conftest import empty_broker
from tests.clients.processes import DEADLINE, logs_of, until, workers

taskiq_redis = pytest.importorskip("taskiq_redis")

# taskiq-redis calls what redis-py has deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

COMMAND = [sys.executable, "-c", "import asyncio; from tests.clients.taskiq_jobs import work; asyncio.run(work())"]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("taskiq")


@pytest.fixture(scope="module")
def url(_broker: None) -> str:
    return f"redis://127.0.0.1:{empty_broker()}/0"


@pytest.fixture(scope="module")
def two(url: str, logs: Path) -> Iterator[None]:
    with workers({"first": COMMAND, "second": COMMAND}, logs, CLIENT_TEST_URL=url):
        yield


@pytest.fixture(scope="module")
def jobs(url: str, two: None) -> ModuleType:
    """The module of the tasks, bound to the broker under test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIENT_TEST_URL", url)
        from tests.clients import taskiq_jobs
    return taskiq_jobs


@pytest.fixture
def client(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url) as connected:
        connected.delete("runs")
        yield connected


def run(jobs: ModuleType, logs: Path, scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario with the broker started in asyncio, within the deadline."""

    async def main() -> None:
        await jobs.broker.startup()
        try:
            await asyncio.wait_for(scenario(), DEADLINE)
        except TimeoutError:
            raise AssertionError(f"jobs did not end in time\n{logs_of(logs)}") from None
        finally:
            await jobs.broker.shutdown()

    asyncio.run(main())


def test_jobs_are_each_done_once(jobs: ModuleType, client: redis.Redis, logs: Path) -> None:
    async def scenario() -> None:
        tasks = [await jobs.double.kiq(n) for n in range(100)]
        results = [await task.wait_result(check_interval=0.02) for task in tasks]
        assert [result.return_value for result in results] == [2 * n for n in range(100)]

    run(jobs, logs, scenario)
    assert client.hgetall("runs") == {b"double %d" % n: b"1" for n in range(100)}
    until(lambda: client.xpending("taskiq", "taskiq")["pending"] == 0, "everything is acknowledged")


def test_retries_and_failures(jobs: ModuleType, client: redis.Redis, logs: Path) -> None:
    async def scenario() -> None:
        retried = [await jobs.third_time.kiq(f"job {n}") for n in range(5)]
        failing = await jobs.fails.kiq("as asked")
        assert [(await task.wait_result(check_interval=0.02)).return_value for task in retried] == [3] * 5
        with pytest.raises(ValueError, match="as asked"):
            (await failing.wait_result(check_interval=0.02)).raise_for_error()

    run(jobs, logs, scenario)
