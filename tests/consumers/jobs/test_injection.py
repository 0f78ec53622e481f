"""A queue's lifespan, and what jobs and middleware get from it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import anyio
import coredis
import pytest
from anyio.lowlevel import checkpoint

from consumers.jobs import INJECTED, CallNext, CurrentJob, Queue, Worker, current_job
from consumers.jobs.injection import Lifespan, parts, provided
from tests.consumers.jobs.working import until

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


class Pool:
    def __init__(self, name: str) -> None:
        self.name = name
        self.open = True


@dataclass
class Resources:
    shared: ClassVar[str] = "no part"
    pool: Pool
    first: int
    second: int
    words: list[str] | None = None


async def of_resources() -> AsyncIterator[Resources]:
    yield Resources(Pool("main"), 1, 2)


@asynccontextmanager
async def managed() -> AsyncIterator[Pool]:
    yield Pool("managed")


async def yields_nothing() -> AsyncIterator[None]:
    yield


def test_a_parameter_gets_what_its_annotation_names() -> None:
    lifespan = Lifespan(of_resources, "q")

    def function(
        path: str, whole: Resources = INJECTED, *, pool: Pool = INJECTED, second: int = INJECTED,
        words: "list[str] | None" = INJECTED, number: int = 5,
    ) -> None: ...  # fmt: skip

    chosen = parts(function, "f", lifespan)
    assert chosen == {"whole": "", "pool": "pool", "second": "second", "words": "words"}
    context = Resources(Pool("a"), 1, 2, ["x"])
    got = provided(context, chosen)
    assert got == {"whole": context, "pool": context.pool, "second": 2, "words": ["x"]}
    assert repr(INJECTED) == "INJECTED"


def test_lifespans_say_what_they_yield() -> None:
    def of_a_class() -> AbstractAsyncContextManager[Pool]:
        return managed()

    assert [Lifespan(one, "q").kind for one in (managed, of_a_class, of_resources)] == [Pool, Pool, Resources]

    async def coroutine() -> Pool:
        raise NotImplementedError

    async def silent():  # type: ignore[no-untyped-def]
        yield

    async def wants(n: int) -> AsyncIterator[int]:
        yield n

    for wrong, text in [
        (5, "is a function, not int"), (coroutine, "must yield once"), (silent, "must say what it yields"),
        (wants, "takes no arguments"),
    ]:  # fmt: skip
        with pytest.raises(TypeError, match=f"^the lifespan of the queue q {text}"):
            Lifespan(wrong, "q")  # type: ignore[arg-type]


def test_what_is_not_provided_is_an_error_where_the_job_is_declared() -> None:
    def no_annotation(pool=INJECTED): ...  # type: ignore[no-untyped-def]
    def undefined(pool: "Undefined" = INJECTED) -> None: ...  # type: ignore[name-defined]  # noqa: F821
    def other(pool: bytes = INJECTED) -> None: ...
    def either(number: int = INJECTED) -> None: ...

    for function, text in [
        (no_annotation, "the job no_annotation: 'pool' is injected, so it needs an annotation"),
        (undefined, "the job undefined: its annotations can't be evaluated: name 'Undefined' is not defined"),
        (other, "the job other: the lifespan of the queue q provides no bytes for 'pool'"),
        (either, "the job either: 'number' could be any of first, second, which have its type; name it like one"),
    ]:
        queue = Queue("q")
        with pytest.raises(TypeError, match=f"^the job {function.__name__}: .*no lifespan of the queue has been decl"):
            queue.job()(function)
        queue.lifespan(of_resources)
        with pytest.raises(TypeError, match=f"^{text}$"):
            queue.job()(function)
        assert queue.functions == {}
    with pytest.raises(ValueError, match=r"^the queue q has a lifespan already$"):
        queue.lifespan(managed)


def test_injected_parameters_are_no_arguments() -> None:
    queue = Queue("q")
    queue.lifespan(of_resources)

    # the annotations of the others may name what is defined later
    @queue.job(unique=True)
    def work(path: str, delay: Pool = INJECTED, *, resources: Resources = INJECTED) -> str:
        return f"{path} {delay.name}"

    assert work.call("a").arguments == b"\x81\xa4path\xa1a"
    for arguments, named in (((), {"resources": 1}), (("b",), {})):
        with pytest.raises(TypeError, match=r"^the job work: "):
            work.call("a", *arguments, **named)  # type: ignore[arg-type]
    context = Resources(Pool("test"), 1, 2)
    assert work("a", context.pool, resources=context) == "a test"
    with pytest.raises(TypeError, match=r"^work: only a worker injects 'delay'; pass it in a direct call$"):
        work("a", resources=context)
    with pytest.raises(TypeError, match=r"^pool has no parameter pool$"):
        queue.job(unique="pool", name="pool")(_takes_a_pool)


def _takes_a_pool(pool: Pool = INJECTED) -> None: ...


async def test_each_worker_enters_it_before_its_first_job_and_leaves_it_after_its_last(client: Client) -> None:
    queue, told, release = Queue("q"), list[str](), anyio.Event()

    @queue.lifespan
    async def resources() -> AsyncIterator[Resources]:
        made = Resources(Pool(f"pool {len(told)}"), 1, 2)
        await checkpoint()
        told.append("entered")
        yield made
        await checkpoint()
        made.pool.open = False
        told.append("left")

    @queue.job()
    async def slow(first: int = INJECTED) -> None:
        told.append("begun")
        await release.wait()
        told.append("ended")

    @queue.job()
    def in_thread(path: str, pool: Pool = INJECTED) -> list[object]:
        return [path, pool.name, pool.open, current_job().context.pool is pool]

    async with queue.open(client):
        jobs = [await slow.enqueue(), await in_thread.enqueue("a")]
        async with Worker(queue).open():
            assert await jobs[1].result(timeout=30) == ["a", "pool 0", True, True]
            await until(lambda: "begun" in told)
            async with anyio.create_task_group() as tasks:
                # the block below ends while the job runs
                tasks.start_soon(_later, release)
        assert told == ["entered", "begun", "ended", "left"]
        async with Worker(queue).open():
            assert await (await in_thread.enqueue("b")).result(timeout=30) == ["b", "pool 4", True, True]


async def _later(event: anyio.Event) -> None:
    await anyio.sleep(0.01)
    event.set()


async def test_one_that_fails_ends_the_worker_with_its_own_exception(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    queue, runs = Queue("q"), list[int]()

    @queue.lifespan
    async def broken() -> AsyncIterator[None]:
        raise LookupError("no database")
        yield

    @queue.job()
    async def work() -> None:
        runs.append(1)

    async with queue.open(client):
        await work.enqueue()
        with pytest.raises(LookupError, match="no database"):
            await Worker(queue).run()
        assert runs == [] and "the lifespan of the queue q failed" in caplog.text
        # nothing has begun that could be drained
        await Worker(queue).drain()


async def test_the_worker_can_be_told_to_end_while_it_is_entered(client: Client) -> None:
    queue, entered, go_on = Queue("q"), anyio.Event(), anyio.Event()

    @queue.lifespan
    async def slow() -> AsyncIterator[None]:
        entered.set()
        await go_on.wait()
        yield

    worker = Worker(queue)
    async with queue.open(client), anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        await entered.wait()
        await worker.drain()
        go_on.set()
    assert worker.statistics.received == 0


@pytest.mark.parametrize("lifespan", [of_resources, yields_nothing])
async def test_hooks_and_middleware_see_the_context(client: Client, lifespan: Callable[[], Any]) -> None:
    queue, seen = Queue("q"), list[Any]()
    queue.lifespan(lifespan)

    @queue.middleware
    async def look(job: CurrentJob, call_next: CallNext) -> Any:
        seen.append(job.context)
        return await call_next()

    if lifespan is of_resources:

        @queue.middleware
        async def take(job: CurrentJob, call_next: CallNext, pool: Pool = INJECTED) -> Any:
            assert job.context.pool is pool
            return await call_next()

    @queue.job()
    async def work() -> None:
        await checkpoint()

    async with queue.open(client), Worker(queue).open():
        await (await work.enqueue()).result(timeout=30)
    (context,) = seen
    assert isinstance(context, Resources) if lifespan is of_resources else context is None
