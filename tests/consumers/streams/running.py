"""What the tests of stream consumers share: a consumer that runs for a block, and waiting for what it does."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import coredis
from anyio.abc import TaskGroup

from consumers.streams import Backoff, Consumer

__all__ = ["SOON", "Client", "dead", "entries_of", "pending", "running", "until"]

Client = coredis.Redis[bytes]
SOON = Backoff(initial=0.05, factor=1, max=0.05, jitter=False)


@asynccontextmanager
async def running(consumer: Consumer[Any], handler: Any, limit: float = 30) -> AsyncIterator[TaskGroup]:
    """The consumer, started, for as long as the block runs; then drained."""
    with anyio.fail_after(limit):
        async with anyio.create_task_group() as tasks:
            await tasks.start(consumer.run, handler)
            yield tasks
            await consumer.drain(grace=5)


async def until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until the condition is true."""
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.005)


async def pending(client: Client, stream: str = "orders", group: str = "billing") -> int:
    """How many entries of a group are delivered and not acknowledged."""
    about: Any = await client.xpending(stream, group)
    count: int = about.pending
    return count


async def entries_of(client: Client, stream: str) -> list[tuple[str, dict[bytes, bytes]]]:
    """ID and fields of all entries of a stream."""
    entries: Any = await client.xrange(stream)
    return [(entry.identifier.decode(), dict(entry.field_values)) for entry in entries]


async def dead(client: Client, stream: str = "orders.dead") -> list[dict[bytes, bytes]]:
    """The fields of all entries of a dead-letter stream."""
    return [fields for _, fields in await entries_of(client, stream)]
