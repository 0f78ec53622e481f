"""`trimaran work`: workers for job queues, as a program: one process (work_process.py), or several under a supervisor.

Jobs run on the loop for which they were written: the one that --loop names, or else the queues, or else Trio.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import anyio
from coredis.exceptions import RedisError

from consumers.commands import work_reload
from consumers.commands.log_lines import JsonLines
from consumers.commands.running import FAILED, CommandError, argument_parser, positive, reason_of, seconds
from consumers.commands.work_display import Display
from consumers.commands.work_process import STUCK_SECONDS, work
from consumers.commands.work_supervisor import Supervisor
from consumers.errors import ConsumerError
from consumers.jobs import Queue

DESCRIPTION = """\
Run the jobs of queues that Python modules declare.

  trimaran work myapp:queue                          16 jobs at a time
  trimaran work myapp.jobs:queue --concurrency 50 --url redis://queue.example:6379
  trimaran work myapp:mails myapp:images --processes 4 --max-jobs 10000
  trimaran work myapp:queue --reload                 restarts when a source file changes
  trimaran work myapp:queue --burst                  runs what there is, and ends

On SIGTERM or SIGINT it takes no more jobs, lets running ones finish within the grace period, and gives the rest back;
the status is then 0. A second signal ends the grace period. The status of --burst is 3 if jobs were given up."""

LOOPS = ("asyncio", "trio", "uvloop")

START = "import sys; from consumers.commands.work import main; sys.exit(main(sys.argv[1:]))"

logger = logging.getLogger("consumers.jobs")


def main(words: Sequence[str]) -> int:
    options = _parser().parse_intermixed_args(words)
    supervised = options.supervised is not None
    try:
        if not supervised and (options.processes > 1 or options.reload or options.max_jobs or options.max_memory):
            return _supervise(words, options)
        queues = find_all(options.queue)
        backend, settings = loop_of(queues, options.loop)
    except CommandError as error:
        return _tell(str(error), 2)
    display = None
    if sys.stderr.isatty() and not options.json and not supervised:
        display = Display(", ".join(queue.name for queue in queues))
    _log(display, options)
    status = 0
    try:
        status = anyio.run(work, queues, options, display, backend=backend, backend_options=settings)
    except* (RedisError, ConsumerError, OSError) as group:
        status = _tell(reason_of(group), FAILED)
    except* (ValueError, CommandError) as group:
        status = _tell(reason_of(group), 2)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argument_parser("work", DESCRIPTION, json="log one JSON object per line")
    parser.add_argument(
        "queue", nargs="+", metavar="MODULE:QUEUE", help="a consumers.jobs.Queue, e.g. myapp.jobs:queue"
    )
    parser.add_argument(
        "--concurrency", type=positive, default=16, metavar="N", help="jobs of each queue that run at a time "
        "(%(default)s)",
    )  # fmt: skip
    parser.add_argument("--prefetch", type=positive, metavar="N", help="jobs in hand (twice the concurrency)")
    parser.add_argument(
        "--pool-size", type=positive, metavar="N", help="processes for jobs with process=True (one per core)"
    )
    parser.add_argument(
        "--lease", type=seconds(0), default=30.0, metavar="SECONDS", help="until a crash is noticed (30)"
    )
    parser.add_argument(
        "--grace", type=seconds(0), default=10.0, metavar="SECONDS", help="for running jobs to finish at the end (10)"
    )
    parser.add_argument(
        "--loop",
        choices=LOOPS,
        help="what runs asynchronous jobs; uvloop is asyncio on uvloop (the queues' loop, or trio)",
    )
    parser.add_argument(
        "--name", help="the worker's name, unique in the queue (host, process and random characters); of several "
        "processes NAME-1, NAME-2 and so on",
    )  # fmt: skip
    parser.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info",
        help="what is logged; info has a line for each finished job (info)",
    )  # fmt: skip
    parser.add_argument("--burst", action="store_true", help="end when no job waits, is due or runs, in any worker")
    several = parser.add_argument_group("processes")
    several.add_argument(
        "--processes", type=positive, default=1, metavar="N", help="worker processes, restarted when they die (1)"
    )
    several.add_argument("--max-jobs", type=positive, metavar="N", help="replace a process after so many runs of jobs")
    several.add_argument("--max-memory", type=positive, metavar="MB", help="replace a process that uses more memory")
    several.add_argument(
        "--reload", action="store_true", help="restart them when a Python file in this folder or below changes"
    )
    parser.set_defaults(url=None)
    several.add_argument("--supervised", type=_pair, help=argparse.SUPPRESS)
    return parser


def _supervise(words: Sequence[str], options: argparse.Namespace) -> int:
    """Start processes with the same arguments and keep them running. Raises CommandError."""
    if options.reload and options.burst:
        raise CommandError("--burst ends, and --reload does not: give one of them")
    if options.reload and not work_reload.available():
        raise CommandError("--reload: watchfiles is not installed; install it with pip install 'trimaran[reload]'")
    _log(None, options)

    def command(link: int, number: int) -> list[str]:
        return [sys.executable, "-c", START, "--supervised", f"{link}:{number}", *words]

    async def supervise() -> int:
        supervisor = Supervisor(
            command, options.processes, patience=options.grace + 2 * STUCK_SECONDS, burst=options.burst,
            changes=partial(work_reload.changes, Path.cwd()) if options.reload else None,
        )  # fmt: skip
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            return await supervisor.run(signals)

    return anyio.run(supervise, backend="trio")


def find_all(targets: Sequence[str]) -> list[Queue]:
    """Return the queues. Raises CommandError, also for one that is named twice."""
    queues = [find(target) for target in targets]
    names = [queue.name for queue in queues]
    for name in names:
        if names.count(name) > 1:
            raise CommandError(f"the queue {name} is given twice")
    return queues


def find(target: str) -> Queue:
    """Return the queue that MODULE:NAME names; also searches the current folder. Raises CommandError."""
    module, _, name = target.partition(":")
    if "/" in module:
        raise CommandError(f"{module} is a file: {_by_module(module, name)}")
    if not module or not name:
        raise CommandError(f"{target!r} is not of the form MODULE:QUEUE, as in myapp:queue")
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        top = found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _broken(module, error) from None
        hint = f"; {_by_module(module, name)}" if module.endswith(".py") else ""
        raise CommandError(f"there is no module {error.name!r}{hint}") from None
    except Exception as error:
        raise _broken(module, error) from None
    queues = [attribute for attribute, value in vars(top).items() if isinstance(value, Queue)]
    hint = f"; its queues: {', '.join(queues)}" if queues else ""
    for part in name.split("."):
        if not hasattr(found, part):
            raise CommandError(f"{module} has no {name!r}{hint}")
        found = getattr(found, part)
    if not isinstance(found, Queue):
        raise CommandError(f"{target} is no consumers.jobs.Queue, but of type {type(found).__name__}{hint}")
    return found


def _by_module(file: str, name: str) -> str:
    parts = PurePath(file).with_suffix("").parts
    return f"name its module, as in {'.'.join(part for part in parts if part != '/')}:{name or 'queue'}"


def _broken(module: str, error: Exception) -> CommandError:
    """Print the traceback of a module that can't be imported, from its own first line on."""
    frames = error.__traceback__
    ours = (__file__, importlib.__file__, "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")
    while frames is not None and frames.tb_frame.f_code.co_filename in ours:
        frames = frames.tb_next
    traceback.print_exception(error.with_traceback(frames))
    return CommandError(f"{module} can't be imported: {type(error).__name__}")


def loop_of(queues: Sequence[Queue], asked: str | None) -> tuple[str, dict[str, Any]]:
    """Return anyio's backend and its options for the loop on which jobs run. Raises CommandError."""
    loop = asked or next((queue.loop for queue in queues if queue.loop is not None), "trio")
    backend = "trio" if loop == "trio" else "asyncio"
    for queue in queues:
        if queue.loop not in (None, backend):
            reason = f"--loop {loop}: " if asked else f"one process runs one loop, here {loop}: "
            raise CommandError(f"{reason}the queue {queue.name} has jobs for {queue.loop}")
    if loop == "uvloop" and importlib.util.find_spec("uvloop") is None:
        raise CommandError("--loop uvloop: uvloop is not installed; install it with pip install uvloop")
    return backend, {"use_uvloop": loop == "uvloop"} if backend == "asyncio" else {}


def _pair(text: str) -> tuple[int, int]:
    link, _, number = text.partition(":")
    return int(link), int(number)


def _log(display: Display | None, options: argparse.Namespace) -> None:
    handler: logging.Handler
    if display is not None:
        handler = display.log_handler()
    else:
        handler = logging.StreamHandler()
        which = ""
        if options.supervised is not None:
            # the processes of one supervisor write one log
            number = options.supervised[1]
            which = f"[{number}] "
            handler.addFilter(partial(_marked, number))
        form = logging.Formatter(f"%(asctime)s %(levelname)s {which}%(name)s: %(message)s")
        handler.setFormatter(JsonLines() if options.json else form)
    logging.basicConfig(level=options.log_level.upper(), handlers=[handler])
    # coredis logs a traceback for every connection that fails in its handshake; the consumers report it in one line
    logging.getLogger("coredis").setLevel(logging.CRITICAL)


def _marked(number: int, record: logging.LogRecord) -> bool:
    record.worker_process = number
    return True


def _tell(text: str, status: int) -> int:
    sys.stderr.write(f"trimaran work: {text}\n")
    return status
