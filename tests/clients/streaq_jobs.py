"""The streaQ worker of test_streaq.py, on Trio; its worker processes import it too. Runs are counted in the broker."""

import os

import anyio
from streaq import StreaqRetry, Worker

URL = os.environ.get("CLIENT_TEST_URL", "redis://127.0.0.1:6379/0")

app = Worker(redis_url=URL, anyio_backend="trio", priorities=["low", "high"], idle_timeout=2)


async def _count(name: str) -> int:
    return int(await app.redis.hincrby("runs", name, 1))


@app.task
async def double(number: int) -> int:
    await _count(f"double {number}")
    return number * 2


@app.task(max_tries=5)
async def third_time(name: str) -> int:
    """Asks to be run again twice, and returns how often it was run."""
    run = await _count(name)
    if run < 3:
        raise StreaqRetry(f"run {run}", delay=0)
    return run


@app.task
async def fails(name: str) -> int:
    raise ValueError(name)


@app.task
async def rescued(name: str) -> str:
    return f"{name}, rescued"


@app.task(timeout=60, unique=True)
async def hangs_once(name: str) -> int:
    run = await _count(name)
    if run == 1:
        await anyio.sleep(50)
    return run


@app.cron("* * * * * * *")
async def every_second() -> None:
    await _count("cron")
