"""Configuring and restoring the records of idempotent producers: XCFGSET and XIDMPRECORD."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.streams.arguments import strict_id
from broker.config.directives import REDIS_7_0
from broker.table.arguments import at_least
from broker.table.command import DENYOOM, FAST, RW, UPDATE, WRITE, command, key
from broker.table.parsers import Parser
from broker.values.streams.stream import Stream
from protocol.errors import NO_SUCH_KEY, CommandError
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


ONCE: Final = {"IDMP-DURATION": DURATION_TWICE, "IDMP-MAXSIZE": MAXSIZE_TWICE}
VALUES: Final = {
    "IDMP-DURATION": at_least(1, DURATION_RANGE, _MAX_DURATION),
    "IDMP-MAXSIZE": at_least(1, MAXSIZE_RANGE, _MAX_MAXSIZE),
}
_OPTIONS: Final = Parser[tuple[int | None, int | None]]("XCFGSET", once=ONCE, values=VALUES)


def existing_stream(session: Client, name: bytes) -> Stream:
    stream = session.db.get_as(name, Stream)
    if stream is None:
        raise CommandError(NO_SUCH_KEY)
    return stream


@command("XCFGSET", arity=-2, flags=WRITE | FAST, keys=(key(RW, UPDATE),), group="stream", since="8.6.0",
         syntax="key [IDMP-DURATION idmp-duration] [IDMP-MAXSIZE idmp-maxsize]",
         summary="Sets how long and how many idempotency IDs a stream remembers.", complexity="O(1)")  # fmt: skip
def xcfgset(session: Client, args: list[bytes]) -> bytes:
    stream = existing_stream(session, args[1])
    duration, maxsize = _OPTIONS.parse(args, 2)
    if duration is None and maxsize is None:
        raise CommandError(NOTHING_SET)
    if stream.idempotency.configure(duration, maxsize):
        session.db.keyspace.dirty += 1
        _drop_for_older(session)
    return OK


def configure_producers(
    session: Client, name: bytes, stream: Stream, duration: int | None, maxsize: int | None
) -> None:
    """Sets what XCFGSET sets for idempotent producers, and adds the effect to those of the running command."""
    if not stream.idempotency.configure(duration, maxsize):
        return
    session.db.keyspace.dirty += 1
    if session.broker.config.replication_compat != REDIS_7_0:
        effect = [b"XCFGSET", name]
        if duration is not None:
            effect += [b"IDMP-DURATION", b"%d" % duration]
        if maxsize is not None:
            effect += [b"IDMP-MAXSIZE", b"%d" % maxsize]
        session.db.keyspace.effects.replace_with(effect)


@command("XIDMPRECORD", arity=5, flags=WRITE | DENYOOM | FAST, keys=(key(RW, UPDATE),), group="stream", since="8.6.2",
         syntax="key pid iid stream-id",
         summary="Records the entry that a producer's idempotency ID belongs to, for replication and restoring.",
         complexity="O(1)")  # fmt: skip
def xidmprecord(session: Client, args: list[bytes]) -> bytes:
    _, name, producer, iid, id_text = args
    id = strict_id(id_text)
    if not producer:
        raise CommandError(EMPTY_PRODUCER)
    if not iid:
        raise CommandError(EMPTY_IID)
    stream = existing_stream(session, name)
    if id not in stream:
        raise CommandError(NO_ENTRY)
    known = stream.idempotency.find(producer, iid, now=0)
    if known is None:
        stream.idempotency.record(producer, iid, id)
        session.db.keyspace.dirty += 1
        _drop_for_older(session)
    elif known != id:
        raise CommandError(IID_TAKEN)
    return OK


def _drop_for_older(session: Client) -> None:
    """Propagates nothing if servers of 7.0 must understand it: they have no word for idempotent producers."""
    if session.broker.config.replication_compat == REDIS_7_0:
        session.db.keyspace.effects.replace_with()
