"""`trimaran jobs` and `trimaran workers`: a queue by its name, in a program that knows nothing of its functions."""

import json
from collections.abc import AsyncIterator

import anyio
import coredis
import pytest

from consumers.commands import jobs, workers
from consumers.commands.running import CommandError
from consumers.jobs import JobFailed, Queue, Reject, Worker, current_job
from tests.consumers.commands.commands import lines

Client = coredis.Redis[bytes]


class Shop:
    """A queue with jobs in most states. release: lets the running job end."""

    def __init__(self, queue: Queue, ids: dict[str, str], release: anyio.Event) -> None:
        self.queue = queue
        self.ids = ids
        self.release = release


@pytest.fixture
async def shop(client: Client) -> AsyncIterator[Shop]:
    queue, release, begun = Queue("shop"), anyio.Event(), anyio.Event()

    @queue.job()
    async def pack(order: int, label: bytes = b"") -> str:
        current_job().progress(1, 3, "wrapping")
        begun.set()
        await release.wait()
        return "packed"

    @queue.job()
    async def rejects() -> None:
        raise Reject("no\nsuch page")

    async with queue.open(client), Worker(queue, name="w", concurrency=1).open():
        failed = await rejects.enqueue()
        with pytest.raises(JobFailed):
            await failed.result(timeout=30)
        made = {
            "failed": failed, "running": await pack.enqueue(1), "delayed": await pack.enqueue(2, delay=600),
            "waiting": await pack.enqueue(3, b"\xff", priority="low"),
        }  # fmt: skip
        await begun.wait()
        yield Shop(queue, {state: job.id for state, job in made.items()}, release)
        release.set()


async def test_jobs_are_counted(client: Client, shop: Shop) -> None:
    expected = {
        "waiting": 1, "delayed": 1, "running": 1, "parked": 0, "periodic": 0, "dead": 1, "workers": 1, "paused": False,
    }  # fmt: skip
    assert json.loads((await lines(jobs, client, "shop", "--json"))[0]) == expected
    as_text = [line.split("\t") for line in await lines(jobs, client, "shop")]
    assert as_text[0] == ["waiting", "1"] and as_text[-1] == ["paused", "no"] and len(as_text) == 8


async def test_jobs_in_a_state_are_listed(client: Client, shop: Shop) -> None:
    for state, id in shop.ids.items():
        (line,) = await lines(jobs, client, "shop", "--state", state)
        (as_json,) = [json.loads(one) for one in await lines(jobs, client, "shop", "--state", state, "--json")]
        cells = line.split("\t")
        assert cells[:2] == [id, state] == [as_json["id"], as_json["state"]] and len(cells) == 7
        if state == "waiting":
            assert cells[2] == "pack(order=3, label='\\\\xff')" and as_json["arguments"]["label"] == "\\xff"
        if state == "running":
            assert cells[5:] == ["w", "1/3 wrapping"] and as_json["progress"]["done"] == 1
        if state == "failed":
            assert as_json["job"] == "rejects"
    await shop.queue.enqueue_many(shop.queue.functions["pack"].call(n) for n in range(5))
    assert len(await lines(jobs, client, "shop", "--state", "waiting", "--count", "3")) == 3


async def test_one_job_is_shown(client: Client, shop: Shop) -> None:
    shown = dict(line.split("\t") for line in await lines(jobs, client, "shop", "--id", shop.ids["running"]))
    assert shown["state"] == "running" and shown["job"] == "pack(order=1)" and shown["progress"] == "1/3 wrapping"
    assert shown["begun"].endswith(" ago") and "ended" not in shown
    shown = dict(line.split("\t") for line in await lines(jobs, client, "shop", "--id", shop.ids["failed"]))
    assert shown["error"] == "Reject: no\\nsuch page"
    shown = dict(line.split("\t") for line in await lines(jobs, client, "shop", "--id", shop.ids["delayed"]))
    assert shown["due"].startswith("in 9m5")
    (as_json,) = await lines(jobs, client, "shop", "--id", shop.ids["delayed"], "--json")
    assert json.loads(as_json)["arguments"] == {"order": 2}
    with pytest.raises(CommandError, match="there is no job nosuch"):
        await lines(jobs, client, "shop", "--id", "nosuch")


async def test_workers_are_listed(client: Client, shop: Shop) -> None:
    (line,) = await lines(workers, client, "shop")
    name, _, up, seen, running, _, what = line.split("\t")
    assert (name, running, what) == ("w", "1/1", "pack(order=1)") and up.startswith("up ") and seen.startswith("seen ")
    (as_json,) = [json.loads(one) for one in await lines(workers, client, "shop", "--json")]
    assert as_json["alive"] and as_json["jobs"][0]["id"] == shop.ids["running"]


async def test_a_queue_that_is_not_there(client: Client) -> None:
    for module in (jobs, workers):
        with pytest.raises(CommandError, match="there is no job queue nosuch"):
            await lines(module, client, "nosuch")
        with pytest.raises(CommandError, match="is not the name of a job queue"):
            await lines(module, client, "{}")


async def test_schedules_are_listed(client: Client) -> None:
    queue = Queue("shop")

    @queue.job()
    async def report(customer: int) -> None: ...

    async with queue.open(client):
        await queue.schedule("weekly", report.call(7), "0 8 * * 1", jitter=60, missed="all")
        await queue.schedule("monthly", report.call(7), "0 8 1 * *")
        await queue.pause_schedule("monthly")
        assert (await queue.counts()).periodic == 2
    monthly, weekly = [line.split("\t") for line in await lines(jobs, client, "shop", "--schedules")]
    assert monthly == ["monthly", "report", "0 8 1 * *", "UTC", "paused", "made at run time"]
    assert weekly[:4] == ["weekly", "report", "0 8 * * 1", "UTC"] and weekly[4].startswith("in ")
    data = json.loads((await lines(jobs, client, "shop", "--schedules", "--json"))[1])
    assert (data["name"], data["jitter"], data["missed"], data["paused"]) == ("weekly", 60, "all", False)
