"""What can go wrong, seen from a consumer: for its owner, for a handler, and between the two.

A handler that raises anything costs its own entry one attempt and nobody else anything. A failure of the consumer
itself (no such permission, a key of another type) is a ConsumerError and reaches the task that runs it. Between them
stands what passes by itself: a cut connection, a server that is loading, full, or just became a replica; it is
waited for, never raised.
"""

import trio
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

from consumers.given import Duration, duration

__all__ = ["ConsumerError", "Reject", "Retry", "ServerUnavailable", "alone", "cut_short", "transient"]


class ConsumerError(Exception):
    """The consumer can't go on: what it needs from the server is refused, and trying again won't help."""


class ServerUnavailable(ConnectionError):
    """There is no connection to the server. It is one of coredis's ConnectionErrors.

    host, port: of the server; of a Unix socket its path, and None.
    """

    def __init__(self, reason: str, host: str, port: int | None) -> None:
        super().__init__(f"no connection to {host if port is None else f'{host}:{port}'}: {reason}")
        self.host = host
        self.port = port


class Reject(Exception):
    """Raise it in a handler: this entry can never be handled; it goes to the dead letters at once.

    The text is the reason that stands beside the dead entry.
    """


class Retry(Exception):
    """Raise it in a handler: try this entry again.

    delay: seconds, or a timedelta; without it the retry policy says when.
    """

    def __init__(self, message: str = "", *, delay: Duration | None = None) -> None:
        super().__init__(message)
        self.delay = None if delay is None else duration("delay", delay)


def alone(error: BaseException) -> BaseException:
    """The one exception in what a handler's own nursery has put around it; else the error as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def cut_short(error: BaseException) -> BaseException | None:
    """The part of what left a handler that is none of its doing: that it was cancelled, or the user's Ctrl-C.

    None: the handler has failed, whatever it raised. SystemExit and GeneratorExit count: a handler has no program of
    its own to end, and what ends its worker uncounted would end every worker that gets the entry.
    """
    if isinstance(error, BaseExceptionGroup):
        outside, own = error.split((trio.Cancelled, KeyboardInterrupt))
        return outside if own is not None else error
    if isinstance(error, trio.Cancelled | KeyboardInterrupt):
        return error
    if isinstance(error, GeneratorExit) and not trio.lowlevel.in_trio_task():
        # nothing was raised: Trio has gone, and Python closes the coroutine
        return error
    return None


_PASSING = (
    ConnectionError, TimeoutError, OSError, ReadOnlyError, ClusterDownError, AskError, TryAgainError, SentinelError,
    UnblockedError,
)  # fmt: skip
# Replies that have no class of their own in coredis, by their first word.
_PASSING_CODES = ("OOM", "MISCONF", "MASTERDOWN", "NOREPLICAS", "BUSY", "LOADING", "CLUSTERDOWN", "UNKILLABLE")


def transient(error: BaseException) -> bool:
    """Whether the same request may well succeed later."""
    if isinstance(error, _PASSING):
        return True
    if isinstance(error, RedisClusterError) and not isinstance(error, ResponseError):
        # the client's own picture of the cluster, in which no node is known for a slot at the moment
        return True
    return isinstance(error, RedisError) and str(error).split(" ", 1)[0] in _PASSING_CODES
