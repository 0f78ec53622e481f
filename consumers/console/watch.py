"""Something that is read again and again, while anybody asks for it, and at a pace that its cost allows.

Nothing is read while nobody asks. All who ask share one reading, and who comes while it goes on may be given the one
before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup
from coredis.exceptions import RedisError

from consumers.console.server import Unreachable

__all__ = ["GLANCE", "Watch"]

T = TypeVar("T")

INTERVAL = 2.0
"""Seconds for which a reading holds."""

SHARE = 0.05
"""The share of time that reading may take: what takes a second is read every twenty. Measured with queues, a tenth of
that time is the server's; the rest is spent here, perhaps on the core that the server needs."""

GLANCE = 0.08
"""Seconds that a page waits for a reading; afterwards it shows an older one, or none, and follows."""

READ_SECONDS = 60.0
"""How long a reading may take."""

logger = logging.getLogger("consumers.console")


class Watch(Generic[T]):
    """read: makes one reading. name: for the log. tasks: where readings run.

    value: the last reading. taken: when, in seconds since 1970. error: why there is no newer one; None if all is well.
    """

    def __init__(self, name: str, read: Callable[[], Awaitable[T]], tasks: TaskGroup) -> None:
        self._name = name
        self._read = read
        self._tasks = tasks
        self._fresh_until = float("-inf")
        self._running: anyio.Event | None = None
        self.value: T | None = None
        self.taken = 0.0
        self.error: str | None = None

    @property
    def interval(self) -> float:
        """Seconds until the next reading, at least."""
        return max(INTERVAL, self._fresh_until - anyio.current_time())

    async def latest(self, wait: float) -> T | None:
        """Return the latest reading, a new one if it takes no longer than `wait` seconds; None if there is none yet."""
        if self._running is None and anyio.current_time() >= self._fresh_until:
            self._running = anyio.Event()
            self._tasks.start_soon(self._refresh, self._running)
        if self._running is not None:
            with anyio.move_on_after(wait):
                await self._running.wait()
        return self.value

    def expire(self) -> None:
        """Have the next who asks start a new reading."""
        self._fresh_until = float("-inf")

    async def _refresh(self, done: anyio.Event) -> None:
        begun = anyio.current_time()
        self._fresh_until = float("inf")
        try:
            with anyio.fail_after(READ_SECONDS):
                self.value = await self._read()
            self.taken, self.error = time.time(), None
        except (Unreachable, RedisError, OSError) as error:
            self.error = str(error) or "no answer"
        except Exception as error:
            # a fault in one reader is no reason for the console to end
            logger.error("reading %s has failed", self._name, exc_info=error)
            self.error = "this could not be read; the console's log says why"
        finally:
            ended = anyio.current_time()
            if self._fresh_until == float("inf"):
                self._fresh_until = ended + max(INTERVAL, (ended - begun) / SHARE)
            self._running = None
            done.set()
