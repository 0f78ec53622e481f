"""A worker's processes for jobs that are declared with process=True: they use other cores, and can be killed.

Each runs one job at a time (process_child.py), is started when it is first needed, and is used again. A job that is
stopped, by its time-out, a cancellation or the worker's end, takes its process with it, and all that this has started.
A process that dies under a job, or is killed for it, is replaced; that is a failure of this job alone.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import signal
import subprocess
import sys
from multiprocessing import spawn
from typing import Any, Protocol

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from consumers.jobs.declarations import JobFunction
from consumers.jobs.outcomes import JobProcessDied
from consumers.jobs.process_messages import HEADER, Began, Logged, Progressed, Raised, Returned, Run, framed, read_reply
from consumers.jobs.states import Progress

__all__ = ["ProcessPool"]

LARGEST = 1 << 30
"""Bytes of a reply, at most: more than any server stores in one value."""

START_SECONDS = 60.0
"""How long starting a process and importing a job's module may take."""

CODE = "import sys; sys.path[:] = {path!r}; from consumers.jobs.process_child import main; main({life})"


class RunInProcess(Protocol):
    """The part of a running job that its process needs."""

    @property
    def packed(self) -> bytes: ...
    def note_progress(self, progress: Progress) -> None: ...
    def begin_now(self) -> None: ...


class RemoteTraceback(Exception):
    """Where a job has failed in its process, as text; it is the cause of the exception."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class ProcessPool:
    """size: how many processes there are, at most."""

    def __init__(self, size: int) -> None:
        self._limiter = anyio.CapacityLimiter(size)
        self._idle: list[_PoolProcess] = []

    async def run(self, job: RunInProcess, about: tuple[str, str, int], function: JobFunction[Any, Any]) -> bytes:
        """Call a job's function in a process and return the msgpack of its result; raises what it raises.

        job.begin_now() is called when a process has begun it. about: the job's ID, name and attempt. Raises
        JobProcessDied.
        """
        async with self._limiter:
            process = await self._take()
            try:
                reply = await process.run(_request(job, about, function), job)
            except BaseException:
                await process.kill()
                raise
            self._idle.append(process)
        if isinstance(reply, Raised):
            raise _error(reply)
        return reply.value

    async def _take(self) -> _PoolProcess:
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            await process.kill()
        return await _PoolProcess.started()

    async def aclose(self) -> None:
        """Kill the processes; no job runs any more."""
        while self._idle:
            await self._idle.pop().kill()


class _PoolProcess:
    def __init__(self, process: Process, life: int) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._life = life
        self._requests = process.stdin
        self._replies = BufferedByteReceiveStream(process.stdout)

    @classmethod
    async def started(cls) -> _PoolProcess:
        theirs, life = os.pipe()
        code = CODE.format(path=sys.path, life=theirs)
        # a process that has been started is in somebody's hands, whatever happens
        with anyio.CancelScope(shield=True):
            try:
                process = await anyio.open_process(
                    [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None,
                    pass_fds=(theirs,), start_new_session=True,
                )  # fmt: skip
            except BaseException:
                os.close(life)
                raise
            finally:
                os.close(theirs)
        return cls(process, life)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def run(self, request: Run, job: RunInProcess) -> Returned | Raised:
        """Have a job run, and wait for its end. Raises JobProcessDied."""
        with anyio.move_on_after(START_SECONDS) as start:
            return await self._run(request, job, start)
        raise JobProcessDied(f"its process has not begun it within {START_SECONDS:g} s")

    async def _run(self, request: Run, job: RunInProcess, start: anyio.CancelScope) -> Returned | Raised:
        try:
            await self._requests.send(framed(request))
            while True:
                length = int.from_bytes(await self._replies.receive_exactly(HEADER), "big")
                if length > LARGEST:
                    raise JobProcessDied(f"its process has sent what is no reply, of {length} bytes")
                reply = read_reply(await self._replies.receive_exactly(length))
                if isinstance(reply, Began):
                    start.deadline = math.inf
                    job.begin_now()
                elif isinstance(reply, Progressed):
                    job.note_progress(Progress(reply.done, reply.total, reply.note, 0.0))
                elif isinstance(reply, Logged):
                    record = logging.makeLogRecord(pickle.loads(reply.record))
                    logging.getLogger(record.name).handle(record)
                else:
                    return reply
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
            status = await self._process.wait()
            how = f"was ended by {_signal(-status)}" if status < 0 else f"has ended with status {status}"
            raise JobProcessDied(f"its process {how}") from None

    async def kill(self) -> None:
        """End it now, with all that it has started."""
        with anyio.CancelScope(shield=True):
            if self.alive:
                try:
                    os.killpg(self._process.pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    # not yet the leader of its group, or already gone
                    self._process.kill()
            await self._process.wait()
            os.close(self._life)
            await self._process.aclose()


def _request(job: RunInProcess, about: tuple[str, str, int], function: JobFunction[Any, Any]) -> Run:
    target = function.function
    main: dict[str, str] = {}
    if target.__module__ == "__main__":
        found = spawn.get_preparation_data("job")
        main = {name: found[name] for name in ("init_main_from_name", "init_main_from_path") if name in found}
    return Run(target.__module__, target.__qualname__, main, *about, job.packed, logging.root.getEffectiveLevel())


def _error(raised: Raised) -> BaseException:
    error: BaseException
    try:
        error = pickle.loads(raised.pickled)
    except Exception:
        # of its class there is only the name
        error = type(raised.kind, (Exception,), {})(raised.message)
    error.__cause__ = RemoteTraceback(raised.traceback)
    return error


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
