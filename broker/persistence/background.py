"""Work on a point in time: a child process that has all values as they were when it was made, and writes them.

A forked child shares the parent's memory, page by page, until one of them writes to it. So the parent's clients go on
while the child writes files at its leisure, for the price of a pause (the fork copies the page table) and of copies of
the pages that change. CPython changes a page by only looking at its objects (reference counts), so in time the
child copies most of what it visits; its garbage collector, which would visit everything, is off.

The child has no part in sockets, tasks or the log. It tells through a pipe how far it is and why it failed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import trio

Progress = Callable[[int], None]
"""Told how many keys are done."""

Work = Callable[[Progress], None]
"""What the child does; an exception is its failure, and the exception's text the reason."""

TELL_SECONDS: Final = 5
"""Between two lines in the log about a child that runs for long."""

_READ_SIZE: Final = 4096
_OWN_MEMORY: Final = "/proc/self/smaps_rollup"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child ended: `problem` is "" after a success; `copied` the bytes of memory it had for itself at its end."""

    problem: str
    copied: int = 0


class Child(Protocol):
    """Work under way."""

    def kill(self) -> None:
        """End it; its outcome is a failure then."""

    async def wait(self, progress: Progress) -> Outcome:
        """Its outcome, as soon as there is one."""


class Forked:
    """A forked child process."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
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
        finally:
            os.close(self._pipe)
            if sys.exc_info()[0] is not None:
                self.kill()
            # The pipe has ended, so the child is at its end, or was killed.
            _, status = os.waitpid(self.pid, 0)
        problem = said[b"problem"].decode(errors="replace")
        if not problem and status:
            code = os.waitstatus_to_exitcode(status)
            problem = f"terminated by signal {-code}" if code < 0 else f"exit status {code}"
        return Outcome(problem, int(said[b"copied"]))


def fork(work: Work) -> Child:
    """Do the work in a forked child. Raises OSError where there can be none."""
    receiving, sending = os.pipe()
    # What is buffered would be written twice.
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        with warnings.catch_warnings():
            # CPython warns of locks that other threads may hold: the child takes none, it computes and writes files.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
    except OSError:
        os.close(receiving)
        os.close(sending)
        raise
    if not pid:
        _be_the_child(work, sending)
    os.close(sending)
    return Forked(pid, receiving)


def _be_the_child(work: Work, pipe: int) -> None:
    """Work, tell, and exit without any of the parent's clean-up."""
    status = 1
    try:
        gc.disable()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # A socket that the child held open would not end for its client when the parent closes it.
        os.closerange(3, pipe)
        os.closerange(pipe + 1, os.sysconf("SC_OPEN_MAX"))
        # Where the parent has gone, telling fails and the work ends: another broker may keep its files there by now.
        work(lambda keys: _tell(pipe, "keys", keys))
        _tell(pipe, "copied", _private_memory())
        status = 0
    except BaseException as problem:
        with contextlib.suppress(OSError):
            _tell(pipe, "problem", str(problem) or type(problem).__name__)
    finally:
        os._exit(status)


def _tell(pipe: int, name: str, value: object) -> None:
    os.write(pipe, f"{name} {value}".replace("\n", " ").encode(errors="replace") + b"\n")


def _private_memory() -> int:
    """Bytes of memory that this process doesn't share: what the child has copied. 0 where the system doesn't tell."""
    try:
        with open(_OWN_MEMORY, "rb") as file:
            return sum(int(line.split()[1]) << 10 for line in file if line.startswith(b"Private_Dirty:"))
    except OSError:
        return 0


class Background:
    """At most one child at a time.

    `kind` names what it does, "" while there is none; `keys` is how many keys it has done, `began` when the last one
    did, in seconds of the system's monotonic clock. `spawn` makes children, which takes `fork_seconds`; tests do the
    work in place. `changed` is called when one has ended and what it did is in place.
    """

    def __init__(self, spawn: Callable[[Work], Child], changed: Callable[[], None]) -> None:
        self._spawn = spawn
        self._changed = changed
        self._child: Child | None = None
        self._done: Callable[[Outcome], Awaitable[None]]
        self._started = trio.Event()
        self.kind = ""
        self.keys = 0
        self.began = 0.0
        self._told = 0.0
        self.fork_seconds = 0.0
        self.forks = 0

    @property
    def active(self) -> bool:
        """Whether a child is running, or what it did is still being put in place."""
        return bool(self.kind)

    @property
    def has_child(self) -> bool:
        """Whether there is a child process."""
        return self._child is not None

    def reserve(self, kind: str) -> None:
        """Keep the place for a child that will be started soon."""
        assert not self.kind
        self.kind = kind

    def release(self) -> None:
        """Give back the place that was reserved."""
        self.kind = ""

    def start(self, kind: str, work: Work, done: Callable[[Outcome], Awaitable[None]]) -> None:
        """Start a child now; `done` is awaited with its outcome. Raises OSError where there can be none.

        The work sees everything as it is at this moment. The place must be free, or reserved for this kind.
        """
        assert self.kind in ("", kind)
        assert self._child is None
        began = time.monotonic()
        self._child = self._spawn(work)
        self.began = time.monotonic()
        self.forks += 1
        self.fork_seconds = self.began - began
        self.kind = kind
        self.keys = 0
        self._done = done
        self._started.set()

    def by_pid(self) -> str:
        """Who does the work, for the log: " by pid 4711"; "" where it is no process."""
        return f" by pid {self._child.pid}" if isinstance(self._child, Forked) else ""

    def kill(self) -> None:
        """End the child, if there is one; it ends as a failure."""
        if self._child is not None:
            self._child.kill()

    def progress_to_tell(self) -> int | None:
        """The keys that a child has done which has run for long, every few seconds; None when there is no news."""
        now = time.monotonic()
        if self._child is None or now - max(self.began, self._told) < TELL_SECONDS:
            return None
        self._told = now
        return self.keys

    async def run(self) -> None:
        """See to the children, until cancelled; one that runs then is killed."""
        while True:
            await self._started.wait()
            self._started = trio.Event()
            assert self._child is not None
            try:
                outcome = await self._child.wait(self._note_keys)
            finally:
                self._child = None
            try:
                await self._done(outcome)
            finally:
                self.kind = ""
                self._changed()

    def _note_keys(self, keys: int) -> None:
        self.keys = keys
