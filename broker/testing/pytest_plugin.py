"""pytest fixtures for testing programs that talk to a broker. Installed with the package; needs no configuration.

    async def test_a_job(broker, autojump_clock):         # a Trio test (pytest-trio)
        async with broker.client() as client:             # coredis, in the same process
            ...

    def test_a_job(broker_on_port):                       # any client
        client = redis.Redis(port=broker_on_port.port)

    def test_a_job(broker_on_port):                       # synchronous, without any plugin
        with queue.sync.open(broker_on_port.url):
            ...

    async def test_a_job(broker_on_port):                 # also of asyncio (pytest-asyncio, anyio)
        async with queue.open(broker_on_port.url):
            ...

Each test gets its own empty broker, which starts in a few milliseconds; `broker_for_session` is one for all tests. A
marker passes directives to a test's own: `@pytest.mark.broker(maxmemory="10mb")`. If the test uses pytest-trio's
`autojump_clock`, the broker's time jumps along with the test's: keys expire, blocked clients time out and entries
become idle without any real waiting.

This module is imported at the start of every run of pytest, even if it is not used. So it imports nothing slow, and
requires neither Trio nor a client library.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from broker.testing.in_thread import BrokerOnPort, in_thread

if TYPE_CHECKING:
    import coredis
    import trio

    from broker.server import Server


class InProcessBroker:
    """What the fixture `broker` returns. `server` is the running broker, as `broker.open_broker` yields it."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def client(self, **settings: Any) -> coredis.Redis[Any]:
        """Returns a coredis client for this broker, for use with `async with`.

        `settings` are those of coredis's connection pool, for example decode_responses, db, username, password.
        """
        from broker.testing import in_process

        return in_process.client(self.server, **settings)

    async def connect(self) -> trio.SocketStream:
        """Returns a byte stream to this broker that speaks RESP."""
        return await self.server.connect()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "broker(**directives): directives for the broker that the fixtures broker and broker_on_port start"
    )


def _directives(request: pytest.FixtureRequest) -> dict[str, str]:
    """The closest marker's directives, with the underscores of Python names replaced by hyphens."""
    marker = request.node.get_closest_marker("broker")
    return {name.replace("_", "-"): str(value) for name, value in marker.kwargs.items()} if marker else {}


@pytest.fixture
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[InProcessBroker]:
    """A broker inside this Trio test, without a port. With `autojump_clock`, it shares the test's time."""
    import time

    import trio
    import trio.testing

    from broker.process.clock import Clock, TrioClock
    from broker.server import open_broker

    clock = Clock()
    if isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock):
        # Starts at the wall clock's time, so that absolute times computed by the test are in the future.
        clock = TrioClock(time.time_ns() // 1_000_000 - int(trio.current_time() * 1000))
    async with open_broker(_directives(request), clock=clock) as server:
        yield InProcessBroker(server)


@pytest.fixture
def broker_on_port(request: pytest.FixtureRequest) -> Iterator[BrokerOnPort]:
    """A broker on a free port of 127.0.0.1, for any client. It runs in its own thread, on the wall clock."""
    with in_thread(_directives(request)) as running:
        yield running


@pytest.fixture(scope="session")
def broker_for_session() -> Iterator[BrokerOnPort]:
    """The same, one for all tests of the run, which share its keys. The marker does not apply to it."""
    with in_thread() as running:
        yield running
