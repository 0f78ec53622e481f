"""A process that works for queues until it is told to end, or has done all that there was to do.

It does not stop at a signal but begins to stop: it takes no more jobs, lets running ones finish within a grace period,
and gives the rest back. A second signal ends the grace period. Threads can't be stopped: if they continue after it, the
process ends without them, and their jobs run again once the lease has run out.

One that is supervised also ends when its supervisor is gone, and asks for a successor once it has run as many jobs, or
taken as much memory, as it may.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import resource
import signal
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import anyio

from consumers.addresses import default_url
from consumers.commands.running import FAILED, CommandError, client_of
from consumers.commands.work_display import Counts, Display
from consumers.commands.work_link import DONE, FINISH, READY, REPLACE, WorkLink
from consumers.connecting import Client
from consumers.jobs import Queue, Worker
from consumers.jobs.burst import until_nothing_is_left

__all__ = ["GIVEN_UP", "STUCK_SECONDS", "work"]

STUCK_SECONDS = 5.0
"""How long threads may hold up the process after the end of the grace period."""

LOOK_SECONDS = 0.5
"""How often the process looks at what it has used."""

GIVEN_UP = 3
"""The exit status of a burst in which jobs were given up."""

MEGABYTE = 1 << 20

logger = logging.getLogger("consumers.jobs")


async def work(queues: Sequence[Queue], options: argparse.Namespace, display: Display | None) -> int:
    """Work for these queues, and return the exit status."""
    process = _Process(queues, options)
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        status = await process.run(signals, display)
    for worker in process.workers:
        logger.info("worker %s for the queue %s has ended", worker.name, worker.queue.name)
    logger.info("%s", process.counts)
    return status


class _Process:
    def __init__(self, queues: Sequence[Queue], options: argparse.Namespace) -> None:
        self.counts = Counts()
        name = options.name
        if name is not None and options.supervised:
            # a process and its successor run at the same time
            name = f"{name}-{options.supervised[1]}"
        self.workers = [
            Worker(
                queue, concurrency=options.concurrency, prefetch=options.prefetch, lease=options.lease, name=name,
                middleware=[self.counts], pool_size=options.pool_size,
            )
            for queue in queues
        ]  # fmt: skip
        self._options = options

    async def run(self, signals: AsyncIterator[int], display: Display | None) -> int:
        options, done = self._options, False
        for worker in self.workers:
            logger.info(
                "worker %s for the queue %s, %d jobs at a time", worker.name, worker.queue.name, options.concurrency
            )
        with _Ending() as ending:
            link = None
            async with anyio.create_task_group() as tasks:
                everything = tasks.cancel_scope
                tasks.start_soon(self._end_at_signal, signals, everything, ending)
                if display is not None:
                    tasks.start_soon(display.run, self.workers, self.counts)
                if options.supervised:
                    # before the server is connected to, which may be out of reach for long
                    link = await WorkLink.opened(options.supervised[0])
                    tasks.start_soon(self._heed, link, everything, ending)
                async with AsyncExitStack() as stack:
                    await self._open(stack)
                    async with anyio.create_task_group() as working:
                        async with anyio.create_task_group() as starting:
                            for worker in self.workers:
                                starting.start_soon(working.start, worker.run)
                        self._check_memory()
                        if link is not None:
                            await link.say(READY)
                            tasks.start_soon(self._ask_for_a_successor, link)
                        if options.burst:
                            await self._burst()
                            done = True
                everything.cancel()
            if link is not None:
                await link.say(DONE)
        return GIVEN_UP if done and self.counts.given_up else 0

    async def _open(self, stack: AsyncExitStack) -> None:
        """Connect the queues to the server that the options name, or each to its own."""
        clients: dict[str, Client] = {}
        for queue in (worker.queue for worker in self.workers):
            url = self._options.url or queue.url or default_url()
            if url not in clients:
                chosen = argparse.Namespace(**{**vars(self._options), "url": url})
                clients[url] = await stack.enter_async_context(client_of(chosen))
            await stack.enter_async_context(queue.open(clients[url]))

    async def _drain(self, grace: float) -> None:
        async with anyio.create_task_group() as tasks:
            for worker in self.workers:
                tasks.start_soon(worker.drain, grace)

    async def _burst(self) -> None:
        async with anyio.create_task_group() as tasks:
            for worker in self.workers:
                tasks.start_soon(until_nothing_is_left, worker.queue, lambda: sum(one.in_hand for one in self.workers))
        await self._drain(self._options.grace)

    # Its end.

    async def _end_at_signal(self, signals: AsyncIterator[int], everything: anyio.CancelScope, ending: _Ending) -> None:
        number = await anext(signals)
        logger.info("%s: finishing running jobs, within %g s", signal.Signals(number).name, self._options.grace)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_hurry, signals, everything, ending)
            await self._end(everything, ending)

    async def _end(self, everything: anyio.CancelScope, ending: _Ending) -> None:
        ending.within(self._options.grace + STUCK_SECONDS)
        await self._drain(self._options.grace)
        # if it had not begun to work, there was nothing to drain
        everything.cancel()

    # Its supervisor.

    async def _heed(self, link: WorkLink, everything: anyio.CancelScope, ending: _Ending) -> None:
        async for line in link.heard():
            if line == FINISH:
                logger.info("another process has taken over: finishing running jobs")
                await self._finish(link, everything, ending)
                return
        await self._orphaned(everything, ending)

    async def _finish(self, link: WorkLink, everything: anyio.CancelScope, ending: _Ending) -> None:
        async with anyio.create_task_group() as tasks:

            async def until_gone() -> None:
                async for _ in link.heard():
                    pass
                await self._orphaned(everything, ending)

            tasks.start_soon(until_gone)
            await self._drain(math.inf)
            everything.cancel()

    async def _orphaned(self, everything: anyio.CancelScope, ending: _Ending) -> None:
        logger.error("the supervisor is gone: finishing running jobs, within %g s", self._options.grace)
        await self._end(everything, ending)

    async def _ask_for_a_successor(self, link: WorkLink) -> None:
        most: int | None = self._options.max_jobs
        memory: int | None = self._options.max_memory
        while True:
            runs = self.counts.succeeded + self.counts.failed
            if most is not None and runs >= most:
                logger.info("%d jobs have run: asking for another process", runs)
                break
            if memory is not None and (used := resident()) > memory * MEGABYTE:
                logger.info("%d MB of memory are used: asking for another process", used // MEGABYTE)
                break
            await anyio.sleep(LOOK_SECONDS)
        await link.say(REPLACE)

    def _check_memory(self) -> None:
        memory: int | None = self._options.max_memory
        if memory is not None and (used := resident()) > memory * MEGABYTE:
            raise CommandError(f"--max-memory {memory}: {used // MEGABYTE} MB are used before the first job")


async def _hurry(signals: AsyncIterator[int], everything: anyio.CancelScope, ending: _Ending) -> None:
    await anext(signals)
    logger.info("giving back running jobs")
    ending.within(STUCK_SECONDS)
    everything.cancel()


def resident() -> int:
    """Bytes of memory that this process has in use; where that is not known, the most that it has had."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize()
    # bytes on macOS, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class _Ending:
    """Ends the process within a time, unless the block has ended by then. It is a thread: jobs may hold up the loop."""

    def __init__(self) -> None:
        self._timers: list[threading.Timer] = []

    def __enter__(self) -> Self:
        return self

    def within(self, seconds: float) -> None:
        timer = threading.Timer(seconds, _end_without_threads)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def __exit__(self, *_: object) -> None:
        for timer in self._timers:
            timer.cancel()


def _end_without_threads() -> None:
    logger.error("jobs in threads are still running: ending without them; they run again after the lease")
    logging.shutdown()
    os._exit(FAILED)
