"""Tenants take turns: in every random case as a model says, and end to end with workers, delays and removals."""

import random
from collections import Counter
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import coredis
import pytest

from consumers.connection import open_link
from consumers.jobs import JobCancelled, JobState, Queue, Rate, Worker, chain
from consumers.jobs.entries import JobEntry
from consumers.jobs.names import GROUP
from consumers.jobs.turns import SHARED, Rotation, backlog, line_up, take_turns
from consumers.transactions import Transactions
from tests.consumers.jobs.working import keys, until

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q", fair_by="tenant").open(client) as opened:
        yield opened


def test_the_tenant_is_a_parameter_of_the_job_or_of_the_queue() -> None:
    queue = Queue("q", fair_by="tenant")

    @queue.job()
    async def one(tenant: str, n: int) -> None: ...

    @queue.job()
    async def other(n: int, tenant: str = "a") -> None: ...

    @queue.job(fair_by=False)
    async def alone(tenant: str) -> None: ...

    @queue.job(fair_by="n")
    async def numbered(n: int) -> None: ...

    assert one.call("a", 1).turn == other.call(5).turn != one.call("b", 1).turn
    assert alone.call("a").turn == SHARED
    assert numbered.call(1).turn not in (SHARED, numbered.call(2).turn)
    plain = Queue("plain")

    @plain.job()
    async def work(n: int) -> None: ...

    assert work.call(1).turn == ""


def test_what_can_not_be_fair_is_refused() -> None:
    queue = Queue("q")

    async def work(tenant: str, n: int) -> None: ...

    with pytest.raises(TypeError, match="work has no parameter user"):
        queue.job(fair_by="user")(work)
    with pytest.raises(ValueError, match="fair by tenant, so its limits must be by that"):
        queue.job(fair_by="tenant", limit=3)(work)
    with pytest.raises(ValueError, match="fair by tenant, so its limits must be by that"):
        queue.job(fair_by="tenant", rate=Rate(3, per=1, by="n"))(work)
    fair = queue.job(fair_by="tenant", limit=3, limit_by=["tenant", "n"])(work)
    with pytest.raises(TypeError, match="work can't be fair by tenant, which is not known yet"):
        fair.call()
    with pytest.raises(TypeError):
        Queue("q", fair_by=5)  # type: ignore[arg-type]


def test_a_backlog_is_named_by_priority_and_tenant() -> None:
    queue = Queue("q")
    stream, entry = queue.keys.streams["low"], JobEntry("id", "work", b"", turn="t")
    assert backlog(queue.keys, stream, "t") == "low:t/turn"
    body, *rest = line_up(queue.keys, stream, entry, 12.3)
    assert body[:3] == (b"HSET", queue.keys.bodies, "id")
    assert rest == take_turns(queue.keys, stream, entry, 12.3)


class Model:
    """Backlogs, and the rounds in plain Python."""

    def __init__(self) -> None:
        self.backlogs: dict[str, list[int]] = {}
        self.passed: Counter[str] = Counter()
        """By tenant that waits: how many jobs of others have passed since it has."""

    def add(self, tenant: str, n: int) -> None:
        waiting = self.backlogs.setdefault(tenant, [])
        if not waiting:
            self.passed[tenant] = 0
        waiting.append(n)

    def take(self, tenant: str, n: int) -> None:
        """Raise AssertionError unless it may be this one's turn."""
        # the first that came of its tenant
        assert self.backlogs[tenant].pop(0) == n
        waiting = [one for one, jobs in self.backlogs.items() if jobs and one != tenant]
        for other in waiting:
            self.passed[other] += 1
            # the rest of a round, and one more
            assert self.passed[other] <= 2 * len(self.backlogs)
        self.passed[tenant] = 0


@pytest.mark.spread
@pytest.mark.parametrize("seed", range(2))
async def test_turns_are_as_a_model_says(client: Client, queue: Queue, seed: int) -> None:
    source, model, room = random.Random(seed), Model(), 0
    names, stream = "abcdefgh"[: source.randint(2, 8)], queue.keys.streams["normal"]
    for each in queue.keys.in_order:
        await client.xgroup_create(each, GROUP, identifier="0", mkstream=True)
    async with open_link(client, queue.keys.later) as link, open_link(client, queue.keys.later) as other:
        rotations = [
            Rotation(queue.keys, Transactions(between), lambda: room, anyio.lowlevel.checkpoint)
            for between in (link, other)
        ]
        added = taken = 0
        while taken < added or added < 150:
            # one of them has far more than the others
            for _ in range(source.choice([0, 0, 1, 20]) if added < 150 else 0):
                tenant = names[0] if source.random() < 0.7 else source.choice(names)
                model.add(tenant, added)
                entry = JobEntry(str(added), tenant, b"", turn=tenant)
                await link.transaction(line_up(queue.keys, stream, entry, added))
                added += 1
            room = source.randint(0, 5)
            async with anyio.create_task_group() as tasks:
                for rotation in rotations[: source.randint(1, 2)]:
                    tasks.start_soon(rotation.fill)
            assert await client.xlen(stream) <= max(room, 0)
            found = await client.xreadgroup(GROUP, "me", streams={stream: ">"})
            for one in (found or {}).get(stream.encode(), ()):
                entry_id, values = one.identifier, one.field_values
                model.take(values[b"job"].decode(), int(values[b"id"]))
                taken += 1
                await client.xack(stream, GROUP, [entry_id])
                await client.xdel(stream, [entry_id])
        room = 5
        while await rotations[0].fill():
            pass
    # nothing is kept of tenants without jobs
    assert not await keys(client, queue)


async def test_newcomers_do_not_keep_others_waiting(client: Client, queue: Queue) -> None:
    stream, added = queue.keys.streams["normal"], 0
    for each in queue.keys.in_order:
        await client.xgroup_create(each, GROUP, identifier="0", mkstream=True)
    taken: list[str] = []
    async with open_link(client, queue.keys.later) as link:
        rotation = Rotation(queue.keys, Transactions(link), lambda: 1, anyio.lowlevel.checkpoint)

        async def add(tenant: str) -> None:
            nonlocal added
            added += 1
            await link.transaction(line_up(queue.keys, stream, JobEntry(str(added), tenant, b"", turn=tenant), added))

        for _ in range(5):
            await add("old")
        for n in range(20):
            # one more of them each time
            await add(f"new {n}")
            await rotation.fill()
            (one,) = (await client.xreadgroup(GROUP, "me", streams={stream: ">"}) or {})[stream.encode()]
            taken.append(one.field_values[b"job"].decode())
            await client.xack(stream, GROUP, [one.identifier])
            await client.xdel(stream, [one.identifier])
    assert taken.count("old") >= 3
    # nor do those who were there first keep newcomers waiting
    assert taken.index("new 0") <= 2


async def test_a_tenant_with_many_jobs_does_not_delay_another_one(client: Client, queue: Queue) -> None:
    begun: list[str] = []

    @queue.job(keep_result=0)
    async def work(tenant: str, n: int) -> None:
        begun.append(tenant)
        await anyio.sleep(0.002)

    await queue.enqueue_many(work.call("a", n) for n in range(2000))
    async with Worker(queue, concurrency=4).open() as worker:
        await until(lambda: len(begun) > 20)
        await queue.enqueue_many([*(work.call("b", n) for n in range(3)), work.call("c", 0)])
        place = len(begun)
        await until(lambda: begun.count("b") == 3 and begun.count("c") == 1)
        # what the worker has in hand and can take, and three rounds
        assert len(begun) - place <= 2 * 8 + 3 * 3
        assert (await queue.counts()).parked > 1000
        assert await queue.purge("parked") > 1000
        await until(lambda: worker.in_hand == 0, seconds=20)
    assert begun.count("a") < 1000


async def test_jobs_of_a_tenant_keep_their_order_and_priorities_hold(client: Client, queue: Queue) -> None:
    begun: list[tuple[str, int]] = []

    @queue.job()
    async def work(tenant: str, n: int) -> None:
        begun.append((tenant, n))

    @queue.job()
    async def plain(n: int) -> None:
        begun.append(("", n))

    calls = [work.call(tenant, n) for tenant in "ab" for n in range(30)]
    jobs = await queue.enqueue_many([*calls, *(plain.call(n) for n in range(3))])
    urgent = await work.with_options(priority="high").enqueue("a", -1)
    later = await work.enqueue("b", 99, delay=0.2)
    async with Worker(queue, concurrency=1, prefetch=1).open():
        for job in (*jobs, urgent, later):
            await job.result(timeout=20)
    assert begun[0] == ("a", -1)
    for tenant in "ab":
        assert [n for one, n in begun if one == tenant and n >= 0 and n < 99] == list(range(30))
    # one turn each
    assert [tenant for tenant, _ in begun[1:10]].count("") == 3


async def test_waiting_jobs_can_be_found_and_removed(client: Client, queue: Queue) -> None:
    done: list[int] = []

    @queue.job()
    async def work(tenant: str, n: int) -> None:
        done.append(n)

    jobs = await queue.enqueue_many(work.call("a", n) for n in range(6))
    assert await jobs[0].status() is JobState.PARKED
    assert (await queue.counts()).parked == 6
    assert [info.id async for info in queue.jobs("parked")] == [job.id for job in jobs]
    assert await jobs[1].delete()
    await jobs[2].cancel()
    assert await jobs[3].reschedule(delay=0.3)
    same = await work.with_options(unique=True).enqueue("a", 7)
    assert not (await work.with_options(unique=True).enqueue("a", 7)).created
    async with Worker(queue).open():
        for job in (jobs[0], jobs[3], jobs[4], jobs[5], same):
            await job.result(timeout=30)
        with pytest.raises(JobCancelled):
            await jobs[2].result(timeout=30)
    assert sorted(done) == [0, 3, 4, 5, 7]


async def test_jobs_of_workflows_wait_for_their_turns(client: Client, queue: Queue) -> None:
    @queue.job()
    async def work(tenant: str, n: int) -> int:
        return n + 1

    running = await chain(work.call("a", 1), work.call("b", 2)).start()
    assert (await queue.counts()).parked == 1
    async with Worker(queue).open():
        assert await running.result(timeout=30) == 3
