"""Slots that move key by key while consumers, workers and producers use them."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import coredis
import pytest
from anyio.abc import TaskStatus
from coredis.connection import TCPLocation
from coredis.exceptions import AskError, MovedError, TryAgainError
from coredis.typing import Key

from consumers.connection import Command, Reply, open_link
from consumers.fanout import publish_many
from consumers.jobs import Job, JobCancelled, Queue, Worker
from consumers.redirections import follow, is_unstable, target
from consumers.streams import Consumer, Message, Producer
from consumers.transactions import Ask, Transactions
from tests.consumers.clusters import Migration, Nodes, started_cluster, tell, two_nodes
from tests.consumers.streams.running import running, until

Cluster = coredis.RedisCluster[bytes]
HERE, THERE = TCPLocation("here", 1), TCPLocation("there", 2)


# What is sent where.


async def followed(commands: list[Command], replies: list[Reply], *answers: list[Reply]) -> tuple[list[Any], list[Any]]:
    sent: list[Any] = []
    waiting = list(answers)

    async def send(node: TCPLocation, some: list[Command]) -> list[Reply]:
        sent.append((node, [command[0] for command in some]))
        return waiting.pop(0)

    await follow(commands, replies, HERE, send, lambda error: sent.append("moved"))
    return replies, sent


async def test_commands_are_asked_one_by_one() -> None:
    ask = AskError("5 there:2")
    replies, sent = await followed([(b"A",), (b"B",), (b"C",)], [ask, 1, ask], [b"OK", "a", b"OK", "c"])
    assert replies == ["a", 1, "c"]
    assert sent == [(THERE, [b"ASKING", b"A", b"ASKING", b"C"])]


async def test_a_transaction_is_asked_as_a_whole() -> None:
    commands: list[Command] = [(b"X",), (b"MULTI",), (b"A",), (b"B",), (b"EXEC",), (b"Y",)]
    refused: list[Reply] = [0, b"OK", b"QUEUED", AskError("5 there:2"), Exception("EXECABORT"), 9]
    again = [b"OK", b"OK", b"QUEUED", b"QUEUED", ["a", "b"]]
    replies, sent = await followed(commands, refused, again)
    assert replies == [0, b"OK", b"QUEUED", b"QUEUED", ["a", "b"], 9]
    assert sent == [(THERE, [b"ASKING", b"MULTI", b"A", b"B", b"EXEC"])]


async def test_what_has_moved_is_not_asked_and_may_be_sent_on() -> None:
    moved, back = MovedError("5 there:2"), MovedError("5 here:1")
    replies, sent = await followed([(b"A",)], [moved], [back], ["a"])
    assert replies == ["a"]
    assert sent == ["moved", (THERE, [b"A"]), "moved", (HERE, [b"A"])]


async def test_nodes_that_point_to_each_other_for_ever_end_it() -> None:
    ask = AskError("5 there:2")
    replies, _ = await followed([(b"A",)], [ask], *([b"OK", ask] for _ in range(5)))
    assert replies == [ask]
    assert is_unstable(ask) and is_unstable(TryAgainError("TRYAGAIN")) and not is_unstable(OSError())


def test_a_node_without_a_name_is_on_the_same_host() -> None:
    assert target(AskError("5 :2"), HERE) == TCPLocation("here", 2)


# In a cluster.


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with two_nodes() as nodes:
        yield nodes


@pytest.fixture
async def cluster(nodes: Nodes) -> AsyncIterator[Cluster]:
    async with started_cluster(nodes) as client:
        yield client


async def test_jobs_go_on_while_their_queue_moves_key_by_key(nodes: Nodes, cluster: Cluster) -> None:
    queue = Queue("q")
    ran: list[str] = []

    @queue.job(limit=2)
    async def work(what: str) -> str:
        ran.append(what)
        return what

    async def enqueue(stage: str) -> list[Job[str]]:
        return [
            await work.enqueue(f"plain {stage}"),
            *await queue.enqueue_many([work.call(f"many {stage}"), work.call(f"high {stage}", priority="high")]),
            await work.enqueue(f"unique {stage}", unique=True),
            await work.enqueue(f"later {stage}", delay=0.1),
        ]

    jobs: list[Job[str]] = []

    async def keep_enqueueing(task_status: TaskStatus[None]) -> None:
        task_status.started()
        for number in range(5):
            jobs.extend(await enqueue(str(number)))

    async with queue.open(cluster), Worker(queue).open():
        await enqueue("before")
        await until(lambda: len(ran) == 5)
        migration = Migration(nodes, Key("{q}").slot)
        async with anyio.create_task_group() as tasks:
            await tasks.start(keep_enqueueing)
            for key in migration.left():
                migration.move(key)
                await anyio.sleep(0.02)
            migration.end()
        await enqueue("after")
        await until(lambda: len(ran) >= 5 + 25 + 5, 30)
        assert sorted(set(ran)) == sorted(ran)
        assert {await job.result(timeout=30) for job in jobs} == {one for one in ran if one[-1].isdigit()}


async def test_plain_jobs_are_enqueued_while_the_keys_lie_on_both_sides(nodes: Nodes, cluster: Cluster) -> None:
    queue = Queue("q")

    @queue.job()
    async def work() -> None: ...

    async with queue.open(cluster):
        await work.enqueue()
        migration = Migration(nodes, Key("{q}").slot)
        await work.enqueue()
        await work.enqueue(priority="high")
        migration.move()
        await work.enqueue()
        await queue.enqueue_many([work.call() for _ in range(3)])
        migration.end()
        await work.enqueue()
        assert await cluster.xlen(queue.keys.streams["normal"]) == 7
        assert await cluster.xlen(queue.keys.streams["high"]) == 1


async def test_a_cancellation_waits_for_keys_on_both_sides(nodes: Nodes, cluster: Cluster) -> None:
    queue = Queue("q")

    @queue.job()
    async def work() -> None: ...

    async with queue.open(cluster):
        job = await work.enqueue(delay=1000)
        migration = Migration(nodes, Key("{q}").slot)
        migration.move(queue.keys.later)
        async with anyio.create_task_group() as tasks:

            async def end() -> None:
                await anyio.sleep(0.3)
                migration.end()

            tasks.start_soon(end)
            assert await job.cancel()
        with pytest.raises(JobCancelled):
            await job.result(timeout=30)
        assert await cluster.zcard(queue.keys.later) == 0


async def test_a_blocking_read_follows_its_stream(nodes: Nodes, cluster: Cluster) -> None:
    seen: list[str] = []

    async def handler(message: Message) -> None:
        seen.append(message.data["n"])

    consumer = Consumer(cluster, stream="orders", group="g", consumer="a", dead_letter="{orders}dead")
    producer = Producer(cluster, "orders")
    async with running(consumer, handler):
        await producer.publish({"n": "0"})
        await until(lambda: len(seen) == 1)
        migration = Migration(nodes, Key("orders").slot)
        migration.move("orders")
        # read, blocked and acknowledged where the slot is not yet
        await producer.publish({"n": "1"})
        await until(lambda: len(seen) == 2)
        await anyio.sleep(0.2)
        await producer.publish_many([{"n": "2"}, {"n": "3"}])
        await until(lambda: consumer.statistics.acknowledged == 4)
        assert tell(migration.target, "INFO clients").find(b"blocked_clients:1") > 0
        migration.end()
        await producer.publish_many([{"n": "4"}, {"n": "5"}])
        await until(lambda: consumer.statistics.acknowledged == 6)
    assert seen == [str(n) for n in range(6)]


async def test_a_blocking_read_elsewhere_is_cancelled_without_loss(nodes: Nodes, cluster: Cluster) -> None:
    async def handler(message: Message) -> None: ...

    await Producer(cluster, "orders").publish({"n": "0"})
    migration = Migration(nodes, Key("orders").slot)
    migration.move("orders")
    consumer = Consumer(cluster, stream="orders", group="g", consumer="a", block=60)
    with anyio.fail_after(60):
        async with running(consumer, handler):
            await until(lambda: consumer.statistics.acknowledged == 1)
            await anyio.sleep(0.1)
            await consumer.drain(1)


async def test_producers_follow_redirections(nodes: Nodes, cluster: Cluster) -> None:
    producer = Producer(cluster, "orders")
    ids = [await producer.publish({"n": "0"})]
    migration = Migration(nodes, Key("orders").slot)
    ids += await producer.publish_many({"n": str(n)} for n in range(10))
    migration.move()
    ids += await producer.publish_many({"n": str(n)} for n in range(10))
    migration.end()
    ids += await producer.publish_many({"n": str(n)} for n in range(10))
    found: Any = await cluster.xrange("orders")
    assert [entry.identifier.decode() for entry in found] == ids


async def test_a_transaction_is_executed_where_its_watch_is(nodes: Nodes, cluster: Cluster) -> None:
    await cluster.set("{t}a", "1")
    async with open_link(cluster, "{t}a") as link, open_link(cluster, "{t}a") as other:
        transactions = Transactions(link)
        asked: list[Any] = []

        async def decide(ask: Ask) -> tuple[list[Command], None]:
            asked.append(await ask([(b"GET", "{t}a"), (b"GET", "{t}b")]))
            if len(asked) == 1:
                await other.execute([(b"SET", "{t}a", "2")])
            return [(b"SET", "{t}a", "3")], None

        migration = Migration(nodes, Key("{t}a").slot)
        await transactions.run(["{t}a"], decide)
        assert asked == [[b"1", None], [b"2", None]]
        migration.move()
        asked.clear()
        await transactions.run(["{t}a"], decide)
        assert asked == [[b"3", None], [b"2", None]]
        migration.end()
        assert tell(migration.target, "GET {t}a") == b"$1\r\n3\r\n"


async def test_messages_are_published_by_any_node(cluster: Cluster) -> None:
    assert await publish_many(cluster, [("news", str(n)) for n in range(5)]) == [0] * 5
