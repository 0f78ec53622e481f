"""The servers that are measured side by side."""

import contextlib
import os
import re
import resource
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
SAVE_SECONDS = 300.0
PING_PAUSE = 0.001
IDLE_SHARE = 0.05
FILLED = b"all was sent and answered"


def raise_file_limit() -> int:
    """Let this process, and servers started later, open as many files as allowed; the new limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def encode(*parts: str | bytes | int) -> bytes:
    """A command as a RESP array of bulk strings."""
    values = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return b"*%d\r\n" % len(values) + b"".join(b"$%d\r\n%s\r\n" % (len(value), value) for value in values)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class LoadFailed(Exception):
    """A workload could not run to its end; the text says why."""


class Server:
    """A server process. In its command line, {port} is its port and {dir} the folder of its files.

    It runs in `folder`, which decides what `python -m broker` is: Python looks there first.
    """

    def __init__(self, name: str, command: Sequence[str], folder: Path = ROOT) -> None:
        self.name = name
        self.port = free_port()
        self.longest_wait = 0.0
        """Seconds that the slowest answer took while the server started: from LOADING replies, if there were any."""
        self._working_folder = folder
        self._folder = Path(tempfile.mkdtemp(prefix="trimaran-bench-"))
        self._argv = [part.replace("{port}", str(self.port)).replace("{dir}", str(self._folder)) for part in command]
        self._start()

    def _start(self) -> None:
        with (self._folder / "log").open("wb") as log:
            try:
                self._process = subprocess.Popen(
                    self._argv, cwd=self._working_folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            except OSError as error:
                shutil.rmtree(self._folder)
                raise SystemExit(f"{self.name} did not start: {error}") from error
        self.pid = self._process.pid
        self.longest_wait = 0.0
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = (self._folder / "log").read_text(errors="replace")[-3000:]
                self.stop()
                raise SystemExit(f"{self.name} did not start: {' '.join(self._argv)}\n{text}")
            time.sleep(PING_PAUSE)

    def _answers(self) -> bool:
        """Ping until the server is ready; False if it doesn't listen yet, or hangs up."""
        with contextlib.suppress(OSError), self.connect() as sock:
            while True:
                sent = time.monotonic()
                sock.sendall(encode("PING"))
                got = sock.recv(1 << 16)
                self.longest_wait = max(self.longest_wait, time.monotonic() - sent)
                if not got.startswith(b"-LOADING"):
                    return got == b"+PONG\r\n"
                time.sleep(PING_PAUSE)
        return False

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def call(self, *command: str | bytes | int) -> bytes:
        """One command on a connection of its own; the reply must fit one read."""
        with self.connect() as sock:
            sock.sendall(encode(*command))
            return sock.recv(1 << 16)

    def fill(self, data: bytes) -> None:
        """Send commands, and wait until the last has been answered. Raises LoadFailed at an error reply."""
        data += encode("PING", FILLED)
        with self.connect() as sock:
            tail = b""
            for at in range(0, len(data), 1 << 16):
                sock.sendall(data[at : at + (1 << 16)])
                # read in between: a server may stop reading from a client that doesn't
                while select.select([sock], [], [], 0)[0]:
                    tail = self._checked(tail, sock.recv(1 << 16))
            while not tail.endswith(b"\r\n" + FILLED + b"\r\n"):
                tail = self._checked(tail, sock.recv(1 << 16))

    def _checked(self, tail: bytes, got: bytes) -> bytes:
        if not got or b"\n-" in (tail or b"\n")[-1:] + got:
            raise LoadFailed(f"{self.name}: preparing the data failed: {got[-200:]!r}")
        return (tail + got)[-100:]

    def info(self, section: str, field: str) -> str | None:
        """A field of INFO; None if the server has no such field."""
        found = re.search(rf"^{field}:(.*?)\r$", self.call("INFO", section).decode(), re.MULTILINE)
        return found and found[1]

    def wait_for_child(self) -> None:
        """Return when neither an RDB file nor an append-only file is being written in the background."""
        ends = time.monotonic() + SAVE_SECONDS
        while time.monotonic() < ends:
            busy = (self.info("persistence", name) for name in ("rdb_bgsave_in_progress", "aof_rewrite_in_progress"))
            if set(busy) == {"0"}:
                return
            time.sleep(0.05)
        raise LoadFailed(f"{self.name}: the save takes too long")

    def cpu_seconds(self) -> float:
        """User and system time of the whole process so far, all threads, to the nanosecond.

        The clock that clock_getcpuclockid(3) names; /proc/<pid>/stat has the same time in steps of 10 ms.
        """
        return time.clock_gettime((~self.pid << 3) | 2)

    def settle(self, seconds: float = 5.0) -> None:
        """Return when the server has nothing left to do, such as to free what was flushed."""
        ends = time.monotonic() + seconds
        before = self.cpu_seconds()
        while time.monotonic() < ends:
            time.sleep(0.02)
            now = self.cpu_seconds()
            if now - before < 0.02 * IDLE_SHARE:
                return
            before = now

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def restart(self, *, keep_files: bool = True) -> None:
        """A new process in place of the old one: memory as if nothing had been stored."""
        self.restart_begin()
        if not keep_files:
            for path in (*self._folder.glob("*.rdb"), *self._folder.glob("appendonlydir/*")):
                path.unlink()
        self.restart_end()

    def restart_begin(self) -> None:
        """The first half of `restart`: the process has ended."""
        self._end()

    def restart_end(self) -> None:
        """The second half: another one answers."""
        self._start()

    def program(self) -> str:
        return self._argv[0]

    def argument(self, name: str) -> str:
        """The value of one of the command line's settings; "no" if it isn't there."""
        return self._argv[self._argv.index(name) + 1] if name in self._argv else "no"

    def set_argument(self, name: str, value: str) -> None:
        """Give one of the command line's settings another value, from the next start on."""
        if name not in self._argv:
            self._argv += [name, value]
        self._argv[self._argv.index(name) + 1] = value

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)
