"""The places where telemetry takes part: sending, handling, and how much waits. Nothing does until it is switched on.

Switching on is telemetry.instrument(), which needs OpenTelemetry; this module does not. While it is off, a send costs
one look at active(), however many entries it adds, and consumers have no hooks and no further tasks.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol, TypeVar

import anyio

from consumers.middleware import Middleware
from consumers.retry import suppress_transient

__all__ = ["OFF", "Counts", "Instruments", "Sending", "activate", "active", "hooks_of", "report_depths", "sending"]

DEPTH_SECONDS: Final = 15.0
"""How often it is measured how much waits."""

Counts = Mapping[str, Mapping[str, int]]
"""By destination, how much there is in each state."""

V = TypeVar("V")


class Sending:
    """Something that is being sent. headers: fields that each entry gets in addition, see headers.py."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def sent(self, ids: Sequence[str]) -> None:
        """Note the IDs that the server, or the program, has given."""


OFF: Final = Sending({})


class Instruments(Protocol):
    """What is switched on."""

    def sending(
        self, name: str, destination: str, count: int, operation: str = "send"
    ) -> AbstractContextManager[Sending]:
        """Around sending `count` entries, 0 if their number is not known yet.

        name: what spans are named after. destination: the stream or queue.
        """

    def hooks(self, group: str) -> Middleware:
        """For a consumer or worker."""

    def depths(self, counts: Counts, group: str) -> None:
        """Note how much waits."""


_active: Instruments | None = None


def activate(instruments: Instruments | None) -> None:
    """Switch on, or off with None."""
    global _active
    _active = instruments


def active() -> Instruments | None:
    return _active


def sending(name: str, destination: str, count: int, operation: str = "send") -> AbstractContextManager[Sending]:
    """The context in which something is sent, on or off."""
    instruments = _active
    if instruments is None:
        return _OFF
    return instruments.sending(name, destination, count, operation)


_OFF: Final = nullcontext(OFF)


def hooks_of(own: Sequence[Middleware], group: str) -> tuple[Middleware, ...]:
    """A consumer's hooks together with those that are switched on; these once, whoever has put them there."""
    instruments = _active
    if instruments is None:
        return tuple(own)
    hooks = instruments.hooks(group)
    return tuple(own) if any(type(one) is type(hooks) for one in own) else (hooks, *own)


async def report_depths(query: Callable[[], Awaitable[Counts]], group: str) -> None:
    """Report what a query finds, every so often, forever. To be run only while something is switched on."""
    while True:
        with suppress_transient():
            counts = await query()
            if _active is not None:
                _active.depths(counts, group)
        await anyio.sleep(DEPTH_SECONDS)
