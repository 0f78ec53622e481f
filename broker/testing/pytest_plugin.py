"""pytest fixtures for testing programs that talk to a broker. Installed with the package; needs no configuration.

    async def test_a_job(broker, autojump_clock):         # a Trio test (pytest-trio)
        async with broker.client() as client:             # coredis, in the same process
            ...

    def test_a_job(broker_on_port):                       # any client
        client = redis.Redis(port=broker_on_port.port)

Each test gets its own empty broker, which starts in a few milliseconds; a marker passes directives to it:
`@pytest.mark.broker(maxmemory="10mb")`. If the test uses pytest-trio's `autojump_clock`, the broker's time jumps along
with the test's: keys expire, blocked clients time out and entries become idle without any real waiting.

This module is imported at the start of every run of pytest, even if it is not used. So it imports nothing slow, and
requires neither Trio nor a client library.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import coredis
    import trio

    from broker.server import Server

START_SECONDS = 20.0
"""How long a broker in a thread may take to start or stop: far longer than it ever does."""


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


@dataclass(frozen=True)
class BrokerOnPort:
    """What the fixture `broker_on_port` returns: the address the broker listens on."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"


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
    thread = _BrokerThread(_directives(request))
    thread.start()
    try:
        yield BrokerOnPort("127.0.0.1", thread.wait_until_listening())
    finally:
        thread.stop()


class _BrokerThread:
    """A broker that runs from `start` to `stop` in a thread with its own `trio.run`."""

    def __init__(self, directives: dict[str, str]) -> None:
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._directives = directives
        self._ready = threading.Event()
        self._port = 0
        self._failure: BaseException | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._stopping: trio.Event | None = None

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        import trio

        try:
            trio.run(self._serve)
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        import trio

        from broker.server import open_broker

        self._stopping = trio.Event()
        async with open_broker(self._directives, stop=self._stopping) as server:
            self._port = server.listeners.open_tcp("127.0.0.1", 0)
            self._token = trio.lowlevel.current_trio_token()
            self._ready.set()
            await self._stopping.wait()

    def wait_until_listening(self) -> int:
        """Wait for the broker to start and return its port. Raises the error if it failed to start."""
        if not self._ready.wait(START_SECONDS):
            raise TimeoutError(f"the broker did not start within {START_SECONDS:g} seconds")
        if self._failure is not None:
            raise self._failure
        return self._port

    def stop(self) -> None:
        """Shut the broker down. Raises the error if it failed in the meantime."""
        import trio

        if self._token is not None and self._stopping is not None:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._stopping.set)
        self._thread.join(START_SECONDS)
        if self._port and self._failure is not None:
            raise self._failure
