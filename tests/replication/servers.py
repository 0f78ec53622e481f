"""Real servers for replication tests: this broker, and the replicas that exist, each on a port of its own."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.oracle.servers import OracleMissing, Server, find_reference, find_valkey, free_port, start
from tests.oracle.wire import Connection, parse

PATIENCE: float = 30.0
"""Seconds after which what a test waits for has not happened."""

COMMON = ("--save", "", "--enable-debug-command", "yes")


def _old_redis() -> str:
    path = shutil.which("redis-server")
    if path is None:
        raise OracleMissing("no redis-server in PATH")
    return path


KINDS: dict[str, Callable[[], str]] = {
    "redis-7.0": _old_redis,
    "redis-8": lambda: str(find_reference()[0]),
    "valkey-9": lambda: str(find_valkey()[0]),
}
"""The executables that can be had as replicas; each raises OracleMissing where there is none."""


@contextmanager
def master(*options: str, port: int = 0, folder: Path | None = None) -> Iterator[Server]:
    """Run this broker, on this port and with its files in this folder, if they are given."""
    port = port or free_port()
    command = [sys.executable, "-m", "broker", "serve", "--port", str(port), "--bind", "127.0.0.1", *COMMON]
    server = start("ours", [*command, "--repl-diskless-sync-delay", "0", *options], port, folder=folder)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def replica(kind: str, of: tuple[str, int], *options: str) -> Iterator[Server]:
    """Run a server of this kind that follows `of`."""
    port = free_port()
    command = [KINDS[kind](), "--port", str(port), "--bind", "127.0.0.1", *COMMON]
    server = start(kind, [*command, "--replicaof", of[0], str(of[1]), *options], port)
    try:
        yield server
    finally:
        server.stop()


def info(client: Connection, section: str) -> dict[str, str]:
    """The fields of a section of INFO."""
    lines = parse(client.call("INFO", section)).text.decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def wait_until(what: str, holds: Callable[[], bool]) -> None:
    """Wait until it holds, or fail."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


def linked(follower: Connection) -> bool:
    """Whether a replica is in step with its master, as it says."""
    return info(follower, "replication").get("master_link_status") == "up"


def in_step(leader: Connection, follower: Connection) -> bool:
    """Whether the replica has executed all that the master has streamed."""
    ours, theirs = info(leader, "replication"), info(follower, "replication")
    same = ours["master_replid"] == theirs["master_replid"]
    return (
        same and theirs.get("master_link_status") == "up" and ours["master_repl_offset"] == theirs["slave_repl_offset"]
    )


def digest(client: Connection) -> bytes:
    """DEBUG DIGEST: of all keys and values."""
    return client.call("DEBUG", "DIGEST")
