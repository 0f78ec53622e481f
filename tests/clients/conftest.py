"""The broker that the client libraries use, empty at the start of each test."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracle import servers

_missing: list[str] = []


@pytest.fixture(scope="session")
def _broker() -> Iterator[None]:
    yield
    servers.stop()


def empty_broker() -> int:
    """The broker's port on 127.0.0.1, after FLUSHALL."""
    server = servers.broker()
    connection = server.connect()
    reply = connection.call("FLUSHALL")
    connection.close()
    assert reply == b"+OK\r\n", f"FLUSHALL answered {reply!r}; the broker's log ends:\n{server.log()}"
    return server.address[1]


@pytest.fixture
def port(_broker: None) -> int:
    """The broker's port on 127.0.0.1; every database is empty."""
    return empty_broker()


@pytest.fixture
def url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


PACKAGES = ("redis@5", "ioredis@5")


@pytest.fixture(scope="session")
def modules() -> Path:
    """The node_modules folder that holds node-redis and ioredis; it is kept in the user's cache folder."""
    if not shutil.which("node") or not shutil.which("npm"):
        skip_loudly("node-redis and ioredis: no node and npm here")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trimaran" / "node"
    folder = cache / "node_modules"
    if not all((folder / name.partition("@")[0] / "package.json").exists() for name in PACKAGES):
        cache.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(cache), *PACKAGES]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode:
            skip_loudly("node-redis and ioredis: npm could not install them")
    return folder


def skip_loudly(reason: str) -> None:
    """Skip a test because a tool is missing, and report that at the end of the run."""
    if reason not in _missing:
        _missing.append(reason)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason in _missing:
        terminalreporter.write_line(f"CLIENT TESTS WERE SKIPPED: {reason}", red=True, bold=True)
