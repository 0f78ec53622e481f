"""What the tests of job queues share: a queue with quick retries, and waiting."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import coredis

from broker.process.clock import TrioClock
from broker.server import open_broker
from broker.testing import in_process
from consumers.jobs import Backoff, DeadJob, Queue

__all__ = ["SOON", "dead", "keys", "on_test_clock", "until"]

SOON = Backoff(initial=0.05, factor=1, max=0.05, jitter=False)


@asynccontextmanager
async def on_test_clock(queue: Queue) -> AsyncIterator["coredis.Redis[bytes]"]:
    """Open the queue for the block on a broker that shares the time of the test, which has Trio's autojump clock."""
    clock = TrioClock(time.time_ns() // 1_000_000 - int(anyio.current_time() * 1000))
    async with open_broker({}, clock=clock) as server, in_process.client(server) as client, queue.open(client):
        yield client


async def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until the condition is true."""
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.005)


async def dead(queue: Queue) -> list[DeadJob]:
    """All dead jobs."""
    return [job async for job in queue.dead_jobs()]


async def keys(client: Any, queue: Queue) -> set[str]:
    """What is left of a queue on the server, but for results and streams."""
    found = {key.decode().removeprefix(queue.keys.prefix) async for key in client.scan_iter(match="jobs:*")}
    kept = {"resumed", "high", "normal", "low", "moves", "admissions"}
    return {key for key in found if key not in kept and not key.startswith("result:")}
