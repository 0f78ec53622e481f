"""The console's reader of Huey, on tasks that Huey itself has enqueued and scheduled."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from consumers.console.queues.library import Refused, State
from tests.clients.conftest import empty_broker
from tests.clients.console_reading import Reading, copy_of
from tests.clients.processes import logs_of, until, worker

pytest.importorskip("huey")


@pytest.fixture(scope="module")
def url(_broker: None) -> str:
    return f"redis://127.0.0.1:{empty_broker()}/0"


@pytest.fixture(scope="module")
def module(url: str) -> ModuleType:
    return copy_of("huey_jobs", url)


@pytest.fixture
def jobs(module: ModuleType) -> ModuleType:
    module.expiring.storage.conn.flushall()
    return module


def test_a_list_and_a_schedule(jobs: ModuleType, url: str, tmp_path: Path) -> None:
    console = Reading(url, "huey", "expiring")
    waiting = [jobs.double(n) for n in range(5)]
    later = jobs.double.schedule((9,), delay=3600)
    with worker(
        "consumer", [sys.executable, "-m", "huey.bin.huey_consumer", "tests.clients.huey_jobs.expiring"], tmp_path,
        CLIENT_TEST_URL=url,
    ):  # fmt: skip
        until(lambda: console.figures().delayed == 1, "the consumer has scheduled it", lambda: logs_of(tmp_path))
    until(lambda: console.figures().waiting == 0, "the others are done", lambda: logs_of(tmp_path))
    (row,) = console.jobs(State.DELAYED)
    assert row.id == later.id and row.function == "tests.clients.huey_jobs.double" and row.summary == "double(9)"
    assert row.due is not None
    details = console.job(row)
    assert details.arguments is not None and "".join(details.arguments.text.split()) == '{"args":[9],"kwargs":{}}'
    assert waiting[0].get(blocking=True, timeout=60) == 0
    console.act("delete", State.DELAYED, row)
    assert jobs.expiring.scheduled_count() == 0


@pytest.mark.parametrize("name", ["expiring", "priority"])
def test_waiting_tasks(jobs: ModuleType, url: str, name: str) -> None:
    console = Reading(url, "huey", name)
    huey = jobs.expiring if name == "expiring" else jobs.by_priority
    tasks = [jobs.double(n) if name == "expiring" else jobs.note(f"task {n}", priority=9 - n) for n in range(5)]
    assert console.figures().waiting == huey.pending_count() == 5
    rows = console.jobs(State.WAITING)
    assert [row.id for row in rows] == [task.id for task in tasks]
    console.act("delete", State.WAITING, rows[3])
    with pytest.raises(Refused, match="no task"):
        console.act("delete", State.WAITING, rows[3])
    assert [task.id for task in huey.pending()] == [task.id for task in (*tasks[:3], tasks[4])]
    assert console.act("purge", State.WAITING) == "4 jobs were deleted."
    assert huey.pending_count() == 0


def test_a_failed_tasks_traceback(jobs: ModuleType, url: str) -> None:
    console = Reading(url, "huey", "expiring")
    task = jobs.double(None)
    console.figures()
    (row,) = console.jobs(State.WAITING)
    assert (row.id, row.summary) == (task.id, "double(null)")
    jobs.expiring.execute(jobs.expiring.dequeue())
    details = console.job(row)
    assert details.row.state is State.DEAD
    assert details.error is not None and "Traceback" in details.error and "TypeError" in details.error
