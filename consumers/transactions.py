"""Transactions that depend on what they read, without scripts: WATCH, query, MULTI, EXEC, and retry on a change.

Watched keys are chosen so that only competitors write to them (a queue's counter of moves, one limit's slots, one
unique job's key), never keys that every producer writes: so a transaction is repeated when two workers compete for the
same thing, not under load.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, TypeVar

import anyio
from coredis.connection import TCPLocation
from coredis.exceptions import RedisError

from consumers.connection import UNSTABLE_PAUSE, Command, Link, Reply
from consumers.redirections import MIGRATION_SECONDS, is_unstable

__all__ = ["Ask", "Changed", "Decision", "Transactions"]

T = TypeVar("T")
Ask: TypeAlias = Callable[[Sequence[Command]], Awaitable[list[Reply]]]
Decision: TypeAlias = Callable[[Ask], Awaitable[tuple[Sequence[Command], T]]]

QUICK = 3
"""Attempts without a pause between them."""

PAUSE = 0.02
"""The longest pause before a further attempt, in seconds."""


class Changed(Exception):
    """Raised by a decision: what it reads has changed since its first query, so it has to be made again."""


class Transactions:
    """Runs transactions one at a time, on a link used for nothing else."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lock = anyio.Lock()

    async def run(self, watched: Sequence[str | bytes], decide: Decision[T]) -> T:
        """Execute the commands that `decide` chooses if no watched key has changed since; otherwise it decides again.

        decide: takes a function that queries the server; returns the commands (none: nothing is done) and the value to
        return. Several queries may see several states: only the last one is sure to be current, and only if EXEC
        succeeds. While a cluster moves some of the keys, this waits, up to MIGRATION_SECONDS. Raises the server's
        refusals; ConnectionError and TimeoutError if the outcome is unknown.
        """
        async with self._lock:
            attempt = 0
            deadline = anyio.current_time() + MIGRATION_SECONDS
            while True:
                try:
                    done, value = await self._try(watched, decide)
                    if done:
                        return value
                    pause = random.uniform(0, PAUSE)
                except Changed:
                    pause = random.uniform(0, PAUSE)
                except RedisError as error:
                    if not is_unstable(error) or anyio.current_time() >= deadline:
                        raise
                    pause = UNSTABLE_PAUSE
                attempt += 1
                if attempt >= QUICK or pause > PAUSE:
                    await anyio.sleep(pause)

    async def _try(self, watched: Sequence[str | bytes], decide: Decision[T]) -> tuple[bool, T]:
        link = self._link
        asked = False
        node: TCPLocation | None = None

        async def ask(commands: Sequence[Command]) -> list[Reply]:
            # the first query is sent with WATCH
            nonlocal asked, node
            if asked or not watched:
                replies = await link.execute(commands)
            else:
                replies, node = await link.watch(watched, commands)
                asked = True
            return [_raised(reply) for reply in replies]

        try:
            commands, value = await decide(ask)
        except Changed:
            if asked:
                await link.execute_watched(node, [(b"UNWATCH",)])
            raise
        if not commands:
            if asked:
                await link.execute_watched(node, [(b"UNWATCH",)])
            return True, value
        # if not all keys are on the node that watches, the transaction has to wait until they are
        requests: list[Command] = [(b"MULTI",), *commands, (b"EXEC",)]
        replies = await (link.execute_watched(node, requests) if asked else link.execute(requests))
        for reply in replies:
            _raised(reply)
        if replies[-1] is None:
            return False, value
        for reply in replies[-1]:
            _raised(reply)
        return True, value


def _raised(reply: Reply) -> Reply:
    if isinstance(reply, RedisError):
        raise reply
    return reply
