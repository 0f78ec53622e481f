"""A worker for processes that are killed at any moment.

It notes each entry that it has handled under handled:N in the server, with its process ID, in the same way as a user's
handler would leave an effect. Entries whose field `poison` is set always fail. With partitions it also notes N under
order:CUSTOMER, and handles the entries of a customer in order.
"""

import logging
import os
import random
import signal
from typing import Any

import anyio
import coredis

from consumers.streams import Backoff, Consumer, Message


async def work(name: str, url: str, partitions: int | None) -> None:
    """One worker, until it is killed."""
    logging.disable()
    # it must not outlive a test that was killed itself
    signal.alarm(300)
    async with coredis.Redis.from_url(url) as client:

        async def handler(message: Message[dict[str, str]]) -> None:
            await anyio.sleep(random.uniform(0, 0.01))
            if "poison" in message.fields:
                raise ValueError("poison")
            await client.rpush(f"handled:{message.data['n']}", [str(os.getpid())])
            if partitions is not None:
                await client.rpush(f"order:{message.data['customer']}", [message.data["n"]])

        consumer: Consumer[Any] = Consumer(
            client, stream="orders", group="billing", consumer=name, ack_wait=2.0, max_deliver=4,
            retry=Backoff(0.05, 2, 0.2), dead_letter="orders.dead", prefetch=16, concurrency=4, block=0.5,
            partitions=partitions, order_by=None if partitions is None else "customer",
        )  # fmt: skip
        await consumer.run(handler)
