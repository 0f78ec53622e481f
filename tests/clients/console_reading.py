"""The console's readers on the broker that a library uses: what they find, and what their actions do."""

import importlib.util
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import coredis
import pytest
import trio

from consumers.console.queues.discovery import Discovery
from consumers.console.queues.library import Figures, JobDetails, JobRow, Library, Refused, State

__all__ = ["Reading", "copy_of"]

T = TypeVar("T")


class Reading:
    """One queue, as the console sees it. Each call is a program of its own, with what it knew before."""

    def __init__(self, url: str, library: str, queue: str) -> None:
        self.url = url
        self.discovery = Discovery()
        self.library: Library = self.discovery.libraries[library]
        self.queue = queue

    def run(self, use: Callable[["coredis.Redis[bytes]"], Awaitable[T]]) -> T:
        async def main() -> T | Refused:
            async with coredis.Redis.from_url(self.url) as client:
                try:
                    return await use(client)
                except Refused as refused:
                    # out of the client's tasks it would be one of a group
                    return refused

        found = trio.run(main)
        if isinstance(found, Refused):
            raise found
        return found

    def figures(self) -> Figures:
        """Those of the queue, which must have been found; other queues are of no concern."""

        async def use(client: "coredis.Redis[bytes]") -> Figures:
            await self.discovery.look_at_all(client)
            found = await self.discovery.figures(client)
            return next(one for one in found if (one.library, one.name) == (self.library.name, self.queue))

        return self.run(use)

    def errors(self) -> int:
        """How many error replies of the server's the reader's figures cost: others look at these counts."""

        async def use(client: "coredis.Redis[bytes]") -> int:
            await self.discovery.look_at_all(client)
            before = await client.info("stats")
            await self.library.figures(client, [self.queue, "no such queue"])
            return int((await client.info("stats"))["total_error_replies"]) - int(before["total_error_replies"])

        return self.run(use)

    def jobs(self, state: State, page: int = 2) -> list[JobRow]:
        """All jobs in a state, read in small pages."""

        async def use(client: "coredis.Redis[bytes]") -> list[JobRow]:
            found: list[JobRow] = []
            after: str | None = None
            while True:
                rows, after = await self.library.jobs(client, self.queue, state, after, page)
                found += rows
                if after is None:
                    return found

        return self.run(use)

    def job(self, row: JobRow) -> JobDetails:
        details = self.run(lambda client: self.library.job(client, self.queue, row.id, row.place))
        assert details is not None
        return details

    def act(self, action: str, state: State | None = None, row: JobRow | None = None) -> str:
        id, place = (row.id, row.place) if row is not None else ("", "")
        return self.run(lambda client: self.library.act(client, self.queue, action, state=state, id=id, place=place))


def copy_of(name: str, url: str) -> ModuleType:
    """A copy of tests.clients.NAME, an application, bound to another server: other tests use the module itself."""
    spec = importlib.util.spec_from_file_location(f"tests.clients.{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLIENT_TEST_URL", url)
        # taskiq looks there for the module of a task
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
    return module
