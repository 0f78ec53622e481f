"""The console's reader of taskiq, on tasks that taskiq-redis and its workers have put into each state."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import redis

from consumers.console.queues.library import Refused, State
from tests.clients.console_reading import Reading, copy_of
from tests.clients.processes import DEADLINE, logs_of, until, worker

taskiq_redis = pytest.importorskip("taskiq_redis")

# taskiq-redis calls what redis-py has deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

COMMAND = [sys.executable, "-c", "import asyncio; from tests.clients.taskiq_jobs import work; asyncio.run(work())"]


@pytest.fixture
def console(url: str) -> Reading:
    return Reading(url, "taskiq", "taskiq")


@pytest.fixture
def jobs(url: str) -> ModuleType:
    return copy_of("taskiq_jobs", url)


@pytest.fixture
def client(url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(url) as connected:
        yield connected


def run(broker: Any, scenario: Callable[[], Awaitable[Any]]) -> Any:
    """Do something with a started broker in asyncio."""

    async def main() -> Any:
        await broker.startup()
        try:
            return await asyncio.wait_for(scenario(), DEADLINE)
        finally:
            await broker.shutdown()

    return asyncio.run(main())


def send(broker: Any, task: Any, *arguments: Any) -> list[str]:
    """Send a task once with each argument, and return the IDs."""

    async def scenario() -> list[str]:
        return [(await task.kicker().with_broker(broker).kiq(one)).task_id for one in arguments]

    return list(run(broker, scenario))


def counts(console: Reading) -> tuple[int | None, ...]:
    found = console.figures()
    return found.waiting, found.running, found.delayed, found.workers


def test_a_stream(jobs: ModuleType, url: str, console: Reading, client: "redis.Redis", tmp_path: Path) -> None:
    sent = send(jobs.broker, jobs.double, 1, 2, 3)
    assert counts(console) == (3, 0, None, 0) and console.figures().oldest is not None
    rows = console.jobs(State.WAITING)
    assert [(row.id, row.summary, row.attempts) for row in rows] == [
        (id, f"double({n})", 0) for n, id in enumerate(sent, 1)
    ]
    details = console.job(rows[1])
    assert details.row.state is State.WAITING and details.row.enqueued is not None
    assert details.arguments is not None and "".join(details.arguments.text.split()) == '{"args":[2],"kwargs":{}}'
    (failing,) = send(jobs.broker, jobs.fails, "as asked")
    with worker("worker", COMMAND, tmp_path, CLIENT_TEST_URL=url):
        blocked = send(jobs.broker, jobs.blocks, 1, 2)
        until(lambda: counts(console) == (0, 2, None, 1), "the worker has them", lambda: logs_of(tmp_path))
        assert [(row.id, row.attempts) for row in console.jobs(State.RUNNING)] == [(id, 1) for id in blocked]
        assert console.job(console.jobs(State.RUNNING)[0]).row.state is State.RUNNING
        with pytest.raises(Refused, match="a worker has the task"):
            console.act("delete", State.DONE, console.jobs(State.RUNNING)[0])
        client.set("release", 1)
        until(lambda: counts(console) == (0, 0, None, 1), "all have ended", lambda: logs_of(tmp_path))
    found = console.figures()
    assert (found.added, found.finished) == (3, 6)  # three were there when the console saw the stream
    assert [row.id for row in console.jobs(State.DONE)] == [*reversed(blocked), *reversed(sent)]
    (dead,) = console.jobs(State.DEAD)
    assert (dead.id, dead.summary) == (failing, 'fails("as asked")')
    details = console.job(dead)
    assert details.row.state is State.DEAD and details.error == 'builtins.ValueError("as asked")'
    done = console.job(console.jobs(State.DONE)[-1])
    assert done.result is not None and done.result.text == "2"


def test_failed_tasks_run_again(
    jobs: ModuleType, url: str, console: Reading, client: "redis.Redis", tmp_path: Path
) -> None:
    failing, other = send(jobs.broker, jobs.fails, "as asked", "again")
    console.figures()
    with worker("worker", COMMAND, tmp_path, CLIENT_TEST_URL=url):
        until(lambda: len(console.jobs(State.DEAD)) == 2, "they have failed", lambda: logs_of(tmp_path))
        until(lambda: counts(console)[:2] == (0, 0), "they are acknowledged", lambda: logs_of(tmp_path))
        row = next(row for row in console.jobs(State.DEAD) if row.id == failing)
        console.act("redrive", State.DEAD, row)
        with pytest.raises(Refused, match="no task"):
            console.act("redrive", State.DEAD, row)
        until(lambda: client.exists(failing), "it has failed once more", lambda: logs_of(tmp_path))
        until(lambda: counts(console)[:2] == (0, 0), "it is acknowledged", lambda: logs_of(tmp_path))
    again = {row.id: row for row in console.jobs(State.DEAD)}
    assert set(again) == {failing, other} and again[failing].place != row.place
    console.act("delete", State.DEAD, again[failing])
    with pytest.raises(Refused, match="no task"):
        console.act("delete", State.DEAD, again[failing])
    assert console.act("purge", State.DONE) == "1 job was deleted."
    assert client.xlen("taskiq") == 0 and counts(console)[:2] == (0, 0)


def test_deleting_and_purging_a_stream(jobs: ModuleType, console: Reading, client: "redis.Redis") -> None:
    send(jobs.broker, jobs.double, 1, 2, 3, 4, 5)
    # what was delivered stays, also where another group has it
    client.xreadgroup("taskiq", "worker", {"taskiq": ">"}, count=2)
    client.xack("taskiq", "taskiq", client.xrange("taskiq")[0][0])
    client.xgroup_create("taskiq", "audit", id="0")
    client.xreadgroup("audit", "reader", {"taskiq": ">"}, count=3)
    assert counts(console)[:2] == (3, 1)
    assert console.errors() == 0
    first, second, _ = console.jobs(State.WAITING)
    with pytest.raises(Refused, match="another group"):
        console.act("delete", State.WAITING, first)
    console.act("delete", State.WAITING, second)
    with pytest.raises(Refused, match="no task"):
        console.act("delete", State.WAITING, second)
    assert counts(console)[:2] == (2, 1) and console.figures().exact
    assert console.act("purge", State.WAITING) == "1 job was deleted."
    assert console.act("purge", State.DONE) == "0 jobs were deleted."
    client.xack("taskiq", "audit", *(id for id, _ in client.xrange("taskiq")))
    assert console.act("purge", State.DONE) == "1 job was deleted."
    assert [row.summary for row in console.jobs(State.WAITING)] == ["double(3)"]
    assert {name for library, name in console.discovery.queues if library == "taskiq"} == {"taskiq", "taskiq|audit"}


def test_a_list(jobs: ModuleType, url: str, client: "redis.Redis") -> None:
    console = Reading(url, "taskiq", "mails")
    broker = taskiq_redis.ListQueueBroker(url, queue_name="mails")
    sent = send(broker, jobs.double, *range(5))
    assert counts(console) == (5, None, None, None)
    assert console.errors() == 0
    rows = console.jobs(State.WAITING)
    assert [row.id for row in rows] == sent and rows[2].summary == "double(2)"
    details = console.job(rows[2])
    assert details.arguments is not None and details.row.place == rows[2].place
    console.act("delete", State.WAITING, rows[2])
    with pytest.raises(Refused, match="no task"):
        console.act("delete", State.WAITING, rows[2])
    with pytest.raises(Refused, match="keeps nothing"):
        console.act("purge", State.DONE)
    assert console.act("purge", State.WAITING) == "4 jobs were deleted."
    assert not client.exists("mails") and console.jobs(State.WAITING) == console.jobs(State.DEAD) == []


def test_schedules(jobs: ModuleType, url: str, client: "redis.Redis") -> None:
    console = Reading(url, "taskiq", "later")
    source = taskiq_redis.ListRedisScheduleSource(url, prefix="later")
    moment = datetime.now(UTC) + timedelta(hours=1)

    async def scenario() -> list[str]:
        made = [await jobs.double.schedule_by_time(source, moment + timedelta(minutes=2 - n), n) for n in range(3)]
        await jobs.double.schedule_by_cron(source, "* * * * *", 9)
        await source._connection_pool.disconnect()  # it has no shutdown of its own
        return [one.schedule_id for one in made]

    made = run(jobs.broker, scenario)
    assert counts(console) == (0, None, 3, None)
    rows = console.jobs(State.DELAYED)
    assert [(row.id, row.summary) for row in rows] == [(made[n], f"double({n})") for n in (2, 1, 0)]
    assert rows[0].due == pytest.approx(moment.timestamp())
    assert console.job(rows[0]).row == rows[0]
    console.act("delete", State.DELAYED, rows[0])
    with pytest.raises(Refused, match="no schedule"):
        console.act("delete", State.DELAYED, rows[0])
    assert counts(console)[2] == 2 and len(list(client.scan_iter("later:data:*"))) == 3


@pytest.mark.parametrize("name", ["JSONSerializer", "MSGPackSerializer", "PickleSerializer"])
def test_forms_of_messages(jobs: ModuleType, url: str, name: str) -> None:
    import taskiq.serializers

    console = Reading(url, "taskiq", "mails")
    try:
        serializer = getattr(taskiq.serializers, name)()
    except ImportError as error:
        pytest.skip(str(error))
    broker = taskiq_redis.ListQueueBroker(url, queue_name="mails").with_serializer(serializer)
    sent = send(broker, jobs.double, "text")
    assert counts(console)[0] == 1
    assert [(row.id, row.summary) for row in console.jobs(State.WAITING)] == [(sent[0], 'double("text")')]


def test_keys_of_other_programs(url: str, client: "redis.Redis") -> None:
    console = Reading(url, "taskiq", "taskiq")
    client.rpush("names", "a", "b")
    client.rpush("jobs", '{"task_id": "1", "task_name": "x"}')
    client.rpush("numbers", *range(1000))
    client.rpush("taskiq", "no message")
    client.rpush(b"\xff", '{"task_id": "1", "task_name": "x", "labels": {}, "args": [], "kwargs": {}}')
    client.rpush("large", "x" * 1_000_000)
    client.rpush("a:time:2026-01-01T00:00", "id")
    client.xadd("events", {"data": "x"})
    client.xadd("orders", {"item": "1"})
    client.xgroup_create("orders", "taskiq", id="0")
    client.xgroup_create("other", "group", id="0", mkstream=True)
    console.run(console.discovery.look_at_all)
    assert [name for library, name in console.discovery.queues if library == "taskiq"] == []
