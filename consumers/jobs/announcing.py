"""Announces what has happened to jobs, once the server has confirmed it, and receives such announcements.

Nothing depends on it: code that waits for a result or for a free slot also polls, only less often.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from consumers.connection import Client, Command, Link
from consumers.doorbell import Doorbell
from consumers.fanout import subscribe
from consumers.jobs.names import Keys
from consumers.retry import persist, suppress_transient
from consumers.settling import Settlement

__all__ = ["CompletionNotifier", "listen"]


async def listen(client: Client, channel: str, size: int, receive: Callable[[bytes | None], None]) -> None:
    """Call `receive` with each message on a shard channel, forever; first with None, as earlier ones may be missing.

    size: how many messages may wait. Raises the server's permanent refusals.
    """

    async def receive_all() -> None:
        async with subscribe(client, shard_channels=[channel], size=size) as messages:
            receive(None)
            async for message in messages:
                receive(message.data)

    # a subscription itself waits only for a server that it has reached before
    await persist(receive_all)


class CompletionNotifier:
    """Waits for settlements in the order of the decisions, which is nearly that of their confirmation."""

    def __init__(self, keys: Keys, link: Link) -> None:
        self._keys = keys
        self._link = link
        self._expected: deque[tuple[Settlement, str, str, Callable[[], None] | None]] = deque()
        self._bell = Doorbell()

    def expect(
        self, settlement: Settlement, id: str = "", reply: str = "", then: Callable[[], None] | None = None
    ) -> None:
        """Once the settlement is confirmed, announce to `reply` that the job `id` has ended, and call `then`."""
        self._expected.append((settlement, id, reply, then))
        self._bell.ring()

    async def run(self) -> None:
        """Announce, forever. Raises the server's permanent refusals."""
        while True:
            while not self._expected:
                await self._bell.wait()
            await self._expected[0][0].wait()
            ended: dict[str, list[str]] = {}
            while self._expected and self._expected[0][0].confirmed:
                _, id, reply, then = self._expected.popleft()
                if reply:
                    ended.setdefault(reply, []).append(id)
                if then is not None:
                    then()
            if ended:
                await self._announce(ended)

    async def _announce(self, ended: dict[str, list[str]]) -> None:
        commands: list[Command] = [
            (b"SPUBLISH", self._keys.replies(reply), " ".join(ids)) for reply, ids in ended.items()
        ]
        with suppress_transient():
            await self._link.execute(commands)
