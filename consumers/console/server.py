"""The server that the console looks at, as one user sees it.

Each user who logs in with credentials of the server's own has one of these, so the server decides what they may do.
Commands go over a single connection, which is replaced after it was lost (consumers/connection.py). Readers that need
a coredis client get one that is replaced as well: its pool does not recover from lost connections by itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import TaskStatus
from coredis.exceptions import ConnectionError, RedisError

from consumers.connecting import Client, Command, Reply
from consumers.connection import Link, open_link
from consumers.console.info import fields
from consumers.retry import RECONNECT

__all__ = ["About", "Server", "Unreachable", "about_in"]

READY_SECONDS = 6.0
"""How long a page waits for a client that is being replaced."""


class Unreachable(Exception):
    """There is no connection to the server, or it does not answer; the text says why, in one line."""


@dataclass(frozen=True, slots=True)
class About:
    """kind: "Trimaran", "Redis" or "Valkey". version: its own. mode: "standalone", "cluster" or "sentinel"."""

    kind: str
    version: str
    mode: str

    def __str__(self) -> str:
        return f"{self.kind} {self.version}".strip()


class Server:
    """Commands to the server; run() must be running meanwhile. make: returns a new client, not yet entered."""

    def __init__(self, make: Callable[[], Client]) -> None:
        self._make = make
        self._opened = anyio.Event()
        self._lost = anyio.Event()
        self._current: tuple[Client, Link] | None = None
        self._failure = "connecting takes long"
        self._scope = anyio.CancelScope()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Keep a client open, and replace it after its connection was lost, until close()."""
        failures = 0
        with self._scope:
            task_status.started()
            while True:
                try:
                    async with self._make() as client, open_link(client, "") as link:
                        failures = 0
                        await self._serve(client, link)
                except (RedisError, OSError) as error:
                    failures += 1
                    self._failure = str(error)
                    await anyio.sleep(RECONNECT.delay(failures))

    async def _serve(self, client: Client, link: Link) -> None:
        self._lost = anyio.Event()
        self._current = client, link
        self._opened.set()
        try:
            await self._lost.wait()
        finally:
            self._drop()

    def _drop(self) -> None:
        """From now on wait for the next client."""
        if self._current is not None:
            self._current = None
            self._opened = anyio.Event()
            self._lost.set()

    def close(self) -> None:
        """End run()."""
        self._scope.cancel()

    async def _ready(self) -> tuple[Client, Link]:
        with anyio.move_on_after(READY_SECONDS):
            while self._current is None:
                await self._opened.wait()
        if self._current is None:
            raise Unreachable(self._failure)
        return self._current

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A coredis client for the block. Raises Unreachable, also in place of what the block raises for that."""
        client, _ = await self._ready()
        try:
            yield client
        except (ConnectionError, TimeoutError, OSError) as error:
            self._drop()
            raise Unreachable(str(error) or type(error).__name__) from error

    async def execute(self, *commands: Command) -> list[Reply]:
        """Return the replies in order, error replies as RedisError objects.

        Raises Unreachable, or the RedisError with which the server refuses the connection.
        """
        _, link = await self._ready()
        try:
            return await link.execute(commands)
        except (ConnectionError, TimeoutError, OSError) as error:
            raise Unreachable(str(error) or type(error).__name__) from error

    async def call(self, *command: str | bytes | int) -> Reply:
        """Return the reply to one command. Raises its error reply, and what execute() raises."""
        [reply] = await self.execute(command)
        if isinstance(reply, RedisError):
            raise reply
        return reply

    async def about(self) -> About:
        """Return what kind of server it is. Raises what call() raises."""
        return about_in(fields(await self.call(b"INFO", b"server")))


def about_in(found: Mapping[str, str]) -> About:
    """Return what INFO's section Server says about its kind."""
    mode = found.get("redis_mode") or found.get("server_mode") or "standalone"
    if "trimaran_version" in found:
        return About("Trimaran", found["trimaran_version"], mode)
    if found.get("server_name") == "valkey":
        return About("Valkey", found.get("valkey_version", ""), mode)
    return About("Redis", found.get("redis_version", ""), mode)
