"""A broker in a thread of its own, on a free port: for programs and tests that do not run Trio.

    with broker.in_thread({"maxmemory": "100mb"}) as running:
        client = redis.Redis(host=running.host, port=running.port)

It takes the wall clock's time, and shares nothing with the program but the process: synchronous code, asyncio and Trio
reach it alike, by any client. Imports nothing slow, for the pytest plugin.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trio

__all__ = ["BrokerOnPort", "in_thread"]

HOST = "127.0.0.1"

START_SECONDS = 20.0
"""How long a broker may take to start or stop: far longer than it ever does."""


@dataclass(frozen=True)
class BrokerOnPort:
    """The address at which a broker listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"


@contextlib.contextmanager
def in_thread(directives: Mapping[str, str] | None = None) -> Iterator[BrokerOnPort]:
    """Run a broker for the block, on 127.0.0.1, at the `port` among the directives or a free one.

    directives: redis.conf's, with names and values as strings, as `open_broker` takes them; nothing is loaded from or
    saved to the disk unless they contain `dir` or `appendonly`. The block is entered once the broker serves. Raises
    ValueError for a directive that is unknown, refused, or for a process of its own, StartError if the broker can't
    start with them, as with a port in use. If the broker fails while the block runs, its end raises that.
    """
    if not isinstance(directives, Mapping | None):
        raise ValueError(f"directives are a mapping of names to values, not {type(directives).__name__}")
    if directives is not None and "bind" in directives:
        raise ValueError(f"bind: a broker in a thread is for this machine, and listens on {HOST}")
    thread = _BrokerThread({"bind": HOST, **(directives or {})})
    thread.start()
    try:
        yield thread.wait_until_listening()
    finally:
        thread.stop()


class _BrokerThread:
    """A broker that runs from `start` to `stop`, with its own `trio.run`."""

    def __init__(self, directives: dict[str, str]) -> None:
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._directives = directives
        self._ready = threading.Event()
        self._address: BrokerOnPort | None = None
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
            self._address = BrokerOnPort(HOST, server.port or server.listeners.open_tcp(HOST, 0))
            self._token = trio.lowlevel.current_trio_token()
            self._ready.set()
            await self._stopping.wait()

    def wait_until_listening(self) -> BrokerOnPort:
        """Wait for the broker to start and return its address. Raises the error if it failed to start."""
        if not self._ready.wait(START_SECONDS):
            raise TimeoutError(f"the broker did not start within {START_SECONDS:g} seconds")
        if self._failure is not None:
            raise self._failure
        assert self._address is not None
        return self._address

    def stop(self) -> None:
        """Shut the broker down. Raises the error if it failed in the meantime."""
        import trio

        if self._token is not None and self._stopping is not None:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._stopping.set)
        self._thread.join(START_SECONDS)
        if self._address is not None and self._failure is not None:
            raise self._failure
