"""Transactions that depend on what they read, without scripts: WATCH, look, MULTI, EXEC, and again if it changed.

What is watched is chosen so that only rivals touch it (a queue's counter of moves, one limit's places, one unique
place), never what every producer writes: so a transaction is repeated when two workers want the same, not under load.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, TypeVar

import trio
from coredis.connection import TCPLocation
from coredis.exceptions import RedisError

from consumers.connection import UNSTABLE_PAUSE, Command, Link, Reply
from consumers.redirections import MIGRATION_SECONDS, is_unstable

__all__ = ["Ask", "Transactions"]

T = TypeVar("T")
Ask: TypeAlias = Callable[[Sequence[Command]], Awaitable[list[Reply]]]
Decision: TypeAlias = Callable[[Ask], Awaitable[tuple[Sequence[Command], T]]]

QUICK = 3
"""Tries without a pause between them."""

PAUSE = 0.02
"""The longest pause before a further try, in seconds."""


class Transactions:
    """Runs them one at a time on a link that nobody else uses."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lock = trio.Lock()

    async def run(self, watched: Sequence[str], decide: Decision[T]) -> T:
        """Execute what `decide` chooses, if nothing watched has changed since it looked; else have it look again.

        decide: gets a function that asks the server, returns the commands (none: nothing is done) and the value
        to be returned. While a cluster moves some of the keys it waits, up to MIGRATION_SECONDS. Raises the server's
        refusals; ConnectionError and TimeoutError when the outcome is unknown.
        """
        async with self._lock:
            attempt = 0
            deadline = trio.current_time() + MIGRATION_SECONDS
            while True:
                try:
                    done, value = await self._try(watched, decide)
                    if done:
                        return value
                    pause = random.uniform(0, PAUSE)
                except RedisError as error:
                    if not is_unstable(error) or trio.current_time() >= deadline:
                        raise
                    pause = UNSTABLE_PAUSE
                attempt += 1
                if attempt >= QUICK or pause > PAUSE:
                    await trio.sleep(pause)

    async def _try(self, watched: Sequence[str], decide: Decision[T]) -> tuple[bool, T]:
        link = self._link
        asked = False
        node: TCPLocation | None = None

        async def ask(commands: Sequence[Command]) -> list[Reply]:
            # the first question travels with WATCH
            nonlocal asked, node
            if asked or not watched:
                replies = await link.execute(commands)
            else:
                replies, node = await link.watch(watched, commands)
                asked = True
            return [_raised(reply) for reply in replies]

        commands, value = await decide(ask)
        if not commands:
            if asked:
                await link.execute_at(node, [(b"UNWATCH",)])
            return True, value
        # where the keys are not all with the node that watches, the transaction has to wait until they are
        replies = await link.execute_at(node, [(b"MULTI",), *commands, (b"EXEC",)])
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
