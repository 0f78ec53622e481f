"""`server_url` and `client`: every test that asks for them runs against each server of tests/consumers/servers.py."""

from collections.abc import AsyncIterator, Iterator

import coredis
import pytest

from tests.consumers import servers
from tests.consumers.servers import KINDS, RedisServer, in_process_broker

_missing: list[str] = []


@pytest.fixture(scope="session")
def _redis_servers() -> Iterator[dict[str, RedisServer]]:
    """The redis-server processes of this run, each started when a test first needs it."""
    running: dict[str, RedisServer] = {}
    try:
        yield running
    finally:
        for server in running.values():
            server.stop()


@pytest.fixture(params=KINDS)
def server_kind(request: pytest.FixtureRequest) -> str:
    """Which server: "broker", "redis-newest" or "redis-older". Skips servers that this machine lacks, with a notice."""
    kind: str = request.param
    if kind != "broker" and servers.executable(kind) is None:
        reason = f"no redis-server of the kind {kind!r}"
        if reason not in _missing:
            _missing.append(reason)
        pytest.skip(reason)
    return kind


@pytest.fixture
async def server_url(server_kind: str, _redis_servers: dict[str, RedisServer]) -> AsyncIterator[str]:
    """redis://127.0.0.1:PORT/0 of an empty server; the broker runs inside the test's own Trio program."""
    if server_kind == "broker":
        async with in_process_broker() as url:
            yield url
        return
    if server_kind not in _redis_servers:
        path = servers.executable(server_kind)
        assert path is not None
        server = RedisServer(path)
        server.start()
        _redis_servers[server_kind] = server
    _redis_servers[server_kind].flush()
    yield _redis_servers[server_kind].url


@pytest.fixture
async def client(server_url: str) -> AsyncIterator["coredis.Redis[bytes]"]:
    """A coredis client (replies as bytes) of an empty server."""
    async with coredis.Redis.from_url(server_url) as connected:
        yield connected


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason in _missing:
        terminalreporter.write_line(f"CONSUMER TESTS WERE SKIPPED: {reason}", red=True, bold=True)
