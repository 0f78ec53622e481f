"""`trimaran work`: a worker for a job queue, as a program.

Unlike the other commands it does not stop at a signal but begins to stop: it takes no more jobs, lets running ones
finish within a grace period, gives the rest back, and then ends with status 0, since that is what was requested. A
second signal ends the grace period. Threads can't be stopped: if they continue after it, the process ends without
them, and their jobs run again once the lease has run out.

Jobs run on the loop for which they were written: the one that --loop names, or else the queue, or else Trio.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import anyio
from coredis.exceptions import RedisError

from consumers.addresses import default_url
from consumers.commands.log_lines import JsonLines
from consumers.commands.running import FAILED, CommandError, argument_parser, client_of, positive
from consumers.commands.work_display import Counts, Display
from consumers.errors import ConsumerError
from consumers.jobs import Queue, Worker

DESCRIPTION = """\
Run the jobs of a queue that a Python module declares.

  trimaran work myapp:queue                          16 jobs at a time
  trimaran work myapp.jobs:queue --concurrency 50 --url redis://queue.example:6379

On SIGTERM or SIGINT it takes no more jobs, lets running ones finish within the grace period, and gives the rest back;
the status is then 0. A second signal ends the grace period."""

LOOPS = ("asyncio", "trio", "uvloop")

STUCK_SECONDS = 5.0
"""How long threads may hold up the process after the end of the grace period."""

logger = logging.getLogger("consumers.jobs")


def main(words: Sequence[str]) -> int:
    parser = argument_parser("work", DESCRIPTION)
    parser.add_argument("queue", metavar="MODULE:QUEUE", help="the consumers.jobs.Queue, e.g. myapp.jobs:queue")
    parser.add_argument(
        "--concurrency", type=positive, default=16, metavar="N", help="jobs that run at a time (%(default)s)"
    )
    parser.add_argument("--prefetch", type=positive, metavar="N", help="jobs in hand (twice the concurrency)")
    parser.add_argument("--lease", type=_seconds, default=30.0, metavar="SECONDS", help="until a crash is noticed (30)")
    parser.add_argument(
        "--grace", type=_seconds, default=10.0, metavar="SECONDS", help="for running jobs to finish at the end (10)"
    )
    parser.add_argument(
        "--loop",
        choices=LOOPS,
        help="what runs asynchronous jobs; uvloop is asyncio on uvloop (the queue's loop, or trio)",
    )
    parser.add_argument("--name", help="the worker's name, unique in the queue (host, process and random characters)")
    parser.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info",
        help="what is logged; info has a line for each finished job (info)",
    )  # fmt: skip
    parser.set_defaults(url=None)
    options = parser.parse_args(words)
    try:
        queue = find(options.queue)
        options.url = options.url or queue.url or default_url()
        backend, settings = loop_of(queue, options.loop)
    except CommandError as error:
        return _tell(str(error), 2)
    display = Display(queue.name) if sys.stderr.isatty() and not options.json else None
    _log(display, options.log_level, as_json=options.json)
    status = 0
    try:
        anyio.run(_work, queue, options, display, backend=backend, backend_options=settings)
    except* (RedisError, ConsumerError, OSError) as group:
        status = _tell(str(_first(group)) or type(_first(group)).__name__, FAILED)
    except* ValueError as group:
        status = _tell(str(_first(group)), 2)
    return status


def find(target: str) -> Queue:
    """Return the queue that MODULE:NAME names; also searches the current folder. Raises CommandError."""
    module, _, name = target.partition(":")
    if not module or not name:
        raise CommandError(f"{target!r} is not of the form MODULE:QUEUE")
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: object = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise CommandError(f"there is no module {error.name!r}") from None
    for part in name.split("."):
        if not hasattr(found, part):
            raise CommandError(f"{module} has no {name!r}")
        found = getattr(found, part)
    if not isinstance(found, Queue):
        raise CommandError(f"{target} is a {type(found).__name__}, not a consumers.jobs.Queue")
    return found


def loop_of(queue: Queue, asked: str | None) -> tuple[str, dict[str, Any]]:
    """Return anyio's backend and its options for the loop on which jobs run. Raises CommandError."""
    loop = asked or queue.loop or "trio"
    backend = "trio" if loop == "trio" else "asyncio"
    if queue.loop not in (None, backend):
        raise CommandError(f"--loop {loop}: the queue {queue.name} has jobs for {queue.loop}")
    if loop == "uvloop" and importlib.util.find_spec("uvloop") is None:
        raise CommandError("--loop uvloop: uvloop is not installed")
    return backend, {"use_uvloop": loop == "uvloop"} if backend == "asyncio" else {}


async def _work(queue: Queue, options: argparse.Namespace, display: Display | None) -> None:
    counts = Counts()
    worker = Worker(
        queue, concurrency=options.concurrency, prefetch=options.prefetch, lease=options.lease, name=options.name,
        middleware=[counts],
    )  # fmt: skip
    logger.info("worker %s for the queue %s, %d jobs at a time", worker.name, queue.name, options.concurrency)
    with _Ending() as ending, anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_at_signal, signals, worker, options.grace, tasks.cancel_scope, ending)
            if display is not None:
                tasks.start_soon(display.run, worker, counts)
            async with client_of(options) as client, queue.open(client):
                await worker.run()
            tasks.cancel_scope.cancel()
    logger.info("worker %s has ended: %s", worker.name, counts)


async def _end_at_signal(
    signals: AsyncIterator[int], worker: Worker, grace: float, everything: anyio.CancelScope, ending: _Ending
) -> None:
    number = await anext(signals)
    logger.info("%s: finishing running jobs, within %g s", signal.Signals(number).name, grace)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_hurry, signals, everything, ending)
        ending.within(grace + STUCK_SECONDS)
        await worker.drain(grace)
        # if it had not begun to work, there was nothing to drain
        everything.cancel()


async def _hurry(signals: AsyncIterator[int], everything: anyio.CancelScope, ending: _Ending) -> None:
    await anext(signals)
    logger.info("giving back running jobs")
    ending.within(STUCK_SECONDS)
    everything.cancel()


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


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 86400:
        raise argparse.ArgumentTypeError("SECONDS is from 0 to 86400")
    return seconds


def _log(display: Display | None, level: str, *, as_json: bool) -> None:
    handler: logging.Handler
    if display is not None:
        handler = display.log_handler()
    else:
        handler = logging.StreamHandler()
        form = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
        handler.setFormatter(JsonLines() if as_json else form)
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # coredis logs a traceback for every connection that fails in its handshake; the consumers report it in one line
    logging.getLogger("coredis").setLevel(logging.CRITICAL)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _tell(text: str, status: int) -> int:
    sys.stderr.write(f"trimaran work: {text}\n")
    return status
