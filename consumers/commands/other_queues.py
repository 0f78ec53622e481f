"""The queues of other libraries among those that `trimaran queues` shows, see consumers/console/queues."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from consumers.commands.queue_states import QueueState
from consumers.connecting import Client
from consumers.console.queues.discovery import Discovery, libraries
from consumers.console.queues.own import Own

__all__ = ["OtherQueues"]


class OtherQueues:
    """Queues with one of these names, or whose names match one of them as a pattern; all of them without any."""

    def __init__(self, asked: Sequence[str]) -> None:
        self._asked = asked
        # our own are shown stream by stream
        self._discovery = Discovery([one for one in libraries() if not isinstance(one, Own)])

    async def find(self, client: Client) -> None:
        """Look at all keys of the server."""
        await self._discovery.look_at_all(client)

    @property
    def found(self) -> list[tuple[str, str]]:
        """The queues that were asked for, by library and name."""
        return [
            (library, name)
            for library, name in self._discovery.queues
            if not self._asked or any(name == one or fnmatchcase(name, one) for one in self._asked)
        ]

    async def has(self, client: Client, name: str) -> bool:
        """Whether a queue has this name."""
        if not self._discovery.laps:
            await self.find(client)
        return any(one == name for _, one in self._discovery.queues)

    def keeps(self, stream: str) -> bool:
        """Whether a stream is a part of what a library has, whose queues are there, or holds no jobs."""
        if any(stream == name for _, name in self._discovery.queues):
            return True
        for library in {library for library, _ in self._discovery.queues}:
            pattern = self._discovery.libraries[library].streams
            if pattern is not None and pattern.fullmatch(stream):
                return True
        return False

    async def states(self, client: Client) -> list[QueueState]:
        """The state of each queue that was asked for."""
        return [
            QueueState(
                one.name,
                None,
                one.waiting + (one.running or 0),
                in_hand=one.running,
                lag=one.waiting,
                oldest=one.oldest,
                dead=one.dead or 0,
                library=self._discovery.libraries[one.library].title,
                delayed=one.delayed,
            )
            for one in await self._discovery.figures(client, self.found)
        ]
