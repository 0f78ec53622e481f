"""Dramatiq with two real worker processes. Each step of its broker is one Lua script, and so is its maintenance."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from types import ModuleType

import pytest

from tests.clients.conftest import empty_broker
from tests.clients.processes import DEADLINE, logs_of, until, worker, workers

dramatiq = pytest.importorskip("dramatiq")

MILLISECONDS = int(DEADLINE * 1000)
HANGING = (
    "import dramatiq, signal; from tests.clients import dramatiq_jobs as jobs;"
    "dramatiq.Worker(jobs.broker, queues={'hanging'}, worker_threads=1).start(); signal.pause()"
)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dramatiq")


@pytest.fixture(scope="module")
def url(_broker: None) -> str:
    return f"redis://127.0.0.1:{empty_broker()}/0"


@pytest.fixture(scope="module")
def two(url: str, logs: Path) -> Iterator[dict[str, "Popen[bytes]"]]:
    command = [sys.executable, "-m", "dramatiq", "tests.clients.dramatiq_jobs", "--queues", "default"]
    command += ["--processes", "1", "--threads", "4"]
    with workers({"first": command, "second": command}, logs, CLIENT_TEST_URL=url) as processes:
        yield processes


@pytest.fixture(scope="module")
def application(url: str) -> Iterator[ModuleType]:
    """The module of the actors, bound to the broker under test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIENT_TEST_URL", url)
        from tests.clients import dramatiq_jobs
    yield dramatiq_jobs
    dramatiq_jobs.broker.close()


@pytest.fixture
def jobs(application: ModuleType, two: dict[str, "Popen[bytes]"]) -> ModuleType:
    """The actors, with no runs counted yet."""
    with application.runs() as client:
        client.delete("runs")
    return application


def counted(jobs: ModuleType) -> dict[str, str]:
    with jobs.runs() as client:
        return dict(client.hgetall("runs"))


def finish(jobs: ModuleType, logs: Path, queue: str = "default") -> None:
    """Wait until the queue, with its delayed messages, is empty and acknowledged."""
    until(lambda: jobs.broker.do_qsize(queue) == 0, f"queue {queue} is empty", lambda: logs_of(logs))


def test_jobs_are_each_done_once(jobs: ModuleType, logs: Path) -> None:
    messages = [jobs.add.send(n, n) for n in range(200)]
    assert [message.get_result(block=True, timeout=MILLISECONDS) for message in messages] == [2 * n for n in range(200)]
    finish(jobs, logs)
    assert counted(jobs) == {f"add {n} {n}": "1" for n in range(200)}


def test_retries_delays_and_dead_letters(jobs: ModuleType, logs: Path) -> None:
    retried = [jobs.third_time.send(f"job {n}") for n in range(5)]
    delayed = jobs.add.send_with_options(args=(1, 2), delay=4000)
    failing = jobs.fails.send("failing")
    assert [message.get_result(block=True, timeout=MILLISECONDS) for message in retried] == [3] * 5
    assert "add 1 2" not in counted(jobs)
    with pytest.raises(dramatiq.results.ResultMissing):
        delayed.get_result()
    assert delayed.get_result(block=True, timeout=MILLISECONDS) == 3
    finish(jobs, logs)
    assert counted(jobs)["failing"] == "2"
    with jobs.runs() as client:
        dead = client.hvals("dramatiq:default.XQ.msgs")
        assert client.zcard("dramatiq:default.XQ") == len(dead) == 1
    assert dramatiq.Message.decode(dead[0].encode()).message_id == failing.message_id


def test_groups_and_pipelines(jobs: ModuleType) -> None:
    group = dramatiq.group(jobs.add.message(n, 1) for n in range(20)).run()
    assert list(group.get_results(block=True, timeout=MILLISECONDS)) == [n + 1 for n in range(20)]
    pipeline = (jobs.add.message(1, 1) | jobs.add.message(10) | jobs.add.message(100)).run()
    assert pipeline.get_result(block=True, timeout=MILLISECONDS) == 112


def test_a_rate_limit(jobs: ModuleType, logs: Path) -> None:
    for n in range(10):
        jobs.alone.send(f"job {n}")
    finish(jobs, logs)
    assert counted(jobs) == {"1 together": "10"}


def test_a_killed_workers_job_is_done_by_another(jobs: ModuleType, logs: Path, url: str) -> None:
    command = [sys.executable, "-c", HANGING]
    jobs.hangs_once.send("job")
    with worker("killed", command, logs, CLIENT_TEST_URL=url) as process:
        until(lambda: counted(jobs) == {"job": "1"}, "the job runs", lambda: logs_of(logs))
        process.kill()
        process.wait()
    with worker("other", command, logs, CLIENT_TEST_URL=url), contextlib.ExitStack() as stack:
        # who has not been heard of for this long is dead, to this broker's maintenance
        undertaker = jobs.RedisBroker(url=url, heartbeat_timeout=1500, maintenance_chance=1_000_000)
        stack.callback(undertaker.close)

        def done_again() -> bool:
            undertaker.do_qsize("hanging")
            return counted(jobs) == {"job": "2"}

        until(done_again, "the job is done by the other worker", lambda: logs_of(logs))
        finish(jobs, logs, "hanging")


def test_a_stopped_worker_gives_back_what_it_has_fetched(
    jobs: ModuleType, two: dict[str, "Popen[bytes]"], logs: Path
) -> None:
    for n in range(60):
        jobs.slow.send(f"job {n}")
    until(lambda: len(counted(jobs)) > 5, "the jobs are being done", lambda: logs_of(logs))
    two["first"].send_signal(signal.SIGTERM)
    finish(jobs, logs)
    assert counted(jobs) == {f"job {n}": "1" for n in range(60)}
