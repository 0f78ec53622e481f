"""What can go wrong with a consumer: for its owner, for a handler, and in between.

A handler that raises costs its own entry one attempt and no other entry anything. A failure of the consumer itself (a
missing permission, a key of another type) is a ConsumerError and reaches the task that runs it. In between are
transient errors: a cut connection, a server that is loading, full, or has just become a replica. The consumer waits for
these to pass and never raises them.
"""

import asyncio

from coredis.exceptions import (
    AskError,
    ClusterDownError,
    ConnectionError,
    ReadOnlyError,
    RedisClusterError,
    RedisError,
    ResponseError,
    SentinelError,
    TryAgainError,
    UnblockedError,
)

from consumers import loops
from consumers.given import Duration, duration

__all__ = [
    "CallError", "ConsumerError", "DeadLettered", "NoResponders", "Reject", "Retry", "ServerUnavailable", "alone",
    "cut_short", "transient",
]  # fmt: skip


class ConsumerError(Exception):
    """The consumer can't go on: the server refuses what it needs, and trying again won't help."""


class ServerUnavailable(ConnectionError):
    """There is no connection to the server. This is a subclass of coredis's ConnectionError.

    host, port: the server's; for a Unix socket its path and None.
    """

    def __init__(self, reason: str, host: str, port: int | None) -> None:
        super().__init__(f"no connection to {host if port is None else f'{host}:{port}'}: {reason}")
        self.host = host
        self.port = port


class CallError(Exception):
    """A call got no answer, and will not get one."""


class NoResponders(CallError):
    """No group reads the stream, so nobody can answer. Nothing was added to it."""


class DeadLettered(CallError):
    """The entry was given up: `reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the entry was given up: {reason}")
        self.reason = reason


class Reject(Exception):
    """Raised by a handler: this entry can never be handled and goes to the dead letters immediately.

    The text is the reason that is stored with the dead entry.
    """


class Retry(Exception):
    """Raised by a handler: try this entry again.

    delay: seconds or a timedelta; without it the retry policy decides.
    """

    def __init__(self, message: str = "", *, delay: Duration | None = None) -> None:
        super().__init__(message)
        self.delay = None if delay is None else duration("delay", delay)


def alone(error: BaseException) -> BaseException:
    """Unwrap the single exception from the groups that a handler's own task groups have put around it, if any."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def cut_short(error: BaseException) -> BaseException | None:
    """Return the part of an exception that is not the handler's doing: a cancellation, or the user's Ctrl-C.

    None: the handler has failed, whatever it raised. SystemExit and GeneratorExit count as failures: a handler has no
    program of its own to end, and an exception that ended its worker uncounted would end every worker that gets the
    entry.
    """
    outside = (*loops.cancelled_class(), KeyboardInterrupt)
    if isinstance(error, BaseExceptionGroup):
        cut: BaseException | None
        cut, own = error.split(outside)
        if cut is None and loops.current_loop() == "asyncio" and loops.is_cancelled():
            # a group that Trio raises has the cancellation in it
            return asyncio.CancelledError()
        return cut if own is not None else error
    if isinstance(error, asyncio.CancelledError) and not loops.is_cancelled():
        # the handler has awaited a task, or a future, that was cancelled
        return None
    if isinstance(error, outside):
        return error
    if isinstance(error, GeneratorExit) and not loops.cancelled_class():
        # nothing was raised: the loop has ended, and Python closes the coroutine
        return error
    return None


_PASSING = (
    ConnectionError, TimeoutError, OSError, ReadOnlyError, ClusterDownError, AskError, TryAgainError, SentinelError,
    UnblockedError,
)  # fmt: skip
# Replies that have no class in coredis, by their first word.
_PASSING_CODES = ("OOM", "MISCONF", "MASTERDOWN", "NOREPLICAS", "BUSY", "LOADING", "CLUSTERDOWN", "UNKILLABLE")


def transient(error: BaseException) -> bool:
    """Whether the same request may well succeed later."""
    if isinstance(error, _PASSING):
        return True
    if isinstance(error, RedisClusterError) and not isinstance(error, ResponseError):
        # the client's own view of the cluster, in which a slot currently has no known node
        return True
    return isinstance(error, RedisError) and str(error).split(" ", 1)[0] in _PASSING_CODES
