"""Real servers of a replication set: redis-server 7.0, the reference, Valkey, and brokers, each on a free port."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.oracle import servers
from tests.oracle.servers import Server
from tests.oracle.wire import Connection, parse

SECONDS = 20.0

REDIS_7 = "redis 7.0"
REFERENCE = "the reference"
VALKEY = "valkey"
OURS = "trimaran"


def _executable(kind: str) -> list[str]:
    if kind == OURS:
        return [sys.executable, "-m", "broker", "serve"]
    try:
        if kind == REFERENCE:
            return [str(servers.find_reference()[0])]
        if kind == VALKEY:
            return [str(servers.find_valkey()[0])]
    except servers.OracleMissing as missing:
        pytest.skip(str(missing))
    path = shutil.which("redis-server")
    if path is None:
        pytest.skip("there is no redis-server in the PATH")
    return [path]


class Member:
    """A running server, whose clients are closed at its end."""

    def __init__(self, started: Server, keeps_files: bool) -> None:
        self.server = started
        self._keeps_files = keeps_files
        self.port = started.address[1]
        self._clients: list[Connection] = []

    def connect(self) -> Connection:
        self._clients.append(self.server.connect())
        return self._clients[-1]

    def alive(self) -> bool:
        return self.server.alive()

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.server.process is not None
        self.server.process.kill()
        self.server.process.wait()

    def close(self) -> None:
        for client in self._clients:
            client.close()
        if self._keeps_files:
            self.server.folder = None
        self.server.stop()


@contextmanager
def server(kind: str, *options: str, port: int = 0, folder: Path | None = None) -> Iterator[Member]:
    """Run a server of that kind, with its files in `folder` if that is given."""
    port = port or servers.free_port()
    command = [*_executable(kind), "--port", str(port), "--bind", "127.0.0.1", "--enable-debug-command", "yes"]
    if "--save" not in options:
        command += ["--save", ""]
    if kind != OURS:
        command += ["--repl-diskless-sync-delay", "0"]
    member = Member(servers.start(kind, [*command, *options], port, folder=folder), folder is not None)
    try:
        yield member
    finally:
        member.close()


def until(holds: Callable[[], bool], what: str = "") -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.01)


def info(connection: Connection, section: str = "replication") -> dict[str, str]:
    """The fields of a section of INFO."""
    lines = parse(connection.call("INFO", section)).text.decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def in_sync(master: Connection, replica: Connection) -> None:
    """Wait until a replica has executed all that its master has streamed."""

    def same() -> bool:
        theirs, ours = info(master), info(replica)
        up = ours.get("master_link_status") == "up"
        return up and theirs["master_repl_offset"] == ours["slave_repl_offset"]

    until(same, f"{info(master)} {info(replica)}")


def digest(connection: Connection) -> bytes:
    """A digest of all data of a server."""
    return connection.call("DEBUG", "DIGEST")
