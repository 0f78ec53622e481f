"""Jobs in processes: results, failures, time-outs, crashes, and that no process is left behind."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import coredis
import pytest

from consumers.jobs import INJECTED, CallNext, CurrentJob, JobCancelled, JobFailed, Queue, Worker
from tests.consumers.jobs import pooled
from tests.consumers.jobs.processes import worker
from tests.consumers.jobs.working import dead, until

# no server has a part in this
pytestmark = [pytest.mark.both_loops, pytest.mark.parametrize("server_kind", ["broker"], indirect=True)]

Client = coredis.Redis[bytes]


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    with anyio.fail_after(60):
        async with pooled.queue.open(client) as opened:
            yield opened


def gone(pids: Path) -> bool:
    """Whether the processes in a file have ended; zombies have."""
    for pid in pids.read_text().split():
        try:
            state = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            return False
    return True


async def failure(job: Any) -> JobFailed:
    with pytest.raises(JobFailed) as caught:
        await job.result(timeout=30)
    return caught.value


async def test_a_process_runs_one_job_after_the_other(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    async with Worker(queue, pool_size=1).open():
        jobs = [await pooled.whereabouts.enqueue(("a", "b")) for _ in range(2)]
        results = [await job.result(timeout=30) for job in jobs]
        info = await jobs[0].info()
    (pid, first, words), (again, second, _) = results
    assert pid == again != os.getpid() and words == ("a", "b") and [first, second] == [job.id for job in jobs]
    assert info.progress is not None and (info.progress.done, info.progress.total) == (999, 999)
    (record, _) = [one for one in caplog.records if one.name == "theirs"]
    assert record.getMessage() == "running whereabouts" and record.process == pid
    assert record.__dict__["job_id"] == first
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.trio_only(reason="the loop has no part in it")
async def test_what_a_job_raises_is_raised_in_the_worker(queue: Queue) -> None:
    seen: list[Any] = []

    async def look(job: CurrentJob, call_next: CallNext) -> Any:
        try:
            seen.append(await call_next())
        except Exception as error:
            seen.append(error)
            raise
        return seen[-1]

    queue.middleware(look)
    try:
        async with Worker(queue, pool_size=1).open():
            assert await (await pooled.fails.enqueue("retry")).result(timeout=30) == 3
            assert await (await pooled.fails.enqueue("exit")).result(timeout=30) == 3
            rejected = await failure(await pooled.fails.enqueue("reject"))
            by_class = await failure(await pooled.dead_by_class.enqueue())
            unpicklable = await failure(await pooled.fails.enqueue("unpicklable"))
    finally:
        queue.wrappers.clear()
    assert (rejected.kind, rejected.message, rejected.attempts) == ("Reject", "it is bad", 1)
    assert by_class.kind == "KeyError" and by_class.attempts == 1
    assert "in dead_by_class" in by_class.traceback and 'raise KeyError("x")' in by_class.traceback
    # only its name is left, which is no class that dead_on could name
    assert (unpicklable.kind, unpicklable.message, unpicklable.attempts) == ("Unpicklable", "no way", 6)
    assert 3 in seen and any(isinstance(one, KeyError) for one in seen)
    reasons = [job.reason for job in await dead(queue)]
    assert reasons[:2] == ["it is bad", "not retried: KeyError: 'x'"]


async def test_a_job_that_crashes_its_process_has_failed_alone(queue: Queue) -> None:
    async with Worker(queue, pool_size=2).open() as worker:
        others = [await pooled.naps.enqueue(0.3) for _ in range(3)]
        exits = await failure(await pooled.crashes.enqueue("exit"))
        faults = await failure(await pooled.crashes.enqueue("fault"))
        assert [await job.result(timeout=30) for job in others] == [0.3] * 3
    assert (exits.kind, exits.message, exits.attempts) == ("JobProcessDied", "its process has ended with status 7", 2)
    assert (faults.kind, faults.message) == ("JobProcessDied", "its process was ended by SIGSEGV")
    assert worker.statistics.redelivered == 0


async def test_a_hung_job_is_killed_with_all_it_has_started(queue: Queue, tmp_path: Path) -> None:
    async with Worker(queue, pool_size=1).open(grace=0):
        late = await failure(await pooled.hangs.enqueue(str(tmp_path / "late")))
        assert (late.kind, late.message) == ("JobTimeout", "it took longer than 0.5 s")
        await until(lambda: gone(tmp_path / "late"))
        job = await pooled.hangs_on.enqueue(str(tmp_path / "cancelled"))
        await until(lambda: (tmp_path / "cancelled").exists(), 30)
        await job.cancel()
        with pytest.raises(JobCancelled):
            await job.result(timeout=30)
        await until(lambda: gone(tmp_path / "cancelled"))
        # and one that is given back when the worker ends
        job = await pooled.hangs_on.enqueue(str(tmp_path / "given back"))
        await until(lambda: (tmp_path / "given back").exists(), 30)
    await until(lambda: gone(tmp_path / "given back"))
    assert await queue.connection.client.xlen(queue.keys.streams["normal"]) == 1


@pytest.mark.trio_only(reason="the loop has no part in it")
async def test_a_job_has_all_its_time_once_it_has_a_process(queue: Queue) -> None:
    async with Worker(queue, pool_size=1).open():
        jobs = [await pooled.naps.enqueue(0.7) for _ in range(3)]
        assert [await job.result(timeout=30) for job in jobs] == [0.7] * 3


@pytest.mark.trio_only(reason="the loop has no part in it")
async def test_nothing_stays_behind_when_the_worker_is_killed(queue: Queue, server_url: str, tmp_path: Path) -> None:
    async with worker(server_url, target="tests.consumers.jobs.pooled:queue") as process:
        await pooled.hangs_on.enqueue(str(tmp_path / "orphans"))
        await until(lambda: (tmp_path / "orphans").exists(), 30)
        assert not gone(tmp_path / "orphans")
        process.kill()
        await until(lambda: gone(tmp_path / "orphans"))


def test_what_can_run_in_no_process_is_refused(server_kind: str) -> None:
    queue = Queue("q")

    @queue.lifespan
    async def context() -> AsyncIterator[int]:
        yield 1

    def local() -> None: ...

    for function, text in [
        (asynchronous, "must not be asynchronous"),
        (injected, "gets nothing injected, not even 'n'"),
        (local, "must be a function of a module, which the process can import"),
        (lambda: None, "must be a function of a module, which the process can import"),
    ]:
        with pytest.raises(TypeError, match=f"^the job x runs in a process, so it {text}$"):
            queue.job(name="x", process=True)(function)
    with pytest.raises(ValueError, match="pool_size must be at least 1"):
        Worker(queue, pool_size=0)


async def asynchronous() -> None: ...


def injected(n: int = INJECTED) -> None: ...
