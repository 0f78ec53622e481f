"""Request and reply over a stream, in brokers with `stream-extensions`: XCALL and XREPLY."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.streams.arguments import strict_id, strict_ids
from broker.commands.streams.consume import xack, xackdel
from broker.commands.streams.write import xadd
from broker.table.arguments import timeout_milliseconds
from broker.table.command import BLOCKING, DELETE, DENYOOM, FAST, RW, UPDATE, WRITE, command, key
from broker.values.streams.stream import Stream
from protocol.errors import SYNTAX, CommandError, wrong_arity
from protocol.replies import ONE, ZERO

NO_RESPONDERS: Final = b"NORESPONDERS no group reads this stream"
NOT_ALONE: Final = b"ERR XCALL can't be used in a transaction or script"
NEEDS_AUTO_ID: Final = b"ERR XCALL needs the ID *"


@command("XCALL", arity=-6, flags=WRITE | DENYOOM | BLOCKING, keys=(key(RW, UPDATE, at=2),), group="stream",
         since="8.10.0", syntax="timeout=milliseconds key id-selector=<*> <field value> ...",
         summary="Adds an entry to a stream, and returns the answer that a consumer gives with XREPLY.",
         complexity="O(1)", tips=("nondeterministic_output",), extension=True)  # fmt: skip
def xcall(session: Client, args: list[bytes]) -> bytes:
    broker, db, name = session.broker, session.db, args[2]
    timeout = timeout_milliseconds(args[1], broker.clock.now)
    if args[3] != b"*":
        raise CommandError(NEEDS_AUTO_ID)
    if len(args) & 1:
        raise CommandError(wrong_arity(b"xcall"))
    if session.deny_blocking:
        raise CommandError(NOT_ALONE)
    stream = db.get_as(name, Stream)
    if stream is None or not stream.groups:
        raise CommandError(NO_RESPONDERS)
    xadd(session, [b"XADD", *args[2:]])
    return broker.calls.wait(session, xcall, args, stream.last_id, timeout)


@command("XREPLY", arity=-5, flags=WRITE | FAST, keys=(key(RW, UPDATE),), group="stream", since="8.10.0",
         syntax="key group id value [DEADLETTER]",
         summary="Acknowledges an entry, and answers the client that has added it with XCALL.", complexity="O(1)",
         extension=True)  # fmt: skip
def xreply(session: Client, args: list[bytes]) -> bytes:
    db, name, calls = session.db, args[1], session.broker.calls
    died = len(args) == 6 and args[5].upper() == b"DEADLETTER"
    if len(args) > 5 and not died:
        raise CommandError(SYNTAX)
    id = strict_id(args[3])
    stream = db.get_as(name, Stream)
    if stream is None or args[2] not in stream.groups:
        return ZERO
    words = [b"XACK", *args[1:4]]
    db.keyspace.effects.begin_with(words)
    xack(session, words)
    answered = calls.died(db, name, id, args[4]) if died else calls.answer(db, name, id, args[4])
    return ONE if answered else ZERO


@command("XACK", arity=-4, flags=WRITE | FAST, keys=(key(RW, UPDATE),), group="stream", since="5.0.0",
         syntax="key group id ...",
         summary="Acknowledges entries, which removes them from the group's pending entries.",
         complexity="O(1) for each ID", extension=True)  # fmt: skip
def xack_extended(session: Client, args: list[bytes]) -> bytes:
    reply = xack(session, args)
    calls = session.broker.calls
    if calls.waiting:
        calls.acknowledged(session.db, args[1], strict_ids(args[3:]))
    return reply


@command("XACKDEL", arity=-6, flags=WRITE | FAST, keys=(key(RW, UPDATE, DELETE),), group="stream", since="8.2.0",
         syntax="key group [KEEPREF|DELREF|ACKED] IDS numids id ...",
         summary="Acknowledges entries and removes them from the stream.",
         complexity="O(1) for each ID and group", extension=True)  # fmt: skip
def xackdel_extended(session: Client, args: list[bytes]) -> bytes:
    reply = xackdel(session, args)
    calls = session.broker.calls
    if calls.waiting:
        at = [word.upper() for word in args[3:5]].index(b"IDS") + 5
        calls.acknowledged(session.db, args[1], strict_ids(args[at:]))
    return reply
