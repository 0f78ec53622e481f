"""The two servers that are measured side by side."""

import os
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
FILLED = b"all was sent and answered"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


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
    """A workload could not be completed; the text says why."""


class Server:
    """A server process. The command line has {port} in place of its port."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="trimaran-bench-"))
        values = {"{port}": str(self.port), "{dir}": str(self._folder)}
        self._argv = [values.get(part, part) for part in command]
        self._start()

    def _start(self) -> None:
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(self._argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self._process.pid
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = (self._folder / "log").read_text(errors="replace")[-3000:]
                self.stop()
                raise SystemExit(f"{self.name} did not start: {' '.join(self._argv)}\n{text}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return self.call("PING") == b"+PONG\r\n"
        except OSError:
            return False

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def call(self, *command: str | bytes | int) -> bytes:
        """Send one command on a new connection; the reply must fit one read."""
        with self.connect() as sock:
            sock.sendall(encode(*command))
            return sock.recv(1 << 16)

    def fill(self, data: bytes) -> None:
        """Send commands, and wait until the last has been answered. Raises LoadFailed on an error reply."""
        data += encode("PING", FILLED)
        with self.connect() as sock:
            tail = b""
            for at in range(0, len(data), 1 << 16):
                sock.sendall(data[at : at + (1 << 16)])
                # read in between: a server may stop reading from a client that doesn't read
                while select.select([sock], [], [], 0)[0]:
                    tail = self._checked(tail, sock.recv(1 << 16))
            while not tail.endswith(b"\r\n" + FILLED + b"\r\n"):
                tail = self._checked(tail, sock.recv(1 << 16))

    def _checked(self, tail: bytes, got: bytes) -> bytes:
        if not got or b"\n-" in (tail or b"\n")[-1:] + got:
            raise LoadFailed(f"{self.name}: preparing the data failed: {got[-200:]!r}")
        return (tail + got)[-100:]

    def cpu_seconds(self) -> float:
        """User and system time of the whole process so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def restart(self) -> None:
        """Replace the process with a new one: memory as if nothing had been stored."""
        self.restart_begin()
        self.restart_end()

    def restart_begin(self) -> None:
        """The first half of `restart`: end the process."""
        self._end()

    def restart_end(self) -> None:
        """The second half: start a new one and wait until it answers."""
        self._start()

    def arguments(self, name: str, value: str) -> None:
        """Change one of the command line's settings from the next start on."""
        self._argv[self._argv.index(name) + 1] = value

    def remove_files(self) -> None:
        """Remove what the server has saved."""
        for path in (*self._folder.glob("*.rdb"), *self._folder.glob("appendonlydir/*")):
            path.unlink()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def folder(self) -> Path:
        """Where the server keeps its files."""
        return self._folder

    def stop(self) -> None:
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)
