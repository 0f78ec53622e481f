"""`trimaran queues`: lines and tables."""

import json

import coredis
import pytest
import trio
from coredis.tokens import PureToken
from rich.console import Console

from consumers.commands import queues
from consumers.commands.queue_states import QueueState
from consumers.commands.running import CommandError
from consumers.jobs import Queue
from consumers.streams import Producer
from tests.consumers.commands.commands import Kept, lines, prepared
from tests.consumers.commands.test_queue_states import put_to_death

Client = coredis.Redis[bytes]


@pytest.fixture
async def orders(client: Client) -> Client:
    await client.xadd("orders", {"n": "1"}, identifier="5-1")
    await client.xadd("jobs:a", {"n": "1"})
    await client.xgroup_create("orders", "billing", "0")
    return client


async def test_all_streams_as_lines(orders: Client) -> None:
    (job, order) = await lines(queues, orders)
    assert job.split("\t") == ["jobs:a", "-", "1", "-", "-", "-", "0"]
    assert order.split("\t")[:5] == ["orders", "billing", "1", "0", "1"]


async def test_what_is_not_there_is_told(orders: Client) -> None:
    for words, text in (
        (["nosuch"], "there is no stream, list or job queue nosuch"),
        (["orders", "nosuch"], "there is no stream, list or job queue nosuch"),
        (["x*", "y?"], "no stream matches x\\* or y\\?"),
    ):
        with pytest.raises(CommandError, match=f"^{text}$"):
            await lines(queues, orders, *words)
    assert [line.split("\t")[0] for line in await lines(queues, orders, "orders", "x*")] == ["orders"]


async def test_a_job_queue_by_its_name(client: Client) -> None:
    queue = Queue("shop")

    @queue.job()
    async def work() -> None: ...

    async with queue.open(client):
        await work.enqueue(priority="high")
        await work.enqueue()
    found = [line.split("\t")[0] for line in await lines(queues, client, "shop")]
    assert found == ["jobs:{shop}:high", "jobs:{shop}:normal"]


async def test_the_oldest_is_told_in_seconds(orders: Client) -> None:
    now = await orders.time()
    await orders.xtrim("orders", PureToken.MAXLEN, 0)
    await orders.xadd("orders", {"n": "1"}, identifier=f"{int(now.timestamp() * 1000) - 90_000}-0")
    (line,) = await lines(queues, orders, "orders", "--json")
    assert 90 <= json.loads(line)["oldest"] < 150
    (line,) = await lines(queues, orders, "orders")
    assert line.split("\t")[5].startswith(("1m", "2m"))


async def test_some_as_json(orders: Client) -> None:
    await orders.rpush("list", ["x"])
    got = [json.loads(line) for line in await lines(queues, orders, "--json", "jobs:*", "list")]
    assert [(state["queue"], state["group"], state["depth"]) for state in got] == [
        ("jobs:a", None, 1),
        ("list", None, 1),
    ]
    assert set(got[0]) == {
        "queue", "group", "depth", "in_hand", "lag", "oldest", "dead", "dead_complete", "library", "delayed",
        "partitions",
    }  # fmt: skip


async def test_lines_again_and_again(orders: Client) -> None:
    output = Kept()
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await lines(queues, orders, "orders", "--interval", "0.1", output=output)

        nursery.start_soon(run)
        with trio.fail_after(60):
            while len(output.lines) < 2:
                await trio.sleep(0.01)
            await orders.xadd("orders", {"n": "2"})
            while not output.lines[-1].startswith("orders\tbilling\t2\t"):
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seconds", ["0", "nan", "-1", "1e9", "x"])
def test_intervals(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        prepared(queues, ["--interval", seconds])
    refusal = f"argument --interval: {seconds!r} is not a number of seconds from 0.1 to 86400"
    assert capsys.readouterr().err == f"trimaran queues: {refusal}; see trimaran queues --help\n"


def drawn(*found: QueueState) -> str:
    console = Console(width=100, force_terminal=False)
    with console.capture() as capture:
        console.print(queues._table(found))
    return capture.get()


def test_the_table() -> None:
    text = drawn(
        QueueState("orders", "billing", 1500, 12, 3, 90_061.0, 7, False),
        QueueState("[red]\x1b[2J", None, 4),
    )
    head, first, second = text.splitlines()
    assert head.split() == ["queue", "group", "depth", "in", "hand", "lag", "oldest", "dead"]
    assert first.split() == ["orders", "billing", "1500", "12", "3", "1d1h", "7+"]
    assert second.split() == ["[red]\\x1b[2J", "-", "4", "-", "-", "-", "0"]
    assert "no streams" in drawn()


async def test_queues_of_other_libraries(client: Client) -> None:
    await client.rpush("rq:queue:reports", ["a", "b"])
    await client.sadd("rq:queues", {"rq:queue:reports"})
    await client.xadd("rq:results:a", {"type": "1"})
    await client.rpush("celery", ["{}"])
    found = [line.split("\t") for line in await lines(queues, client)]
    assert found == [
        ["celery", "Celery", "1", "0", "1", "-", "0"], ["reports", "RQ", "2", "0", "2", "-", "0"],
    ]  # fmt: skip
    assert [line.split("\t")[:2] for line in await lines(queues, client, "rep*")] == [["reports", "RQ"]]
    assert [line.split("\t")[:2] for line in await lines(queues, client, "reports")] == [["reports", "RQ"]]
    assert [line.split("\t")[:2] for line in await lines(queues, client, "celery")] == [
        ["celery", "-"],
        ["celery", "Celery"],
    ]
    (line,) = await lines(queues, client, "--json", "reports")
    assert json.loads(line)["library"] == "RQ"
    # streams that are parts of a library's queue are in no line of their own
    message = {"task_id": "1", "task_name": "mails:send", "labels": {}, "args": [], "kwargs": {}}
    await client.xadd("mails", {"data": json.dumps(message)})
    await client.xadd("streaq:letters:queues:normal", {"task_id": "1"})
    found = [line.split("\t")[:3] for line in await lines(queues, client)]
    assert found[2:] == [["letters", "streaQ", "1"], ["mails", "taskiq", "1"]]
    with pytest.raises(CommandError, match="there is no stream, list or job queue nosuch"):
        await lines(queues, client, "nosuch")


async def test_partitions_are_added_up(client: Client) -> None:
    await Producer(client, "orders", partitions=2).publish_many([{"n": str(n)} for n in range(6)])
    for number in range(2):
        await client.xgroup_create(f"orders:{{{number}}}", "billing", "0")
        await put_to_death(client, f"orders:{{{number}}}", "billing", f"orders.dead:{{{number}}}")
    await client.xreadgroup("billing", "w", {"orders:{0}": ">"}, count=2)
    await client.xadd("orders:{2}", {"n": "1"})
    (line,) = await lines(queues, client, "orders")
    name, group, depth, in_hand, lag, _, dead = line.split("\t")
    assert (name, group, depth, in_hand, lag, dead) == ("orders", "billing", "6", "2", "4", "2")
    everything = [json.loads(line) for line in await lines(queues, client, "--json")]
    assert [(one["queue"], one["partitions"], one["dead"]) for one in everything] == [
        ("orders", 2, 2), ("orders.dead:{0}", None, 0), ("orders.dead:{1}", None, 0), ("orders:{2}", None, 0),
    ]  # fmt: skip
    # a pattern for some of them tells of the whole, a name of itself
    assert [line.split("\t")[0] for line in await lines(queues, client, "orders:{0*")] == ["orders"]
    (line,) = await lines(queues, client, "orders:{0}")
    assert line.split("\t")[:3] == ["orders:{0}", "billing", "3"]
    assert [line.split("\t")[0] for line in await lines(queues, client, "orders", "orders:{0}")] == [
        "orders",
        "orders:{0}",
    ]
