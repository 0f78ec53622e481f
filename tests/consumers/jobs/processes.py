"""`trimaran work` as processes of their own."""

import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process, TaskGroup, TaskStatus

from tests.consumers import loops

__all__ = ["CONCURRENCY", "Fleet", "worker"]

ROOT = Path(__file__).resolve().parents[3]
CONCURRENCY = 8
PROGRAM = "tests.consumers.jobs.program:queue"
START = "import sys; from consumers.commands.work import main; sys.exit(main(sys.argv[1:]))"


@asynccontextmanager
async def worker(url: str, *words: str, target: str = PROGRAM, folder: Path = ROOT) -> AsyncIterator[Process]:
    """A worker process for the block; killed at its end if it still runs. Its log is collected by nobody."""
    command = [sys.executable, "-c", START, target, "--url", url, "--loop", loops.current(), *words]
    process = await anyio.open_process(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            # with its pipe, whose other end a process of a killed worker may hold a moment longer
            await process.aclose()


class Fleet:
    """Worker processes that are started again when they were killed."""

    def __init__(self, url: str, tasks: TaskGroup, seed: int, target: str = PROGRAM) -> None:
        self._url = url
        self._target = target
        self._nursery = tasks
        self._random = random.Random(seed)
        self._running: list[Process] = []
        self.kills = 0

    async def start(self, count: int) -> None:
        for _ in range(count):
            await self._nursery.start(self._run)

    async def _run(self, *, task_status: TaskStatus[None]) -> None:
        words = ("--concurrency", str(CONCURRENCY), "--lease", "0.6")
        async with worker(self._url, *words, target=self._target) as process:
            self._running.append(process)
            task_status.started()
            assert process.stderr is not None
            async for _ in process.stderr:
                pass
            await process.wait()

    async def kill_one(self) -> None:
        await anyio.sleep(self._random.uniform(0.05, 0.8))
        victim = self._running.pop(self._random.randrange(len(self._running)))
        victim.kill()
        self.kills += 1
        await self.start(1)
