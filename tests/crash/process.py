"""A broker in its own process, on real files, that can be killed and restarted on them."""

import os
import resource
import signal
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from broker.__main__ import main
from tests.forkserver import context
from tests.oracle.servers import ROOT, free_port
from tests.oracle.wire import CLOSED, SILENT, Connection

START_SECONDS = 60.0
LOADING = b"-LOADING"


class Process:
    """One folder, and at most one process at a time that keeps its files there."""

    def __init__(self, folder: Path, **directives: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._words = [word for name, value in directives.items() for word in (f"--{name.replace('_', '-')}", value)]
        self._process: ForkServerProcess | None = None
        self.pid = 0

    def start(self, longest_file: int | None = None) -> None:
        """Start it and wait until everything is loaded. longest_file: see run_broker."""
        command = ["serve", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--enable-debug-command", "yes", *self._words]
        self._process = context.Process(target=run_broker, args=(command, self.folder / "log", longest_file))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        deadline = time.monotonic() + START_SECONDS
        while self._process.exitcode is None and time.monotonic() < deadline:
            try:
                connection = self.connect()
            except OSError:
                time.sleep(0.01)
                continue
            answer = connection.call("DBSIZE")
            connection.close()
            if answer.startswith(b":"):
                return
            if not answer.startswith(LOADING) and answer not in (CLOSED, SILENT):
                break
            time.sleep(0.01)
        raise AssertionError(f"the broker did not start:\n{self.log()}")

    def connect(self) -> Connection:
        return Connection(("127.0.0.1", self.port))

    def connect_again(self) -> Connection:
        """A connection as soon as the process, which is starting anew, has loaded everything."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                connection = self.connect()
            except OSError:
                time.sleep(0.01)
                continue
            if connection.call("DBSIZE").startswith(b":"):
                return connection
            connection.close()
            time.sleep(0.01)
        raise AssertionError(f"the broker did not start anew:\n{self.log()}")

    def wait(self) -> int:
        """Wait until it has ended, and return its exit status."""
        assert self._process is not None
        return _status(self._process, START_SECONDS)

    def kill(self) -> None:
        """End it like a crash: nothing of it is running when this returns."""
        self._end(signal.SIGKILL)

    def signal_end(self) -> None:
        """Send SIGTERM without waiting."""
        assert self._process is not None
        self._process.terminate()

    def terminate(self) -> int:
        """Ask it to end; returns its exit status."""
        return self._end(signal.SIGTERM)

    def ended(self) -> int:
        """Wait until it has ended on its own; returns its exit status."""
        return self._end(None)

    def _end(self, number: signal.Signals | None) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if number is not None and process.exitcode is None:
            os.kill(self.pid, number)
        try:
            return _status(process, 30)
        except TimeoutError:
            process.kill()
            process.join()
            raise

    def log(self) -> str:
        """The end of its output."""
        return (self.folder / "log").read_bytes()[-4000:].decode("utf-8", "replace")


def _status(process: ForkServerProcess, seconds: float) -> int:
    """The exit status of a process, for whose end this waits. Raises TimeoutError if it goes on for so long."""
    process.join(seconds)
    if process.exitcode is None:
        raise TimeoutError
    return process.exitcode


def run_broker(words: list[str], log: Path, longest_file: int | None = None) -> None:
    """`python -m broker` with these words. longest_file: writing beyond so many bytes of a file fails with EFBIG; the
    limit can be raised from outside."""
    os.chdir(ROOT)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    if longest_file is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (longest_file, resource.RLIM_INFINITY))
    # a restart executes the command line again
    sys.orig_argv[1:] = ["-m", "broker", *words]
    sys.argv[1:] = words
    sys.exit(main())
