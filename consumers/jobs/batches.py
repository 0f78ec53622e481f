"""Batch jobs: many calls, one run of a function that takes a list.

Each call is a job of its own, with its own entry, result, attempts and cancellation. In a worker, the handler of each
waits here; the first of them opens a batch, and when that is full or has waited long enough, the function is called
once with all their arguments, in a task of its own. Its results go to the handlers one by one, which settle their jobs
like any others. So nothing about a batch is stored: a worker that is killed leaves as many jobs as it had taken.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints, overload

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup, TaskStatus

from consumers.errors import cut_short
from consumers.jobs.calling import Caller
from consumers.jobs.current import CURRENT, CurrentJob
from consumers.jobs.declarations import JobFunction
from consumers.jobs.outcomes import JobTimeout
from consumers.jobs.payloads import Arguments
from consumers.jobs.process_pool import RunInProcess
from consumers.task_groups import open_plain_task_group

__all__ = ["BatchDecorator", "BatchFunction", "Batcher"]

P = ParamSpec("P")
A = TypeVar("A")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)


class BatchDecorator(Protocol):
    """What Queue.batch_job returns: it takes functions of a list, with a list of as many results, or none."""

    @overload
    def __call__(
        self, function: Callable[[list[A]], Awaitable[list[R | Exception]]], /
    ) -> BatchFunction[[A], R, Awaitable[list[R | Exception]]]: ...
    @overload
    def __call__(
        self, function: Callable[[list[A]], Awaitable[list[R]]], /
    ) -> BatchFunction[[A], R, Awaitable[list[R]]]: ...
    @overload
    def __call__(
        self, function: Callable[[list[A]], Awaitable[None]], /
    ) -> BatchFunction[[A], None, Awaitable[None]]: ...
    @overload
    def __call__(
        self, function: Callable[[list[A]], list[R | Exception]], /
    ) -> BatchFunction[[A], R, list[R | Exception]]: ...
    @overload
    def __call__(self, function: Callable[[list[A]], list[R]], /) -> BatchFunction[[A], R, list[R]]: ...
    @overload
    def __call__(self, function: Callable[[list[A]], None], /) -> BatchFunction[[A], None, None]: ...
    @overload
    def __call__(self, function: Callable[..., Any], /) -> BatchFunction[..., Any, Any]: ...


class BatchFunction(JobFunction[P, R_co, T_co], Generic[P, R_co, T_co]):
    """What @queue.batch_job returns: enqueue() takes one element, and a direct call takes the list."""

    def __call__(self, *args: Any, **kwargs: Any) -> T_co:
        return super().__call__(*args, **kwargs)

    @cached_property
    def arguments(self) -> Arguments:
        """The one parameter, as a call has it: an element of the list that the function gets."""
        return Arguments(_single(self.function, self.name, self.parameter), self.name)

    @cached_property
    def parameter(self) -> str:
        """The name of the parameter that gets the list. Raises TypeError if it is not the only one."""
        names = [name for name in inspect.signature(self.function).parameters if name not in self.injected]
        if len(names) != 1:
            raise TypeError(f"the job {self.name}: a batch job has one parameter, the list, besides injected ones")
        return names[0]


def _single(function: Callable[..., Any], job: str, parameter: str) -> Callable[..., Any]:
    """A function with the signature of a single call."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise TypeError(f"the job {job}: its annotations can't be evaluated: {error}") from error
    annotations = {parameter: _element(hints.get(parameter, Any), job, f"the parameter {parameter!r}")}
    returned = hints.get("return", Any)
    annotations["return"] = None if returned is type(None) else _result(_element(returned, job, "the return value"))

    def single() -> None: ...

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    single.__annotations__ = annotations
    single.__signature__ = inspect.Signature([inspect.Parameter(parameter, kind)])  # type: ignore[attr-defined]
    return single


def _element(hint: Any, job: str, what: str) -> Any:
    if hint is Any:
        return Any
    origin = get_origin(hint) or hint
    if not (isinstance(origin, type) and issubclass(list, origin) and origin is not object):
        raise TypeError(f"the job {job}: {what} of a batch job is a list, not {hint!r:.100}")
    return next(iter(get_args(hint)), Any)


def _result(hint: Any) -> Any:
    """The type of a call's result: what stands for a call that failed is none."""
    if not (args := get_args(hint)) or not any(_is_error(one) for one in args):
        return Any if _is_error(hint) else hint
    rest = tuple(one for one in args if not _is_error(one))
    return Union[rest] if rest else Any  # noqa: UP007 - made of a tuple


def _is_error(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, BaseException)


class _Call:
    """One call in a batch. gone: its handler no longer waits."""

    def __init__(self, argument: object) -> None:
        self.argument = argument
        self.ended = anyio.Event()
        self.result: object = None
        self.error: BaseException | None = None
        self.trace: TracebackType | None = None
        self.gone = False

    def fail(self, error: BaseException) -> None:
        self.error, self.trace = error, error.__traceback__
        self.ended.set()


class _Batch:
    """Calls that will be one run. run, job: of the first of them, which is what the function can know of."""

    def __init__(self, run: RunInProcess, job: CurrentJob) -> None:
        self.run = run
        self.job = job
        self.calls: list[_Call] = []
        self.full = anyio.Event()
        self.scope = anyio.CancelScope()


class Batcher:
    """Gathers and runs batches, for one worker."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._open: dict[str, _Batch] = {}
        self._tasks: TaskGroup

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run batches, forever."""
        async with open_plain_task_group() as self._tasks:
            task_status.started()
            await anyio.sleep_forever()

    async def join(
        self,
        run: RunInProcess,
        job: CurrentJob,
        function: BatchFunction[..., Any, Any],
        argument: object,
        *,
        alone: bool,
    ) -> Any:
        """Return the result of one call, from a run together with others; raises its failure. alone: with no others."""
        name, settings, batch = function.name, function.settings, None if alone else self._open.get(function.name)
        if batch is None:
            batch = _Batch(run, job)
            if not alone:
                self._open[name] = batch
            self._tasks.start_soon(self._gather, batch, function)
        call = _Call(argument)
        batch.calls.append(call)
        if alone or len(batch.calls) >= (settings.batch or 1):
            self._close(name, batch)
        try:
            await call.ended.wait()
        except BaseException:
            call.gone = True
            if all(one.gone for one in batch.calls):
                # nobody waits for the others' results either
                batch.scope.cancel()
            raise
        if call.error is not None:
            # it is raised in many tasks, each of which would add to its traceback
            raise call.error.with_traceback(call.trace)
        return call.result

    def _close(self, name: str, batch: _Batch) -> None:
        if self._open.get(name) is batch:
            del self._open[name]
        batch.full.set()

    async def _gather(self, batch: _Batch, function: BatchFunction[..., Any, Any]) -> None:
        with anyio.move_on_after(function.settings.wait):
            await batch.full.wait()
        self._close(function.name, batch)
        calls = [call for call in batch.calls if not call.gone]
        if not calls:
            return
        try:
            results = await self._run(batch, function, [call.argument for call in calls])
        except BaseException as error:
            if cut_short(error) is not None:
                raise
            for call in calls:
                call.fail(error)
            return
        for call, result in zip(calls, results, strict=True):
            if isinstance(result, BaseException):
                call.fail(result)
            else:
                call.result = result
                call.ended.set()

    async def _run(
        self, batch: _Batch, function: BatchFunction[..., Any, Any], arguments: list[object]
    ) -> Sequence[object]:
        timeout = function.settings.timeout
        if timeout is not None:
            batch.scope.deadline = anyio.current_time() + timeout
        token = CURRENT.set(batch.job)
        try:
            with batch.scope:
                returned = await self._caller.call(batch.run, batch.job, function, {function.parameter: arguments})
                if batch.scope.cancel_called and not function.is_async:
                    await anyio.lowlevel.checkpoint_if_cancelled()
        finally:
            CURRENT.reset(token)
        if batch.scope.cancelled_caught:
            raise JobTimeout(f"it took longer than {timeout} s")
        if returned is None:
            return [None] * len(arguments)
        if not isinstance(returned, list | tuple) or len(returned) != len(arguments):
            what = f"{len(returned)} results" if isinstance(returned, list | tuple) else type(returned).__name__
            raise TypeError(f"a batch of {len(arguments)} calls returned {what}, not a list of as many results")
        return returned
