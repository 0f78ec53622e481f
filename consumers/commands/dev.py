"""`trimaran dev`: a broker, a worker that follows the source, and the console, from one command.

Each is a process of its own, started as a user would start it. They run in sessions of their own, so a Ctrl-C on the
terminal reaches this program alone, which ends them in order: the worker gives back what it has while there is a
broker.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from importlib.util import find_spec
from typing import Final

import anyio
from anyio.abc import Process

from consumers.commands.running import Parser

DESCRIPTION = """\
Develop with jobs: a broker in memory, a worker that restarts when the source changes, and the console.

  trimaran dev app:queue                  redis://127.0.0.1:6379, and a console on http://127.0.0.1:8379
  trimaran dev app:queue --keep data      keep the data in a folder
  trimaran dev                            only the broker and the console

Nothing is reachable from other machines. Ctrl-C ends all of it; a second one at once."""

PORT: Final = 6379
CONSOLE_PORT: Final = 8379

CONSOLE_LIBRARIES: Final = ("hypercorn", "jinja2", "prometheus_client", "starlette")
RELOAD_LIBRARIES: Final = ("watchfiles",)

START_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 15.0
"""How long a part may take to end: the worker's own grace period, and some."""


class _Part:
    """A process, and the name under which it is spoken of."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.process = process

    async def end(self) -> None:
        """Have it end, and wait for that; after its time, or if this is cancelled, kill it."""
        if self.process.returncode is None:
            self.process.terminate()
            with anyio.move_on_after(PATIENCE_SECONDS), contextlib.suppress(ProcessLookupError):
                await self.process.wait()


def main(words: Sequence[str]) -> int:
    parser = Parser("dev", DESCRIPTION)
    parser.add_argument(
        "queue", nargs="?", metavar="MODULE:QUEUE", help="the consumers.jobs.Queue, e.g. myapp.jobs:queue"
    )
    parser.add_argument("--port", type=_port, default=PORT, metavar="N", help="of the broker, 0 for any (%(default)s)")
    parser.add_argument(
        "--console-port", type=_port, default=CONSOLE_PORT, metavar="N", help="of the console, 0 for any (%(default)s)"
    )
    parser.add_argument("--keep", metavar="DIR", help="keep the broker's data in this folder, which must exist")
    options = parser.parse_args(words)
    if options.queue and not all(options.queue.partition(":")):
        parser.error(f"{options.queue!r} is not of the form MODULE:QUEUE, as in myapp:queue")
    if options.keep and not os.path.isdir(options.keep):
        parser.error(f"--keep: there is no folder {options.keep}")
    needed = (*CONSOLE_LIBRARIES, *(RELOAD_LIBRARIES if options.queue else ()))
    if missing := [name for name in needed if find_spec(name) is None]:
        sys.stderr.write(
            f"trimaran dev: {missing[0]} is not installed; install it with pip install 'trimaran[ui,reload]'\n"
        )
        return 1
    try:
        ports = [_free(options.port), _free(options.console_port)]
    except OSError as error:
        sys.stderr.write(f"trimaran dev: {error}\n")
        return 1
    return anyio.run(_develop, options, ports)


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() else -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return number


def _free(port: int) -> int:
    """Return the port, or any one for 0. Raises OSError, in one line, if it is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise OSError(f"port {port} of this machine: {error.strerror}") from None
        return int(probe.getsockname()[1])


async def _develop(options: argparse.Namespace, ports: Sequence[int]) -> int:
    port, console_port = ports
    kept = ["--dir", options.keep, "--appendonly", "yes"] if options.keep else ["--save", ""]
    url = f"redis://127.0.0.1:{port}"
    broker = [
        "serve",
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--stream-extensions",
        "yes",
        "--loglevel",
        "warning",
    ]
    parts = {"console": ["ui", "--url", url, "--port", str(console_port)]}
    if options.queue:
        parts["worker"] = ["work", options.queue, "--url", url, "--reload"]
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        running = [await _start("broker", [*broker, *kept])]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_kill_at_the_end, running)
            stopped = anyio.Event()
            tasks.start_soon(_listen, signals, stopped, tasks.cancel_scope)
            if await _answers(port, running[0], stopped):
                running += [await _start(name, words) for name, words in parts.items()]
                kept_where = f"kept in {options.keep}" if options.keep else "in memory, nothing is kept"
                print(f"broker   {url} ({kept_where})")
                print(f"console  http://127.0.0.1:{console_port}")
                if options.queue:
                    print(f"worker   {options.queue}, started again when the source changes")
                print("Ctrl-C ends all of it", flush=True)
                await _until_one_ends(running, stopped)
            status = _status(running, told=stopped.is_set())
            for part in reversed(running):
                await part.end()
            tasks.cancel_scope.cancel()
        return status


async def _start(name: str, words: Sequence[str]) -> _Part:
    command = [sys.executable, "-m", "broker", *words]
    return _Part(name, await anyio.open_process(command, stdin=None, stdout=None, stderr=None, start_new_session=True))


async def _kill_at_the_end(running: list[_Part]) -> None:
    """Leave nothing behind, however this program ends."""
    try:
        await anyio.sleep_forever()
    finally:
        for part in running:
            if part.process.returncode is None:
                part.process.kill()
        with anyio.CancelScope(shield=True):
            for part in running:
                await part.process.wait()


async def _listen(signals: AsyncIterator[int], stopped: anyio.Event, everything: anyio.CancelScope) -> None:
    async for _ in signals:
        if stopped.is_set():
            everything.cancel()
        stopped.set()


async def _answers(port: int, broker: _Part, stopped: anyio.Event) -> bool:
    """Wait until the broker can be reached; False if it ended, was too slow, or this is no longer wanted."""
    with anyio.move_on_after(START_SECONDS):
        while broker.process.returncode is None and not stopped.is_set():
            with contextlib.suppress(OSError):
                await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                return True
            await anyio.sleep(0.05)
    return False


async def _until_one_ends(running: list[_Part], stopped: anyio.Event) -> None:
    async with anyio.create_task_group() as tasks:

        async def wait(part: _Part) -> None:
            await part.process.wait()
            tasks.cancel_scope.cancel()

        for part in running:
            tasks.start_soon(wait, part)
        await stopped.wait()
        tasks.cancel_scope.cancel()


def _status(running: list[_Part], *, told: bool) -> int:
    """Return the exit status, and say what ended by itself."""
    if told:
        return 0
    for part in running:
        status = part.process.returncode
        if status is not None:
            sys.stderr.write(f"trimaran dev: the {part.name} has ended with status {status}\n")
            return max(1, status)
    sys.stderr.write("trimaran dev: the broker does not answer\n")
    return 1
