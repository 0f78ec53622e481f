"""A function declared as a job, through which callers enqueue it and workers run it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, ParamSpec, Protocol

from typing_extensions import TypeVar

from consumers import given
from consumers.errors import Retry
from consumers.given import Duration
from consumers.jobs import own_ids
from consumers.jobs.handles import Job, SyncJob
from consumers.jobs.injection import Lifespan, parts
from consumers.jobs.options import RESERVED, Expiry, TakesOptions, Unique
from consumers.jobs.payloads import Arguments, Passed, place
from consumers.jobs.rates import Place, Rate
from consumers.jobs.thinning import Debounce, Thinning, Throttle
from consumers.jobs.turns import SHARED
from consumers.retry import Backoff

__all__ = ["Blanks", "Call", "Configured", "Enqueuer", "JobFunction", "Settings", "SyncFunction"]

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T_co = TypeVar("T_co", covariant=True, default=Any)

Errors = type[BaseException] | tuple[type[BaseException], ...]
"""One class of exceptions, or several."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The decorator's arguments; see Queue.job."""

    name: str
    retries: int = 3
    retry_on: Errors | None = None
    dead_on: Errors = ()
    backoff: Backoff = field(default_factory=Backoff)
    timeout: float | None = None
    priority: str
    unique: Unique = False
    limit: int | None = None
    limit_by: Unique = False
    rate: Rate | None = None
    fair_by: Unique = False
    debounce: Debounce | None = None
    throttle: Throttle | None = None
    batch: int | None = None
    wait: float = 0.0
    crashes: int = 10
    process: bool = False
    keep_result: float = 600.0

    def __post_init__(self) -> None:
        given.text("a job's name", self.name)
        for name, number in (("retries", self.retries), ("crashes", self.crashes), ("limit", self.limit)):
            if number is not None or name != "limit":
                given.whole(name, number)
        given.instance("backoff", self.backoff, Backoff)
        given.instance("process", self.process, bool)
        given.instance("rate", self.rate, Rate, type(None))
        given.instance("debounce", self.debounce, Debounce, type(None))
        given.instance("throttle", self.throttle, Throttle, type(None))
        if (self.debounce is not None) + (self.throttle is not None) + bool(self.unique) > 1:
            raise ValueError("a job is unique, debounced or throttled: one of them")
        for what, errors in (("retry_on", self.retry_on), ("dead_on", self.dead_on)):
            for one in _several(errors) if errors is not None else ():
                if not (isinstance(one, type) and issubclass(one, BaseException)):
                    raise TypeError(f"{what} is an exception class or a tuple of some, not {one!r:.100}")
        if self.retries < 0 or self.crashes < 0:
            raise ValueError("retries and crashes can't be negative")
        if self.timeout is not None and self.timeout <= 0:
            raise ValueError("a timeout must be more than 0 s")
        if self.limit is not None and self.limit < 1:
            raise ValueError("a limit must be at least 1")
        if self.limit is None and self.limit_by:
            raise ValueError("limit_by needs a limit")
        if self.batch is not None and (given.whole("batch", self.batch) < 1 or not 0 <= self.wait <= 3600):
            raise ValueError("a batch has at least 1 call, and waits for 0 to 3600 s")
        if self.keep_result < 0:
            raise ValueError("keep_result can't be negative")

    @property
    def thinned(self) -> Debounce | Throttle | None:
        """What thins calls out."""
        return self.debounce or self.throttle

    @cached_property
    def limited(self) -> bool:
        """Whether a run needs a place under a limit."""
        return self.limit is not None or self.rate is not None

    def retries_after(self, error: BaseException) -> bool:
        """Whether a job that raised this may be run again."""
        if isinstance(error, Retry):
            return True
        return not isinstance(error, self.dead_on) and (self.retry_on is None or isinstance(error, self.retry_on))


def _several(errors: Errors) -> tuple[type[BaseException], ...]:
    return errors if isinstance(errors, tuple) else (errors,)


@dataclass(frozen=True, slots=True)
class Blanks:
    """The parameters of a call that a workflow fills in. missing: the required ones that got no argument, in order.
    passed: those that are to get the results of certain nodes."""

    missing: tuple[str, ...]
    passed: Mapping[str, Passed]

    @property
    def names(self) -> set[str]:
        """All these parameters."""
        return {*self.missing, *self.passed}

    @property
    def previous(self) -> list[str]:
        """Those that get the results of the nodes before this one, whichever these are."""
        return [*(name for name, passed in self.passed.items() if passed.node is None), *self.missing]

    @property
    def problem(self) -> str:
        """Why the call can't be enqueued by itself."""
        if self.missing:
            return f"missing a required argument: {self.missing[0]!r}"
        return f"the argument {next(iter(self.passed))!r} is a result, which only a workflow can pass"


@dataclass(frozen=True, slots=True)
class Call(Generic[R_co]):
    """A call of a job, ready to be enqueued with others by Queue.enqueue_many, or to be a part of a workflow.

    delay: seconds. due: seconds since 1970. Neither: as soon as possible. place: the key that makes it unique, "" if it
    is not. id: the caller's own, "" if it has none. expires: seconds from now, expires_at: seconds since 1970.
    blanks: None if all arguments are known. turn: the tenant with which it waits for its turn, "" if it does not.
    thinning, thin_place: how calls with the same place are debounced or throttled; None: they are not.
    """

    function: JobFunction[..., R_co]
    arguments: bytes
    priority: str
    delay: float | None
    due: float | None
    place: str
    id: str = ""
    expires: float | None = None
    expires_at: float | None = None
    blanks: Blanks | None = None
    turn: str = ""
    thinning: Thinning | None = None
    thin_place: str = ""


class SyncEnqueuer(Protocol):
    """The part of Queue.sync that its declared functions need."""

    def enqueue_many(self, calls: Iterable[Call[R]]) -> list[SyncJob[R]]: ...


class Enqueuer(Protocol):
    """The part of a queue that its declared functions need."""

    @property
    def name(self) -> str: ...
    @property
    def priorities(self) -> Sequence[str]: ...
    @property
    def fair(self) -> bool: ...
    @property
    def sync(self) -> SyncEnqueuer: ...
    async def enqueue_many(self, calls: Iterable[Call[R]]) -> list[Job[R]]: ...


class JobFunction(Generic[P, R_co, T_co]):
    """What @queue.job returns. Calling it calls the function directly, as without the decorator.

    Type parameters: the parameters, the job's result (Job.result), and the result of a direct call, which is a
    coroutine for an asynchronous function.
    """

    def __init__(
        self, queue: Enqueuer, function: Callable[P, T_co], settings: Settings, lifespan: Lifespan | None = None
    ) -> None:
        """lifespan: provides the parameters that are injected; they are not arguments of enqueue()."""
        check(function, settings.name)
        self.injected = parts(function, f"the job {settings.name}", lifespan)
        self.queue = queue
        self.function = function
        self.settings = settings
        self.name = settings.name
        self.is_async = inspect.iscoroutinefunction(function)
        if settings.process:
            self._check_process(function)
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", settings.name)
        self.__wrapped__ = function
        parameters = inspect.signature(function).parameters.keys() - self.injected
        if taken := RESERVED & parameters:
            raise TypeError(f"{settings.name}: enqueue() takes {', '.join(sorted(taken))} itself, choose another name")
        rate_by = settings.rate.by if settings.rate is not None else False
        thin_by = settings.thinned.by if settings.thinned is not None else False
        for which in (settings.unique, settings.limit_by, rate_by, settings.fair_by, thin_by):
            if unknown := set(self._names(which, parameters)) - parameters:
                raise TypeError(f"{settings.name} has no parameter {', '.join(sorted(unknown))}")
        tenant = set(self._names(settings.fair_by, parameters))
        for limit, by in ((settings.limit, settings.limit_by), (settings.rate, rate_by)):
            if limit is not None and tenant - set(self._names(by, parameters)):
                # what waits for a place does so in order of arrival: the others would wait for all of one tenant's jobs
                raise ValueError(
                    f"{settings.name} is fair by {', '.join(sorted(tenant))}, so its limits must be by that"
                )

    def _check_process(self, function: Any) -> None:
        """Raise TypeError if the function can't run in another process."""
        why = ""
        if self.is_async:
            why = "must not be asynchronous"
        elif self.injected:
            why = f"gets nothing injected, not even {next(iter(self.injected))!r}"
        elif not getattr(function, "__module__", "") or "<" in getattr(function, "__qualname__", "<"):
            why = "must be a function of a module, which the process can import"
        if why:
            raise TypeError(f"the job {self.name} runs in a process, so it {why}")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T_co:
        if self.injected:
            passed = inspect.signature(self.function).bind_partial(*args, **kwargs).arguments
            if missing := [name for name in self.injected if name not in passed]:
                raise TypeError(f"{self.name}: only a worker injects {missing[0]!r}; pass it in a direct call")
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<JobFunction {self.queue.name} {self.name}>"

    @cached_property
    def arguments(self) -> Arguments:
        """The parameters; evaluated late, as annotations may name types defined further down."""
        return Arguments(self.function, self.name, self.injected)

    @property
    def enqueue(self) -> TakesOptions[P, Coroutine[Any, Any, Job[R_co]]]:
        """Have a worker run the function with these arguments, at least once.

        delay: the earliest start from now, in seconds or as a timedelta. at: the earliest start as a datetime (a naive
        one is local time). priority: one of the queue's. unique: a parameter's name, several, or True for all: while a
        job of this function with the same values waits or runs, no other is added, and the Job of that one is returned.
        A job that was cancelled does not count, even if it has not stopped yet.

        job_id: an ID of the caller's, such as "invoice-4711". While the queue remembers it (Queue's remember_ids, a
        day), no other job is added with it, wherever this one is and however it ended, and Job.created is False. So
        this may be repeated, and it does so itself: for half a minute after the connection was lost.
        expires: if the job has not begun by then (seconds from now, a timedelta, or a datetime), it is dropped when its
        turn comes, further attempts included; result() raises JobExpired.

        When options are passed, type checkers can't check the arguments; with with_options() they can.

        Raises TypeError for arguments that the function does not take or that are not data. Raises coredis's
        ConnectionError or TimeoutError if it is unknown whether the job was added; adding it again may then run it
        twice, unless it is unique or has an ID of its own.
        """
        return self._enqueue

    async def _enqueue(self, *args: Any, **kwargs: Any) -> Job[R_co]:
        (job,) = await self.queue.enqueue_many([self._call(args, kwargs)])
        return job

    @property
    def sync(self) -> SyncFunction[P, R_co]:
        """The same job for code without an event loop: `job = resize.sync.enqueue("cat.png", width=200)`."""
        return SyncFunction(self)

    @property
    def call(self) -> TakesOptions[P, Call[R_co]]:
        """The same as enqueue(), but returns a call that Queue.enqueue_many adds together with others.

        A call that is part of a workflow may leave out arguments, see Flow.
        """
        return self._partial_call

    def _partial_call(self, *args: Any, **kwargs: Any) -> Call[R_co]:
        return self._call(args, kwargs, partial=True)

    def with_options(
        self,
        *,
        delay: Duration | None = None,
        at: datetime | None = None,
        priority: str | None = None,
        unique: Unique | None = None,
        job_id: str | None = None,
        expires: Expiry | None = None,
    ) -> Configured[P, R_co]:
        """The same job with options of enqueue(); its own enqueue() and call() take only the function's arguments:

            await resize.with_options(delay=10, priority="high").enqueue("cat.png", width=200)

        Type checkers check these, as they do those of a direct call.
        """
        options = {
            "delay": delay, "at": at, "priority": priority, "unique": unique, "job_id": job_id, "expires": expires,
        }  # fmt: skip
        return Configured(self, {name: value for name, value in options.items() if value is not None})

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any], partial: bool = False) -> Call[R_co]:
        settings = self.settings
        delay, at = kwargs.pop("delay", None), kwargs.pop("at", None)
        if delay is not None and at is not None:
            raise TypeError("give either delay or at")
        if at is not None:
            given.instance("at", at, datetime)
        priority = kwargs.pop("priority", settings.priority)
        if priority not in self.queue.priorities:
            raise ValueError(f"{priority!r} is not one of the priorities {', '.join(self.queue.priorities)}")
        unique = kwargs.pop("unique", settings.unique)
        id, expires = kwargs.pop("job_id", None), kwargs.pop("expires", None)
        thinned = settings.thinned
        if thinned is not None and (delay is not None or at is not None or unique or id is not None):
            raise TypeError(f"{self.name} is debounced or throttled: no delay, at, unique or job_id")
        bound, packed, blanks = self._pack(args, kwargs, partial)
        if blanks is not None and unique and (unknown := blanks.names & {*self._names(unique, self.arguments.names)}):
            raise TypeError(f"{self.name} can't be unique by {', '.join(sorted(unknown))}, which is not known yet")
        tenant = self._names(settings.fair_by, self.arguments.names)
        if blanks is not None and (unknown := blanks.names & {*tenant}):
            raise TypeError(f"{self.name} can't be fair by {', '.join(sorted(unknown))}, which is not known yet")
        return Call(
            self, packed, priority,
            given.duration("delay", delay) if delay is not None else None,
            at.timestamp() if at is not None else None,
            self._place(unique, bound) if unique else "",
            "" if id is None else own_ids.check(id),
            None if expires is None or isinstance(expires, datetime) else given.duration("expires", expires),
            expires.timestamp() if isinstance(expires, datetime) else None,
            blanks,
            self._turn(tenant, bound) if self.queue.fair else "",
            thinned.rule if thinned is not None else None,
            self._place(thinned.by, bound) if thinned is not None and blanks is None else "",
        )  # fmt: skip

    def _pack(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], partial: bool
    ) -> tuple[dict[str, Any], bytes, Blanks | None]:
        """Return the arguments by name, their msgpack, and what is missing, which is nothing unless `partial`."""
        arguments = self.arguments
        try:
            bound = arguments.bind(args, kwargs)
            return bound, arguments.pack(bound), None
        except TypeError:
            # errors first: a complete call, which is the usual one, pays for no further check
            if not partial:
                raise
            bound, missing = arguments.bind_some(args, kwargs)
            passed = {name: value for name, value in bound.items() if isinstance(value, Passed)}
            if not missing and not passed:
                raise
        known = {name: value for name, value in bound.items() if name not in passed}
        return bound, arguments.pack(known), Blanks(missing, passed)

    def _turn(self, tenant: Sequence[str], bound: dict[str, Any]) -> str:
        # without the job's name: a tenant takes turns for all its jobs together
        return place(self.arguments.chosen(bound, tenant)) if tenant else SHARED

    def places_of(self, bound: dict[str, Any]) -> list[Place]:
        """The places that a run of a call needs: under the same limits as those with the same values of parameters."""
        settings, places = self.settings, list[Place]()
        if settings.rate is not None:
            rate = settings.rate
            places.append(Place(f"{self._place(rate.by, bound)}/rate", rate.count, rate.period))
        if settings.limit is not None:
            places.append(Place(self._place(settings.limit_by, bound), settings.limit))
        return places

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


@dataclass(frozen=True, slots=True)
class SyncFunction(Generic[P, R_co]):
    """JobFunction.sync: see SyncQueue for where it works."""

    function: JobFunction[P, R_co]

    @property
    def enqueue(self) -> TakesOptions[P, SyncJob[R_co]]:
        """JobFunction.enqueue, for code without an event loop: it blocks until the job has been added."""
        return self._enqueue

    def _enqueue(self, *args: Any, **kwargs: Any) -> SyncJob[R_co]:
        (job,) = self.function.queue.sync.enqueue_many([self.function._call(args, kwargs)])
        return job


@dataclass(frozen=True, slots=True)
class Configured(Generic[P, R_co]):
    """A job with options: JobFunction.with_options."""

    function: JobFunction[P, R_co]
    options: Mapping[str, Any]

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R_co]:
        """JobFunction.enqueue with these options."""
        (job,) = await self.function.queue.enqueue_many([self._call(args, kwargs)])
        return job

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call[R_co]:
        return self.function._call(args, {**kwargs, **self.options})

    @property
    def sync(self) -> SyncConfigured[P, R_co]:
        """The same for code without an event loop."""
        return SyncConfigured(self)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R_co]:
        """JobFunction.call with these options."""
        return self.function._call(args, {**kwargs, **self.options}, partial=True)


@dataclass(frozen=True, slots=True)
class SyncConfigured(Generic[P, R_co]):
    """A job with options, for code without an event loop."""

    configured: Configured[P, R_co]

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> SyncJob[R_co]:
        """JobFunction.enqueue with these options; it blocks until the job has been added."""
        configured = self.configured
        (job,) = configured.function.queue.sync.enqueue_many([configured._call(args, kwargs)])
        return job


def check(function: Any, name: str) -> None:
    """Raise TypeError for a function that can't be a job: it must take its arguments by name, and return."""
    if not callable(function):
        raise TypeError(f"the job {name}: {type(function).__name__} is not a function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"the job {name} is a generator: a job returns one value")
    parameters = inspect.signature(function).parameters
    owner, _, _ = getattr(function, "__qualname__", "").rpartition(".")
    in_class = bool(owner) and not owner.endswith("<locals>")
    if inspect.ismethod(function) or (in_class and next(iter(parameters), "") in ("self", "cls")):
        raise TypeError(f"the job {name} is a method: its object can't be sent, so declare a function")
    for parameter in parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(
                f"the job {name}: the parameter {str(parameter).partition(':')[0]!r} can't be passed by name"
            )
