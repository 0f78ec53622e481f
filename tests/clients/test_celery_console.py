"""The console's reader of Celery, on tasks that Celery itself has sent, fetched and done."""

import gc
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import redis

from consumers.console.queues.library import Refused, State
from tests.clients.conftest import empty_broker
from tests.clients.console_reading import Reading, copy_of
from tests.clients.processes import TOOLS, logs_of, until, worker

celery = pytest.importorskip("celery")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

COMMAND = [str(TOOLS / "celery"), "-A", "tests.clients.celery_jobs", "worker", "--pool", "solo", "-l", "info"]


@pytest.fixture(scope="module")
def url(_broker: None) -> str:
    return f"redis://127.0.0.1:{empty_broker()}/0"


@pytest.fixture(scope="module")
def application(url: str) -> Iterator[ModuleType]:
    module = copy_of("celery_jobs", url)
    yield module
    # results give up their subscriptions when they are collected
    gc.collect()
    module.app.close()


@pytest.fixture
def jobs(application: ModuleType, url: str) -> ModuleType:
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    # the application declares its queues once, and tests of other modules may have removed them since
    with application.app.connection_for_write() as connection:
        for queue in application.app.amqp.queues.values():
            queue.bind(connection.default_channel).declare()
    return application


def test_waiting_tasks_by_priority(jobs: ModuleType, url: str) -> None:
    console = Reading(url, "celery", "celery")
    sent = [jobs.add.delay(n, b=n) for n in range(3)]
    sent += [jobs.add.apply_async((9, 9), priority=level) for level in (9, 3)]
    assert console.figures().waiting == 5
    rows = console.jobs(State.WAITING)
    assert [row.id for row in rows] == [sent[n].id for n in (0, 1, 2, 4, 3)]
    assert (rows[1].function, rows[1].summary) == (
        "tests.clients.celery_jobs.add", "tests.clients.celery_jobs.add(1, 'b': 1)",
    )  # fmt: skip
    details = console.job(rows[1])
    assert details.arguments is not None and details.arguments.kind == "json"
    assert "".join(details.arguments.text.split()) == '{"args":[1],"kwargs":{"b":1}}'
    console.act("delete", State.WAITING, rows[3])
    with pytest.raises(Refused, match="gone"):
        console.act("delete", State.WAITING, rows[3])
    assert [row.id for row in console.jobs(State.WAITING)] == [sent[n].id for n in (0, 1, 2, 3)]
    assert console.act("purge", State.WAITING) == "4 jobs were deleted."
    assert console.figures().waiting == 0


def test_custom_queues(jobs: ModuleType, url: str) -> None:
    jobs.add.apply_async((1, 1), queue="reports")
    assert Reading(url, "celery", "reports").figures().waiting == 1


def test_fetched_and_ended_tasks(jobs: ModuleType, url: str, tmp_path: Path) -> None:
    console = Reading(url, "celery", "celery")
    later = jobs.add.apply_async((1, 2), countdown=3600)
    failing, done = jobs.fails.delay("as asked"), jobs.add.delay(3, 4)
    assert console.figures().waiting == 3
    with worker("worker", COMMAND, tmp_path, CLIENT_TEST_URL=url):
        until(lambda: done.ready() and failing.ready(), "two have ended", lambda: logs_of(tmp_path))
        found = console.figures()
        assert (found.waiting, found.running, found.delayed) == (0, 0, 1)
        (row,) = console.jobs(State.DELAYED)
        assert row.id == later.id and row.due is not None
        arguments = console.job(row).arguments
        assert arguments is not None and '"args": [' in arguments.text
    (row,) = console.jobs(State.DEAD, 100)
    assert row.id == failing.id
    details = console.job(row)
    assert details.error is not None and "Traceback" in details.error and "as asked" in details.error
    (row,) = console.jobs(State.DONE, 100)
    details = console.job(row)
    assert row.id == done.id and details.result is not None and details.result.text == "7"
    assert console.act("delete", State.DONE, row) == f"The result of {done.id} was deleted."
    assert jobs.app.AsyncResult(done.id).state == "PENDING"


def test_a_running_task_is_the_one_that_is_not_acknowledged(jobs: ModuleType, url: str) -> None:
    """As a worker with task_acks_late holds it: fetched through the library's own transport."""
    console = Reading(url, "celery", "reports")
    sent = jobs.add.apply_async((5, 6), queue="reports")
    with jobs.app.connection_for_read() as connection:
        queue = connection.SimpleQueue("reports")
        message = queue.get(timeout=10)
        found = console.figures()
        assert (found.waiting, found.running, found.delayed) == (0, 1, 0)
        (row,) = console.jobs(State.RUNNING)
        assert row.id == sent.id and console.job(row).row.state is State.RUNNING
        message.ack()
        queue.close()
    assert console.figures().running == 0
