"""Calls a job's function: in a task, a thread or a process, with what the lifespan provides, inside middleware."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import anyio
import msgspec

from consumers.jobs.current import CurrentJob
from consumers.jobs.declarations import JobFunction
from consumers.jobs.injection import Lifespan, Parts, parts, provided
from consumers.jobs.process_pool import ProcessPool, RunInProcess

__all__ = ["CallNext", "Caller", "Wrapper"]

CallNext: TypeAlias = Callable[[], Awaitable[Any]]
"""What a middleware calls to run what it wraps; returns the job's result."""


class Wrapper:
    """A middleware: a function around the runs of all jobs of a queue."""

    def __init__(self, function: Callable[..., Awaitable[Any]], queue: str, lifespan: Lifespan | None) -> None:
        """Raises TypeError unless it is an asynchronous function of a job and what comes next."""
        what = f"the middleware {getattr(function, '__name__', function)!s:.100} of the queue {queue}"
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{what} is not an asynchronous function")
        self.function = function
        self.parts: Parts = parts(function, what, lifespan)
        try:
            inspect.signature(function).bind(None, None, **dict.fromkeys(self.parts))
        except TypeError as error:
            raise TypeError(f"{what} is called with (job, call_next): {error}") from None


class Caller:
    """Calls functions for one worker. context: what its lifespan has yielded. threads: limits those of jobs."""

    def __init__(
        self, context: Any, threads: anyio.CapacityLimiter, processes: ProcessPool, wrappers: Sequence[Wrapper]
    ) -> None:
        self.context = context
        self._threads = threads
        self._processes = processes
        # from the innermost outwards, with what each one gets
        self._wrappers = [(one.function, provided(context, one.parts)) for one in reversed(wrappers)]

    def direct(self, functions: Mapping[str, JobFunction[Any, Any]]) -> frozenset[str]:
        """The names of those that are called with their arguments alone, in the job's task: most jobs are."""
        if self._wrappers:
            return frozenset()
        return frozenset(
            name for name, one in functions.items() if one.is_async and not one.injected and one.settings.batch is None
        )

    async def call(
        self, run: RunInProcess, job: CurrentJob, function: JobFunction[Any, Any], arguments: Mapping[str, Any]
    ) -> Any:
        """Return what the function returns, or what the middleware makes of it; raises what they raise.

        What comes from a process unchanged is returned as it is stored.
        """
        if function.settings.process and not self._wrappers:
            return msgspec.Raw(await self._processes.run(run, (job.id, job.name, job.attempt), function))
        if function.injected:
            arguments = {**arguments, **provided(self.context, function.injected)}
        call: CallNext = partial(self._run, run, job, function, arguments)
        for wrapper, injected in self._wrappers:
            call = partial(wrapper, job, call, **injected)
        return await call()

    async def _run(
        self, run: RunInProcess, job: CurrentJob, function: JobFunction[Any, Any], arguments: Mapping[str, Any]
    ) -> Any:
        if function.is_async:
            return await function.function(**arguments)
        if function.settings.process:
            packed = await self._processes.run(run, (job.id, job.name, job.attempt), function)
            return function.arguments.decode_result(packed)
        call = partial(_outcome, function.function, arguments)
        returned, error = await anyio.to_thread.run_sync(call, limiter=self._threads)
        if error is not None:
            raise error
        return returned


def _outcome(function: Callable[..., Any], arguments: Mapping[str, Any]) -> tuple[Any, BaseException | None]:
    """Call a function in a thread. A GeneratorExit that asyncio threw into a task would close that, worker and all."""
    try:
        return function(**arguments), None
    except BaseException as error:
        return None, error
