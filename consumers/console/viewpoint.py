"""The server as one user sees it, and what is watched there under that user's name."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from anyio.abc import TaskGroup

from consumers.connecting import Client
from consumers.console.channels import Channels, read_channels
from consumers.console.queues.discovery import SLICES, Discovery
from consumers.console.queues.library import Figures, Library
from consumers.console.queues.rates import Past
from consumers.console.server import Server
from consumers.console.streams import StreamFigures, Streams
from consumers.console.watch import Watch

__all__ = ["Queues", "Viewpoint"]

FIRST_SLICES = 100
"""Slices of the server's keys that are looked through at once until all were seen: 100,000 keys, in some 30 ms."""

QUEUES = 100
"""Queues that are remembered to be watched one by one."""


@dataclass(frozen=True, slots=True)
class Queues:
    """The queues that are known. complete: whether all keys of the server have been looked at."""

    figures: list[Figures]
    complete: bool


class Viewpoint:
    """make: returns a new client, not yet entered, with the user's credentials. tasks: where it is read."""

    def __init__(self, make: Callable[[], Client], tasks: TaskGroup) -> None:
        self._tasks = tasks
        self.server = Server(make)
        self.discovery = Discovery()
        self.past = Past()
        self.queues = Watch("queues", self._read_queues, tasks)
        self._queue: OrderedDict[tuple[str, str], Watch[Figures]] = OrderedDict()
        self.streams = Watch("streams", self._read_streams, tasks)
        self._streams = Streams()
        self.channels = Watch("channels", self._read_channels, tasks)

    def queue(self, library: Library, name: str) -> Watch[Figures]:
        """Return what watches one queue: it is read more often than all of them can be."""

        async def read() -> Figures:
            async with self.server.client() as client:
                found = await library.figures(client, [name])
            self.past.note(found)
            return found[0]

        watch = self._queue.setdefault((library.name, name), Watch("a queue", read, self._tasks))
        self._queue.move_to_end((library.name, name))
        while len(self._queue) > QUEUES:
            self._queue.popitem(last=False)
        return watch

    async def _read_queues(self) -> Queues:
        async with self.server.client() as client:
            await self.discovery.look(client, SLICES if self.discovery.laps else FIRST_SLICES)
            figures = await self.discovery.figures(client)
        self.past.note(figures)
        return Queues(figures, self.discovery.laps > 0)

    async def _read_streams(self) -> list[StreamFigures]:
        async with self.server.client() as client:
            await self._streams.look(client, SLICES if self._streams.laps else FIRST_SLICES)
            return await self._streams.figures(client)

    async def _read_channels(self) -> Channels:
        async with self.server.client() as client:
            return await read_channels(client)
