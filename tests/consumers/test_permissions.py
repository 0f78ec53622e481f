"""The rule sets in docs/acl.md are complete: with them, and nothing more, every feature works on every server."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import coredis
import pytest

from consumers import orphans
from consumers.errors import ConsumerError
from consumers.fanout import Start, follow, publish, subscribe
from consumers.jobs import (
    PREVIOUS,
    Debounce,
    JobCancelled,
    JobFailed,
    JobState,
    Queue,
    Rate,
    Throttle,
    Worker,
    chain,
    current_job,
    group,
)
from consumers.streams import (
    Consumer,
    DeadLettered,
    Message,
    NoResponders,
    PartitionedReplay,
    Producer,
    Reject,
    Replay,
    Retry,
    dead_letters,
    redrive,
)
from tests.consumers.streams.running import SOON, Client, running, until

PAGE = Path(__file__).resolve().parents[2] / "docs/acl.md"
RULES = dict(
    re.findall(r"^ACL SETUSER ([a-z]+\.[a-z]+) (on >s3cret resetchannels .+)$", PAGE.read_text(), re.MULTILINE)
)
LIMIT = 30
"""Seconds for what takes milliseconds."""

pytestmark = pytest.mark.parametrize(
    "server_kind", ["broker", "broker-extended", "redis-newest", "redis-older"], indirect=True
)


@asynccontextmanager
async def users(admin: Client, url: str, *names: str) -> AsyncIterator[list[Client]]:
    """Clients with the page's rules for these users. At the end, the server must not have denied them anything."""
    await admin.acl_log(reset=True)
    try:
        with anyio.fail_after(LIMIT):
            async with AsyncExitStack() as stack:
                clients: list[Client] = []
                for name in names:
                    await admin.acl_setuser(name, *RULES[name].split())
                    client: Client = coredis.Redis.from_url(url.replace("redis://", f"redis://{name}:s3cret@"))
                    clients.append(await stack.enter_async_context(client))
                yield clients
        log: Any = await admin.acl_log()
        denied = {(entry[b"username"], entry[b"object"]) for entry in log}
        # coredis tells its version, which Redis 7.0 has no command for
        assert {what for what in denied if what[1] != b"client|setinfo"} == set()
    finally:
        await admin.acl_deluser(list(names))


class Thumbnails:
    """A queue as one program declares it."""

    def __init__(self, fair_by: str | tuple[()]) -> None:
        queue = self.queue = Queue("thumbnails", fair_by=fair_by)
        self.ran: list[int] = []

        @queue.job(retries=1, backoff=SOON)
        async def plain(n: int) -> int:
            self.ran.append(n)
            current_job().progress(1, 2)
            if n < 0:
                raise ValueError("negative")
            return n

        @queue.job()
        async def endless() -> None:
            await anyio.sleep_forever()

        @queue.job(limit=1, limit_by="n", fair_by=False)
        async def limited(n: int) -> int:
            return n

        @queue.job(rate=Rate(1, per=0.05), fair_by=False)
        async def rated(n: int) -> int:
            return n

        @queue.job(debounce=Debounce(0.02, by="n"))
        async def debounced(n: int) -> int:
            return n

        @queue.job(throttle=Throttle(0.02, by="n", keep="last"))
        async def throttled(n: int) -> int:
            return n

        @queue.batch_job(10, wait=0.01)
        async def batched(n: list[int]) -> list[int]:
            return n

        @queue.job(cron="* * * * * *")
        async def periodic() -> None:
            self.ran.append(1000)

        self.plain, self.endless = plain, endless
        self.others: list[Any] = [limited, rated, debounced, throttled, batched]


@asynccontextmanager
async def queues(
    client: Client, url: str, fair_by: str | tuple[()] = ()
) -> AsyncIterator[tuple[Thumbnails, Thumbnails]]:
    """The program that enqueues and manages, and the one that works."""
    app, working = Thumbnails(fair_by), Thumbnails(fair_by)
    async with (
        users(client, url, "thumbs.app", "thumbs.worker") as (enqueueing, running),
        app.queue.open(enqueueing),
        working.queue.open(running),
    ):
        yield app, working


@pytest.mark.parametrize("fair_by", [(), "n"])
async def test_jobs_with_results_limits_and_schedules(
    client: Client, server_url: str, fair_by: str | tuple[()]
) -> None:
    async with queues(client, server_url, fair_by) as (app, working):
        plain, queue = app.plain, app.queue
        async with Worker(working.queue).open():
            assert await (await plain.enqueue(1)).result() == 1
            assert await (await plain.enqueue(2, job_id="own", delay=0.01, expires=60)).result() == 2
            assert not (await plain.enqueue(2, job_id="own")).created
            assert await (await plain.enqueue(3, unique="n", priority="high")).result() == 3
            for job in await queue.enqueue_many(plain.call(n) for n in range(3)):
                await job.result()
            for function in app.others:
                for job in [await function.enqueue(7) for _ in range(3)]:
                    assert await job.result() == 7
            await queue.schedule("every second", plain.call(5), "* * * * * *")
            await until(lambda: {5, 1000} <= set(working.ran))
            assert await queue.pause_schedule("every second") and await queue.resume_schedule("every second")
            assert len([one async for one in queue.schedules()]) == 2
            assert await queue.unschedule("every second")


async def test_jobs_are_managed(client: Client, server_url: str) -> None:
    async with queues(client, server_url) as (app, working):
        plain, queue = app.plain, app.queue
        job = await plain.enqueue(1, delay=300)
        assert await job.status() == JobState.DELAYED and await job.reschedule(delay=200)
        assert await job.delete() and not await job.cancel()
        await plain.enqueue(2, delay=300)
        await plain.enqueue(3)
        await queue.pause()
        assert (await queue.counts()).delayed == 1
        for state in (JobState.DELAYED, JobState.WAITING, JobState.PARKED, JobState.FAILED):
            assert [one async for one in queue.jobs(state)] or state in (JobState.PARKED, JobState.FAILED)
            await working.queue.purge(state)
        await queue.resume()
        waiting = [await plain.enqueue(n) for n in (4, 5, 6)]
        await waiting[0].reschedule(delay=0.1)
        await waiting[1].cancel()
        await waiting[2].delete()
        async with Worker(working.queue).open():
            assert await waiting[0].result() == 4
            endless = await app.endless.enqueue()
            while await endless.status() != JobState.RUNNING:
                await anyio.sleep(0.01)
            assert [one async for one in queue.jobs("running")]
            assert [one async for one in queue.workers()]
            await endless.cancel()
            with pytest.raises(JobCancelled):
                await endless.result()
            with pytest.raises(JobFailed):
                await (await plain.enqueue(-1)).result()
            assert [one async for one in queue.dead_jobs()] and await queue.redrive() == 1


async def test_workflows(client: Client, server_url: str) -> None:
    async with queues(client, server_url) as (app, working):
        plain = app.plain
        async with Worker(working.queue).open():
            both = await chain(plain.call(1), plain.call(PREVIOUS)).start()
            assert await both.result() == 1
            assert await (await group([plain.call(1), plain.call(2)]).start()).result() == [1, 2]
            assert (await both.status()).nodes and await both.results()
            failing = await chain(plain.call(-1), plain.call(PREVIOUS), on_failure=plain.call(4)).start()
            with pytest.raises(JobFailed):
                await failing.result()
            assert await app.queue.redrive() == 1
            endless = await chain(app.endless.call(), plain.call(4)).start()
            assert await endless.cancel()


async def test_what_dead_workers_leave(client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "FORGET_SECONDS", 0.0)
    async with queues(client, server_url) as (app, working):
        stream = app.queue.keys.streams["normal"]
        await client.xgroup_create(stream, "workers", "0", mkstream=True)
        job = await app.plain.enqueue(1)
        assert await client.xreadgroup("workers", "gone", {stream: ">"})
        await client.xgroup_createconsumer(stream, "workers", "unused")
        # ten leases, after which an unused name is removed
        await anyio.sleep(0.6)
        async with Worker(working.queue, lease=0.05).open():
            assert await job.result() == 1
            while b"unused" in {row[b"name"] for row in await _consumers(client, stream)}:
                await anyio.sleep(0.01)


async def _consumers(client: Client, stream: str) -> Any:
    return await client.xinfo_consumers(stream, "workers")


async def handler(message: Message) -> None:
    match message.data["n"]:
        case "bad":
            raise Reject("bad")
        case "again" if message.delivery_count == 1:
            raise Retry("later", delay=0.01)
        case "call":
            await message.reply("yes")


@pytest.mark.parametrize("partitions", [None, 2])
async def test_streams(client: Client, server_url: str, partitions: int | None) -> None:
    names = ("orders.publisher", "orders.consumer", "orders.operator")
    async with users(client, server_url, *names) as (publishing, consuming, operator):
        consumer = Consumer(
            consuming, stream="orders", group="billing", dead_letter="orders.dead", order_by="n", retry=SOON,
            partitions=partitions,
        )  # fmt: skip
        orders: Producer[Any] = Producer(publishing, "orders", partitions=partitions, maxlen=1000)
        async with running(consumer, handler, LIMIT):
            await orders.publish({"n": "again"})
            await orders.publish_many([{"n": "1"}, {"n": "bad"}])
            await until(lambda: consumer.statistics.dead == 1 and consumer.statistics.acknowledged == 2)
        dead = ["orders.dead"] if partitions is None else ["orders.dead:{0}", "orders.dead:{1}"]
        assert sum([await redrive(operator, name) for name in dead]) == 1
        replay: Any = Replay(operator, "orders")
        if partitions is not None:
            replay = PartitionedReplay(operator, "orders", partitions=partitions)
        async with replay.open() as entries:
            assert len([entry async for entry in entries]) == 4
        for name in dead:
            async with aclosing(dead_letters(operator, name)) as letters:
                assert [one async for one in letters] == []


async def test_calls(client: Client, server_url: str) -> None:
    async with users(client, server_url, "orders.caller", "orders.consumer") as (calling, consuming):
        consumer = Consumer(consuming, stream="orders", group="billing", dead_letter="orders.dead")
        async with Producer(calling, "orders", maxlen=1000) as orders:
            with pytest.raises(NoResponders):
                await orders.call({"n": "call"})
            async with running(consumer, handler, LIMIT):
                assert await orders.call({"n": "call"}, timeout=LIMIT) == "yes"
                assert await orders.call({"n": "1"}, timeout=LIMIT) is None
                with pytest.raises(DeadLettered):
                    await orders.call({"n": "bad"}, timeout=LIMIT)
            with pytest.raises(TimeoutError):
                await orders.call({"n": "call"}, timeout=0.02)


async def test_fan_out(client: Client, server_url: str) -> None:
    names = ("news.publisher", "news.subscriber", "orders.publisher", "audit.follower")
    async with users(client, server_url, *names) as (publishing, subscribing, adding, following):
        async with subscribe(
            subscribing, "news.today", patterns=["news.*"], shard_channels=["news.shard"], heartbeat=0.05
        ) as messages:
            await publish(publishing, "news.today", "1")
            await publish(publishing, "news.shard", "2", shard=True)
            assert [(await anext(messages)).text for _ in range(3)] == ["1", "1", "2"]
            # until it has been sent a PING
            await anyio.sleep(0.2)
            await publish(publishing, "news.shard", "3", shard=True)
            assert (await anext(messages)).text == "3"
        orders: Producer[Any] = Producer(adding, "orders")
        async with follow(following, "orders", "audit", start=Start.BEGINNING) as entries:
            await orders.publish({"n": "1"})
            assert (await anext(aiter(entries))).fields == {"n": b"1"}
            await entries.save()


async def test_without_xreply_a_consumer_that_gives_up_an_entry_stops(
    client: Client, server_url: str, server_kind: str
) -> None:
    if server_kind != "broker-extended":
        pytest.skip("has no XREPLY")
    async with users(client, server_url, "orders.publisher") as (publishing,):
        await client.acl_setuser("limited", *RULES["orders.consumer"].split(), "-xreply")
        async with coredis.Redis.from_url(server_url.replace("redis://", "redis://limited:s3cret@")) as limited:
            consumer = Consumer(limited, stream="orders", group="billing", dead_letter="orders.dead")
            await Producer(publishing, "orders").publish({"n": "bad"})
            with pytest.raises(ConsumerError, match="xreply"):
                await consumer.run(handler)
        await client.acl_deluser(["limited"])
        await client.acl_log(reset=True)
