"""A program with a queue, whose workers the tests start as processes and kill.

What a job has done it adds to lists on the server: `begun` and `done`.
"""

import os
import time

import anyio

from consumers.jobs import Backoff, Queue

queue = Queue("killed")


@queue.job(backoff=Backoff(initial=0.05, max=0.05), crashes=100)
async def work(n: int, seconds: float) -> int:
    client = queue.connection.client
    await client.rpush("begun", [str(n)])
    await anyio.sleep(seconds)
    await client.rpush("done", [str(n)])
    return n


@queue.job(retries=2, backoff=Backoff(initial=0.05, max=0.05), crashes=100)
async def poison(n: int) -> None:
    raise ValueError("poison")


@queue.job(limit=3, limit_by="group", crashes=100, name="limited")
async def limited(n: int, group: str) -> int:
    client = queue.connection.client
    await anyio.sleep(0.002)
    await client.rpush("done", [str(n)])
    return n


@queue.job()
def block(seconds: float) -> None:
    time.sleep(seconds)


crashing = Queue("crashing")


@crashing.job(name="crash", retries=0, crashes=3)
async def crash(n: int) -> None:
    await crashing.connection.client.rpush("crashed", [str(n)])
    os._exit(1)


@crashing.job(name="fine")
async def fine(n: int) -> int:
    await crashing.connection.client.rpush("begun", [str(n)])
    await anyio.sleep(0.01)
    return n
