"""Keeps several worker processes running: starts, replaces, restarts and stops them.

Each process is a new interpreter, so nothing of it is shared, and a changed source takes effect in the next one. It
runs in a session of its own, so a Ctrl-C on the terminal reaches the supervisor alone, which passes it on.

The supervisor itself imports nothing of the user's. If no process has ever come so far as to take jobs, the program
ends as that process did, because it will not get better; after that, processes that end are started again.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterable, Callable, Sequence
from typing import Final

import anyio
from anyio.abc import Process, TaskGroup

from consumers.commands.work_link import DONE, FINISH, READY, REPLACE, WorkLink
from consumers.retry import Backoff

__all__ = ["Supervisor"]

RESTARTS: Final = Backoff(initial=0.5, factor=2, max=30)
LONG_SECONDS = 60.0
"""A process that took jobs for so long had a good start: the next restart after its end comes soon."""

LAST_WORDS_SECONDS = 1.0

COMPLETE: Final = (0, 3)
"""Exit statuses of a process that has done all that there was to do."""

logger = logging.getLogger("consumers.jobs")


class _Worker:
    """A process. ready: it has taken, or takes, jobs. done: it has nothing in hand any more.

    settled: it is ready, or has ended. leaving: it wants to be replaced, or has ended.
    """

    def __init__(self, number: int, process: Process, link: WorkLink) -> None:
        self.number = number
        self.process = process
        self.ready = False
        self.done = False
        self.settled = anyio.Event()
        self.leaving = anyio.Event()
        self.began = anyio.current_time()
        self._link = link

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self.process.returncode

    async def watch(self) -> None:
        """Take notice of what it says, until it has ended. Cancelled, it kills the process."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._listen)
                await self.process.wait()
                # the end of its last words is the end of the link
                tasks.cancel_scope.deadline = anyio.current_time() + LAST_WORDS_SECONDS
        finally:
            self.signal(signal.SIGKILL)
            with anyio.CancelScope(shield=True):
                await self.process.wait()
                await self._link.aclose()
        self.settled.set()
        self.leaving.set()

    async def _listen(self) -> None:
        async for line in self._link.heard():
            if line == READY:
                self.ready = True
                self.settled.set()
            elif line == REPLACE:
                self.leaving.set()
            elif line == DONE:
                self.done = True

    async def finish(self) -> None:
        """Have it finish what it has in hand."""
        await self._link.say(FINISH)

    def signal(self, number: signal.Signals) -> None:
        if self.status is None:
            self.process.send_signal(number)

    @property
    def end(self) -> str:
        status = self.status or 0
        return f"was ended by signal {-status}" if status < 0 else f"has ended with status {status}"


class Supervisor:
    """command: from the descriptor of a process's link and its number to its command line. count: how many there are.

    patience: seconds after which a process that was told to end is killed. burst: they end when there is nothing left.
    changes: of the source, for which all are restarted; None: it is not watched.
    """

    def __init__(
        self,
        command: Callable[[int, int], Sequence[str]],
        count: int,
        *,
        patience: float,
        burst: bool = False,
        changes: Callable[[], AsyncIterable[str]] | None = None,
        backoff: Backoff = RESTARTS,
    ) -> None:
        self._command = command
        self._count = count
        self._patience = patience
        self._burst = burst
        self._changes = changes
        self._backoff = backoff
        self._number = 0
        self._worked = False
        self._stopped = False
        self._statuses: list[int] = []
        self._alive: set[_Worker] = set()
        self._end = anyio.Event()
        self._go_on = anyio.Event()
        self._tasks: TaskGroup

    async def run(self, signals: AsyncIterable[int]) -> int:
        """Supervise until the first signal, or until all has been done, and return the exit status.

        Every signal is passed on to the processes.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._pass_on, signals)
            if self._changes is not None:
                tasks.start_soon(self._reload, self._changes)
            while not self._stopped:
                self._end, self._go_on = anyio.Event(), anyio.Event()
                await self._generation()
                if self._changes is None:
                    break
                # the source may be broken: it is waited for the next change
                await self._go_on.wait()
            tasks.cancel_scope.cancel()
        return max(self._statuses, default=0)

    async def _generation(self) -> None:
        """Keep the processes running until they have been told to end, and have ended."""
        async with anyio.create_task_group() as watching:
            watching.start_soon(self._kill_late)
            async with anyio.create_task_group() as self._tasks:
                for _ in range(self._count):
                    self._tasks.start_soon(self._keep)
            watching.cancel_scope.cancel()

    async def _kill_late(self) -> None:
        await self._end.wait()
        await anyio.sleep(self._patience)
        for worker in self._alive:
            logger.error("worker process %d does not end: it is killed", worker.number)
            worker.signal(signal.SIGKILL)

    async def _keep(self) -> None:
        """Keep one process running, and then the next, without a gap where it asks for a successor."""
        failures, retiring = 0, None
        while not self._end.is_set():
            worker = await self._start()
            await worker.settled.wait()
            if worker.ready:
                self._worked = True
                if retiring is not None:
                    await retiring.finish()
                await worker.leaving.wait()
                if worker.status is None:
                    retiring, failures = worker, 0
                    continue
            retiring = None if worker.ready else retiring
            if self._end.is_set() or self._is_done(worker):
                break
            failures = 0 if worker.ready and anyio.current_time() - worker.began > LONG_SECONDS else failures + 1
            delay = self._backoff.delay(failures)
            logger.error("worker process %d %s; another one in %.1f s", worker.number, worker.end, delay)
            with anyio.move_on_after(delay):
                await self._end.wait()

    def _is_done(self, worker: _Worker) -> bool:
        """Whether nothing follows this process, which has ended."""
        status = worker.status or 0
        if self._burst and worker.ready and status in COMPLETE:
            return True
        if self._changes is not None and not worker.ready:
            logger.error("worker process %d %s; waiting for a change of the source", worker.number, worker.end)
            return True
        if not self._worked:
            logger.error("worker process %d %s before it took jobs", worker.number, worker.end)
            self._statuses.append(status if status > 0 else 1)
            self._leave(signal.SIGTERM)
            return True
        return False

    async def _start(self) -> _Worker:
        number = self._number = self._number + 1
        ours, theirs = socket.socketpair()
        environment = dict(os.environ)
        if self._changes is not None:
            # two changes in one second could leave the first one's compiled form in force
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        # a process that has been started is watched, whatever happens
        with theirs, anyio.CancelScope(shield=True):
            process = await anyio.open_process(
                self._command(theirs.fileno(), number), stdin=subprocess.DEVNULL, stdout=None, stderr=None,
                pass_fds=(theirs.fileno(),), start_new_session=True, env=environment,
            )  # fmt: skip
            worker = _Worker(number, process, await WorkLink.opened(ours))
        self._alive.add(worker)
        self._tasks.start_soon(self._watch, worker)
        if self._end.is_set():
            worker.signal(signal.SIGTERM)
        return worker

    async def _watch(self, worker: _Worker) -> None:
        await worker.watch()
        self._alive.discard(worker)
        if self._burst and worker.ready and worker.status in COMPLETE:
            self._statuses.append(worker.status)
        # one that can't heed signals yet, or any more, has nothing to finish
        interrupted = worker.status == -signal.SIGTERM and (worker.done or not worker.ready)
        if self._stopped and worker.status and not interrupted:
            logger.error("worker process %d %s", worker.number, worker.end)
            self._statuses.append(worker.status if worker.status > 0 else 1)

    async def _pass_on(self, signals: AsyncIterable[int]) -> None:
        async for number in signals:
            logger.info("%s: ending the worker processes", signal.Signals(number).name)
            self._stopped = True
            self._leave(signal.SIGTERM)
            self._go_on.set()

    async def _reload(self, changes: Callable[[], AsyncIterable[str]]) -> None:
        async for names in changes():
            if not self._end.is_set():
                logger.info("%s changed: restarting the workers", names)
                self._leave(signal.SIGTERM)
            self._go_on.set()

    def _leave(self, number: signal.Signals) -> None:
        self._end.set()
        for worker in self._alive:
            worker.signal(number)
