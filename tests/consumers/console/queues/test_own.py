"""The reader of consumers' own job queues, on real jobs and workers."""

from collections.abc import AsyncIterator

import anyio
import coredis
import pytest

from consumers.console.queues.library import Figures, JobRow, Refused, State
from consumers.console.queues.own import Own
from consumers.jobs import Queue, Reject, Worker

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("shop", priorities=("urgent", "normal")).open(client) as opened:
        yield opened


@pytest.fixture
def own() -> Own:
    return Own()


async def figures(own: Own, client: Client) -> Figures:
    keys = [key async for key in client.scan_iter()]
    assert await own.find(client, keys) <= {"shop"}
    (found,) = await own.figures(client, ["shop"])
    return found


async def rows(own: Own, client: Client, state: State, limit: int = 2) -> list[JobRow]:
    found: list[JobRow] = []
    after: str | None = None
    while True:
        some, after = await own.jobs(client, "shop", state, after, limit)
        found += some
        if after is None:
            return found


async def test_each_state(client: Client, queue: Queue, own: Own) -> None:
    release = anyio.Event()

    @queue.job(limit=2)
    async def limited(n: int) -> None:
        await release.wait()

    @queue.job()
    async def rejects(n: int) -> None:
        raise Reject("as asked")

    await limited.enqueue(100, delay=3600)
    async with Worker(queue, name="w").open():
        await queue.enqueue_many([*(limited.call(n) for n in range(5)), *(rejects.call(n) for n in range(3))])
        with anyio.fail_after(20):
            while (found := await figures(own, client)).dead != 3 or found.running != 2 or found.waiting:
                await anyio.sleep(0.02)
        assert (found.delayed, found.paused, found.workers, found.exact) == (4, False, 1, True)
        running = await rows(own, client, State.RUNNING)
        parked = await rows(own, client, State.PARKED)
        assert sorted(row.summary for row in running + parked) == [f"limited(n={n})" for n in range(5)]
        assert len(running) == 2 and running[0].attempts == 1
        details = await own.job(client, "shop", running[0].id, running[0].place)
        assert details is not None and details.row.state is State.RUNNING
        (delayed,) = await rows(own, client, State.DELAYED)
        assert delayed.due is not None and delayed.enqueued is not None
        assert delayed.due - delayed.enqueued == pytest.approx(3600, abs=1)
        dead = await rows(own, client, State.DEAD)
        assert [row.summary for row in dead] == [f"rejects(n={n}): as asked" for n in range(3)]
        details = await own.job(client, "shop", dead[1].id, dead[1].place)
        assert details is not None and details.error == "as asked" and details.row.state is State.DEAD
        assert details.arguments is not None and details.arguments.text.split() == ["{", '"n":', "1", "}"]
        release.set()


async def test_what_a_job_returned_is_shown(client: Client, queue: Queue, own: Own) -> None:
    @queue.job()
    async def returns(value: object) -> object:
        return value

    async with Worker(queue, name="w").open():
        jobs = [await returns.enqueue(value) for value in ({"price": 65}, 65, "65", None)]
        for job in jobs:
            await job.result(timeout=20)
    texts = []
    for job in jobs:
        details = await own.job(client, "shop", job.id)
        assert details is not None and details.row.state is State.DONE and details.result is not None
        texts.append("".join(details.result.text.split()))
    assert texts == ['{"price":65}', "65", '"65"', "null"]


async def test_waiting_jobs_in_order(client: Client, queue: Queue, own: Own) -> None:
    @queue.job()
    async def work(n: int) -> None: ...

    jobs = [await work.enqueue(n, priority="urgent" if n % 2 else "normal") for n in range(9)]
    found = await figures(own, client)
    assert (found.waiting, found.running, found.workers) == (9, 0, 0) and found.oldest is not None
    listed = await rows(own, client, State.WAITING, 2)
    expected = [jobs[n].id for n in (0, 2, 4, 6, 8, 1, 3, 5, 7)]
    assert [row.id for row in listed] == expected
    details = await own.job(client, "shop", listed[3].id, listed[3].place)
    assert details is not None and dict(details.raw)["priority"].text == "normal"
    assert await own.job(client, "shop", "nosuch") is None
    assert await own.act(client, "shop", "delete", state=State.WAITING, id=listed[3].id, place=listed[3].place)
    with pytest.raises(Refused, match="no job"):
        await own.act(client, "shop", "delete", state=State.WAITING, id=listed[3].id, place=listed[3].place)
    assert [row.id for row in await rows(own, client, State.WAITING)] == [*expected[:3], *expected[4:]]
    assert await own.act(client, "shop", "purge", state=State.WAITING) == "8 jobs were removed."


async def test_dead_jobs_get_another_chance(client: Client, queue: Queue, own: Own) -> None:
    rejected: list[int] = []

    @queue.job()
    async def rejects(n: int) -> int:
        rejected.append(n)
        if rejected.count(n) == 1:
            raise Reject("first")
        return n

    jobs = await queue.enqueue_many(rejects.call(n) for n in range(3))
    async with Worker(queue).open():
        with anyio.fail_after(20):
            while (await figures(own, client)).dead != 3:
                await anyio.sleep(0.02)
        row = next(row for row in await rows(own, client, State.DEAD) if row.id == jobs[1].id)
        await own.act(client, "shop", "redrive", state=State.DEAD, id=row.id, place=row.place)
        with anyio.fail_after(20):
            while rejected.count(1) != 2:
                await anyio.sleep(0.02)
        with pytest.raises(Refused, match="no dead job"):
            await own.act(client, "shop", "redrive", state=State.DEAD, id=row.id, place=row.place)
        assert await own.act(client, "shop", "redrive", state=State.DEAD) == "2 jobs were returned to the queue."
        with anyio.fail_after(20):
            while len(rejected) != 6:
                await anyio.sleep(0.02)


async def test_pausing(client: Client, queue: Queue, own: Own) -> None:
    await own.act(client, "shop", "pause")
    assert (await figures(own, client)).paused and (await queue.counts()).paused
    await own.act(client, "shop", "resume")
    assert not (await queue.counts()).paused


async def test_names_that_are_none(client: Client, own: Own) -> None:
    for name in ("", "a{b", "a}"):
        with pytest.raises(Refused, match="not the name"):
            await own.figures(client, [name])
    assert await own.find(client, [b"jobs:{\xff}:normal", b"jobs:{}:x", b"job", b"jobs:{a}:"]) == set()


async def test_a_stream_of_other_things_is_read_in_part_only(client: Client, own: Own) -> None:
    for n in range(40):
        await client.xadd("jobs:{shop}:normal", {"n": str(n)})
    found, after = await own.jobs(client, "shop", State.WAITING, None, 2)
    assert found == [] and after is not None
    assert await rows(own, client, State.WAITING) == []


async def test_what_is_added_and_finished_is_counted(client: Client, queue: Queue, own: Own) -> None:
    @queue.job()
    async def work(n: int) -> None: ...

    @queue.job()
    async def rejects() -> None:
        raise Reject("as asked")

    async def counted() -> tuple[int | None, int | None]:
        found = await figures(own, client)
        return found.added, found.finished

    assert await counted() == (0, 0)
    await work.enqueue(1)
    # only from here on, since the stream may be an old one
    assert await counted() == (0, 0)
    await queue.enqueue_many([work.call(2), work.call(3), rejects.call()])
    assert await counted() == (3, 0)
    async with Worker(queue).open():
        with anyio.fail_after(20):
            while await counted() != (3, 4):
                await anyio.sleep(0.02)
    # a later reading of an empty queue says the same, and errors would be counted by the server
    assert await counted() == (3, 4)
    await client.delete([key async for key in client.scan_iter()])
    (found,) = await own.figures(client, ["shop"])
    assert (found.waiting, found.added, found.finished) == (0, 0, 0)


async def test_damaged_jobs_are_shown_by_their_ids_and_removed(client: Client, queue: Queue, own: Own) -> None:
    await client.hset(queue.keys.bodies, {"later": b"\xc1", "parked": b"\xc1"})
    await client.zadd(queue.keys.later, {"later": 9e9})
    await client.zadd(queue.keys.parked("work"), {"parked": 1})
    await client.hset(queue.keys.limits, {"work": 1})
    for state, id in ((State.DELAYED, "later"), (State.PARKED, "parked")):
        assert [row.id for row in await rows(own, client, state)] == [id]
        details = await own.job(client, "shop", id)
        assert details is not None and details.error == "what is stored of it is damaged"
        assert await own.act(client, "shop", "purge", state=state) == "1 job was removed."
        assert await rows(own, client, state) == []
