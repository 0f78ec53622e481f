"""A job's outcome as it is stored: one byte for its kind, and msgpack of how it ended, its result or error included.

Outcomes are kept for minutes. Workers of an earlier release store the value alone, under other kinds; these are read as
well, for deployments in which new programs wait for jobs that old workers run.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import msgspec

from consumers.connection import Command
from consumers.jobs.names import Keys
from consumers.jobs.payloads import encode
from consumers.jobs.states import Progress

__all__ = [
    "CANCELLED", "EXPIRED", "FAILURE", "NONE", "SUCCESS", "Ended", "JobCancelled", "JobError", "JobExpired",
    "JobFailed", "JobProcessDied", "JobSkipped", "JobTimeout", "NoResult", "Stamp", "cancelled", "ended", "error_of",
    "expired", "failure", "failure_of_flow", "outcome", "skipped", "store", "success",
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
    node: if this is raised for a workflow, the name of the node that failed first; otherwise "".
    """

    def __init__(self, kind: str, message: str, attempts: int, traceback: str, node: str = "") -> None:
        text = f"{kind}: {message}" if message else kind
        super().__init__(f"{node}: {text}" if node else text)
        self.node = node
        self.kind = kind
        self.message = message
        self.attempts = attempts
        self.traceback = traceback


class JobCancelled(JobError):
    """A job was cancelled before it returned."""


class JobExpired(JobError):
    """A job was not begun by the time at which it expired, and was dropped."""


class JobSkipped(JobError):
    """A workflow's job was not started, because a job that it depends on failed or was cancelled."""


class NoResult(JobError):
    """There will be no result: there is no such job, or it has ended and its result is not kept (any more)."""


class JobTimeout(Exception):
    """A job exceeded its timeout. This counts as a failure and is retried like any other."""


class JobProcessDied(Exception):
    """A job ended its process (a segmentation fault, os._exit). This counts as a failure and is retried like others."""


@dataclass(frozen=True, slots=True)
class _Failure:
    kind: str
    message: str
    attempts: int
    traceback: str
    node: str = ""


_decode_failure = msgspec.msgpack.Decoder(_Failure).decode

SUCCESS, FAILURE, CANCELLED, EXPIRED, SKIPPED = b"S", b"F", b"C", b"E", b"K"
_KINDS = frozenset((SUCCESS, FAILURE, CANCELLED, EXPIRED, SKIPPED))
_EARLIER = {b"+": SUCCESS, b"-": FAILURE, b"x": CANCELLED}

Stamp: TypeAlias = tuple[str, int, float, float, str, Progress | None]
"""What is known of a job that ended: its function's job name, how often it was run, when the last run began and ended
(seconds since 1970; 0.0: never), the worker, and the last progress that it reported."""

NONE: Stamp = ("", 0, 0.0, 0.0, "", None)


def store(keys: Keys, id: str, stored: bytes, keep: float) -> list[Command]:
    """The command that stores a job's outcome for `keep` seconds; none if that is 0."""
    return [(b"SET", keys.result(id), stored, b"PX", round(keep * 1000))] if keep > 0 else []


class Ended(msgspec.Struct, frozen=True, array_like=True):
    """A stored outcome; see Stamp. value: the msgpack of the result, or of the failure."""

    job: str
    attempts: int
    begun: float
    ended: float
    worker: str
    progress: Progress | None
    value: msgspec.Raw


_decode_ended = msgspec.msgpack.Decoder(Ended).decode


def success(value: object, stamp: Stamp = NONE) -> bytes:
    """The stored outcome of a job that returned `value`. Raises TypeError if that is not data."""
    return SUCCESS + encode((*stamp, value))


def failure(error: BaseException, stamp: Stamp = NONE) -> bytes:
    """The stored outcome of a job that was given up after `error`."""
    trace = "".join(traceback.format_exception(error))[-TRACEBACK_LIMIT:].encode("utf-8", "replace").decode()
    message = str(error)[:MESSAGE_LIMIT].encode("utf-8", "replace").decode()
    return FAILURE + encode((*stamp, _Failure(type(error).__name__, message, stamp[1], trace)))


def cancelled(stamp: Stamp = NONE) -> bytes:
    """The stored outcome of a job that was cancelled."""
    return CANCELLED + encode((*stamp, None))


def expired(stamp: Stamp = NONE) -> bytes:
    """The stored outcome of a job that was dropped because it had expired."""
    return EXPIRED + encode((*stamp, None))


def skipped() -> bytes:
    """The stored outcome of a workflow's job that was not started."""
    return SKIPPED + encode((*NONE, None))


def ended(stored: bytes) -> tuple[bytes, Ended]:
    """Return the kind of a stored outcome, and the rest. Raises ValueError if it is invalid."""
    kind, data = stored[:1], stored[1:]
    if kind in _EARLIER:
        return _EARLIER[kind], Ended(*NONE, value=msgspec.Raw(data))
    if kind not in _KINDS:
        raise ValueError("the stored value is not a result")
    try:
        return kind, _decode_ended(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"the stored value is not a result: {error}") from None


def error_of(one: Ended) -> JobFailed:
    """The failure in an outcome of that kind."""
    about = _decode_failure(one.value)
    return JobFailed(about.kind, about.message, about.attempts, about.traceback, about.node)


def failure_of_flow(node: str, stored: bytes) -> bytes:
    """The stored outcome of a workflow in which this node failed, from that of the node."""
    one = ended(stored)[1]
    about = replace(_decode_failure(one.value), node=node)
    return FAILURE + encode(msgspec.structs.replace(one, value=msgspec.Raw(encode(about))))


def outcome(stored: bytes, decode: Callable[[bytes], Any]) -> Any:
    """Return the job's result, by its function's decoder.

    Raises JobFailed, JobCancelled, JobExpired, JobSkipped, or ValueError if the outcome is invalid.
    """
    kind, one = ended(stored)
    if kind == SUCCESS:
        return decode(bytes(one.value))
    if kind == CANCELLED:
        raise JobCancelled("the job was cancelled")
    if kind == EXPIRED:
        raise JobExpired("the job had expired before it was begun")
    if kind == SKIPPED:
        raise JobSkipped("the job was not started: one that it depends on failed or was cancelled")
    raise error_of(one)
