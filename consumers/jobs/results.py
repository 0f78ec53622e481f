"""Waiting for results: one task asks for all that are awaited in this program, many in one round trip.

It asks when a wait begins, when a worker says that jobs of this program have ended (on a shard channel of this
program's own, one message for many jobs), and every LOOK_SECONDS, which finds what other programs enqueued and what
was said while the connection was cut. Nothing is listened to before the first result is awaited.
"""

from __future__ import annotations

import logging

import trio

from consumers.connection import Client, Link
from consumers.errors import transient
from consumers.jobs.announcing import hear
from consumers.jobs.names import Keys
from consumers.nurseries import open_plain_nursery
from consumers.retry import Backoff

__all__ = ["Results"]

logger = logging.getLogger("consumers.jobs")

LOOK_SECONDS = 0.5
PAGE = 1000
RECONNECT = Backoff(initial=0.1, factor=2, max=10)
NEWS = 10_000
"""Messages about ended jobs that may wait to be read; beyond, LOOK_SECONDS finds them."""


class Results:
    """The results that are awaited in this program."""

    def __init__(self, client: Client, link: Link, keys: Keys, token: str) -> None:
        self._client = client
        self._link = link
        self._keys = keys
        self._channel = keys.replies(token)
        self._waiters: dict[str, _Waiter] = {}
        self._asked: dict[str, None] = {}
        self._wanted = trio.Event()
        self._first = trio.Event()

    async def run(self) -> None:
        """Serve wait(), for ever. Raises what the server refuses for good."""
        await self._first.wait()
        async with open_plain_nursery() as nursery:
            nursery.start_soon(self._ask)
            nursery.start_soon(self._look)
            await hear(self._client, self._channel, NEWS, self._heard)

    def _heard(self, message: bytes | None) -> None:
        for id in self._waiters if message is None else message.decode().split():
            if id in self._waiters:
                self._want(id)

    async def wait(self, id: str) -> bytes:
        """What is stored of the job, as soon as it is."""
        waiter = self._waiters.setdefault(id, _Waiter())
        waiter.count += 1
        try:
            self._first.set()
            self._want(id)
            await waiter.ready.wait()
            return waiter.stored
        finally:
            waiter.count -= 1
            if not waiter.count and self._waiters.get(id) is waiter:
                del self._waiters[id]

    def _want(self, id: str) -> None:
        self._asked[id] = None
        self._wanted.set()

    async def _look(self) -> None:
        while True:
            await trio.sleep(LOOK_SECONDS)
            if self._waiters:
                self._asked.update(dict.fromkeys(self._waiters))
                self._wanted.set()

    async def _ask(self) -> None:
        attempt = 0
        while True:
            await self._wanted.wait()
            if not self._asked:
                self._wanted = trio.Event()
                continue
            ids = list(self._asked)[:PAGE]
            try:
                replies = await self._link.execute([(b"GET", self._keys.result(id)) for id in ids])
            except Exception as error:
                if not transient(error):
                    raise
                attempt += 1
                await trio.sleep(RECONNECT.delay(attempt))
                continue
            attempt = 0
            for id, stored in zip(ids, replies, strict=True):
                self._asked.pop(id, None)
                if isinstance(stored, Exception):
                    raise stored
                if stored is not None and (waiter := self._waiters.pop(id, None)) is not None:
                    waiter.stored = stored
                    waiter.ready.set()


class _Waiter:
    """Those who wait for one job."""

    def __init__(self) -> None:
        self.count = 0
        self.ready = trio.Event()
        self.stored = b""
