"""A consumer for processes that an entry ends.

Its handler notes on the server which entries it has begun; one with the field `crash` ends the process, one with
`crash-once` only at its first delivery. One with the field `answer` is answered.
"""

import os

import anyio
import coredis

from consumers.streams import Backoff, Consumer, Message


async def consume(url: str, max_deliver: int, order_by: str | None = None) -> None:
    async with coredis.Redis.from_url(url) as client:

        async def handler(message: Message) -> None:
            await client.rpush("begun", [message.data["n"]])
            if "crash" in message.data or ("crash-once" in message.data and message.delivery_count == 1):
                os._exit(1)
            await anyio.sleep(0.005)
            await client.rpush("done", [message.data["n"]])
            if "answer" in message.data:
                await message.reply(message.data["n"])

        consumer = Consumer(
            client, stream="orders", group="billing", ack_wait=0.3, max_deliver=max_deliver,
            retry=Backoff(0.05, 2, 0.2), dead_letter="orders.dead", prefetch=16, concurrency=8, block=0.5,
            order_by=order_by,
        )  # fmt: skip
        await consumer.run(handler)
