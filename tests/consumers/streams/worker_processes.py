"""Worker processes for crash tests: one process that has imported everything forks a worker for each name it reads.

    python -m tests.consumers.streams.worker_processes URL [PARTITIONS]
    < a            a worker named a begins
    > a 1234       its process ID

A worker notes each entry that it has handled under handled:N in the server, with its process ID, in the same way as a
user's handler would leave an effect. Entries whose field `poison` is set always fail. With partitions it also notes N
under order:CUSTOMER, and handles the entries of a customer in order.
"""

import logging
import os
import random
import signal
import sys
from typing import Any

import anyio
import coredis

from consumers.streams import Backoff, Consumer, Message
from tests.consumers.loops import run


async def work(url: str, name: str, partitions: int | None) -> None:
    """One worker, until it is killed."""
    async with coredis.Redis.from_url(url) as client:

        async def handler(message: Message[dict[str, str]]) -> None:
            await anyio.sleep(random.uniform(0, 0.01))
            if "poison" in message.fields:
                raise ValueError("poison")
            await client.rpush(f"handled:{message.data['n']}", [str(os.getpid())])
            if partitions is not None:
                await client.rpush(f"order:{message.data['customer']}", [message.data["n"]])

        consumer: Consumer[Any] = Consumer(
            client, stream="orders", group="billing", consumer=name, ack_wait=1.0, max_deliver=4,
            retry=Backoff(0.05, 2, 0.2), dead_letter="orders.dead", prefetch=16, concurrency=4, block=0.5,
            partitions=partitions, order_by=None if partitions is None else "customer",
        )  # fmt: skip
        await consumer.run(handler)


def main(url: str, partitions: int | None = None) -> None:
    logging.disable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # imports the loop, once for all
    run(anyio.sleep, 0)
    for line in sys.stdin:
        name = line.strip()
        process = os.fork()
        if not process:
            # the worker must not outlive a test that was killed itself
            signal.alarm(300)
            random.seed()
            run(work, url, name, partitions)
            os._exit(1)
        print(name, process, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
