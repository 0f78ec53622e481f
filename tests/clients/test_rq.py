"""RQ with two real worker processes, each job in a forked child: results, retries, failures, dependencies, stopping.

One of them runs RQ's scheduler, whose lock is a Lua script, for delayed jobs.
"""

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.clients.processes import DEADLINE, TOOLS, logs_of, until, workers

rq = pytest.importorskip("rq")

# RQ calls what redis-py has deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def connection(port: int) -> Iterator[redis.Redis]:
    with redis.Redis(port=port, socket_timeout=60) as client:
        yield client


@pytest.fixture
def queue(connection: redis.Redis, url: str, tmp_path: Path) -> Iterator["rq.Queue"]:
    command = [str(TOOLS / "rq"), "worker", "--url", url, "high", "low"]
    commands = {"first": [*command, "--name", "first"], "second": [*command, "--name", "second", "--with-scheduler"]}
    with workers(commands, tmp_path):
        until(lambda: rq.Worker.count(connection) == 2, "both workers have registered", lambda: logs_of(tmp_path))
        yield rq.Queue("high", connection=connection)


def finished(jobs: list["rq.job.Job"], logs: Path) -> list[object]:
    """The results of all jobs, once none of them is waiting or running."""
    ends = {"finished", "failed", "stopped", "canceled"}
    until(lambda: all(job.get_status() in ends for job in jobs), "all jobs ended", lambda: logs_of(logs), DEADLINE)
    return [job.return_value() for job in jobs]


def test_jobs_are_each_done_once(queue: "rq.Queue", connection: redis.Redis, tmp_path: Path) -> None:
    jobs = [queue.enqueue("tests.clients.rq_jobs.double", n) for n in range(30)]
    low = rq.Queue("low", connection=connection)
    prepared = [rq.Queue.prepare_data("tests.clients.rq_jobs.double", (n,)) for n in range(30, 50)]
    jobs += low.enqueue_many(prepared)
    assert finished(jobs, tmp_path) == [2 * n for n in range(50)]
    assert connection.hgetall("runs") == {b"double %d" % n: b"1" for n in range(50)}
    assert queue.count == low.count == 0
    assert len(queue.finished_job_registry) == 30
    assert len(queue.started_job_registry) == 0


def test_retries_failures_and_dependencies(queue: "rq.Queue", tmp_path: Path) -> None:
    retried = queue.enqueue("tests.clients.rq_jobs.third_time", "retried", retry=rq.Retry(max=5))
    failing = queue.enqueue("tests.clients.rq_jobs.third_time", "failing")
    parts = [queue.enqueue("tests.clients.rq_jobs.double", n) for n in range(5)]
    whole = queue.enqueue("tests.clients.rq_jobs.sum_of_dependencies", depends_on=parts)
    assert finished([retried, failing, whole], tmp_path) == [3, None, 20]
    assert failing.get_status() == "failed"
    assert failing.id in queue.failed_job_registry
    assert "run 1" in failing.latest_result().exc_string


def test_delayed_jobs(queue: "rq.Queue", tmp_path: Path) -> None:
    second = datetime.timedelta(seconds=1)
    soon = queue.enqueue_in(second, "tests.clients.rq_jobs.double", 1)
    at = queue.enqueue_at(datetime.datetime.now(datetime.UTC) + second, "tests.clients.rq_jobs.double", 2)
    late = queue.enqueue_in(datetime.timedelta(hours=1), "tests.clients.rq_jobs.double", 3)
    retried = queue.enqueue("tests.clients.rq_jobs.third_time", "retried", retry=rq.Retry(max=5, interval=[1, 0]))
    assert soon.get_status() == at.get_status() == "scheduled"
    assert finished([soon, at, retried], tmp_path) == [2, 4, 3]
    assert late.get_status() == "scheduled"
    assert queue.scheduled_job_registry.get_job_ids() == [late.id]


def test_workers_obey_commands(queue: "rq.Queue", connection: redis.Redis, tmp_path: Path) -> None:
    job = queue.enqueue("time.sleep", DEADLINE)
    until(lambda: job.get_status(refresh=True) == "started", "the job runs", lambda: logs_of(tmp_path))
    rq.command.send_stop_job_command(connection, job.id)
    until(lambda: job.get_status(refresh=True) == "stopped", "the job is stopped", lambda: logs_of(tmp_path))
    rq.command.send_shutdown_command(connection, "first")
    until(lambda: rq.Worker.count(connection) == 1, "one worker is left", lambda: logs_of(tmp_path))
    assert finished([queue.enqueue("tests.clients.rq_jobs.double", 4)], tmp_path) == [8]
