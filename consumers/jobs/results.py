"""Waits for results: one task fetches all that are awaited in this program, many in one round trip.

A job whose result does not arrive is searched for (searching.py): immediately if this program did not enqueue it,
otherwise after a while, so that no task waits for a job that was deleted, or has ended and been forgotten.

Results are fetched when a wait begins, when a worker announces that jobs of this program have ended (on this program's
own shard channel, one message for many jobs), and every POLL_SECONDS, which finds jobs that other programs enqueued and
announcements missed while the connection was cut. The subscription starts with the first awaited result.
"""

from __future__ import annotations

import logging
import math
from functools import partial

import anyio

from consumers.connection import Client, Link
from consumers.doorbell import Doorbell
from consumers.jobs.announcing import listen
from consumers.jobs.names import Keys
from consumers.jobs.outcomes import NoResult
from consumers.jobs.searching import missing
from consumers.retry import persist, suppress_transient
from consumers.task_groups import open_plain_task_group

__all__ = ["Results"]

logger = logging.getLogger("consumers.jobs")

POLL_SECONDS = 0.5
PAGE = 1000

SEARCH_SECONDS = 10.0
"""How often a job without a result is searched for, unless searching takes long."""

SEARCH_SHARE = 20
"""The pause after a search is this many times as long as the search."""

AGAIN_SECONDS = 0.1
"""How soon a job that was not found is searched for once more; it may have moved meanwhile."""

ANNOUNCEMENTS = 10_000
"""Messages about ended jobs that may wait to be read; polling finds any beyond."""


class Results:
    """The results that are awaited in this program."""

    def __init__(self, client: Client, link: Link, keys: Keys, token: str) -> None:
        self._client = client
        self._link = link
        self._keys = keys
        self._channel = keys.replies(token)
        self._waiters: dict[str, _Waiter] = {}
        self._asked: dict[str, None] = {}
        self._wanted = Doorbell()
        self._first = anyio.Event()
        self._doubted = Doorbell()

    async def run(self) -> None:
        """Serve wait(), forever. Raises the server's permanent refusals."""
        await self._first.wait()
        async with open_plain_task_group() as tasks:
            tasks.start_soon(self._fetch)
            tasks.start_soon(self._poll)
            tasks.start_soon(self._search)
            await listen(self._client, self._channel, ANNOUNCEMENTS, self._announced)

    def _announced(self, message: bytes | None) -> None:
        for id in self._waiters if message is None else message.decode().split():
            if (waiter := self._waiters.get(id)) is not None:
                self._want(id)
                if message is not None:
                    # it has ended, perhaps without a result that is kept
                    waiter.search_at = anyio.current_time() + AGAIN_SECONDS
                    self._doubted.ring()

    async def wait(self, id: str, *, known: bool = False) -> bytes:
        """Return the job's stored outcome as soon as there is one. known: the job existed when the wait began.

        Raises NoResult if there is no such job, or no longer one.
        """
        waiter = self._waiters.setdefault(id, _Waiter())
        waiter.count += 1
        waiter.search_at = min(waiter.search_at, anyio.current_time() + (SEARCH_SECONDS if known else 0.0))
        try:
            if not known:
                self._doubted.ring()
            self._first.set()
            self._want(id)
            await waiter.ready.wait()
            if not waiter.stored:
                raise NoResult(f"there is no job {id}, or it has ended and its result is not kept any more")
            return waiter.stored
        finally:
            waiter.count -= 1
            if not waiter.count and self._waiters.get(id) is waiter:
                del self._waiters[id]

    def _want(self, id: str) -> None:
        self._asked[id] = None
        self._wanted.ring()

    async def _poll(self) -> None:
        while True:
            await anyio.sleep(POLL_SECONDS)
            if self._waiters:
                self._asked.update(dict.fromkeys(self._waiters))
                self._wanted.ring()

    async def _search(self) -> None:
        """Find out which tasks wait in vain."""
        while True:
            with anyio.move_on_after(SEARCH_SECONDS / 2):
                await self._doubted.wait()
            # the result of a job that a worker has just announced arrives in a moment
            await anyio.sleep(AGAIN_SECONDS)
            with suppress_transient():
                await self._search_due()

    async def _search_due(self) -> None:
        begun = anyio.current_time()
        due = [id for id, waiter in self._waiters.items() if waiter.search_at <= begun]
        gone = await missing(self._link, self._keys, due) if due else set[str]()
        now = anyio.current_time()
        for id in due:
            if (waiter := self._waiters.get(id)) is not None:
                self._searched(id, waiter, id in gone, now + max(SEARCH_SECONDS, SEARCH_SHARE * (now - begun)))
        if gone:
            self._doubted.ring()

    def _searched(self, id: str, waiter: _Waiter, gone: bool, next_time: float) -> None:
        if gone and waiter.missed:
            del self._waiters[id]
            waiter.ready.set()
            return
        waiter.missed = gone
        waiter.search_at = 0.0 if gone else next_time

    async def _fetch(self) -> None:
        while True:
            await self._wanted.wait()
            while self._asked:
                await persist(partial(self._fetch_page, list(self._asked)[:PAGE]))

    async def _fetch_page(self, ids: list[str]) -> None:
        replies = await self._link.execute([(b"GET", self._keys.result(id)) for id in ids])
        for id, stored in zip(ids, replies, strict=True):
            self._asked.pop(id, None)
            if isinstance(stored, Exception):
                raise stored
            if stored is not None and (waiter := self._waiters.pop(id, None)) is not None:
                waiter.stored = stored
                waiter.ready.set()


class _Waiter:
    """The tasks that wait for one job."""

    def __init__(self) -> None:
        self.count = 0
        self.ready = anyio.Event()
        self.stored = b""
        self.search_at = math.inf
        self.missed = False
