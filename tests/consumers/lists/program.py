"""A consumer of the list `box` for processes that the tests kill.

The elements "crash..." end it themselves.
"""

import os

import anyio
import coredis

from consumers.lists import ListConsumer


async def consume(url: str, recoveries: int = 100) -> None:
    async with coredis.Redis.from_url(url) as client:

        async def handle(element: bytes) -> None:
            if element.startswith(b"crash"):
                await client.rpush("crashed", [element])
                os._exit(1)
            await client.rpush("begun", [element])
            await anyio.sleep(int(element) % 5 / 200)
            await client.rpush("done", [element])

        await ListConsumer(client, "box", concurrency=8, alive=0.6, recoveries=recoveries).run(handle)
