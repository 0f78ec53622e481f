"""A function declared as a job: what a caller enqueues by and a worker runs by."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, overload

from consumers.jobs.handles import Job
from consumers.jobs.payloads import Arguments, encode, place
from consumers.retry import Backoff

if TYPE_CHECKING:
    from consumers.jobs.queue import Queue

__all__ = ["Call", "JobFunction", "Settings", "Unique"]

P = ParamSpec("P")
R = TypeVar("R")

Unique = bool | str | Sequence[str]
"""Which parameters' values make a job unique: one name, several, True for all of them, False for none."""

RESERVED: Final = frozenset(("delay", "at", "priority", "unique"))
"""What enqueue() takes beside the function's own arguments."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the decorator was given; see Queue.job."""

    name: str
    retries: int = 3
    backoff: Backoff = field(default_factory=Backoff)
    timeout: float | None = None
    priority: str
    unique: Unique = False
    limit: int | None = None
    limit_by: Unique = False
    crashes: int = 10
    keep_result: float = 600.0

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a job needs a name")
        if self.retries < 0 or self.crashes < 0:
            raise ValueError("retries and crashes can't be negative")
        if self.timeout is not None and self.timeout <= 0:
            raise ValueError("a timeout must be more than 0 s")
        if self.limit is not None and self.limit < 1:
            raise ValueError("a limit must be at least 1")
        if self.limit is None and self.limit_by:
            raise ValueError("limit_by needs a limit")
        if self.keep_result < 0:
            raise ValueError("keep_result can't be negative")


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """A call of a job, ready to be enqueued with others: Queue.enqueue_many.

    delay: seconds. due: seconds since 1970. Neither: at once. place: what makes it unique, "" where it is not.
    """

    function: JobFunction[..., R]
    arguments: bytes
    priority: str
    delay: float | None
    due: float | None
    place: str


class JobFunction(Generic[P, R]):
    """What @queue.job makes of a function. Calling it calls the function, here and now, as without the decorator."""

    def __init__(self, queue: Queue, function: Callable[P, Any], settings: Settings) -> None:
        self.queue = queue
        self.function = function
        self.settings = settings
        self.name = settings.name
        self.is_async = inspect.iscoroutinefunction(function)
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", settings.name)
        self.__wrapped__ = function
        parameters = inspect.signature(function).parameters
        if taken := RESERVED & parameters.keys():
            raise TypeError(f"{settings.name}: enqueue() takes {', '.join(sorted(taken))} itself, name it otherwise")
        for which in (settings.unique, settings.limit_by):
            if unknown := set(self._names(which, parameters)) - parameters.keys():
                raise TypeError(f"{settings.name} has no parameter {', '.join(sorted(unknown))}")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<JobFunction {self.queue.name} {self.name}>"

    @cached_property
    def arguments(self) -> Arguments:
        """The parameters; evaluated late, as annotations may name what is defined further down."""
        return Arguments(self.function)

    # A call without options is checked against the function's own signature, one with options can't be expressed so.

    @overload
    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    @overload
    async def enqueue(
        self, *args: Any, delay: float, priority: str = ..., unique: Unique = ..., **kwargs: Any
    ) -> Job[R]: ...
    @overload
    async def enqueue(
        self, *args: Any, at: datetime, priority: str = ..., unique: Unique = ..., **kwargs: Any
    ) -> Job[R]: ...
    @overload
    async def enqueue(self, *args: Any, priority: str, unique: Unique = ..., **kwargs: Any) -> Job[R]: ...
    @overload
    async def enqueue(self, *args: Any, unique: Unique, **kwargs: Any) -> Job[R]: ...
    async def enqueue(self, *args: Any, **kwargs: Any) -> Job[R]:
        """Have a worker run the function with these arguments, at least once.

        delay: not before so many seconds from now. at: not before this time (a naive datetime is local time).
        priority: one of the queue's. unique: a parameter's name, several, or True for all: while a job of this
        function with the same values waits or runs, no other is added, and the Job of that one is returned. One that
        was cancelled does not count, even if it has not stopped yet.

        Raises TypeError for arguments that the function does not take or that are not data. Raises coredis's
        ConnectionError or TimeoutError when it is unknown whether the job was added; adding it again may then run
        it twice, unless it is unique.
        """
        (job,) = await self.queue.enqueue_many([self._call(args, kwargs)])
        return job

    @overload
    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R]: ...
    @overload
    def call(self, *args: Any, delay: float, priority: str = ..., unique: Unique = ..., **kwargs: Any) -> Call[R]: ...
    @overload
    def call(self, *args: Any, at: datetime, priority: str = ..., unique: Unique = ..., **kwargs: Any) -> Call[R]: ...
    @overload
    def call(self, *args: Any, priority: str, unique: Unique = ..., **kwargs: Any) -> Call[R]: ...
    @overload
    def call(self, *args: Any, unique: Unique, **kwargs: Any) -> Call[R]: ...
    def call(self, *args: Any, **kwargs: Any) -> Call[R]:
        """The same as enqueue(), to be added together with others by Queue.enqueue_many."""
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call[R]:
        settings = self.settings
        delay, at = kwargs.pop("delay", None), kwargs.pop("at", None)
        if delay is not None and at is not None:
            raise TypeError("give either delay or at")
        priority = kwargs.pop("priority", settings.priority)
        if priority not in self.queue.priorities:
            raise ValueError(f"{priority!r} is none of the priorities {', '.join(self.queue.priorities)}")
        unique = kwargs.pop("unique", settings.unique)
        arguments = self.arguments
        bound = arguments.bind(args, kwargs)
        return Call(
            self, encode(bound), priority, delay,
            at.timestamp() if at is not None else None,
            self._place(unique, bound) if unique else "",
        )  # fmt: skip

    def limit_of(self, bound: dict[str, Any]) -> str:
        """Which limit a call falls under: equal for equal values of the parameters that limit_by names."""
        return self._place(self.settings.limit_by, bound)

    def _place(self, which: Unique, bound: dict[str, Any]) -> str:
        parameters = self.arguments.signature.parameters
        names = self._names(which, parameters)
        if unknown := set(names) - parameters.keys():
            raise TypeError(f"{self.name} has no parameter {', '.join(sorted(unknown))}")
        return f"{self.name}:{place(self.arguments.chosen(bound, names))}"

    @staticmethod
    def _names(which: Unique, parameters: Any) -> Sequence[str]:
        if isinstance(which, bool):
            return sorted(parameters) if which else ()
        return (which,) if isinstance(which, str) else sorted(which)
