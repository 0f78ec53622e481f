"""Workers that are killed at random moments, in processes of their own: no job is lost."""

import os
from collections import Counter

import anyio
import coredis
import pytest

from consumers.jobs import JobFailed
from tests.consumers.jobs.processes import CONCURRENCY, Fleet
from tests.consumers.jobs.program import fair, gathered, limited, planned, poison, queue, rated, turn, work
from tests.consumers.jobs.working import dead, keys

pytestmark = [pytest.mark.both_loops, pytest.mark.spread]

Client = coredis.Redis[bytes]

ROUNDS = int(os.environ.get("TRIMARAN_KILL_ROUNDS", "3"))


async def test_no_job_is_lost_when_workers_are_killed(client: Client, server_url: str) -> None:
    with anyio.fail_after(60 + 3 * ROUNDS):
        async with queue.open(client), anyio.create_task_group() as tasks:
            fleet = Fleet(server_url, tasks, seed=1)
            await fleet.start(3)
            jobs = []
            for _ in range(ROUNDS):
                start = len(jobs)
                calls = [work.call(n, 0.02 + n % 5 / 100) for n in range(start, start + 150)]
                jobs += await queue.enqueue_many(calls)
                await fleet.kill_one()
            bad = await queue.enqueue_many(poison.call(n) for n in range(5))
            assert [await job.result(timeout=60) for job in jobs] == list(range(len(jobs)))
            for job in bad:
                with pytest.raises(JobFailed):
                    await job.result(timeout=60)
            tasks.cancel_scope.cancel()
        async with queue.open(client):
            assert sorted(job.arguments["n"] for job in await dead(queue)) == list(range(5))
    done = Counter(map(int, await client.lrange("done", 0, -1)))
    assert done.keys() == set(range(len(jobs)))
    # only what ran in a killed worker, or had been done there and not been confirmed, was done again
    again = sum(count - 1 for count in done.values())
    assert again <= fleet.kills * 2 * CONCURRENCY


async def test_no_job_is_done_twice_without_a_crash(client: Client, server_url: str) -> None:
    with anyio.fail_after(60):
        async with queue.open(client), anyio.create_task_group() as tasks:
            fleet = Fleet(server_url, tasks, seed=2, lease=60)  # a worker that is only slow keeps its jobs
            await fleet.start(3)
            jobs = await queue.enqueue_many(work.call(n, 0.0, delay=n % 7 / 10) for n in range(400))
            assert [await job.result(timeout=60) for job in jobs] == list(range(400))
            tasks.cancel_scope.cancel()
    assert Counter(map(int, await client.lrange("done", 0, -1))) == Counter(range(400))


async def test_limited_jobs_are_not_lost_either(client: Client, server_url: str) -> None:
    with anyio.fail_after(90):
        async with queue.open(client), anyio.create_task_group() as tasks:
            fleet = Fleet(server_url, tasks, seed=3)
            await fleet.start(2)
            jobs = await queue.enqueue_many(limited.call(n, f"g{n % 3}") for n in range(150))
            slow = await queue.enqueue_many(rated.call(n, f"g{n % 3}") for n in range(150))
            for _ in range(3):
                await fleet.kill_one()
            assert [await job.result(timeout=60) for job in jobs] == list(range(150))
            assert [await job.result(timeout=60) for job in slow] == list(range(150))
            tasks.cancel_scope.cancel()
    assert {int(n) for n in await client.lrange("done", 0, -1)} == set(range(150))
    assert {int(n) for n in await client.lrange("rated", 0, -1)} == set(range(150))
    for group in ("g0", "g1", "g2"):
        begun = sorted(map(float, await client.lrange(f"begun:{group}", 0, -1)))
        # a score is exact to a microsecond
        assert all(later - first > 0.199_99 for first, later in zip(begun, begun[10:], strict=False))


async def test_jobs_that_wait_for_turns_are_not_lost_either(client: Client, server_url: str) -> None:
    with anyio.fail_after(90):
        async with fair.open(client), anyio.create_task_group() as tasks:
            fleet = Fleet(server_url, tasks, seed=4, target="tests.consumers.jobs.program:fair")
            await fleet.start(2)
            await fair.schedule("tick", planned.call(), "* * * * * *", missed="all")
            begun = fair.clock()  # the second that follows is the schedule's, however long it took to set
            calls = await fair.enqueue_many(gathered.call(n) for n in range(100))
            jobs = await fair.enqueue_many(turn.call("ab"[n % 5 == 0], n, delay=n % 3 / 5) for n in range(300))
            for _ in range(3):
                await fleet.kill_one()
            assert [await job.result(timeout=60) for job in jobs] == list(range(300))
            assert [await job.result(timeout=60) for job in calls] == list(range(100))
            ended = fair.clock() - 1
            await anyio.sleep(1)
            await fair.unschedule("tick")
            while any(key.startswith(("turns", "parked", "bodies", "limits")) for key in await keys(client, fair)):
                await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
    done = Counter(map(int, await client.lrange("turns", 0, -1)))
    assert done.keys() == set(range(300))
    # they move to the stream once
    assert sum(count - 1 for count in done.values()) <= fleet.kills * 2 * CONCURRENCY
    # each second's occurrence ran, whoever died
    seconds = {int(id.decode().partition("@")[2].partition(".")[0]) for id in await client.lrange("planned", 0, -1)}
    assert set(range(int(begun) + 1, int(ended))) <= seconds
    assert {int(n) for n in await client.lrange("gathered", 0, -1)} == set(range(100))
