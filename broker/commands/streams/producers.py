"""The settings and the restoring of idempotent producers: XCFGSET and XIDMPRECORD."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.streams.arguments import strict_id
from broker.table.arguments import integer
from broker.table.command import DENYOOM, FAST, RW, UPDATE, WRITE, command, key
from broker.values.streams.stream import Stream
from protocol.errors import NO_SUCH_KEY, SYNTAX, CommandError
from protocol.replies import OK

EMPTY_PRODUCER: Final = b"ERR producer ID must be non-empty"
EMPTY_IID: Final = b"ERR idempotent ID must be non-empty"
NO_ENTRY: Final = b"ERR No such message in stream"
IID_TAKEN: Final = b"ERR IID already exists for this producer with a different stream ID"
DURATION_TWICE: Final = b"ERR IDMP-DURATION specified multiple times"
DURATION_RANGE: Final = b"ERR IDMP-DURATION must be between 1 and 86400 seconds"
MAXSIZE_TWICE: Final = b"ERR IDMP-MAXSIZE specified multiple times"
MAXSIZE_RANGE: Final = b"ERR IDMP-MAXSIZE must be between 1 and 10000 entries"
NOTHING_SET: Final = b"ERR At least one parameter must be specified"

_MAX_DURATION: Final = 86_400
_MAX_MAXSIZE: Final = 10_000


def _stream(session: Client, name: bytes) -> Stream:
    stream = session.db.get_as(name, Stream)
    if stream is None:
        raise CommandError(NO_SUCH_KEY)
    return stream


@command("XCFGSET", arity=-2, flags=WRITE | FAST, keys=(key(RW, UPDATE),), group="stream", since="8.6.0",
         syntax="key [IDMP-DURATION idmp-duration] [IDMP-MAXSIZE idmp-maxsize]",
         summary="Sets how long and how many idempotency IDs a stream remembers.", complexity="O(1)")  # fmt: skip
def xcfgset(session: Client, args: list[bytes]) -> bytes:
    stream = _stream(session, args[1])
    duration = maxsize = None
    i = 2
    while i < len(args):
        word = args[i].upper()
        if i + 1 == len(args):
            raise CommandError(SYNTAX)
        if word == b"IDMP-DURATION":
            if duration is not None:
                raise CommandError(DURATION_TWICE)
            duration = integer(args[i + 1])
            if not 1 <= duration <= _MAX_DURATION:
                raise CommandError(DURATION_RANGE)
        elif word == b"IDMP-MAXSIZE":
            if maxsize is not None:
                raise CommandError(MAXSIZE_TWICE)
            maxsize = integer(args[i + 1])
            if not 1 <= maxsize <= _MAX_MAXSIZE:
                raise CommandError(MAXSIZE_RANGE)
        else:
            raise CommandError(SYNTAX)
        i += 2
    if duration is None and maxsize is None:
        raise CommandError(NOTHING_SET)
    if stream.idempotency.configure(duration, maxsize):
        session.db.keyspace.dirty += 1
    return OK


@command("XIDMPRECORD", arity=5, flags=WRITE | DENYOOM | FAST, keys=(key(RW, UPDATE),), group="stream", since="8.6.2",
         syntax="key pid iid stream-id",
         summary="Records which entry a producer's idempotency ID became, for replication and restoring.",
         complexity="O(1)")  # fmt: skip
def xidmprecord(session: Client, args: list[bytes]) -> bytes:
    _, name, producer, iid, id_text = args
    id = strict_id(id_text)
    if not producer:
        raise CommandError(EMPTY_PRODUCER)
    if not iid:
        raise CommandError(EMPTY_IID)
    stream = _stream(session, name)
    if id not in stream:
        raise CommandError(NO_ENTRY)
    known = stream.idempotency.find(producer, iid, now=0)
    if known is None:
        stream.idempotency.record(producer, iid, id)
        session.db.keyspace.dirty += 1
    elif known != id:
        raise CommandError(IID_TAKEN)
    return OK
