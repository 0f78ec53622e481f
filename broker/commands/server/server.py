"""Shutting down, and waiting for replicas and the journal: SHUTDOWN, WAIT, WAITAOF."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.table.arguments import MAX_INTEGER, integer, integer_between, timeout_milliseconds
from broker.table.command import ADMIN, ALLOW_BUSY, BLOCKING, LOADING, NO_MULTI, NOSCRIPT, STALE, command
from protocol.errors import NOT_INTEGER, NOT_POSITIVE, SHUTDOWN_FAILED, SYNTAX, CommandError
from protocol.replies import NO_REPLY, OK, integers
from protocol.replies import integer as integer_reply

NO_SHUTDOWN: Final = b"ERR No shutdown in progress."
SHUTDOWN_DENIED: Final = b"ERR SHUTDOWN without NOW or ABORT isn't allowed for DENY BLOCKING client"

NUMLOCAL: Final = b"ERR value is out of range, value must between 0 and 1"
NO_WAIT_ON_REPLICA: Final = (
    b"ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured"
    b" to be writable (which is not the default) writes to replicas are just local and are not propagated."
)
NO_WAITAOF_ON_REPLICA: Final = (
    b"ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and"
    b" are not propagated."
)
NO_JOURNAL: Final = b"ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."

_SHUTDOWN_OPTIONS: Final = frozenset({b"NOSAVE", b"SAVE", b"NOW", b"FORCE", b"ABORT"})


@command("SHUTDOWN", arity=-1, flags=ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY, group="server",
         since="1.0.0",
         syntax="save-selector=[NOSAVE|SAVE] [NOW]@7.0.0 [FORCE]@7.0.0 [ABORT]@7.0.0",
         summary="Shuts the broker down, after saving if so configured.",
         complexity="O(N) when saving, where N is the total number of keys in all databases when saving data,"
                    " otherwise O(1)")  # fmt: skip
def shutdown(session: Client, args: list[bytes]) -> bytes:
    options = {argument.upper() for argument in args[1:]}
    if options - _SHUTDOWN_OPTIONS or options >= {b"SAVE", b"NOSAVE"} or (b"ABORT" in options and len(options) > 1):
        raise CommandError(SYNTAX)
    if b"ABORT" in options:
        if not session.broker.farewell.waiting:
            raise CommandError(NO_SHUTDOWN)
        session.broker.farewell.abort()
        return OK
    if session.deny_blocking and b"NOW" not in options:
        raise CommandError(SHUTDOWN_DENIED)
    if session.broker.state.busy is not None:
        if b"NOSAVE" not in options:
            raise CommandError(session.broker.state.busy)
        session.broker.scripting.interruption.abandon()
    session.broker.log.notice("SHUTDOWN requested", id=session.id, options=b" ".join(sorted(options)))
    stopping = session.broker.request_shutdown(frozenset(options))
    if stopping is None:
        return session.broker.blocking.wait(
            session, shutdown, args, keys=(), value_type=None, timeout_ms=0, timeout_reply=NO_REPLY
        )
    if not stopping:
        raise CommandError(SHUTDOWN_FAILED)
    # The client sees its connection close, and nothing that it sent after this is executed.
    session.close()
    return NO_REPLY


@command("WAIT", arity=3, flags=BLOCKING, group="generic", since="3.0.0",
         syntax="numreplicas timeout:integer",
         summary="Waits until replicas have the client's writes; returns their number.", complexity="O(1)",
         categories=("connection",), tips=("request_policy:all_shards", "response_policy:agg_min"))  # fmt: skip
def wait(session: Client, args: list[bytes]) -> bytes:
    broker = session.broker
    if broker.feed.following:
        raise CommandError(NO_WAIT_ON_REPLICA)
    wanted = integer(args[1])
    timeout = timeout_milliseconds(args[2], broker.clock.now)
    waits = broker.replica_waits
    have = waits.acknowledged(session)
    reply = integer_reply(have)
    if have >= wanted:
        return reply
    waits.begin(session)
    return broker.blocking.wait(session, wait, args, keys=(), value_type=None, timeout_ms=timeout, timeout_reply=reply)


@command("WAITAOF", arity=4, flags=BLOCKING, group="generic", since="7.2.0",
         syntax="numlocal:integer numreplicas timeout:integer",
         summary="Waits until the client's writes are in the journal, here and on replicas.", complexity="O(1)",
         categories=("connection",), tips=("request_policy:all_shards", "response_policy:agg_min"))  # fmt: skip
def waitaof(session: Client, args: list[bytes]) -> bytes:
    integer(args[1], NOT_INTEGER)
    local = integer_between(args[1], 0, 1, NUMLOCAL)
    replicas = integer_between(args[2], 0, MAX_INTEGER, NOT_POSITIVE)
    timeout = timeout_milliseconds(args[3], session.broker.clock.now)
    broker = session.broker
    if broker.feed.following:
        raise CommandError(NO_WAITAOF_ON_REPLICA)
    if local and not broker.config.appendonly:
        raise CommandError(NO_JOURNAL)
    done = int(broker.config.appendonly and broker.persistence.acknowledges(session))
    synced = broker.replica_waits.synced(session)
    reply = integers([done, synced])
    if done >= local and synced >= replicas:
        return reply
    if not done:
        broker.persistence.watch(session)
    broker.replica_waits.begin(session)
    return broker.blocking.wait(
        session, waitaof, args, keys=(), value_type=None, timeout_ms=timeout, timeout_reply=reply
    )
