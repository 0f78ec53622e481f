"""Jobs that raise what usually ends a program: it is the job that fails, and its worker goes on."""

import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import coredis
import pytest
from anyio.lowlevel import checkpoint

from consumers.jobs import JobFailed, Queue, Worker
from tests.consumers.jobs.working import SOON, dead, until

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


class OfItsOwn(BaseException):
    """Neither an Exception nor anything that Python knows."""


def exits() -> None:
    sys.exit(3)


def of_its_own() -> None:
    raise OfItsOwn("x")


def closes() -> None:
    raise GeneratorExit("x")


def several() -> None:
    raise BaseExceptionGroup("x", [SystemExit(3), ValueError("x")])


ENDS: list[tuple[Callable[[], None], str]] = [
    (exits, "SystemExit"), (of_its_own, "OfItsOwn"), (closes, "GeneratorExit"), (several, "BaseExceptionGroup"),
]  # fmt: skip


@pytest.mark.spread
@pytest.mark.parametrize("in_thread", [False, True], ids=["async", "thread"])
@pytest.mark.parametrize(("end", "kind"), ENDS, ids=[kind for _, kind in ENDS])
async def test_it_is_retried_and_then_dead(queue: Queue, end: Callable[[], None], kind: str, in_thread: bool) -> None:
    runs = 0

    def body() -> None:
        nonlocal runs
        runs += 1
        end()

    async def asynchronous() -> None:
        await checkpoint()
        body()

    bad = queue.job(name="bad", retries=2, backoff=SOON)(body if in_thread else asynchronous)

    @queue.job()
    async def good() -> int:
        return 1

    async with Worker(queue).open():
        job = await bad.enqueue()
        with pytest.raises(JobFailed) as caught:
            await job.result(timeout=30)
        assert (caught.value.kind, caught.value.attempts, runs) == (kind, 3, 3)
        assert await (await good.enqueue()).result(timeout=30) == 1
    (letter,) = await dead(queue)
    assert letter.reason.startswith(f"failed 3 times: {kind}: ")


@pytest.mark.trio_only(reason="asyncio ends the loop itself when a task raises that")
async def test_it_may_come_out_of_the_jobs_own_nursery(queue: Queue) -> None:
    @queue.job(retries=0)
    async def bad() -> None:
        async def child() -> None:
            sys.exit("no more")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
            tasks.start_soon(anyio.sleep_forever)

    async with Worker(queue).open():
        with pytest.raises(JobFailed, match="SystemExit: no more"):
            await (await bad.enqueue()).result(timeout=30)


@pytest.mark.spread
async def test_a_periodic_job_that_exits_does_not_end_its_worker(queue: Queue) -> None:
    runs: list[int] = []

    @queue.job(cron="* * * * * *", retries=0)
    async def tick() -> None:
        runs.append(1)
        sys.exit(1)

    async with Worker(queue).open():
        await until(lambda: len(runs) > 1)


@pytest.mark.trio_only(reason="asyncio ends the loop itself when a task raises that")
async def test_what_a_job_raises_while_its_worker_ends_is_no_attempt(queue: Queue) -> None:
    begun = anyio.Event()
    runs: list[int] = []

    @queue.job(retries=0)
    async def untidy() -> int:
        async def child() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise SystemExit("untidy")

        runs.append(1)
        if len(runs) > 1:
            return len(runs)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
            tasks.start_soon(anyio.sleep_forever)
            begun.set()
        return 0

    job = await untidy.enqueue()
    async with Worker(queue).open(grace=0):
        await begun.wait()
    async with Worker(queue).open():
        assert await job.result(timeout=30) == 2


@pytest.mark.trio_only(reason="asyncio ends the loop itself when a task raises that")
async def test_the_users_interrupt_ends_the_worker(queue: Queue) -> None:
    @queue.job()
    async def interrupted() -> None:
        raise KeyboardInterrupt

    await interrupted.enqueue()
    with anyio.fail_after(60), pytest.raises(KeyboardInterrupt):
        await Worker(queue).run()
    stream: Any = queue.keys.streams["normal"]
    assert await queue.connection.client.xlen(stream) == 1
