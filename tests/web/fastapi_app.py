"""A FastAPI application that enqueues jobs, for `uvicorn`, and the queue's jobs, for `trimaran work`.

REDIS_URL names the server.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from fastapi import FastAPI

from consumers.jobs import JobFailed, Queue

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")

queue = Queue("web", loop="asyncio")


@queue.job(retries=0)
async def add(a: int, b: int) -> int:
    """Adds on the server, over a connection of asyncio's own: as a driver for asyncio alone would."""
    server = urlsplit(URL)
    reader, writer = await asyncio.open_connection(server.hostname, server.port)
    try:
        writer.write(f"DEL sum:{a}:{b}\r\nINCRBY sum:{a}:{b} {a}\r\nINCRBY sum:{a}:{b} {b}\r\n".encode())
        async with asyncio.timeout(30):
            replies = [await reader.readline() for _ in range(3)]
        return int(replies[-1][1:])
    finally:
        writer.close()
        await writer.wait_closed()


@queue.job(retries=0)
async def fail() -> None:
    raise ValueError("no")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with queue.open(URL):
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/add")
async def sum_of(a: int, b: int) -> dict[str, int]:
    job = await add.enqueue(a, b)
    return {"sum": await job.result(timeout=60)}


@app.get("/add-in-a-thread")
def sum_in_a_thread(a: int, b: int) -> dict[str, int]:
    """A view that is not asynchronous, beside the loop in which the queue is open."""
    return {"sum": add.sync.enqueue(a, b).result(timeout=60)}


@app.get("/fail")
async def failure() -> dict[str, str]:
    job = await fail.enqueue()
    try:
        await job.result(timeout=60)
    except JobFailed as error:
        return {"error": str(error)}
    return {}
