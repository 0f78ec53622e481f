"""Middleware around jobs: what it gets, what it may change, and in which order."""

import threading
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import anyio
import coredis
import pytest

from consumers.jobs import CallNext, CurrentJob, JobFailed, Middleware, Queue, Reject, Worker, current_job
from consumers.middleware import Handled
from tests.consumers.jobs.working import SOON, dead

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


async def test_they_run_in_order_around_tasks_and_threads(queue: Queue) -> None:
    told: list[str] = []

    @queue.middleware
    async def outer(job: CurrentJob, call_next: CallNext) -> Any:
        told.append(f"outer {job.name} {dict(job.arguments)} {job.attempt}")
        token = tenant.set("acme")
        try:
            result = await call_next()
        finally:
            tenant.reset(token)
        told.append(f"outer got {result}")
        return result + "!"

    @queue.middleware
    async def inner(job: CurrentJob, call_next: CallNext) -> Any:
        told.append(f"inner {tenant.get()} {current_job() is job}")
        return (await call_next()).upper()

    @queue.job()
    async def in_task(word: str) -> str:
        return f"{word} {tenant.get()}"

    @queue.job()
    def in_thread(word: str) -> str:
        assert threading.current_thread() is not main
        return f"{word} {tenant.get()}"

    main = threading.current_thread()
    async with Worker(queue).open():
        for function, word in ((in_task, "a"), (in_thread, "b")):
            told.clear()
            assert await (await function.enqueue(word)).result(timeout=30) == f"{word.upper()} ACME!"
            assert told == [
                f"outer {function.name} {{'word': '{word}'}} 1", "inner acme True", f"outer got {word.upper()} ACME"
            ]  # fmt: skip
    assert tenant.get() == "nobody"


async def test_they_may_swallow_replace_and_raise(queue: Queue) -> None:
    runs: list[str] = []

    @queue.middleware
    async def judge(job: CurrentJob, call_next: CallNext) -> Any:
        if job.name == "skipped":
            return "instead"
        try:
            return await call_next()
        except KeyError:
            return "swallowed"
        except ValueError as error:
            raise Reject(f"hopeless: {error}") from error

    @queue.job()
    async def skipped() -> str:
        runs.append("skipped")
        return ""

    @queue.job()
    async def missing() -> str:
        raise KeyError("x")

    @queue.job()
    def wrong() -> str:
        raise ValueError("x")

    @queue.job(retries=1, backoff=SOON)
    async def unlucky() -> str:
        runs.append("unlucky")
        raise OSError("x")

    async with Worker(queue).open():
        assert await (await skipped.enqueue()).result(timeout=30) == "instead"
        assert await (await missing.enqueue()).result(timeout=30) == "swallowed"
        with pytest.raises(JobFailed, match=r"^Reject: hopeless: x$"):
            await (await wrong.enqueue()).result(timeout=30)
        with pytest.raises(JobFailed, match=r"^OSError: x$"):
            await (await unlucky.enqueue()).result(timeout=30)
    assert runs == ["unlucky", "unlucky"]
    assert [job.reason for job in await dead(queue)] == ["hopeless: x", "failed 2 times: OSError: x"]


async def test_a_timeout_and_a_cancellation_reach_them_as_such(queue: Queue) -> None:
    seen: list[str] = []

    class Hooks(Middleware):
        def failure(self, message: Handled, error: BaseException, seconds: float) -> None:
            seen.append(type(error).__name__)

    @queue.middleware
    async def watch(job: CurrentJob, call_next: CallNext) -> Any:
        try:
            return await call_next()
        except anyio.get_cancelled_exc_class():
            seen.append(f"{job.name} is cancelled")
            raise

    @queue.job(timeout=0.05, retries=0)
    async def long() -> None:
        await anyio.sleep_forever()

    begun = anyio.Event()

    @queue.job()
    async def endless() -> None:
        begun.set()
        await anyio.sleep_forever()

    async with Worker(queue, middleware=[Hooks()]).open():
        with pytest.raises(JobFailed, match="JobTimeout"):
            await (await long.enqueue()).result(timeout=30)
        job = await endless.enqueue()
        await begun.wait()
        await job.cancel()
        with pytest.raises(Exception, match="the job was cancelled"):
            await job.result(timeout=30)
    assert seen == ["long is cancelled", "JobTimeout", "endless is cancelled"]


def test_what_is_no_middleware_is_refused() -> None:
    def plain(job: CurrentJob, call_next: CallNext) -> None: ...
    async def short(job: CurrentJob) -> None: ...
    async def more(job: CurrentJob, call_next: CallNext, extra: int) -> None: ...

    for wrong, text in [
        (plain, "the middleware plain of the queue q is not an asynchronous function"),
        (short, r"the middleware short of the queue q is called with \(job, call_next\): too many"),
        (more, r"the middleware more of the queue q is called with \(job, call_next\): missing a required argument"),
        (5, "the middleware 5 of the queue q is not an asynchronous function"),
    ]:
        with pytest.raises(TypeError, match=f"^{text}"):
            Queue("q").middleware(wrong)  # type: ignore[type-var]
