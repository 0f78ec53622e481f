"""The console's reader of RQ, on jobs that RQ itself has put into each state."""

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from consumers.console.queues import rq_limits
from consumers.console.queues.library import Refused, State
from tests.clients.console_reading import Reading
from tests.clients.processes import TOOLS, logs_of, until, worker

rq = pytest.importorskip("rq")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def connection(port: int) -> Iterator[redis.Redis]:
    with redis.Redis(port=port, socket_timeout=60) as client:
        yield client


@pytest.fixture
def queue(connection: redis.Redis) -> "rq.Queue":
    return rq.Queue("high", connection=connection)


@pytest.fixture
def console(url: str) -> Reading:
    return Reading(url, "rq", "high")


def counts(console: Reading) -> tuple[int | None, ...]:
    found = console.figures()
    return found.waiting, found.running, found.delayed, found.dead, found.done


def work(*queues: "rq.Queue") -> None:
    """Have a worker in this process do everything that waits."""
    rq.SimpleWorker(queues, connection=queues[0].connection).work(burst=True, logging_level="ERROR")


def test_each_state(url: str, queue: "rq.Queue", connection: redis.Redis, console: Reading, tmp_path: Path) -> None:
    done = queue.enqueue("tests.clients.rq_jobs.double", 4)
    dead = queue.enqueue("tests.clients.rq_jobs.third_time", "failing")
    work(queue)
    running = queue.enqueue("time.sleep", 600)
    with worker("sleeper", [str(TOOLS / "rq"), "worker", "--url", url, "high"], tmp_path):
        until(lambda: running.get_status(refresh=True) == "started", "it runs", lambda: logs_of(tmp_path))
        waiting = [queue.enqueue("tests.clients.rq_jobs.double", n, meta={"n": n}) for n in range(5)]
        delayed = queue.enqueue_in(HOUR, "tests.clients.rq_jobs.double", 9)
        parked = queue.enqueue("tests.clients.rq_jobs.double", 10, depends_on=waiting[4])
        assert counts(console) == (5, 1, 2, 1, 1)
        found = console.figures()
        assert found.workers == 1 and found.paused is False and found.oldest is not None
        assert [row.id for row in console.jobs(State.WAITING)] == [job.id for job in waiting]
        for state, job in (
            (State.RUNNING, running), (State.DELAYED, delayed), (State.PARKED, parked), (State.DEAD, dead),
            (State.DONE, done),
        ):  # fmt: skip
            assert [row.id for row in console.jobs(state)] == [job.id]
        (row,) = console.jobs(State.DELAYED)
        assert row.due == queue.scheduled_job_registry.get_scheduled_time(delayed).timestamp()
        assert (row.function, row.summary) == ("tests.clients.rq_jobs.double", "tests.clients.rq_jobs.double(9)")
        rq.command.send_stop_job_command(connection, running.id)
        until(lambda: running.get_status(refresh=True) == "stopped", "it is stopped", lambda: logs_of(tmp_path))


def test_a_jobs_arguments_and_traceback(queue: "rq.Queue", console: Reading) -> None:
    queue.enqueue("tests.clients.rq_jobs.third_time", name="failing")
    done = queue.enqueue("tests.clients.rq_jobs.double", 4)
    work(queue)
    (row,) = console.jobs(State.DEAD)
    details = console.job(row)
    assert details.arguments is not None and details.arguments.kind == "zlib, pickle"
    assert '"name": "failing"' in details.arguments.text
    assert details.error is not None and "Traceback" in details.error and "ValueError: run 1" in details.error
    (row,) = console.jobs(State.DONE)
    details = console.job(row)
    assert row.id == done.id and details.result is not None and details.result.text == "8"


def test_failed_jobs_run_again(queue: "rq.Queue", console: Reading) -> None:
    jobs = [queue.enqueue("tests.clients.rq_jobs.third_time", f"job {n}", job_timeout=60) for n in range(3)]
    work(queue)
    first = console.jobs(State.DEAD)[0]
    console.act("redrive", State.DEAD, first)
    with pytest.raises(Refused, match="no failed job"):
        console.act("redrive", State.DEAD, first)
    assert counts(console) == (1, 0, 0, 2, 0)
    assert console.act("redrive", State.DEAD) == "2 jobs were returned to the queue."
    assert {job.get_status(refresh=True) for job in jobs} == {"queued"}
    work(queue)
    console.act("redrive", State.DEAD)
    work(queue)
    assert [job.return_value() for job in jobs] == [3, 3, 3]
    assert counts(console) == (0, 0, 0, 0, 3)


def test_deleting_and_purging(queue: "rq.Queue", connection: redis.Redis, console: Reading) -> None:
    jobs = [queue.enqueue("tests.clients.rq_jobs.double", n) for n in range(4)]
    child = queue.enqueue("tests.clients.rq_jobs.double", 9, depends_on=jobs[0])
    rows = console.jobs(State.WAITING)
    with pytest.raises(Refused, match="depend"):
        console.act("delete", State.WAITING, rows[0])
    console.act("delete", State.WAITING, rows[1])
    assert queue.job_ids == [jobs[0].id, jobs[2].id, jobs[3].id]
    assert console.act("purge", State.WAITING) == "3 jobs were deleted."
    assert counts(console) == (0, 0, 1, 0, 0)
    assert not [key for key in connection.scan_iter("rq:job:*") if child.id.encode() not in key]


def test_nothing_is_left_of_a_job_that_had_dependencies(
    queue: "rq.Queue", connection: redis.Redis, console: Reading
) -> None:
    parent = queue.enqueue("tests.clients.rq_jobs.double", 1)
    child = queue.enqueue("tests.clients.rq_jobs.double", 2, depends_on=parent)
    work(queue)
    assert list(connection.scan_iter(f"*:{child.id}:dependencies"))
    (row,) = [row for row in console.jobs(State.DONE) if row.id == child.id]
    console.act("delete", State.DONE, row)
    assert not list(connection.scan_iter(f"*{child.id}*"))


def test_jobs_that_a_rate_limit_holds_back(
    queue: "rq.Queue", connection: redis.Redis, console: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = rq.rate_limit.RateLimit(key="api", concurrency=1)
    other = rq.Queue("other", connection=connection)
    jobs = [queue.enqueue("tests.clients.rq_jobs.double", n, rate_limit=limit) for n in range(3)]
    other.enqueue("tests.clients.rq_jobs.double", 9, rate_limit=limit)
    child = queue.enqueue("tests.clients.rq_jobs.double", 4, depends_on=jobs[0])
    assert counts(console) == (1, 0, 3, 0, 0) and console.figures().exact
    rows = console.jobs(State.PARKED)
    assert rows[0].id == child.id and {row.id for row in rows[1:]} == {job.id for job in jobs[1:]}
    assert console.job(rows[1]).row.state is State.PARKED
    monkeypatch.setattr(rq_limits, "SAMPLE", 2)
    found = console.figures()
    assert not found.exact and found.delayed in (1 + 2, 1 + 3)
    monkeypatch.undo()
    work(queue, other)
    assert counts(console)[:3] == (0, 0, 0)


def test_suspending_workers(queue: "rq.Queue", connection: redis.Redis, console: Reading) -> None:
    queue.enqueue("tests.clients.rq_jobs.double", 1)
    console.act("pause")
    assert rq.suspension.is_suspended(connection) and console.figures().paused
    console.act("resume")
    assert not rq.suspension.is_suspended(connection) and not console.figures().paused
