"""A consumer of the list `box` as a process that the tests kill: python program.py URL."""

import sys

import coredis
import trio

from consumers.lists import ListConsumer


async def main(url: str) -> None:
    async with coredis.Redis.from_url(url) as client:

        async def handle(element: bytes) -> None:
            await trio.sleep(int(element) % 5 / 200)
            await client.rpush("done", [element])

        await ListConsumer(client, "box", concurrency=8, alive=0.6, recoveries=100).run(handle)


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
