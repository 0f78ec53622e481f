"""OpenTelemetry: traces from where a job is enqueued to where it runs, through all that may happen in between."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import coredis
import pytest

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry import trace
from opentelemetry.trace import StatusCode

from consumers.connection import open_link
from consumers.deadletters import redrive
from consumers.jobs import PREVIOUS, JobFailed, Queue, Retry, Worker, chain, group
from tests.consumers.jobs.working import SOON, until
from tests.consumers.test_telemetry import id_of, parent_of
from tests.consumers.tracing import instrumented

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("shop").open(client) as opened:
        yield opened


def current() -> tuple[int, int]:
    return id_of(trace.get_current_span())


async def test_a_trace_goes_from_the_caller_to_the_job_and_to_the_jobs_that_it_enqueues(queue: Queue) -> None:
    ran: dict[str, tuple[int, int]] = {}

    @queue.job()
    async def outer() -> None:
        ran["outer"] = current()
        await inner.enqueue()
        await in_thread.enqueue()

    @queue.job()
    async def inner() -> None:
        ran["inner"] = current()

    @queue.job()
    def in_thread() -> None:
        ran["in_thread"] = current()

    with instrumented() as recorded:
        async with Worker(queue).open():
            with recorded.tracer.start_as_current_span("request") as request:
                job = await outer.enqueue()
            await until(lambda: len(ran) == 3)
    (sent,), (run,) = recorded.spans("send outer"), recorded.spans("process outer")
    assert parent_of(sent) == id_of(request) and parent_of(run) == id_of(sent) and ran["outer"] == id_of(run)
    assert sent.attributes["messaging.message.id"] == job.id and sent.attributes["messaging.destination.name"] == "shop"
    assert {name: value for name, value in run.attributes.items() if name.startswith("messaging")} == {
        "messaging.system": "redis", "messaging.operation.name": "process", "messaging.operation.type": "process",
        "messaging.destination.name": "shop", "messaging.message.id": job.id, "messaging.redis.delivery_count": 1,
        "messaging.redis.job.name": "outer", "messaging.redis.job.attempt": 1,
    }  # fmt: skip
    for name in ("inner", "in_thread"):
        (sent,), (span,) = recorded.spans(f"send {name}"), recorded.spans(f"process {name}")
        assert parent_of(sent) == id_of(run) and parent_of(span) == id_of(sent) and ran[name] == id_of(span)


async def test_every_attempt_is_part_of_the_trace(client: Client, queue: Queue) -> None:
    """After a delay, at once, and after a redrive."""

    @queue.job(retries=2, backoff=SOON)
    async def fragile() -> str:
        failures = len(recorded.spans("process fragile"))
        if failures < 3:
            raise Retry("again", delay=0 if failures else 0.05)
        return "done"

    with instrumented() as recorded:
        async with Worker(queue).open():
            job = await fragile.enqueue(delay=0.05)
            with pytest.raises(JobFailed):
                await job.result(timeout=30)
            assert await redrive(client, queue.keys.dead) == 1
            await until(lambda: len(recorded.spans("process fragile")) == 4)
    (sent,) = recorded.spans("send fragile")
    spans = recorded.spans("process fragile")
    assert {parent_of(span) for span in spans} == {id_of(sent)}
    assert [span.attributes["messaging.redis.job.attempt"] for span in spans] == [1, 2, 3, 1]
    assert {span.attributes["messaging.message.id"] for span in spans} == {job.id}
    assert [span.status.status_code for span in spans] == [StatusCode.ERROR] * 3 + [StatusCode.UNSET]
    assert (
        recorded.total("process.retries", name="fragile") == 2 and recorded.total("process.dead", name="fragile") == 1
    )


async def test_a_workflow_is_one_trace(queue: Queue) -> None:
    @queue.job()
    async def add(n: int, by: int = 1) -> int:
        return n + by

    @queue.job()
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    @queue.job(retries=0)
    async def broken(n: int) -> int:
        raise ValueError(n)

    @queue.job()
    async def clean_up() -> None: ...

    with instrumented() as recorded:
        async with Worker(queue).open():
            with recorded.tracer.start_as_current_span("request") as request:
                flow = await chain(
                    group([add.call(1), add.call(2)], callback=total.call(PREVIOUS)), broken.call(PREVIOUS),
                    on_failure=clean_up.call(),
                ).start()  # fmt: skip
            with pytest.raises(JobFailed):
                await flow.result(timeout=30)
            await until(lambda: recorded.spans("process clean_up"))
    (sent,) = recorded.spans("send workflow")
    assert parent_of(sent) == id_of(request) and sent.attributes["messaging.message.id"] == flow.id
    names = ["add", "add", "total", "broken", "clean_up"]
    spans = [span for name in dict.fromkeys(names) for span in recorded.spans(f"process {name}")]
    assert [span.name.split()[1] for span in spans] == names
    assert {parent_of(span) for span in spans} == {id_of(sent)}


async def test_many_jobs_are_sent_in_one_span(queue: Queue) -> None:
    @queue.job()
    async def first() -> None: ...

    @queue.job()
    async def second() -> None: ...

    with instrumented() as recorded:
        await queue.enqueue_many([first.call(), second.call(), first.call()])
        await queue.enqueue_many([second.call(), second.call()])
        async with Worker(queue).open():
            await until(lambda: len(recorded.spans("process first") + recorded.spans("process second")) == 5)
            await until(lambda: "messaging.redis.depth" in recorded.points())
    (mixed,), (alike,) = recorded.spans("send shop"), recorded.spans("send second")
    assert mixed.attributes["messaging.batch.message_count"] == 3
    assert alike.attributes["messaging.batch.message_count"] == 2
    parents = [parent_of(span) for span in recorded.spans("process second")]
    assert sorted(parents) == sorted([id_of(mixed), id_of(alike), id_of(alike)])
    assert recorded.total("sent.messages", name="shop") == 5
    assert recorded.total("process.duration", name="first") == 2
    states = {value for point in recorded.points()["messaging.redis.depth"] for _, value in point}
    assert {"waiting", "delayed", "running", "parked", "dead"} < states


async def test_names_that_come_from_entries_are_not_counted_by(client: Client, queue: Queue) -> None:
    """Neither jobs that this worker does not know, nor what is no job at all."""

    @queue.job()
    async def known() -> None: ...

    with instrumented() as recorded:
        async with open_link(client, queue.keys.later) as link:
            stream = queue.keys.streams["normal"]
            await link.execute([
                (b"XADD", stream, b"*", "id", "1", "job", "strange", "args", b"\x80"),
                (b"XADD", stream, b"*", "n", "1"),
            ])  # fmt: skip
        worker = Worker(queue)
        async with worker.open():
            await until(lambda: len(recorded.spans("process unknown")) >= 2)
    names = {value for metric in recorded.points().values() for point in metric for name, value in point}
    assert "strange" not in names and "unknown" in names


async def test_a_job_that_is_put_aside_is_not_measured(queue: Queue) -> None:
    begun, goes_on = anyio.Event(), anyio.Event()

    @queue.job(limit=1)
    async def one_at_a_time() -> None:
        begun.set()
        await goes_on.wait()

    with instrumented() as recorded:
        async with Worker(queue).open():
            await queue.enqueue_many([one_at_a_time.call(), one_at_a_time.call()])
            await begun.wait()
            await until(lambda: recorded.spans("process one_at_a_time"))
            (parked,) = recorded.spans("process one_at_a_time")
            assert parked.attributes["messaging.redis.job.begun"] is False
            goes_on.set()
            await until(lambda: len(recorded.spans("process one_at_a_time")) == 3)
    assert recorded.total("process.duration", name="one_at_a_time") == 2
    (sent,) = recorded.spans("send one_at_a_time")
    assert {parent_of(span) for span in recorded.spans("process one_at_a_time")} == {id_of(sent)}


@pytest.mark.trio_only("the queue is used without a loop")
async def test_programs_without_a_loop(server_url: str) -> None:
    queue = Queue("shop")
    spans: list[Any] = []

    @queue.job()
    async def work() -> None:
        spans.append(current())

    def call() -> str:
        with recorded.tracer.start_as_current_span("request") as request, queue.sync.open(server_url):
            requests.append(request)
            return work.sync.enqueue().id

    requests: list[Any] = []
    with instrumented() as recorded:
        id = await anyio.to_thread.run_sync(call)
        async with queue.open(server_url), Worker(queue).open():
            await until(lambda: spans)
    (sent,) = recorded.spans("send work")
    assert parent_of(sent) == id_of(requests[0]) and sent.attributes["messaging.message.id"] == id
    assert parent_of(recorded.spans("process work")[0]) == id_of(sent)
