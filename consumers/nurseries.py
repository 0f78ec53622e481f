"""A nursery that raises what one failed task raised, not a group around it.

The nurseries of this package are none of the user's. When exactly one exception leaves one of them, be it the
user's own from the block or the failure of the consumer, that exception is raised as it is; only several make a group.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

__all__ = ["open_plain_nursery"]


@asynccontextmanager
async def open_plain_nursery() -> AsyncIterator[trio.Nursery]:
    """trio.open_nursery(), without the group around a single exception."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        alone = group.exceptions[0]
        # the group is no cause of what it was put around
        context = alone.__context__
        try:
            raise alone
        finally:
            alone.__context__ = context
            del alone, context
