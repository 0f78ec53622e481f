"""Workers behind a network that drops, delays, swallows and half-closes: every job is done, nothing is left over."""

from collections import Counter

import anyio
import coredis
import pytest

from consumers.jobs import JobFailed, Queue, Worker, current_job
from consumers.lists import ListConsumer
from tests.consumers.jobs.working import SOON, dead, keys, until
from tests.consumers.network import KINDS_OF_TROUBLE, network, trouble

pytestmark = [pytest.mark.both_loops, pytest.mark.spread]

Client = coredis.Redis[bytes]

JOBS = 160


@pytest.mark.parametrize("kind", KINDS_OF_TROUBLE)
async def test_every_job_is_done_over_a_bad_network(client: Client, server_url: str, kind: str) -> None:
    here, there = Queue("q"), Queue("q")
    runs: Counter[int] = Counter()

    async def work(n: int, group: int) -> int:
        runs[n] += 1
        await anyio.sleep(0.003)
        if n % 10 == 0 and current_job().attempt == 1:
            raise ValueError("once")
        return n

    async def hopeless() -> None:
        raise ValueError("always")

    for queue in (here, there):
        queue.job(backoff=SOON, limit=4, limit_by="group", name="limited")(work)
        queue.job(backoff=SOON, name="free")(work)
        queue.job(backoff=SOON, retries=1)(hopeless)
    limited, free = here.functions["limited"], here.functions["free"]
    with anyio.fail_after(60):
        async with (
            here.open(client),
            network(server_url) as between,
            coredis.Redis.from_url(between.url) as far,
            there.open(far),
            anyio.create_task_group() as tasks,
        ):
            workers = [Worker(there, concurrency=8, lease=1) for _ in range(2)]
            for worker in workers:
                await tasks.start(worker.run)
            tasks.start_soon(trouble, between, kind)
            calls = [(limited if n % 4 == 0 else free).call(n, n % 3, delay=n % 5 / 10) for n in range(JOBS)]
            jobs = await here.enqueue_many(calls)
            bad = await here.functions["hopeless"].enqueue()
            assert [await job.result(timeout=50) for job in jobs] == list(range(JOBS))
            with pytest.raises(JobFailed):
                await bad.result(timeout=20)
            tasks.cancel_scope.cancel()
        async with here.open(client), Worker(here, lease=1).open() as worker:
            # what was left by the end of the others
            while await left_over(client, here) != {"dead"} or worker.in_hand:
                await anyio.sleep(0.01)
            assert {job.id for job in await dead(here)} == {bad.id}
    assert set(runs) == set(range(JOBS))
    assert await left_over(client, here) == {"dead"}


async def left_over(client: Client, queue: Queue) -> set[str]:
    """What the server keeps of jobs."""
    left = {stream for stream in queue.keys.in_order if await client.xlen(stream)}
    # a worker that could not say goodbye is listed for another minute
    return left | {key for key in await keys(client, queue) if not key.startswith(("periodic", "limits", "workers"))}


@pytest.mark.parametrize("kind", KINDS_OF_TROUBLE)
async def test_every_element_of_a_list_is_handled_over_a_bad_network(
    client: Client, server_url: str, kind: str
) -> None:
    await client.rpush("box", [str(n % 200) for n in range(400)])
    handled: Counter[bytes] = Counter()

    async def handle(element: bytes) -> None:
        handled[element] += 1
        await anyio.sleep(0.003)

    with anyio.fail_after(60):
        async with network(server_url) as between, coredis.Redis.from_url(between.url) as far:
            # the heartbeat is longer than any fault: nothing is considered dead
            consumer = ListConsumer(far, "box", concurrency=4)
            async with anyio.create_task_group() as tasks:
                await tasks.start(consumer.run, handle)
                tasks.start_soon(trouble, between, kind)
                await until(lambda: consumer.statistics.done >= 400, seconds=50)
                tasks.cancel_scope.cancel()
    assert handled == Counter({str(n).encode(): 2 for n in range(200)})
    assert await client.llen("box") == 0 and await client.llen(consumer.keys.processing(consumer.consumer)) == 0
