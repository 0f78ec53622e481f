"""Hooks around the handling of an entry, for metrics, tracing and logs.

A hook is a plain function that must not block: it runs in the handler's task, between two checkpoints, so it can set
context variables there (start) and reset them (success, failure). An exception in a hook is logged and never changes
the entry's outcome.
"""

import logging
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from consumers.errors import cut_short

__all__ = ["Handled", "Label", "Middleware", "Middlewares"]

logger = logging.getLogger("consumers")


class Label(NamedTuple):
    """What an entry is called in traces.

    destination: its stream, or a job's queue. id: its own or the job's. job, attempt: a job's name, and which it is.
    """

    destination: str
    id: str
    job: str = ""
    attempt: int = 0


class Handled(Protocol):
    """What a hook can read about an entry."""

    @property
    def stream(self) -> str: ...

    @property
    def id(self) -> str: ...

    @property
    def fields(self) -> dict[str, bytes]: ...

    @property
    def delivery_count(self) -> int: ...

    @property
    def label(self) -> Label: ...

    @property
    def has_begun(self) -> bool:
        """Whether a handler has had it; False for a job that is only put aside or dropped."""


class Middleware:
    """Derive from this class and override hooks; a hook that is not overridden does nothing."""

    def start(self, message: Handled) -> None:
        """A handler is about to get the entry."""

    def success(self, message: Handled, seconds: float) -> None:
        """The handler returned after `seconds`."""

    def failure(self, message: Handled, error: BaseException, seconds: float) -> None:
        """The handler raised; the loop's Cancelled if it was cancelled. Then retry or dead follows, or neither."""

    def retry(self, message: Handled, delay: float) -> None:
        """The entry will be delivered again, not before `delay` seconds from now."""

    def dead(self, message: Handled, reason: str) -> None:
        """The entry was given up: it goes to the dead-letter stream, or is dropped if there is none."""


class Middlewares(Middleware):
    """Several as one: start in order, all other hooks in reverse order, each unaffected by the others' failures."""

    def __init__(self, middlewares: Iterable[Middleware]) -> None:
        self._all = tuple(middlewares)
        self._backwards = self._all[::-1]

    def start(self, message: Handled) -> None:
        self._call(self._all, "start", message)

    def success(self, message: Handled, seconds: float) -> None:
        self._call(self._backwards, "success", message, seconds)

    def failure(self, message: Handled, error: BaseException, seconds: float) -> None:
        self._call(self._backwards, "failure", message, error, seconds)

    def retry(self, message: Handled, delay: float) -> None:
        self._call(self._backwards, "retry", message, delay)

    def dead(self, message: Handled, reason: str) -> None:
        self._call(self._backwards, "dead", message, reason)

    @staticmethod
    def _call(middlewares: Iterable[Middleware], hook: str, *arguments: Any) -> None:
        for middleware in middlewares:
            try:
                getattr(middleware, hook)(*arguments)
            except BaseException as error:
                if cut_short(error) is not None:
                    raise
                logger.exception("the hook %s of %r failed", hook, middleware)
