"""`trimaran work` in processes of its own, many of them or one."""

import random
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
from anyio.abc import TaskGroup, TaskStatus

from consumers.commands.work import main
from tests.consumers import loops
from tests.consumers.forked import ROOT, ForkedProcess, forked

__all__ = ["CONCURRENCY", "PROGRAM", "Fleet", "worker"]

CONCURRENCY = 8
PROGRAM = "tests.consumers.jobs.program:queue"


def worker(
    url: str, *words: str, target: str = PROGRAM, folder: Path = ROOT
) -> AbstractAsyncContextManager[ForkedProcess]:
    """A worker process for the block. Its log is collected by nobody."""
    return forked(main, [target, "--url", url, "--loop", loops.current(), *words], folder=folder)


class Fleet:
    """Worker processes that are started again when they were killed."""

    def __init__(self, url: str, tasks: TaskGroup, seed: int, target: str = PROGRAM, lease: float = 0.6) -> None:
        self._url = url
        self._lease = lease
        self._target = target
        self._nursery = tasks
        self._random = random.Random(seed)
        self._running: list[ForkedProcess] = []
        self.kills = 0

    async def start(self, count: int) -> None:
        for _ in range(count):
            await self._nursery.start(self._run)

    async def _run(self, *, task_status: TaskStatus[None]) -> None:
        words = ("--concurrency", str(CONCURRENCY), "--lease", str(self._lease))
        async with worker(self._url, *words, target=self._target) as process:
            self._running.append(process)
            task_status.started()
            async for _ in process.stderr:
                pass
            await process.wait()

    async def kill_one(self) -> None:
        await anyio.sleep(self._random.uniform(0.05, 0.8))
        victim = self._running.pop(self._random.randrange(len(self._running)))
        victim.kill()
        self.kills += 1
        await self.start(1)
