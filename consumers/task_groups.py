"""Task groups whose block raises what the user raised in it, or what one failed task raised, without a group around it.

This package's task groups are an implementation detail. An exception that leaves the user's own block leaves the task
group unchanged, even if a task fails at the same time; the task's failure is then logged. If the block itself raised
nothing, the exception of a single task is raised unchanged; only those of several tasks form a group.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
from anyio.abc import TaskGroup

from consumers import loops

__all__ = ["Border", "open_plain_task_group"]

logger = logging.getLogger("consumers")

AROUND = ("unhandled errors in a TaskGroup", "Exceptions from Trio nursery")
"""The messages of the exception groups that task groups create, on asyncio and on Trio."""


class Border:
    """Tells what the user's block raises from the groups that are put around it on the way out.

    border = Border()
    with border.outside():
        async with something_with_a_task_group():
            with border.inside():
                yield

    """

    def __init__(self) -> None:
        self._own: BaseException | None = None

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Around the user's block."""
        try:
            yield
        except BaseException as error:
            self._own = error
            raise

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Around the task groups. Raises a single exception unchanged."""
        try:
            yield
        except BaseExceptionGroup as group:
            alone = self._chosen(group)
            if alone is None:
                raise
            # the group is not the cause of what it was put around
            context = alone.__context__
            try:
                raise alone
            finally:
                alone.__context__ = context
                del alone, context

    def _chosen(self, group: BaseExceptionGroup[BaseException]) -> BaseException | None:
        """What to raise instead of a group; None: the group."""
        errors = self._flat(group)
        if not self._is_cancelled() and not any(self._is_own(error) for error in errors):
            return errors[0] if len(errors) == 1 else None
        others = [one for one in errors if not self._is_own(one) and not isinstance(one, loops.cancelled_class())]
        if not all(isinstance(error, Exception) for error in others):
            # one of them is meant to end the program
            return None
        for error in others:
            logger.error("a task has failed, in addition to what its block raised: %s", error, exc_info=error)
        return self._own

    def _is_cancelled(self) -> bool:
        """Whether the block was cancelled from outside, which asyncio's task groups leave out of their groups."""
        return isinstance(self._own, asyncio.CancelledError) and loops.is_cancelled()

    def _flat(self, error: BaseException) -> list[BaseException]:
        """The exceptions in a group that a task group put around them, recursively."""
        if not isinstance(error, BaseExceptionGroup) or self._is_own(error) or error.message not in AROUND:
            return [error]
        return [one for inner in error.exceptions for one in self._flat(inner)]

    def _is_own(self, error: BaseException) -> bool:
        own = self._own
        if isinstance(own, BaseExceptionGroup) and isinstance(error, BaseExceptionGroup):
            # they are created again as they propagate
            return error.message == own.message and _leaves(error) == _leaves(own)
        return error is own


def _leaves(error: BaseException) -> list[int]:
    if not isinstance(error, BaseExceptionGroup):
        return [id(error)]
    return [one for inner in error.exceptions for one in _leaves(inner)]


@asynccontextmanager
async def open_plain_task_group() -> AsyncIterator[TaskGroup]:
    """anyio.create_task_group(), without the group around a single exception, or around the block's own."""
    border = Border()
    with border.outside():
        async with anyio.create_task_group() as tasks:
            with border.inside():
                yield tasks
