"""A job as a stream entry: its ID, the function's name, its arguments, and what must be stored with it.

The job's ID is not the entry's: a job that is delayed, retried or parked leaves its stream and comes back as another
entry. While it is in no stream, its fields are kept as a body: one msgpack array of the stream and all fields.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

__all__ = ["JobEntry", "body_of", "from_body", "new_id"]

ID, JOB, ARGUMENTS = b"id", b"job", b"args"
REPLY, UNIQUE, FAILED, SINCE, PERIODIC = b"reply", b"unique", b"failed", b"since", b"periodic"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes]).decode


@dataclass(frozen=True, slots=True)
class JobEntry:
    """id: the job's ID. job: the function's job name. arguments: msgpack.

    reply: the token of the program that enqueued it, which listens for it. unique: the place that it holds, see
    Keys.unique; "": none. failed: how often it has failed. since: its position among parked jobs, 0 if it was never
    parked. periodic: it is an occurrence of a periodic job, obsolete once that has no schedule any more.
    """

    id: str
    job: str
    arguments: bytes
    reply: str = ""
    unique: str = ""
    failed: int = 0
    since: int = 0
    periodic: bool = False

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
        return values

    @classmethod
    def read(cls, values: Sequence[bytes]) -> "JobEntry":
        """From an entry's fields and values. Raises ValueError for an entry that is not a job."""
        fields = dict(zip(values[::2], values[1::2], strict=True))
        try:
            id, job, arguments = fields[ID].decode(), fields[JOB].decode(), fields[ARGUMENTS]
        except KeyError as error:
            raise ValueError(f"not a job: the field {error.args[0].decode()} is missing") from None
        if len(fields) == 3:
            return cls(id, job, arguments)
        return cls(
            id, job, arguments,
            reply=fields.get(REPLY, b"").decode(),
            unique=fields.get(UNIQUE, b"").decode(),
            failed=_number(fields.get(FAILED, b"0")),
            since=_number(fields.get(SINCE, b"0")),
            periodic=PERIODIC in fields,
        )  # fmt: skip


def _number(text: bytes) -> int:
    return int(text) if text.isdigit() else 0


def new_id() -> str:
    """Return an ID that is unique everywhere: 96 random bits."""
    return os.urandom(12).hex()


def body_of(stream: str, entry: JobEntry) -> bytes:
    """The stored form of a job that is in no stream."""
    return _encode([stream.encode(), *(one if isinstance(one, bytes) else str(one).encode() for one in entry.values())])


def from_body(body: bytes) -> tuple[str, list[bytes]]:
    """Return the stream, and the fields and values in turn. Raises ValueError."""
    stream, *values = _decode(body)
    return stream.decode(), values
