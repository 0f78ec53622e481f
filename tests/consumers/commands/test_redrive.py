"""`trimaran redrive`."""

import json

import coredis
import pytest
import trio

from consumers.commands import redrive
from consumers.commands.running import CommandError
from consumers.deadletters import dead_letter_command
from consumers.jobs import JobFailed, Queue, Worker
from consumers.streams import Consumer, Message, Producer, Reject
from tests.consumers.commands.commands import lines
from tests.consumers.streams.running import running, until

Client = coredis.Redis[bytes]


@pytest.fixture
async def dead(client: Client) -> Client:
    """orders.dead with three dead letters, of two groups."""
    for number, group in enumerate(("billing", "billing", "shipping")):
        _, key, *rest = dead_letter_command(
            "orders.dead",
            origin=("orders", f"{number}-1", group, "c"),
            values=[b"n", b"%d" % number],
            reason="ValueError:\nno",
            deliveries=5,
            maxlen=None,
        )
        pairs = rest[1:]
        await client.xadd(str(key), dict(zip(pairs[::2], pairs[1::2], strict=True)))
    return client


async def numbers(client: Client, stream: str) -> list[str | bytes]:
    return [dict(entry.field_values)[b"n"] for entry in await client.xrange(stream)]


async def test_all_go_back(dead: Client) -> None:
    assert await lines(redrive, dead, "orders.dead") == ["3"]
    assert await numbers(dead, "orders") == [b"0", b"1", b"2"]
    assert await dead.xlen("orders.dead") == 0
    assert await lines(redrive, dead, "orders.dead", "--json") == ['{"redriven": 0}']


async def test_a_choice_of_them_goes_elsewhere(dead: Client) -> None:
    assert await lines(redrive, dead, "orders.dead", "--group", "billing", "--count", "1", "--to", "again") == ["1"]
    assert await lines(redrive, dead, "orders.dead", "--stream", "other") == ["0"]
    assert await numbers(dead, "again") == [b"0"]
    assert await numbers(dead, "orders.dead") == [b"1", b"2"]


async def test_a_dry_run_only_lists_them(dead: Client) -> None:
    listed = await lines(redrive, dead, "orders.dead", "--dry-run", "--group", "billing", "--count", "1")
    assert [line.split("\t")[1:] for line in listed] == [["orders", "0-1", "billing", "5", "ValueError:\\nno", "n='0'"]]
    as_json = [json.loads(line) for line in await lines(redrive, dead, "orders.dead", "--dry-run", "--json")]
    assert [line["group"] for line in as_json] == ["billing", "billing", "shipping"]
    assert as_json[0]["reason"] == "ValueError:\nno" and as_json[0]["fields"] == {"n": "0"}
    assert await dead.xlen("orders.dead") == 3


async def test_dead_jobs_are_listed_with_their_calls_and_go_back_by_the_queues_name(client: Client) -> None:
    queue = Queue("shop")

    @queue.job(retries=0)
    async def resize(path: str, data: bytes = b"") -> None:
        raise ValueError("no")

    async with queue.open(client):
        async with Worker(queue).open():
            job = await resize.enqueue("cat.png", data=b"\xff")
            with pytest.raises(JobFailed):
                await job.result(timeout=30)
            await resize.enqueue("x" * 1000)
            while await client.xlen(queue.keys.dead) < 2:
                await trio.sleep(0.01)
        first, second = await lines(redrive, client, "shop", "--dry-run")
        assert first.endswith(f"\tresize(path='cat.png', data='\\\\xff') {job.id}")
        assert len(second) < 600 and "xxx...) " in second
        as_json = json.loads((await lines(redrive, client, "shop", "--dry-run", "--json"))[0])
        assert (as_json["job"], as_json["job_id"]) == ("resize", job.id)
        assert as_json["arguments"] == {"path": "cat.png", "data": "\\xff"}
        assert await lines(redrive, client, "shop") == ["2"]
        assert await lines(redrive, client, "shop") == ["0"]


async def test_a_queue_without_dead_jobs_and_what_is_none(client: Client) -> None:
    await client.xadd("jobs:{shop}:normal", {"n": "1"})
    assert await lines(redrive, client, "shop") == ["0"]
    await client.xadd("orders", {"n": "1"})
    with pytest.raises(CommandError, match=r"^orders holds no dead letters but other entries$"):
        await lines(redrive, client, "orders")
    with pytest.raises(CommandError, match=r"^there is no dead-letter stream or job queue nosuch$"):
        await lines(redrive, client, "nosuch")


async def test_what_dies_again_meanwhile_is_left(dead: Client) -> None:
    async def handler(message: Message) -> None:
        raise Reject("again")

    consumer = Consumer(dead, stream="orders", group="billing", consumer="c", dead_letter="orders.dead")
    async with running(consumer, handler):
        assert await lines(redrive, dead, "orders.dead", "--group", "billing") == ["2"]
        await until(lambda: consumer.statistics.dead == 2)
    assert await numbers(dead, "orders.dead") == [b"2", b"0", b"1"]


async def test_the_letters_of_all_partitions(client: Client) -> None:
    producer = Producer(client, "orders", partitions=3, key="n")
    handled: list[str] = []
    refuse = True

    async def handler(message: Message) -> None:
        if refuse:
            raise Reject("no")
        handled.append(message.data["n"])

    consumer = Consumer(
        client, stream="orders", group="billing", partitions=3, dead_letter="orders.dead", block=0.5, consumer="a"
    )
    async with running(consumer, handler):
        await producer.publish_many({"n": str(n)} for n in range(12))
        await until(lambda: consumer.statistics.dead == 12)
        listed = [json.loads(line) for line in await lines(redrive, client, "orders.dead", "--dry-run", "--json")]
        assert len(listed) == 12 and {one["stream"] for one in listed} == {f"orders:{{{n}}}" for n in range(3)}
        assert len(await lines(redrive, client, "orders.dead", "--dry-run", "--count", "7", "--stream", "orders")) == 7
        assert await lines(redrive, client, "orders.dead", "--stream", "order") == ["0"]
        refuse = False
        assert await lines(redrive, client, "orders.dead", "--count", "5") == ["5"]
        assert await lines(redrive, client, "orders.dead", "--stream", "orders") == ["7"]
        await until(lambda: len(handled) == 12)
        with pytest.raises(CommandError, match="orders holds no dead letters but other entries"):
            await lines(redrive, client, "orders")
    assert sorted(handled, key=int) == [str(n) for n in range(12)]
