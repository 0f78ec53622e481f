"""A broker in its own process, on real files, that can be killed and restarted on them."""

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

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
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def start(self, prepare: Callable[[], None] | None = None) -> None:
        """Start it and wait until everything is loaded. `prepare` is called in the new process before the program."""
        command = [sys.executable, "-m", "broker", "serve", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self.folder), "--enable-debug-command", "yes", *self._words]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=prepare
            )
        self.pid = self._process.pid
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
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
        return self._process.wait(START_SECONDS)

    def kill(self) -> None:
        """End it like a crash: nothing of it is running when this returns."""
        self._end(signal.SIGKILL)

    def signal_end(self) -> None:
        """Send SIGTERM without waiting."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

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
        if number is not None and process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def log(self) -> str:
        """The end of its output."""
        return (self.folder / "log").read_bytes()[-4000:].decode("utf-8", "replace")


def no_file_longer_than(size: int) -> Callable[[], None]:
    """For `start`: writing beyond this many bytes of a file fails with EFBIG; the limit can be raised from outside."""

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    return prepare
