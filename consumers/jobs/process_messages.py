"""What a worker and a process of its pool send each other: length-prefixed msgpack, in pipes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

__all__ = [
    "HEADER",
    "Began",
    "Logged",
    "Progressed",
    "Raised",
    "Reply",
    "Returned",
    "Run",
    "framed",
    "read_reply",
    "read_run",
]

HEADER: Final = 4
"""Bytes of a message's length. No argument or result is longer, since no server stores more in one value."""


class Run(msgspec.Struct, array_like=True, frozen=True):
    """Call a function of a module. main: how the main program is found, if that is the module.

    id, job, attempt, arguments: the job's; arguments are msgpack. log_level: what the worker's log shows.
    """

    module: str
    qualname: str
    main: dict[str, str]
    id: str
    job: str
    attempt: int
    arguments: bytes
    log_level: int


class Began(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """The module is imported, and the function called."""


class Progressed(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """The function has reported its progress."""

    done: float
    total: float | None
    note: str


class Logged(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """A log record, pickled."""

    record: bytes


class Returned(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """The function has returned; value: msgpack."""

    value: bytes


class Raised(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """The function has raised. pickled: the exception, empty if it can't be pickled."""

    pickled: bytes
    kind: str
    message: str
    traceback: str


Reply = Began | Progressed | Logged | Returned | Raised

_encode = msgspec.msgpack.Encoder().encode
read_run = msgspec.msgpack.Decoder(Run).decode
read_reply: Callable[[bytes], Reply] = msgspec.msgpack.Decoder(Reply).decode


def framed(message: Run | Reply) -> bytes:
    """The bytes of a message. Raises OverflowError if they are too many."""
    data = _encode(message)
    return len(data).to_bytes(HEADER, "big") + data
