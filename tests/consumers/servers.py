"""The servers that the consumers are tested against: the broker in the test's own process, and redis-server.

The broker runs inside the test's Trio program, on a port so that coredis and worker processes can reach it. A
redis-server is a separate process: one that claims in XREADGROUP and has XNACK (the newest found), and one that
has neither (an older one), because a consumer works differently on each.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

from broker.config import Config
from broker.server import open_broker
from tests.oracle.servers import _candidates, _version_of, find_reference, free_port
from tests.oracle.wire import Connection

__all__ = ["BROKERS", "KINDS", "RedisServer", "executable", "in_process_broker", "redis_server"]

KINDS = ("broker", "redis-newest", "redis-older")
"""The broker; a redis-server of 8.8 or later; one before 8.4."""

BROKERS: dict[str, dict[str, str]] = {"broker": {}, "broker-extended": {"stream-extensions": "yes"}}
"""The kinds that are this project's own, with their directives; the second is for tests that ask for it."""

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0


def executable(kind: str) -> Path | None:
    """The redis-server of this kind, or None if this machine has none."""
    if kind == "redis-newest":
        try:
            path, version = find_reference()
        except Exception:
            return None
        return path if version >= (8, 8) else None
    for path in _candidates():
        if path.name == "redis-server" and (7,) <= _version_of(path) < (8, 4):
            return path
    return None


class RedisServer:
    """A server process on one port and folder, which may be killed and started again. path: None for the broker."""

    def __init__(self, path: Path | None, *options: str) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="trimaran-consumers-"))
        program = [str(path)] if path is not None else [sys.executable, "-m", "broker", "serve"]
        self._command = [*program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir"]
        self._command += [str(self.folder), "--loglevel", "warning", *options]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers PING. Raises RuntimeError if it does not."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                connection = Connection(("127.0.0.1", self.port))
            except OSError:
                time.sleep(0.01)
                continue
            answer = connection.call("PING")
            connection.close()
            if answer == b"+PONG\r\n":
                return
            time.sleep(0.01)
        raise RuntimeError(f"the server did not start: {(self.folder / 'log').read_text(errors='replace')[-2000:]}")

    def flush(self) -> None:
        connection = Connection(("127.0.0.1", self.port))
        connection.call("FLUSHALL")
        connection.close()

    def kill(self) -> None:
        """kill -9, like a crash."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def redis_server(kind: str, *options: str) -> Iterator[RedisServer]:
    """A running server of this kind in its own process (the broker as well), ended with the block."""
    path = executable(kind) if kind != "broker" else None
    assert path is not None or kind == "broker"
    server = RedisServer(path, *options)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@asynccontextmanager
async def in_process_broker(**directives: str) -> AsyncIterator[str]:
    """The broker inside this Trio program, on a free port, with these directives; yields its URL."""
    config = Config()
    config.port = free_port()
    config.bind = ("127.0.0.1",)
    with tempfile.TemporaryDirectory(prefix="trimaran-consumers-") as folder:
        async with open_broker({"save": "", "dir": folder, **directives}, config=config):
            await trio.lowlevel.checkpoint()
            yield f"redis://127.0.0.1:{config.port}/0"
