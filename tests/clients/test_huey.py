"""Huey with real consumer processes: its schedule is read by a Lua script, its semaphores are Lua scripts."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.clients.conftest import empty_broker
from tests.clients.processes import DEADLINE, logs_of, until, worker, workers

huey = pytest.importorskip("huey")

CONSUMER = [sys.executable, "-m", "huey.bin.huey_consumer", "--workers", "4", "--scheduler-interval", "1"]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("huey")


@pytest.fixture(scope="module")
def url(_broker: None) -> str:
    return f"redis://127.0.0.1:{empty_broker()}/0"


@pytest.fixture(scope="module")
def two(url: str, logs: Path) -> Iterator[None]:
    command = [*CONSUMER, "tests.clients.huey_jobs.expiring"]
    with workers({"first": command, "second": command}, logs, CLIENT_TEST_URL=url):
        yield


@pytest.fixture(scope="module")
def application(url: str) -> ModuleType:
    """The module of the tasks, bound to the broker under test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIENT_TEST_URL", url)
        from tests.clients import huey_jobs
    return huey_jobs


@pytest.fixture
def jobs(application: ModuleType) -> ModuleType:
    """The tasks, with no runs counted yet."""
    application.expiring.storage.conn.delete("runs")
    return application


def counted(jobs: ModuleType) -> dict[bytes, bytes]:
    return dict(jobs.expiring.storage.conn.hgetall("runs"))


def test_jobs_are_each_done_once(jobs: ModuleType, two: None) -> None:
    results = list(jobs.double.map(range(100)))
    assert [result.get(blocking=True, timeout=DEADLINE) for result in results] == [2 * n for n in range(100)]
    assert counted(jobs) == {b"double %d" % n: b"1" for n in range(100)}
    assert jobs.expiring.pending_count() == 0
    assert 0 < jobs.expiring.storage.conn.ttl(f"huey.r.expiring.{results[0].id}") <= 86400


def test_retries_the_schedule_and_revocation(jobs: ModuleType, two: None) -> None:
    retried = [jobs.third_time(f"job {n}") for n in range(5)]
    revoked = jobs.double.schedule((1,), delay=1)
    delayed = jobs.double.schedule((2,), delay=1)
    revoked.revoke()
    pipeline = jobs.expiring.enqueue(jobs.double.s(1).then(jobs.double).then(jobs.double))
    assert [result.get(blocking=True, timeout=DEADLINE) for result in retried] == [3] * 5
    assert [result.get(blocking=True, timeout=DEADLINE) for result in pipeline] == [2, 4, 8]
    assert delayed.get(blocking=True, timeout=DEADLINE) == 4
    until(lambda: not jobs.expiring.scheduled_count() + jobs.expiring.pending_count(), "nothing is left to do")
    assert counted(jobs)[b"double 1"] == b"1"  # of the pipeline


def test_locks_and_semaphores(jobs: ModuleType, two: None, logs: Path) -> None:
    for _ in range(10):
        jobs.alone()
    until(lambda: counted(jobs) == {b"1 together": b"10"}, "all ran, one at a time", lambda: logs_of(logs))
    for _ in range(10):
        jobs.at_most_two()
    until(lambda: counted(jobs).get(b"at most two") == b"10", "all ran, two at a time", lambda: logs_of(logs))


def test_priorities(jobs: ModuleType, url: str, logs: Path) -> None:
    tasks = [jobs.note.s(f"priority {n}", priority=n) for n in (1, 3, 2, 5, 4)]
    results = [jobs.by_priority.enqueue(task) for task in [*tasks, jobs.note.s("none"), jobs.note.s("none, later")]]
    command = [*CONSUMER, "tests.clients.huey_jobs.by_priority", "--workers", "1"]
    conn = jobs.by_priority.storage.conn
    with worker("priority", command, logs, CLIENT_TEST_URL=url):
        until(lambda: conn.llen("order") == len(results), "all jobs ran", lambda: logs_of(logs))
    noted = conn.lrange("order", 0, -1)
    assert noted == [b"priority %d" % n for n in (5, 4, 3, 2, 1)] + [b"none", b"none, later"]
