"""A consumer of the list `box` as a process that the tests kill: python program.py URL [RECOVERIES].

The elements "crash..." end it themselves.
"""

import os
import sys

import anyio
import coredis

from consumers.lists import ListConsumer
from tests.consumers.loops import run


async def main(url: str, recoveries: str = "100") -> None:
    async with coredis.Redis.from_url(url) as client:

        async def handle(element: bytes) -> None:
            if element.startswith(b"crash"):
                await client.rpush("crashed", [element])
                os._exit(1)
            await client.rpush("begun", [element])
            await anyio.sleep(int(element) % 5 / 200)
            await client.rpush("done", [element])

        await ListConsumer(client, "box", concurrency=8, alive=0.6, recoveries=int(recoveries)).run(handle)


if __name__ == "__main__":
    run(main, *sys.argv[1:])
