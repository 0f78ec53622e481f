"""Worker processes, alone and under a supervisor."""

import argparse
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import coredis
import pytest
from anyio.abc import Process

from consumers.commands import work, work_process
from consumers.commands.running import CommandError
from consumers.jobs import Queue
from tests.consumers import loops
from tests.consumers.forked import ROOT
from tests.consumers.jobs import program
from tests.consumers.jobs.processes import PROGRAM, worker
from tests.consumers.jobs.program import queue

# no server has a part in this
pytestmark = [pytest.mark.both_loops, pytest.mark.parametrize("server_kind", ["broker"], indirect=True)]

Client = coredis.Redis[bytes]


@pytest.fixture
async def opened(client: Client) -> AsyncIterator[Queue]:
    with anyio.fail_after(60):
        async with queue.open(client):
            yield queue


@asynccontextmanager
async def supervisor(url: str, *words: str, target: str = PROGRAM, folder: Path = ROOT) -> AsyncIterator[Process]:
    """A supervisor with an interpreter of its own, as its workers have; killed at the end of the block if it runs."""
    command = [sys.executable, "-c", work.START, target, "--url", url, "--loop", loops.current(), *words]
    process = await anyio.open_process(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            # with its pipe, whose other end one of its processes may hold a moment longer
            await process.aclose()


async def lines(process: Process) -> list[str]:
    assert process.stderr is not None
    return b"".join([data async for data in process.stderr]).decode().splitlines()


async def test_a_burst_of_several_queues_ends_when_all_is_done(client: Client, server_url: str, opened: Queue) -> None:
    async with program.crashing.open(client):
        jobs = [*await queue.enqueue_many(program.work.call(n, 0.05) for n in range(40)), await program.fine.enqueue(5)]
        async with worker(server_url, PROGRAM.replace(":queue", ":crashing"), "--burst") as process:
            assert await process.wait() == 0
        assert [await job.result(timeout=30) for job in jobs] == [*range(40), 5]
        await program.hopeless.enqueue()
        async with worker(server_url, "--burst") as process:
            assert await process.wait() == 3


@pytest.mark.trio_only(reason="the supervisor runs Trio in any case")
async def test_processes_are_replaced_after_so_many_jobs_and_no_job_is_lost(server_url: str, opened: Queue) -> None:
    words = ("--processes", "2", "--max-jobs", "5", "--concurrency", "1", "--prefetch", "1", "--name", "w", "--json")
    async with supervisor(server_url, *words) as process:
        jobs = []
        while not any(one.name in ("w-3", "w-4") for one in [one async for one in queue.workers()]):
            jobs += await queue.enqueue_many(program.work.call(len(jobs) + n, 0.02) for n in range(10))
            await jobs[-1].result(timeout=20)
        assert [await job.result(timeout=20) for job in jobs] == list(range(len(jobs)))
        process.send_signal(signal.SIGTERM)
        status = await process.wait()
        told = [json.loads(line) for line in await lines(process)]
        assert status == 0, told[-20:]
    by = {one.get("worker_process") for one in told if " is done in " in one["message"]}
    assert {1, 2} & by and None not in by
    assert any(one["message"] == "another process has taken over: finishing running jobs" for one in told)
    # whichever of them was there first
    assert any(re.match("worker w-[34] for the queue killed, 1 jobs", one["message"]) for one in told)
    assert {one["level"] for one in told} == {"INFO"}


@pytest.mark.trio_only(reason="the supervisor runs Trio in any case")
async def test_they_end_when_their_supervisor_is_killed(server_url: str, opened: Queue) -> None:
    async with supervisor(server_url, "--processes", "2") as process:
        while (await queue.counts()).workers < 2:
            await anyio.sleep(0.05)
        # not before: the first process might have done it before the second one is there
        job = await program.work.enqueue(1, 1.0)
        while not (await queue.counts()).running:
            await anyio.sleep(0.02)
        process.kill()
        # what runs is finished
        assert await job.result(timeout=20) == 1
        while [one async for one in queue.workers()]:
            await anyio.sleep(0.05)
        told = await lines(process)
    assert sum("the supervisor is gone: finishing running jobs" in line for line in told) == 2
    assert any("[1] consumers.jobs: " in line for line in told)


@pytest.mark.trio_only(reason="the supervisor runs Trio in any case")
@pytest.mark.usefixtures("server_kind")
async def test_they_end_without_a_supervisor_and_a_server() -> None:
    with anyio.fail_after(60), socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # and does not listen
        async with supervisor(f"redis://127.0.0.1:{silent.getsockname()[1]}", "--processes", "2") as process:
            assert process.stderr is not None
            told = b""
            while not (b"[1] " in told and b"[2] " in told and told.count(b"out of reach") > 1):
                told += await process.stderr.receive()
            process.kill()
            assert sum("the supervisor is gone" in line for line in await lines(process)) == 2


@pytest.mark.trio_only(reason="the supervisor runs Trio in any case")
async def test_a_change_of_the_source_restarts_them(server_url: str, client: Client, tmp_path: Path) -> None:
    source = tmp_path / "changing_app.py"
    text = "import sys; sys.path.append({root!r})\nfrom consumers.jobs import Queue\nqueue = Queue('changing')\n"
    text += "@queue.job()\nasync def which() -> int:\n    return {n}\n"

    def write(n: object) -> None:
        source.write_text(text.format(root=str(ROOT), n=n))

    write(1)
    theirs = Queue("changing")

    @theirs.job()
    async def which() -> int: ...  # type: ignore[empty-body]

    with anyio.fail_after(60):
        async with (
            theirs.open(client),
            supervisor(server_url, "--reload", target="changing_app:queue", folder=tmp_path) as process,
        ):
            assert await (await which.enqueue()).result(timeout=20) == 1
            write("(")
            assert process.stderr is not None
            said = b""
            while b"waiting for a change of the source" not in said:
                said += await process.stderr.receive()
            assert b"SyntaxError" in said
            write(2)
            assert await (await which.enqueue()).result(timeout=20) == 2
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0


def test_memory_is_checked_before_the_first_job(server_kind: str) -> None:
    assert 10 << 20 < work_process.resident() < 10 << 30
    options = {
        "name": None,
        "supervised": (0, 1),
        "concurrency": 1,
        "prefetch": None,
        "lease": 1,
        "max_memory": 5,
        "pool_size": None,
    }
    process = work_process._Process([queue], argparse.Namespace(**options))
    with pytest.raises(CommandError, match=r"^--max-memory 5: \d+ MB are used before the first job$"):
        process._check_memory()
