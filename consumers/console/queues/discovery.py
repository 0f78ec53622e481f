"""Finds the queues on a server: SCAN in slices, whose keys all readers are shown, and what the libraries register.

There is no list of all queues. A look reads a bounded number of keys and goes on the next time where this one has
stopped; after a lap it begins again. What was found is remembered, since an empty queue has no keys, and forgotten some
time after it was last seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import anyio
from coredis.exceptions import RedisError

from consumers.connecting import Client, Command
from consumers.console.asking import ask_node
from consumers.console.laps import Laps
from consumers.console.queues.arq import Arq
from consumers.console.queues.bullmq import BullMQ
from consumers.console.queues.celery import Celery
from consumers.console.queues.dramatiq import Dramatiq
from consumers.console.queues.huey import Huey
from consumers.console.queues.library import Figures, Library
from consumers.console.queues.own import Own
from consumers.console.queues.rq import RQ
from consumers.console.queues.streaq import StreaQ
from consumers.console.queues.taskiq import Taskiq

__all__ = ["Discovery", "libraries"]

SLICE = 1000
"""COUNT of one SCAN: 0.2 ms of the server's time."""

SLICES = 20
"""Slices of one look."""

MOST = 20_000
"""Queues that are remembered; further ones are not shown."""

AT_ONCE = 500
"""Queues whose figures are asked for at once: what is computed from the replies holds up other pages meanwhile."""

REMEMBERED_SECONDS = 3600.0


def libraries() -> tuple[Library, ...]:
    """New readers, one of each library. They remember what they learn about a server, so each server has its own."""
    return (Own(), Celery(), RQ(), Dramatiq(), Arq(), BullMQ(), Huey(), StreaQ(), Taskiq())


class Discovery:
    """What is known about the queues of one server."""

    def __init__(self, readers: Sequence[Library] | None = None) -> None:
        self.libraries = {one.name: one for one in (libraries() if readers is None else readers)}
        self._laps = Laps()
        self._seen: dict[tuple[str, str], float] = {}

    @property
    def laps(self) -> int:
        """How often all keys have been looked at."""
        return self._laps.count

    @property
    def queues(self) -> list[tuple[str, str]]:
        """The libraries' names and the queues', in order."""
        order = list(self.libraries)
        return sorted(self._seen, key=lambda one: (order.index(one[0]), one[1]))

    async def look(self, client: Client, slices: int = SLICES) -> None:
        """Read the libraries' registries and up to `slices` slices of keys. Raises RedisError."""
        for library in self.libraries.values():
            self._remember(library, await library.find(client, []))
        await self._laps.go_on(client, slices, partial(self._show_slice, client))
        self._forget()

    async def look_at_all(self, client: Client) -> None:
        """Look until all keys have been seen once more: for a command that looks once, and is asked to."""
        laps = self.laps
        while self.laps == laps:
            await self.look(client)

    @property
    def _types(self) -> list[str]:
        return sorted({type for library in self.libraries.values() for type in library.types})

    async def _show_slice(self, client: Client, node: Any, cursor: bytes) -> bytes | int:
        """Show all readers one slice of a node's keys, and return the next one's cursor."""
        slice: Command = (b"SCAN", cursor, b"COUNT", SLICE)
        # the same slice once more for each type: the server knows the types better than by a question for each key
        replies = await ask_node(client, node, [slice, *((*slice, b"TYPE", type) for type in self._types)])
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
        shown = dict(zip(("", *self._types), (reply[1] for reply in replies), strict=True))
        for library in self.libraries.values():
            if keys := [key for type in library.types or ("",) for key in shown[type]]:
                self._remember(library, await library.find(client, keys))
        following: bytes | int = replies[0][0]
        return following

    def _remember(self, library: Library, names: Iterable[str]) -> None:
        now = anyio.current_time()
        for name in names:
            if len(self._seen) < MOST or (library.name, name) in self._seen:
                self._seen[library.name, name] = now

    def _forget(self) -> None:
        old = anyio.current_time() - REMEMBERED_SECONDS
        self._seen = {one: seen for one, seen in self._seen.items() if seen >= old}

    async def figures(self, client: Client, queues: Sequence[tuple[str, str]] | None = None) -> list[Figures]:
        """The figures of all known queues, or of these, by library and name. Raises RedisError."""
        chosen = self.queues if queues is None else queues
        found: list[Figures] = []
        for library in self.libraries.values():
            names = [name for owner, name in chosen if owner == library.name]
            for begin in range(0, len(names), AT_ONCE):
                found += await library.figures(client, names[begin : begin + AT_ONCE])
        return found
