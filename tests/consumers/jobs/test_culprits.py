"""A job that always ends its worker's process, beside others that are fine: it is found, and the others come through.

TRIMARAN_CULPRIT_ROUNDS sets how often this is played at each server, each time with another chance.
"""

import os
import random
from collections import Counter

import anyio
import coredis
import pytest

from consumers.jobs import JobFailed
from tests.consumers.jobs.processes import worker
from tests.consumers.jobs.program import crash, crashing, fine
from tests.consumers.jobs.working import dead

pytestmark = [pytest.mark.both_loops, pytest.mark.spread]

Client = coredis.Redis[bytes]

ROUNDS = int(os.environ.get("TRIMARAN_CULPRIT_ROUNDS", "1"))
TARGET = "tests.consumers.jobs.program:crashing"


async def _keep_running(url: str, *, concurrency: int, killed: random.Random | None = None) -> None:
    """A worker process, started again whenever it has ended; now and then one is killed from outside."""
    while True:
        async with worker(url, "--concurrency", str(concurrency), "--lease", "0.3", target=TARGET) as process:
            # its first line says that it works
            await process.stderr.receive()
            with anyio.move_on_after(killed.uniform(0.1, 1) if killed is not None else 3600):
                async for _ in process.stderr:
                    pass


@pytest.mark.parametrize("round", range(ROUNDS))
@pytest.mark.parametrize("workers", [1, 3])
async def test_the_culprit_alone_is_dead(client: Client, server_url: str, workers: int, round: int) -> None:
    chance = random.Random(round)
    culprits = 1 + round % 2
    with anyio.fail_after(120):
        async with crashing.open(client), anyio.create_task_group() as tasks:
            calls = [fine.call(n) for n in range(31)]
            for n in range(culprits):
                calls.insert(chance.randrange(len(calls)), crash.call(n))  # type: ignore[arg-type]
            jobs = await crashing.enqueue_many(calls)
            for _ in range(workers):
                tasks.start_soon(lambda: _keep_running(server_url, concurrency=chance.choice([4, 16])))
            results: list[int] = []
            for job, call in zip(jobs, calls, strict=True):
                if call.function.name == "fine":
                    results.append(await job.result(timeout=100))
                    continue
                with pytest.raises(
                    JobFailed, match=r"^Reject: its worker died 4 times, the last time while nothing else"
                ):
                    await job.result(timeout=100)
            tasks.cancel_scope.cancel()
        async with crashing.open(client):
            assert [job.name for job in await dead(crashing)] == ["crash"] * culprits
    assert results == list(range(31))
    # no more than its permitted number of runs, and no fewer but for deliveries in which it had not begun
    for runs in Counter(await client.lrange("crashed", 0, -1)).values():
        assert 2 <= runs <= 4
    # the others were run again only after a crash in which they were in hand, which for each are two
    assert max(Counter(await client.lrange("begun", 0, -1)).values()) <= 3


async def test_nobody_is_convicted_when_workers_are_killed_from_outside(client: Client, server_url: str) -> None:
    chance = random.Random(7)
    with anyio.fail_after(120):
        async with crashing.open(client), anyio.create_task_group() as tasks:
            jobs = await crashing.enqueue_many(fine.call(n) for n in range(300 + 50 * ROUNDS))
            for _ in range(2):
                tasks.start_soon(lambda: _keep_running(server_url, concurrency=4, killed=chance))
            assert [await job.result(timeout=100) for job in jobs] == list(range(len(jobs)))
            tasks.cancel_scope.cancel()
        async with crashing.open(client):
            assert await dead(crashing) == []
