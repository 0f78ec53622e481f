"""Retrying: how long to wait before the next attempt, and retrying after transient errors.

One curve serves redelivery of a failed entry and reconnection after a cut. Jitter is on by default: consumers that
failed together (because the database behind them went away) must not come back together.
"""

import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import anyio

from consumers import given
from consumers.errors import transient
from consumers.given import Duration

__all__ = ["RECONNECT", "Backoff", "persist", "suppress_transient"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, init=False)
class Backoff:
    """A delay that grows from attempt to attempt.

    initial: the time before the second attempt. factor: how much longer each further wait is. max: the longest
    wait. Both times are seconds or a timedelta. jitter: wait a random time between half of the computed one and all
    of it.

    Raises ValueError for a negative time or a factor below 1.
    """

    initial: float = 1.0
    factor: float = 2.0
    max: float = 60.0
    jitter: bool = True

    # The fields are in seconds, whatever was passed: they are read at every failure.

    def __init__(self, initial: Duration = 1.0, factor: float = 2.0, max: Duration = 60.0, jitter: bool = True) -> None:
        given.instance("factor", factor, float, int)
        object.__setattr__(self, "initial", given.duration("initial", initial))
        object.__setattr__(self, "factor", float(factor))
        object.__setattr__(self, "max", given.duration("max", max))
        object.__setattr__(self, "jitter", jitter)
        if self.initial < 0 or self.max < 0:
            raise ValueError("a delay can't be negative")
        if self.factor < 1:
            raise ValueError("factor must be at least 1")

    def delay(self, attempt: int) -> float:
        """Seconds to wait after this attempt, counted from 1."""
        try:
            wait = min(self.max, self.initial * self.factor ** max(0, attempt - 1))
        except OverflowError:
            wait = self.max
        return wait * random.uniform(0.5, 1.0) if self.jitter else wait


RECONNECT: Final = Backoff(initial=0.1, factor=2, max=10)
"""For a server that is away: short at first, since most cuts are."""


async def persist(
    attempt: Callable[[], Awaitable[T]],
    backoff: Backoff = RECONNECT,
    *,
    passing: Callable[[Exception], bool] = transient,
    failed: Callable[[Exception, int, float], None] | None = None,
) -> T:
    """Make an attempt, and further ones after transient errors; returns the result of the first success.

    passing: whether an error is transient; any other is raised. failed: called with each transient error, the number
    of failures so far, and the seconds until the next attempt.
    """
    failures = 0
    while True:
        try:
            return await attempt()
        except Exception as error:
            if not passing(error):
                raise
            failures += 1
            delay = backoff.delay(failures)
            if failed is not None:
                failed(error, failures, delay)
        await anyio.sleep(delay)


@contextmanager
def suppress_transient() -> Iterator[None]:
    """Leave the block at a transient error: for work that is soon repeated anyway."""
    try:
        yield
    except Exception as error:
        if not transient(error):
            raise
