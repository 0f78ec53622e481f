"""Consoles of one server, each with rules of its own, on ports: they run in a thread, the tests in another."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import anyio
import httpx
import trio

from consumers.addresses import client_from_url, with_credentials
from consumers.connecting import Client
from consumers.console.access.policy import Policy
from consumers.console.app import Console
from consumers.console.serving import Listener, listen, serve

__all__ = ["Sites"]

START_SECONDS = 30


class Sites:
    """`addresses` has each console's URL by the name of its policy. place: the server's address as they show it."""

    def __init__(self, server: str, policies: Mapping[str, Policy], place: str | None = None) -> None:
        self._server = server
        self._place = place or server
        self._policies = policies
        self._started = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run,), name="consoles")
        self.consoles: dict[str, Console] = {}
        self.addresses: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(START_SECONDS), "the consoles do not start"
        for address in self.addresses.values():
            # is answered once the console runs: the socket listens already
            httpx.get(f"{address}/health", timeout=START_SECONDS).raise_for_status()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        trio.from_thread.run_sync(self._ended.set, trio_token=self._token)
        self._thread.join()

    def call(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Run an asynchronous function where the consoles run."""
        return trio.from_thread.run(function, *arguments, trio_token=self._token)

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._ended = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for name, policy in self._policies.items():
                console = Console(policy, self._place, self._connect)
                [listener] = listen(["127.0.0.1"], 0)
                self.consoles[name] = console
                self.addresses[name] = f"http://{listener.address}"
                tasks.start_soon(self._serve, console, [listener])
            self._started.set()

    async def _serve(self, console: Console, listeners: list[Listener]) -> None:
        await serve(console, listeners, self._ended.wait)

    def _connect(self, user: str | None, password: str | None) -> Client:
        url = self._server if user is None else with_credentials(self._server, user, password or "")
        return client_from_url(url)
