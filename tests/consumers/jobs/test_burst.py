"""When nothing is left to do for a queue."""

from collections.abc import AsyncIterator

import anyio
import coredis
import pytest

from consumers.jobs import Queue, Worker
from consumers.jobs.burst import until_nothing_is_left
from tests.consumers.jobs.working import SOON

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


async def nothing_is_left(queue: Queue) -> None:
    with anyio.fail_after(10):
        await until_nothing_is_left(queue, lambda: 0)


async def something_is_left(queue: Queue, in_hand: int = 0) -> bool:
    with anyio.move_on_after(0.3):
        await until_nothing_is_left(queue, lambda: in_hand)
        return False
    return True


async def test_waiting_due_parked_and_running_jobs_are_waited_for(client: Client, queue: Queue) -> None:
    go_on = anyio.Event()

    @queue.job(limit=1)
    async def work() -> None:
        await go_on.wait()

    await nothing_is_left(queue)
    assert await something_is_left(queue, in_hand=1)
    later = await work.enqueue(delay=1000)
    await nothing_is_left(queue)
    await work.enqueue()
    assert await something_is_left(queue)
    other = Queue("q")
    async with Worker(queue).open(), other.open(client):
        await work.enqueue()
        counts = await queue.counts()
        while (counts.running, counts.parked) != (1, 1):
            counts = await queue.counts()
        # seen from another program
        assert await something_is_left(other)
        go_on.set()
        await nothing_is_left(other)
    await later.cancel()


async def test_what_will_be_retried_is_not_waited_for_but_what_is_due_is(queue: Queue) -> None:
    @queue.job(retries=1, backoff=SOON)
    async def fails() -> None:
        raise ValueError("x")

    await fails.enqueue(delay=0.5)
    await nothing_is_left(queue)
    await anyio.sleep(0.5)
    assert await something_is_left(queue)


async def test_a_paused_queue_has_nothing_to_do(queue: Queue) -> None:
    @queue.job()
    async def work() -> None: ...

    await work.enqueue()
    await queue.pause()
    await nothing_is_left(queue)
