"""A server that is killed and comes back with its append-only file: consumers go on where they were.

With appendfsync always nothing that was confirmed is lost: an entry whose publishing was confirmed is handled, and one
whose acknowledgement was confirmed does not come again. TRIMARAN_CRASH_ROUNDS sets how often it is killed.
"""

import os
import random
from typing import Any

import anyio
import coredis
import pytest

from consumers.connection import open_link
from consumers.streams import Consumer, Message
from tests.consumers.servers import redis_server
from tests.consumers.streams.running import SOON, pending, running, until

pytestmark = [pytest.mark.both_loops, pytest.mark.spread]

RESTARTS = int(os.environ.get("TRIMARAN_CRASH_ROUNDS", "2"))


async def test_consumers_go_on_after_the_server_was_killed(server_kind: str) -> None:
    with redis_server(server_kind, "--appendonly", "yes", "--appendfsync", "always") as server:
        async with coredis.Redis.from_url(server.url) as client, open_link(client, "orders") as link:
            handled: dict[str, int] = {}
            acknowledged: set[str] = set()
            again: list[str] = []
            published: list[str] = []

            async def handler(message: Message[dict[str, str]]) -> None:
                if message.id in acknowledged:
                    again.append(message.id)
                handled[message.id] = handled.get(message.id, 0) + 1
                await anyio.sleep(random.uniform(0, 0.01))
                await message.ack()
                acknowledged.add(message.id)

            async def publish() -> None:
                while True:
                    try:
                        (id,) = await link.execute([(b"XADD", "orders", b"*", "n", len(published))])
                        published.append(id.decode())
                    except (coredis.exceptions.ConnectionError, TimeoutError):
                        await anyio.sleep(0.05)
                    await anyio.sleep(0.003)

            consumer: Consumer[Any] = Consumer(
                client, stream="orders", group="billing", consumer="a", ack_wait=2, retry=SOON, block=1, prefetch=16
            )
            async with running(consumer, handler, limit=60):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(publish)
                    for _ in range(RESTARTS):
                        await anyio.sleep(random.uniform(0.3, 0.6))
                        server.kill()
                        await anyio.to_thread.run_sync(server.start)
                    before = len(published)
                    await until(lambda: len(published) > max(before + 20, 100), 30)
                    tasks.cancel_scope.cancel()
                await until(lambda: set(published) <= acknowledged, 15)
                while await pending(client):
                    # an entry whose XADD was cut off, so that it is not among the published ones
                    await anyio.sleep(0.01)
            assert len(published) > 100 and not again
            assert await pending(client) == 0
