"""Celery with two real worker processes: many jobs, retries, ETA, groups, chords, chains, beat, remote control."""

import datetime
import hashlib
import signal
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from types import ModuleType

import pytest
import redis

from tests.clients.conftest import empty_broker
from tests.clients.processes import DEADLINE, TOOLS, logs_of, until, worker
from tests.clients.processes import workers as start_workers

celery = pytest.importorskip("celery")

# Celery calls what redis-py has deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WORKERS = ("first", "second")
COMMAND = [str(TOOLS / "celery"), "-A", "tests.clients.celery_jobs"]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("celery")


@pytest.fixture(scope="module")
def url() -> str:
    return f"redis://127.0.0.1:{empty_broker()}/0"


@pytest.fixture(scope="module")
def workers(_broker: None, logs: Path, url: str) -> Iterator[dict[str, "Popen[bytes]"]]:
    command = [*COMMAND, "worker", "--concurrency", "2", "-l", "info"]
    commands = {name: [*command, "-n", f"{name}@test"] for name in WORKERS}
    with start_workers(commands, logs, CLIENT_TEST_URL=url) as processes:
        yield processes


@pytest.fixture(scope="module")
def application(workers: dict[str, "Popen[bytes]"], logs: Path, url: str) -> Iterator[ModuleType]:
    """The application's module, bound to the broker, with both workers answering."""
    from tests.clients import celery_jobs

    celery_jobs.URL = url
    celery_jobs.app.conf.update(broker_url=url, result_backend=url)
    until(
        lambda: len(celery_jobs.app.control.ping(timeout=0.5)) == len(workers),
        "both workers answer a ping",
        lambda: logs_of(logs),
    )
    yield celery_jobs
    celery_jobs.app.close()


@pytest.fixture
def jobs(application: ModuleType) -> ModuleType:
    """The application, with no runs counted yet."""
    with application.runs() as client:
        client.delete("runs")
    return application


def test_jobs_are_each_done_once(jobs: ModuleType, logs: Path) -> None:
    results = [jobs.add.delay(n, n) for n in range(200)]
    assert [result.get(timeout=DEADLINE) for result in results] == [2 * n for n in range(200)]
    with jobs.runs() as client:
        assert client.hgetall("runs") == {f"add {n} {n}": "1" for n in range(200)}
        until(lambda: client.llen("celery") == 0 and client.hlen("unacked") == 0, "everything is acknowledged")
    assert all("succeeded" in (logs / f"{name}.log").read_text() for name in WORKERS), logs_of(logs)


def test_retries_eta_and_failures(jobs: ModuleType) -> None:
    retried = [jobs.third_time.delay(f"job {n}") for n in range(5)]
    later = jobs.add.apply_async((1, 2), eta=datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1))
    counted = jobs.add.apply_async((3, 4), countdown=1)
    failing = jobs.fails.delay("as asked")
    assert [result.get(timeout=DEADLINE) for result in retried] == [3] * 5
    assert later.get(timeout=DEADLINE) == 3
    assert counted.get(timeout=DEADLINE) == 7
    with pytest.raises(ValueError, match="as asked"):
        failing.get(timeout=DEADLINE)


def test_groups_chords_and_chains(jobs: ModuleType) -> None:
    group = celery.group(jobs.add.s(n, 1) for n in range(30))()
    assert group.get(timeout=DEADLINE) == [n + 1 for n in range(30)]
    chord = celery.chord((jobs.add.s(n, n) for n in range(10)), jobs.total.s())()
    assert chord.get(timeout=DEADLINE) == 90
    chain = celery.chain(jobs.add.s(1, 1), jobs.add.s(10), jobs.add.s(100))()
    assert chain.get(timeout=DEADLINE) == 112
    with jobs.runs() as client:
        assert client.hget("runs", "total") == "1"


def test_the_transports_lock_is_redis_pys(jobs: ModuleType) -> None:
    """Each worker looks for unacknowledged jobs under this lock, whose release is a script."""
    release = hashlib.sha1(redis.lock.Lock.LUA_RELEASE_SCRIPT.encode()).hexdigest()
    with jobs.runs() as client:
        until(lambda: client.script_exists(release) == [True], "a worker has released the lock")


def test_beat_sends_jobs(jobs: ModuleType, url: str, logs: Path) -> None:
    schedule = ["--schedule", str(logs / "schedule"), "--pidfile", str(logs / "beat.pid")]
    with worker("beat", [*COMMAND, "beat", *schedule], logs, CLIENT_TEST_URL=url), jobs.runs() as client:
        until(lambda: int(client.hget("runs", "tick") or 0) >= 3, "three jobs", lambda: logs_of(logs))


def test_inspection_and_revocation(jobs: ModuleType) -> None:
    inspect = jobs.app.control.inspect(timeout=0.5)
    assert set(until(inspect.registered, "registered tasks")) == {"first@test", "second@test"}
    revoked = jobs.add.apply_async((1, 1), countdown=1)
    last = jobs.add.apply_async((2, 2), countdown=2)
    jobs.app.control.revoke(revoked.id)
    assert last.get(timeout=DEADLINE) == 4
    with pytest.raises(celery.exceptions.TaskRevokedError):
        revoked.get(timeout=DEADLINE)


def test_a_stopped_workers_jobs_are_done_by_the_other(
    jobs: ModuleType, workers: dict[str, "Popen[bytes]"], logs: Path
) -> None:
    results = [jobs.add.delay(n, 0) for n in range(100)]
    workers["first"].send_signal(signal.SIGQUIT)
    until(lambda: all(result.ready() for result in results), "all jobs are done", lambda: logs_of(logs))
    assert [result.get(timeout=DEADLINE) for result in results] == list(range(100))
    until(lambda: len(jobs.app.control.ping(timeout=0.5)) == 1, "one worker is left", lambda: logs_of(logs))
