"""Point-in-time work: a child process that has all values as they were when it was forked, and writes them.

A forked child shares each page of the parent's memory until one of the two writes to it. So the parent keeps serving
clients while the child writes files at its leisure, for the price of a pause (the fork copies the page table) and of
copies of the pages that change. CPython changes a page merely by looking at its objects (reference counts), so in time
the child copies most of what it visits; its garbage collector, which would visit everything, is off.

The child takes no part in sockets, tasks or the log. It reports its progress, and why it failed, through a pipe.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import trio

from broker.process.forking import begin_child, fork_with_pipe

Progress = Callable[[int], None]
"""Called with the number of keys done."""

Work = Callable[[Progress], None]
"""What the child does; an exception means that it failed, for the reason in the exception's text."""

REPORT_SECONDS: Final = 5
"""The interval between log lines about a child that runs for long."""

MEASURE_SECONDS: Final = 1.0
"""The interval at which the child measures what it has copied: rarely, since the system visits all its pages."""

_READ_SIZE: Final = 4096
_OWN_MEMORY: Final = "/proc/self/smaps_rollup"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child ended: `problem` is "" on success; `copied` is the memory in bytes that it had copied by then."""

    problem: str
    copied: int = 0


class Child(Protocol):
    """Work in progress."""

    def kill(self) -> None:
        """Kill it, which makes its outcome a failure."""

    async def wait(self, progress: Progress) -> Outcome:
        """Wait for its outcome."""


class Forked:
    """A forked child process; `copied` is the memory in bytes that it has copied, as it reported last."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self.copied = 0
        self.copied_at = time.monotonic()
        self._pipe = pipe

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    async def wait(self, progress: Progress) -> Outcome:
        text = b""
        said = {b"copied": b"0", b"problem": b""}
        try:
            while True:
                await trio.lowlevel.wait_readable(self._pipe)
                part = os.read(self._pipe, _READ_SIZE)
                if not part:
                    break
                *lines, text = (text + part).split(b"\n")
                for line in lines:
                    name, _, value = line.partition(b" ")
                    said[name] = value
                    if name == b"keys":
                        progress(int(value))
                    elif name == b"copied":
                        self.copied = int(value)
                        self.copied_at = time.monotonic()
        finally:
            os.close(self._pipe)
            if sys.exc_info()[0] is not None:
                self.kill()
            # The pipe is closed, so the child is exiting or was killed.
            _, status = os.waitpid(self.pid, 0)
        problem = said[b"problem"].decode(errors="replace")
        if not problem and status:
            code = os.waitstatus_to_exitcode(status)
            problem = f"child terminated by signal {-code}" if code < 0 else f"child exited with code {code}"
        return Outcome(problem, int(said[b"copied"]))


def fork(work: Work, keep: int = -1) -> Child:
    """Do the work in a forked child. Raises OSError if it can't be forked.

    The child keeps the descriptor `keep` open, if there is one.
    """
    pid, pipe = fork_with_pipe()
    if not pid:
        _be_the_child(work, pipe, keep)
    return Forked(pid, pipe)


def _be_the_child(work: Work, pipe: int, keep: int) -> None:
    """Do the work, report, and exit without any of the parent's clean-up."""
    status = 1
    try:
        gc.disable()
        begin_child(pipe, keep)
        # If the parent is gone, reporting fails and ends the work: another broker may own these files by now.
        work(_Reporter(pipe))
        _report(pipe, "copied", _private_memory())
        status = 0
    except BaseException as problem:
        with contextlib.suppress(OSError):
            _report(pipe, "problem", _reason(problem))
    finally:
        os._exit(status)


def _reason(problem: BaseException) -> str:
    """What went wrong, for the log. Only an error of the system's is sure not to quote keys or values."""
    if isinstance(problem, OSError) and str(problem):
        return str(problem)
    where = traceback.extract_tb(problem.__traceback__)[-1:]
    return type(problem).__name__ + "".join(f" at {os.path.basename(frame.filename)}:{frame.lineno}" for frame in where)


class _Reporter:
    """What the child calls with the number of keys done; now and then it also reports how much memory was copied."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._measure_at = time.monotonic() + MEASURE_SECONDS

    def __call__(self, keys: int) -> None:
        _report(self._pipe, "keys", keys)
        if time.monotonic() >= self._measure_at:
            _report(self._pipe, "copied", _private_memory())
            self._measure_at = time.monotonic() + MEASURE_SECONDS


def _report(pipe: int, name: str, value: object) -> None:
    os.write(pipe, f"{name} {value}".replace("\n", " ").encode(errors="replace") + b"\n")


def _private_memory() -> int:
    """Bytes of memory not shared with the parent, which is what the child has copied; 0 if the system does not say."""
    try:
        with open(_OWN_MEMORY, "rb") as file:
            return sum(int(line.split()[1]) << 10 for line in file if line.startswith(b"Private_Dirty:"))
    except OSError:
        return 0


class Background:
    """At most one child at a time.

    `kind` names what it does, "" while there is none; `keys` is the number of keys it has done, and `began` when the
    last one began, in seconds of the system's monotonic clock. `spawn` creates children, which takes `fork_seconds`;
    tests do the work in place. `changed` is called after a child has ended and its result was dealt with. A child calls
    `child_begins` with its kind before it does anything else.
    """

    def __init__(
        self,
        spawn: Callable[[Work], Child],
        changed: Callable[[], None],
        child_begins: Callable[[str], None] | None = None,
    ) -> None:
        self._spawn = spawn
        self._changed = changed
        self._child_begins = child_begins
        self._child: Child | None = None
        self._done: Callable[[Outcome], Awaitable[None]]
        self._started = trio.Event()
        self.kind = ""
        self.keys = 0
        self.began = 0.0
        self._copied_peak = 0
        self._reported = 0.0
        self.fork_seconds = 0.0
        self.forks = 0

    @property
    def active(self) -> bool:
        """Whether a child is running, or its result is still being dealt with."""
        return bool(self.kind)

    @property
    def has_child(self) -> bool:
        """Whether there is a child process."""
        return self._child is not None

    @property
    def copied(self) -> int:
        """Bytes of memory that the running child has copied, 0 without one."""
        return self._child.copied if isinstance(self._child, Forked) else 0

    @property
    def copied_peak(self) -> int:
        """The most memory that a child has copied, in bytes."""
        return max(self._copied_peak, self.copied)

    def copied_age(self) -> int:
        """The seconds since the running child reported what it has copied, 0 without one."""
        return round(time.monotonic() - self._child.copied_at) if isinstance(self._child, Forked) else 0

    def reserve(self, kind: str) -> None:
        """Reserve the slot for a child that will be started soon."""
        assert not self.kind
        self.kind = kind

    def release(self) -> None:
        """Release the reserved slot."""
        self.kind = ""

    def start(self, kind: str, work: Work, done: Callable[[Outcome], Awaitable[None]], *, keep: int = -1) -> None:
        """Start a child now; `done` is awaited with its outcome. Raises OSError if it can't be forked.

        The work sees everything as it is at this moment. The slot must be free, or reserved for this kind. `keep` is a
        descriptor that the child needs, which only a forked one can have.
        """
        assert self.kind in ("", kind)
        assert self._child is None
        began = time.monotonic()
        work = self._as_child(kind, work)
        self._child = self._spawn(work) if keep < 0 else fork(work, keep)
        self.began = time.monotonic()
        self.forks += 1
        self.fork_seconds = self.began - began
        self.kind = kind
        self.keys = 0
        self._done = done
        self._started.set()

    def _as_child(self, kind: str, work: Work) -> Work:
        begins = self._child_begins
        if begins is None:
            return work

        def whole(progress: Progress) -> None:
            begins(kind)
            work(progress)

        return whole

    def by_pid(self) -> str:
        """The process that does the work, for the log: " by pid 4711"; "" if it is not a process."""
        return f" by pid {self._child.pid}" if isinstance(self._child, Forked) else ""

    def kill(self) -> None:
        """Kill the child, if there is one; it counts as failed."""
        if self._child is not None:
            self._child.kill()

    def progress_to_report(self) -> int | None:
        """The number of keys done by a long-running child, every few seconds; otherwise None."""
        now = time.monotonic()
        if self._child is None or now - max(self.began, self._reported) < REPORT_SECONDS:
            return None
        self._reported = now
        return self.keys

    async def run(self) -> None:
        """Await the children until cancelled, which kills a running one."""
        while True:
            await self._started.wait()
            self._started = trio.Event()
            assert self._child is not None
            try:
                outcome = await self._child.wait(self._note_keys)
            finally:
                self._copied_peak = self.copied_peak
                self._child = None
            try:
                await self._done(outcome)
            except Exception:
                self._end()
                raise
            # Cancelled, it stays: the shutdown has to remove what the child has left.
            self._end()

    def _end(self) -> None:
        self.kind = ""
        self._changed()

    def _note_keys(self, keys: int) -> None:
        self.keys = keys
