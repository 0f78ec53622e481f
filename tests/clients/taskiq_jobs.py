"""The taskiq broker of test_taskiq.py; its worker processes import it too. Runs are counted in the broker itself."""

import asyncio
import os

from redis.asyncio import Redis
from taskiq import SimpleRetryMiddleware
from taskiq.api import run_receiver_task
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

URL = os.environ.get("CLIENT_TEST_URL", "redis://127.0.0.1:6379/0")

# who starts late takes what was queued before; pending entries are claimed, under a lock, with every read
broker = (
    RedisStreamBroker(URL, consumer_id="0", xread_block=200, unacknowledged_lock_timeout=10)
    .with_result_backend(RedisAsyncResultBackend(URL, result_ex_time=600))
    .with_middlewares(SimpleRetryMiddleware())
)


async def _count(name: str) -> int:
    async with Redis.from_url(URL) as client:
        return int(await client.hincrby("runs", name, 1))


@broker.task
async def double(number: int) -> int:
    await _count(f"double {number}")
    return number * 2


@broker.task(retry_on_error=True, max_retries=5)
async def third_time(name: str) -> int:
    """Fails twice, and returns how often it was run."""
    run = await _count(name)
    if run < 3:
        raise ValueError(f"run {run}")
    return run


@broker.task
async def fails(text: str) -> None:
    raise ValueError(text)


@broker.task
async def blocks(number: int) -> None:
    """Ends when the test says so."""
    async with Redis.from_url(URL) as client:
        while not await client.exists("release"):
            await asyncio.sleep(0.02)


async def work() -> None:
    """Do jobs until the process is ended."""
    await run_receiver_task(broker, run_startup=True)
