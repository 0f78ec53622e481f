"""The console's reader of Dramatiq, on messages that Dramatiq itself has put into each state."""

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from consumers.console.queues.library import Refused, State
from tests.clients.conftest import empty_broker
from tests.clients.console_reading import Reading, copy_of
from tests.clients.processes import until

dramatiq = pytest.importorskip("dramatiq")


@pytest.fixture(scope="module")
def url(_broker: None) -> str:
    return f"redis://127.0.0.1:{empty_broker()}/0"


@pytest.fixture(scope="module")
def application(url: str) -> Iterator[ModuleType]:
    """The actors, with a broker of their own."""
    before = dramatiq.broker.global_broker
    module = copy_of("dramatiq_jobs", url)
    yield module
    module.broker.close()
    dramatiq.broker.global_broker = before


@pytest.fixture
def jobs(application: ModuleType) -> ModuleType:
    application.broker.flush_all()
    with application.runs() as client:
        client.flushall()
    return application


@pytest.fixture
def console(url: str) -> Reading:
    return Reading(url, "dramatiq", "default")


def counts(console: Reading) -> tuple[int | None, ...]:
    found = console.figures()
    return found.waiting, found.running, found.delayed, found.dead


def work_until(jobs: ModuleType, done: Callable[[], bool]) -> None:
    """Run a worker in this process until something is the case."""
    worker = dramatiq.Worker(jobs.broker, worker_timeout=50, worker_threads=2)
    worker.start()
    try:
        until(done, "the worker has done it")
    finally:
        worker.stop()


def kill_one(jobs: ModuleType, name: str) -> None:
    """Have a job fail for good."""
    jobs.fails.send(name)
    with jobs.runs() as client:
        work_until(jobs, lambda: client.zcard("dramatiq:default.XQ") == 1)


def test_each_state(jobs: ModuleType, console: Reading) -> None:
    kill_one(jobs, "failing")
    sent = [jobs.add.send(n, b=n) for n in range(4)]
    jobs.add.send_with_options(args=(9, 9), delay=3_600_000)
    consumer = jobs.broker.consume("default", prefetch=1, timeout=50)
    held = next(consumer)
    assert counts(console) == (3, 1, 1, 1)
    assert console.figures().oldest is not None
    rows = console.jobs(State.WAITING)
    assert [row.summary for row in rows] == [f"add({n}, b={n})" for n in (1, 2, 3)]
    (row,) = console.jobs(State.RUNNING, 100)
    assert row.id == held.options["redis_message_id"] and row.enqueued == sent[0].message_timestamp / 1000
    (row,) = console.jobs(State.DELAYED, 100)
    assert row.due is not None and row.summary == "add(9, 9)"
    consumer.ack(held)
    consumer.close()
    assert counts(console) == (3, 0, 1, 1)


def test_a_dead_jobs_traceback_and_another_chance(jobs: ModuleType, console: Reading) -> None:
    kill_one(jobs, "failing")
    (row,) = console.jobs(State.DEAD)
    details = console.job(row)
    assert details.error is not None and "ValueError: failing" in details.error
    assert details.arguments is not None and '"failing"' in details.arguments.text
    console.act("redrive", State.DEAD, row)
    with pytest.raises(Refused, match="no dead message"):
        console.act("redrive", State.DEAD, row)
    assert counts(console) == (1, 0, 0, 0)
    with jobs.runs() as client:
        # tried twice before, and twice again
        work_until(jobs, lambda: client.zcard("dramatiq:default.XQ") == 1)
        assert client.hget("runs", "failing") == "4"
    assert console.act("redrive", State.DEAD) == "1 job was returned to the queue."


def test_deleting_and_purging(jobs: ModuleType, console: Reading) -> None:
    kill_one(jobs, "failing")
    for n in range(5):
        jobs.add.send(n, n)
    rows = console.jobs(State.WAITING)
    console.act("delete", State.WAITING, rows[2])
    with pytest.raises(Refused, match="gone"):
        console.act("delete", State.WAITING, rows[2])
    console.act("delete", State.DEAD, console.jobs(State.DEAD)[0])
    assert counts(console) == (4, 0, 0, 0)
    assert console.act("purge", State.WAITING) == "4 jobs were deleted."
    with jobs.runs() as client:
        assert list(client.scan_iter("dramatiq:default*")) == []
