"""A job's outcome as it is stored: one byte for its kind, and msgpack."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from consumers.jobs.payloads import encode

__all__ = [
    "CANCELLED", "JobCancelled", "JobError", "JobFailed", "JobTimeout", "NoResult", "failure", "outcome", "success",
]  # fmt: skip

TRACEBACK_LIMIT = 8000
"""Characters of a traceback's end that are kept."""

MESSAGE_LIMIT = 1000


class JobError(Exception):
    """A job did not return."""


class JobFailed(JobError):
    """A job was given up. It is in the dead-letter stream.

    kind: the name of the exception's class. message: its text. attempts: how often the job was run.
    traceback: where it was raised, as text. The exception object itself is not sent: payloads are data.
    """

    def __init__(self, kind: str, message: str, attempts: int, traceback: str) -> None:
        super().__init__(f"{kind}: {message}" if message else kind)
        self.kind = kind
        self.message = message
        self.attempts = attempts
        self.traceback = traceback


class JobCancelled(JobError):
    """A job was cancelled before it returned."""


class NoResult(JobError):
    """There will be no result: there is no such job, or it has ended and its result is not kept (any more)."""


class JobTimeout(Exception):
    """A job exceeded its timeout. This counts as a failure and is retried like any other."""


@dataclass(frozen=True, slots=True)
class _Failure:
    kind: str
    message: str
    attempts: int
    traceback: str


_decode_failure = msgspec.msgpack.Decoder(_Failure).decode

SUCCESS, FAILURE, CANCELLED = b"+", b"-", b"x"


def success(value: object) -> bytes:
    """The stored outcome of a job that returned `value`. Raises TypeError if that is not data."""
    return SUCCESS + encode(value)


def failure(error: BaseException, attempts: int) -> bytes:
    """The stored outcome of a job that was given up after `error`."""
    trace = "".join(traceback.format_exception(error))[-TRACEBACK_LIMIT:].encode("utf-8", "replace").decode()
    message = str(error)[:MESSAGE_LIMIT].encode("utf-8", "replace").decode()
    return FAILURE + encode(_Failure(type(error).__name__, message, attempts, trace))


def outcome(stored: bytes, decode: Callable[[bytes], Any]) -> Any:
    """Return the job's result, by its function's decoder. Raises JobFailed, JobCancelled, or ValueError if invalid."""
    kind, data = stored[:1], stored[1:]
    if kind == SUCCESS:
        return decode(data)
    if kind == CANCELLED:
        raise JobCancelled("the job was cancelled")
    if kind == FAILURE:
        about = _decode_failure(data)
        raise JobFailed(about.kind, about.message, about.attempts, about.traceback)
    raise ValueError("the stored value is not a result")
