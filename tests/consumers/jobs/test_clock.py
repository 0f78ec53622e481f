"""A queue's clock is the wall clock, but in a test that has a clock of its own."""

import time

import anyio
import trio
import trio.testing

from broker.server import open_broker
from broker.testing import in_process
from consumers.jobs import Backoff, Queue, Worker
from consumers.jobs.clock import wall_clock

queue = Queue("clock")
attempts: list[float] = []


@queue.job(retries=3, backoff=Backoff(initial=60, max=600, jitter=False))
async def reluctant() -> int:
    attempts.append(anyio.current_time())
    if len(attempts) < 3:
        raise ValueError("not yet")
    return len(attempts)


async def test_it_is_the_wall_clock() -> None:
    assert abs(wall_clock() - time.time()) < 10


async def test_under_a_mock_clock_it_moves_with_that(autojump_clock: trio.testing.MockClock) -> None:
    began = wall_clock()
    assert abs(began - time.time()) < 10
    await anyio.sleep(10_000)
    assert abs(wall_clock() - began - 10_000) < 0.001


async def test_delays_and_back_offs_need_no_waiting_in_a_test(autojump_clock: trio.testing.MockClock) -> None:
    attempts.clear()
    real = time.monotonic()
    async with (
        open_broker({}) as server, in_process.client(server) as client, queue.open(client), Worker(queue).open()
    ):  # fmt: skip
        job = await reluctant.enqueue(delay=600)
        assert await job.result(timeout=1000) == 3
    assert time.monotonic() - real < 600
    waits = [later - earlier for earlier, later in zip([0.0, *attempts], attempts, strict=False)]
    assert all(abs(wait - expected) < 2 for wait, expected in zip(waits, (600, 60, 120), strict=True))
