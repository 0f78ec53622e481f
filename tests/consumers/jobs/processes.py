"""`trimaran work` as processes of their own."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process

from tests.consumers import loops

__all__ = ["worker"]

ROOT = Path(__file__).resolve().parents[3]
START = "import sys; from consumers.commands.work import main; sys.exit(main(sys.argv[1:]))"


@asynccontextmanager
async def worker(url: str, *words: str, target: str = "tests.consumers.jobs.program:queue") -> AsyncIterator[Process]:
    """A worker process for the block; killed at its end if it still runs. Its log is collected by nobody."""
    command = [sys.executable, "-c", START, target, "--url", url, "--loop", loops.current(), *words]
    process = await anyio.open_process(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.wait()
            assert process.stderr is not None
            await process.stderr.aclose()
