"""Processes forked from one that has imported this project: a start costs a tenth of what a new interpreter takes.

Tests that kill workers start about a hundred of them. What is tested is a process all the same: it has its own memory
and loop, and is killed by signals. How a program starts by itself is shown by the tests of commands.
"""

import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from multiprocessing.process import parent_process
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream

from tests.forkserver import context

__all__ = ["ROOT", "ForkedProcess", "forked"]

ROOT = Path(__file__).resolve().parents[2]


class ForkedProcess:
    """A process and its standard error."""

    def __init__(self, process: ForkServerProcess, stderr: "_Output") -> None:
        self._process = process
        self.stderr = stderr

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, or minus the number of the signal that ended it; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def terminate(self) -> None:
        self._process.terminate()

    async def wait(self) -> int:
        """Return `returncode` once it has ended."""
        while (status := self.returncode) is None:
            await anyio.wait_readable(self._process.sentinel)
        return status


@asynccontextmanager
async def forked(
    function: Callable[..., object], *arguments: object, folder: Path = ROOT
) -> AsyncIterator[ForkedProcess]:
    """A process that calls a function of a module, for the block; killed at its end if it still runs. What the function
    returns is the exit status; standard output is thrown away."""
    ours, theirs = context.Pipe(duplex=False)
    with theirs:
        process = context.Process(target=_run, args=(theirs, dict(os.environ), folder, function, arguments))
        process.start()
    running = ForkedProcess(process, _Output(ours))
    try:
        yield running
    finally:
        # its number may be another one's by now
        if running.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await running.wait()
            await running.stderr.aclose()


class _Output(ByteReceiveStream):
    """What a process writes to its end of a pipe."""

    def __init__(self, end: Connection) -> None:
        self._end = end

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.wait_readable(self._end)
        if data := os.read(self._end.fileno(), max_bytes):
            return data
        raise anyio.EndOfStream

    async def aclose(self) -> None:
        self._end.close()


def _run(
    stderr: Connection, environment: dict[str, str], folder: Path, function: Callable[..., object],
    arguments: tuple[object, ...],
) -> None:  # fmt: skip
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    os.dup2(stderr.fileno(), 2)
    stderr.close()
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
    sys.exit(function(*arguments))


def _end_with_parent() -> None:
    """A run of tests that is killed leaves nothing behind."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
