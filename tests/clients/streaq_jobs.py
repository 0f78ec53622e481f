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


# The queue of test_streaq_console.py. Its worker runs two tasks at a time, and fetches two more in advance.
mail = Worker(
    redis_url=URL, anyio_backend="trio", queue_name="mail", priorities=["low", "urgent"], concurrency=2, prefetch=2,
    idle_timeout=30,
)  # fmt: skip
mail_double = mail.task(name="double")(double.fn)
mail_fails = mail.task(name="fails")(fails.fn)


@mail.task(name="blocks")
async def mail_blocks(number: int) -> None:
    """Ends when the test says so."""
    while not await mail.redis.exists(["release"]):
        await anyio.sleep(0.02)


@mail.cron("0 0 1 1 *", name="yearly")
async def mail_yearly() -> None: ...
