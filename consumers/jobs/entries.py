"""A job as a stream entry: its ID, the function's name, its arguments, and what must be stored with it.

The job's ID is not the entry's: a job that is delayed, retried or parked leaves its stream and comes back as another
entry. While it is in no stream, its fields are kept as a body: one msgpack array of the stream and all fields.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from consumers.connecting import Command
from consumers.headers import TRACEPARENT, TRACESTATE
from consumers.jobs.names import Keys

__all__ = [
    "DAMAGED", "JobEntry", "body_of", "error_text", "from_body", "new_ids", "put_into_stream", "read_body",
    "read_entry", "time_in", "trace_of",
]  # fmt: skip

ID, JOB, ARGUMENTS = b"id", b"job", b"args"
REPLY, UNIQUE, FAILED, SINCE, PERIODIC, FLOW = b"reply", b"unique", b"failed", b"since", b"periodic", b"flow"
ERROR, EXPIRES, TURN, PLAN = b"error", b"expires", b"turn", b"plan"
PARENT, STATE = TRACEPARENT.encode(), TRACESTATE.encode()

ERROR_LIMIT = 300
"""Characters of an attempt's error that are kept while the job waits for the next one."""

DAMAGED = "what is stored of it is damaged"
"""The error of a job in no stream of which only the ID can be read."""

TIME_DIGITS, ID_LENGTH = 12, 30
"""Hexadecimal digits: of the time in an ID, and of an ID that has one."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes]).decode


@dataclass(frozen=True, slots=True)
class JobEntry:
    """id: the job's ID. job: the function's job name. arguments: msgpack.

    reply: the token of the program that enqueued it, which listens for it. unique: the place that it holds, see
    Keys.unique; "": none. failed: how often it has failed. since: its position among parked jobs, 0 if it was never
    parked. periodic: it is an occurrence of a periodic job, obsolete once that has no schedule any more. error: what
    the last attempt raised. expires: when it is too late to begin it, in seconds since 1970; 0.0: never. flow: its
    place in a workflow, see flow_state.Position; "": it is in none. turn: its tenant, with which it waits for its turn
    (turns.py); "": it does not. trace: what it is part of, as from trace_of(). plan: the revision and name of the plan
    whose occurrence it is (plans.py), or "".
    """

    id: str
    job: str
    arguments: bytes
    reply: str = ""
    unique: str = ""
    failed: int = 0
    since: int = 0
    periodic: bool = False
    error: str = ""
    expires: float = 0.0
    flow: str = ""
    turn: str = ""
    trace: str = ""
    plan: str = ""

    def values(self) -> list[bytes | str | int]:
        """Fields and values in turn, as XADD takes them."""
        values: list[bytes | str | int] = [ID, self.id, JOB, self.job, ARGUMENTS, self.arguments]
        if self.reply:
            values += (REPLY, self.reply)
        if self.unique:
            values += (UNIQUE, self.unique)
        if self.failed:
            values += (FAILED, self.failed)
        if self.since:
            values += (SINCE, self.since)
        if self.periodic:
            values += (PERIODIC, 1)
        if self.error:
            values += (ERROR, self.error)
        if self.expires:
            values += (EXPIRES, f"{self.expires:.3f}")
        if self.flow:
            values += (FLOW, self.flow)
        if self.turn:
            values += (TURN, self.turn)
        if self.trace:
            parent, _, state = self.trace.partition(" ")
            values += (PARENT, parent, STATE, state) if state else (PARENT, parent)
        if self.plan:
            values += (PLAN, self.plan)
        return values

    @classmethod
    def read(cls, values: Sequence[bytes]) -> "JobEntry":
        """From an entry's fields and values. Raises ValueError for an entry that is not a job."""
        fields = dict(zip(values[::2], values[1::2], strict=True))
        try:
            id, job, arguments = fields[ID].decode(), fields[JOB].decode(), fields[ARGUMENTS]
        except KeyError as error:
            raise ValueError(f"not a job: the field {error.args[0].decode()} is missing") from None
        if len(fields) == 4 and REPLY in fields:
            # nearly every job
            return cls(id, job, arguments, fields[REPLY].decode())
        return cls(
            id, job, arguments,
            reply=fields.get(REPLY, b"").decode(),
            unique=fields.get(UNIQUE, b"").decode(),
            failed=_number(fields.get(FAILED, b"0")),
            since=_number(fields.get(SINCE, b"0")),
            periodic=PERIODIC in fields,
            error=fields.get(ERROR, b"").decode("utf-8", "replace"),
            expires=_seconds(fields.get(EXPIRES, b"")),
            flow=fields.get(FLOW, b"").decode(),
            turn=fields.get(TURN, b"").decode(),
            trace=b" ".join(fields[name] for name in (PARENT, STATE) if name in fields).decode("utf-8", "replace"),
            plan=fields.get(PLAN, b"").decode(),
        )  # fmt: skip


def trace_of(headers: Mapping[str, str]) -> str:
    """Return the trace of what carries these headers (headers.py): traceparent, and tracestate after a space."""
    return " ".join(headers[name] for name in (TRACEPARENT, TRACESTATE) if name in headers)


def _number(text: bytes) -> int:
    return int(text) if text.isdigit() else 0


def _seconds(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def new_ids(now: float, count: int) -> list[str]:
    """Return IDs that are unique everywhere: the time in milliseconds, and 72 random bits."""
    time, rest = f"{round(now * 1000):0{TIME_DIGITS}x}", ID_LENGTH - TIME_DIGITS
    # one system call for all: 0.3 us less for each
    random = os.urandom(count * rest // 2).hex()
    return [time + random[begin : begin + rest] for begin in range(0, count * rest, rest)]


def time_in(id: str) -> float | None:
    """When the job with this ID was enqueued, by its program's clock; None for an ID that does not tell."""
    if len(id) != ID_LENGTH:
        return None
    try:
        return int(id[:TIME_DIGITS], 16) / 1000
    except ValueError:
        return None


def error_text(error: BaseException) -> str:
    """What an attempt raised, as a job that waits for its next attempt carries it."""
    return f"{type(error).__name__}: {error}"[:ERROR_LIMIT].encode("utf-8", "replace").decode()


def body_of(stream: str, entry: JobEntry) -> bytes:
    """The stored form of a job that is in no stream."""
    return _encode([stream.encode(), *(one if isinstance(one, bytes) else str(one).encode() for one in entry.values())])


def from_body(body: bytes) -> tuple[str, list[bytes]]:
    """Return the stream, and the fields and values in turn. Raises ValueError."""
    stream, *values = _decode(body)
    if not values or len(values) % 2:
        raise ValueError("not a job: a field without a value")
    return stream.decode(), values


def put_into_stream(keys: Keys, ids: Sequence[bytes], bodies: Sequence[bytes | None]) -> list[Command]:
    """XADD commands for stored jobs. A damaged one becomes an entry that is not a job, and so a dead letter."""
    commands: list[Command] = []
    for id, body in zip(ids, bodies, strict=True):
        if body is None:
            continue
        try:
            stream, values = from_body(body)
            damaged = not stream.startswith(keys.prefix)
        except ValueError:
            damaged = True
        if damaged:
            stream, values = keys.resumed, [ID, id, b"damaged", body]
        commands.append((b"XADD", stream, b"*", *values))
    return commands


def read_body(body: bytes) -> tuple[str, JobEntry] | None:
    """The stream of a job that is in none now, and the job; None for a stored form that is damaged."""
    try:
        stream, values = from_body(body)
        return stream, JobEntry.read(values)
    except ValueError:
        return None


def read_entry(values: Sequence[bytes]) -> JobEntry | None:
    """The job in an entry; None for one that is not a job."""
    try:
        return JobEntry.read(values)
    except ValueError:
        return None
