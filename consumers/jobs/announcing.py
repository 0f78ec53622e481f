"""Telling others what has happened to jobs, once the server has confirmed it; and hearing it.

Nothing depends on it: who waits for a result or for a place looks by himself, too, only later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

from consumers.connection import Client, Command, Link
from consumers.errors import transient
from consumers.fanout import subscribe
from consumers.jobs.names import Keys
from consumers.retry import Backoff
from consumers.settling import Settlement

__all__ = ["Announcer", "hear"]

RECONNECT = Backoff(initial=0.1, factor=2, max=10)


async def hear(client: Client, channel: str, size: int, receive: Callable[[bytes | None], None]) -> None:
    """Call `receive` with what is said on a shard channel, for ever; first with None: more may have been said before.

    size: how many messages may wait. Raises what the server refuses for good.
    """
    attempt = 0
    while True:
        try:
            async with subscribe(client, shard_channels=[channel], size=size) as messages:
                attempt = 0
                receive(None)
                async for message in messages:
                    receive(message.data)
        except Exception as error:
            # a subscription waits for a server that was there once, not for one that never was
            if not transient(error):
                raise
        attempt += 1
        await trio.sleep(RECONNECT.delay(attempt))


class Announcer:
    """Waits for settlements in the order in which they were decided, which is nearly that of their confirmation."""

    def __init__(self, keys: Keys, link: Link) -> None:
        self._keys = keys
        self._link = link
        self._expected: deque[tuple[Settlement, str, str, Callable[[], None] | None]] = deque()
        self._news = trio.Event()

    def expect(
        self, settlement: Settlement, id: str = "", reply: str = "", then: Callable[[], None] | None = None
    ) -> None:
        """When it is confirmed, tell `reply` that the job `id` has ended, and call `then`."""
        self._expected.append((settlement, id, reply, then))
        self._news.set()

    async def run(self) -> None:
        """Announce, for ever. Raises what the server refuses for good."""
        while True:
            if not self._expected:
                self._news = trio.Event()
                await self._news.wait()
            await self._expected[0][0].wait()
            ended: dict[str, list[str]] = {}
            while self._expected and self._expected[0][0].confirmed:
                _, id, reply, then = self._expected.popleft()
                if reply:
                    ended.setdefault(reply, []).append(id)
                if then is not None:
                    then()
            if ended:
                await self._tell(ended)

    async def _tell(self, ended: dict[str, list[str]]) -> None:
        commands: list[Command] = [
            (b"SPUBLISH", self._keys.replies(reply), " ".join(ids)) for reply, ids in ended.items()
        ]
        try:
            await self._link.execute(commands)
        except Exception as error:
            if not transient(error):
                raise
