"""A process of a worker's pool: runs one job's function after the other, in its main thread.

Its standard input and output are the pipes to the worker; what a job reads is empty, and what it prints goes to
standard error. The worker never writes to the third pipe, `life`: when that closes, the worker has died, and the kernel
ends this process and those that the job has started, even if a function holds the interpreter's lock.
"""

from __future__ import annotations

import importlib
import logging
import logging.handlers
import os
import pickle
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from multiprocessing import spawn
from typing import Any, Final

from consumers.jobs.current import CURRENT, CurrentJob
from consumers.jobs.declarations import JobFunction
from consumers.jobs.payloads import Arguments, encode
from consumers.jobs.process_messages import (
    HEADER,
    Began,
    Logged,
    Progressed,
    Raised,
    Reply,
    Returned,
    Run,
    framed,
    read_run,
)
from consumers.jobs.states import Progress

__all__ = ["main"]

PROGRESS_SECONDS: Final = 0.1
"""The shortest time between two reports of a job's progress; the last one is never left out."""


def main(life: int) -> None:
    """Run jobs until the worker closes the pipe."""
    requests, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.set_inheritable(life, False)
    _end_with(life)
    pipe = _Pipe(replies)
    logging.root.addHandler(_Forwarding(pipe))
    while header := _read(requests, HEADER):
        pipe.send(_run(read_run(_read(requests, int.from_bytes(header, "big"))), pipe))


def _end_with(life: int) -> None:
    """Have this process and its children end when the other end of the pipe is closed, whatever they do then."""
    if sys.platform == "linux":
        import fcntl

        # SIGIO ends a process that does not handle it; a negative owner is a process group
        fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_wait_for_end, args=(life,), daemon=True).start()


def _wait_for_end(life: int) -> None:
    # where there is no SIGIO for pipes, or it was closed before that was asked for
    select.select([life], [], [])
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _read(descriptor: int, count: int) -> bytes:
    """Read so many bytes; none at the end."""
    parts, left = list[bytes](), count
    while left:
        part = os.read(descriptor, min(left, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


class _Pipe:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # jobs may log in threads of their own
        self._lock = threading.Lock()

    def send(self, message: Reply) -> None:
        data = memoryview(framed(message))
        with self._lock:
            while data:
                data = data[os.write(self._descriptor, data) :]


class _Forwarding(logging.handlers.QueueHandler):
    """Sends records to the worker's log."""

    def __init__(self, pipe: _Pipe) -> None:
        # there is no queue: enqueue() is all that uses it
        super().__init__(None)  # type: ignore[arg-type]
        self._pipe = pipe

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            data = pickle.dumps(record.__dict__)
        except Exception:
            plain = {name: value for name, value in record.__dict__.items() if isinstance(value, str | int | float)}
            data = pickle.dumps(plain)
        self._pipe.send(Logged(data))


class _Running:
    """See CurrentJob."""

    def __init__(self, arguments: Mapping[str, Any], pipe: _Pipe) -> None:
        self.arguments = arguments
        self.context = None
        self._pipe = pipe
        self._sent = 0.0
        self._held: Progress | None = None

    def note_progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._sent < PROGRESS_SECONDS:
            self._held = progress
            return
        self._sent, self._held = now, None
        self._pipe.send(Progressed(progress.done, progress.total, progress.note))

    def finish(self) -> None:
        """Send what was held back."""
        if self._held is not None:
            self._pipe.send(Progressed(self._held.done, self._held.total, self._held.note))


def _run(run: Run, pipe: _Pipe) -> Reply:
    logging.root.setLevel(run.log_level)
    try:
        function, arguments = _found(run.module, run.qualname, run.job, **run.main)
        running = _Running(arguments.unpack(run.arguments), pipe)
        pipe.send(Began())
        token = CURRENT.set(CurrentJob(run.id, run.job, run.attempt, running))
        try:
            returned = function(**running.arguments)
        finally:
            CURRENT.reset(token)
            running.finish()
        return Returned(encode(returned))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return _raised(error)


@lru_cache
def _found(module: str, qualname: str, job: str, **main: str) -> tuple[Callable[..., Any], Arguments]:
    """The function, and its parameters. main: where the main program is, imported under another name."""
    if main:
        spawn.prepare(dict(main))
    found: Any = importlib.import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    if isinstance(found, JobFunction):
        return found.function, found.arguments
    return found, Arguments(found, job)


def _raised(error: BaseException) -> Raised:
    # this module's own frames are of no interest
    if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
        error = error.with_traceback(error.__traceback__.tb_next)
    try:
        pickled = pickle.dumps(error)
        pickle.loads(pickled)
    except Exception:
        pickled = b""
    text = "".join(traceback.format_exception(error)).encode("utf-8", "replace").decode()
    return Raised(pickled, type(error).__name__, str(error).encode("utf-8", "replace").decode(), text)
