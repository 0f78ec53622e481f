"""What the tests of job queues share: a queue with quick retries, and waiting."""

from collections.abc import Callable
from typing import Any

import anyio

from consumers.jobs import Backoff, DeadJob, Queue

__all__ = ["SOON", "dead", "keys", "until"]

SOON = Backoff(initial=0.05, factor=1, max=0.05, jitter=False)


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
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
    kept = {"resumed", "high", "normal", "low", "moves"}
    return {key for key in found if key not in kept and not key.startswith("result:")}
