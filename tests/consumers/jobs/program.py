"""A program with a queue, whose workers the tests start as processes and kill.

What a job has done it adds to lists on the server: `begun` and `done`.
"""

import os
import time

import anyio

from consumers.jobs import Backoff, Queue, Rate, current_job

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


@queue.job(rate=Rate(10, per=0.2, by="group"), crashes=100)
async def rated(n: int, group: str) -> int:
    client = queue.connection.client
    (place,) = rated.places_of({"group": group})
    claims = await client.zrange(queue.keys.running(place.limit), 0, -1, withscores=True)
    end = max(one.score for one in claims if one.member.decode().startswith(f"{current_job().id} "))
    await client.rpush(f"begun:{group}", [f"{end - place.period:.6f}"])
    await client.rpush("rated", [str(n)])
    return n


@queue.job()
async def held() -> None:
    client = queue.connection.client
    await client.incr("begun")
    while not await client.exists(["released"]):
        await anyio.sleep(0.02)


@queue.job(retries=0)
async def hopeless() -> None:
    raise ValueError("hopeless")


@queue.job()
def block(seconds: float) -> None:
    time.sleep(seconds)


fair = Queue("fair", fair_by="tenant")


@fair.job(backoff=Backoff(initial=0.05, max=0.05), crashes=100)
async def turn(tenant: str, n: int) -> int:
    await anyio.sleep(0.005)
    await fair.connection.client.rpush("turns", [str(n)])
    return n


@fair.batch_job(6, wait=0.05, crashes=100)
async def gathered(numbers: list[int]) -> list[int]:
    await anyio.sleep(0.01)
    await fair.connection.client.rpush("gathered", [str(n) for n in numbers])
    return numbers


@fair.job(crashes=100)
async def planned() -> None:
    await fair.connection.client.rpush("planned", [current_job().id])


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
