"""IDs of the caller's, and enqueueing that is repeated."""

from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

import anyio
import coredis
import pytest
from coredis.exceptions import ConnectionError
from trio.testing import MockClock

from broker.testing.pytest_plugin import InProcessBroker
from consumers.connection import open_link
from consumers.jobs import JobState, Queue, Worker, current_job
from consumers.jobs.enqueueing import Adder, Positions
from consumers.jobs.own_ids import check, marker_of, time_of
from consumers.transactions import Decision, Transactions
from tests.consumers.jobs.working import until
from tests.consumers.network import network

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
T = TypeVar("T")


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


async def test_an_id_is_used_once(queue: Queue) -> None:
    ran = list[str]()

    @queue.job(retries=0)
    async def pay(amount: int) -> int:
        ran.append(current_job().id)
        return amount

    first = await pay.enqueue(1, job_id="order-17")
    again = await pay.with_options(job_id="order-17").enqueue(2)
    delayed = await pay.enqueue(3, job_id="order-18", delay=0.05)
    assert (first.id, first.created, again.id, again.created, delayed.created) == (
        "order-17", True, "order-17", False, True,
    )  # fmt: skip
    some = await queue.enqueue_many(
        [pay.call(4), pay.call(5, job_id="order-18"), pay.call(6, job_id="b"), pay.call(7, job_id="b")]
    )
    assert [job.created for job in some] == [True, False, True, False]
    async with Worker(queue).open():
        assert await again.result(timeout=30) == 1 and await delayed.result(timeout=30) == 3
        assert await some[3].result(timeout=30) == 6
        # a job that has ended is not repeated either
        assert not (await pay.enqueue(8, job_id="order-17")).created
        info = await again.info()
        assert info.state is JobState.DONE and info.enqueued is not None and info.enqueued <= queue.clock()
        await until(lambda: len(ran) == 4)
        # deleting it forgets the ID
        assert await first.delete()
        once_more = await pay.enqueue(9, job_id="order-17")
        assert once_more.created and await once_more.result(timeout=30) == 9


async def test_a_job_that_was_cancelled_and_deleted_can_be_enqueued_again(queue: Queue) -> None:
    @queue.job()
    async def work(n: int) -> int:
        return n

    old = await work.enqueue(1, job_id="a")
    async with Worker(queue).open() as worker:
        await old.result(timeout=30)
        await queue.pause()
        await until(lambda: worker.paused)
        await old.delete()
        waiting = await work.enqueue(2, job_id="a")
        await waiting.cancel()
        await waiting.delete()
        new = await work.enqueue(3, job_id="a")
        await queue.resume()
        assert new.created and await new.result(timeout=30) == 3


async def test_rivals_add_a_job_with_an_id_once(client: Client, queue: Queue) -> None:
    @queue.job()
    async def work(n: int) -> None: ...

    other = Queue("q")
    theirs = other.job(name="work")(work.function)
    created: list[bool] = []

    async def enqueue(job: object) -> None:
        created.append((await job.enqueue(1, job_id="a")).created)  # type: ignore[attr-defined]

    async with other.open(client), anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(enqueue, work)
            tasks.start_soon(enqueue, theirs)
    assert sum(created) == 1 and len(created) == 40
    assert await client.xlen(queue.keys.streams["normal"]) == 1


async def test_an_id_is_forgotten_after_its_time(broker: InProcessBroker, autojump_clock: MockClock) -> None:
    queue = Queue("q", remember_ids=100)

    @queue.job()
    async def work() -> None: ...

    async with broker.client() as client, queue.open(client):
        assert (await work.enqueue(job_id="now")).created and (await work.enqueue(job_id="later", delay=1000)).created
        await anyio.sleep(90)
        assert not (await work.enqueue(job_id="now")).created
        await anyio.sleep(20)
        assert (await work.enqueue(job_id="now")).created and not (await work.enqueue(job_id="later")).created
        await anyio.sleep(1000)
        assert (await work.enqueue(job_id="later")).created


async def test_enqueueing_is_repeated_until_the_outcome_is_known(client: Client, server_url: str) -> None:
    here, there = Queue("q"), Queue("q")
    works = []
    for queue in (here, there):

        @queue.job()
        async def work(n: int) -> int:
            return n

        works.append(work)
    async with (
        here.open(client), network(server_url) as between, coredis.Redis.from_url(between.url) as far, there.open(far)
    ):  # fmt: skip
        await works[1].enqueue(-1)
        created: list[bool] = []

        async def enqueue(n: int) -> None:
            created.append((await works[1].enqueue(n, job_id=f"job-{n}")).created)

        async with anyio.create_task_group() as tasks:
            for n in range(20):
                between.swallow_replies = n % 2 == 0
                tasks.start_soon(enqueue, n)
                await anyio.sleep(0.02)
                await between.cut()
                between.swallow_replies = False
        assert created == [True] * 20
        assert await client.xlen(here.keys.streams["normal"]) == 21
        # without an ID of its own, the caller decides
        between.swallow_replies = True
        async with anyio.create_task_group() as tasks:

            async def fail() -> None:
                with pytest.raises((ConnectionError, TimeoutError)):
                    await works[1].enqueue(99)

            tasks.start_soon(fail)
            await anyio.sleep(0.05)
            await between.cut()


class Losing(Transactions):
    """Transactions that are executed, and whose replies are lost, `times` times."""

    times = 0

    async def run(self, watched: Sequence[str], decide: Decision[T]) -> T:
        value = await super().run(watched, decide)
        if self.times:
            self.times -= 1
            raise ConnectionError("the reply is lost")
        return value


async def test_a_job_that_was_added_by_an_attempt_with_a_lost_reply_is_created(client: Client) -> None:
    queue = Queue("q")

    @queue.job()
    async def work(n: int) -> None: ...

    async with open_link(client, queue.keys.later) as link:
        transactions = Losing(link)
        positions = Positions(queue.clock)
        adder = Adder(link, transactions, queue.keys, queue.clock, "me", 60, 60, positions)
        transactions.times = 2
        assert await adder.add([work.call(1, job_id="a"), work.call(2, job_id="b")]) == [
            ("a", True, None), ("b", True, None),
        ]  # fmt: skip
        assert await adder.add([work.call(3, job_id="a")]) == [("a", False, None)]
        assert await client.xlen(queue.keys.streams["normal"]) == 2
        transactions.times = 1
        with pytest.raises(ConnectionError):
            await adder.add([work.call(4, job_id="c"), work.call(5)])


async def test_a_batch_is_repeated_only_if_all_its_jobs_have_ids(client: Client, server_url: str) -> None:
    there = Queue("q")

    @there.job()
    async def work(n: int) -> int:
        return n

    async with network(server_url) as between, coredis.Redis.from_url(between.url) as far, there.open(far):
        await work.enqueue(-1, job_id="first")
        between.swallow_replies = True
        async with anyio.create_task_group() as tasks:

            async def fail() -> None:
                with pytest.raises((ConnectionError, TimeoutError)):
                    await there.enqueue_many([work.call(1, job_id="a"), work.call(2)])

            tasks.start_soon(fail)
            await anyio.sleep(0.05)
            await between.cut()


def test_what_an_id_is() -> None:
    assert check("order-17") == check("order-17") and check("\u00e9" * 200)
    for bad in ("", "a b", "a\n", "x" * 201):
        with pytest.raises(ValueError, match="job_id is 200 printable characters at most"):
            check(bad)
    with pytest.raises(TypeError, match="job_id is a str, not int: 17"):
        check(17)
    assert time_of(marker_of(12.5, "abc")) == 12.5 and time_of(b"x") is None
