"""Whole databases: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from broker.broker import Client
from broker.clients.session import REPLY_OFF, REPLY_SKIP
from broker.keyspace.database import Database
from broker.table.arguments import integer_between
from broker.table.command import FAST, READONLY, WRITE, command
from protocol.errors import DB_INDEX, SYNTAX, CommandError
from protocol.replies import OK, integer

_INT_MAX: Final = (1 << 31) - 1
_FIRST_INDEX: Final = b"ERR invalid first DB index"
_SECOND_INDEX: Final = b"ERR invalid second DB index"
_CATEGORIES: Final = ("keyspace", "dangerous")
_ALL_SUCCEEDED: Final = ("request_policy:all_shards", "response_policy:all_succeeded")


@command("DBSIZE", arity=1, flags=READONLY | FAST, group="server", since="1.0.0",
         summary="Returns the number of keys in the database.", complexity="O(1)", categories=("keyspace",),
         tips=("request_policy:all_shards", "response_policy:agg_sum"))  # fmt: skip
def dbsize(session: Client, args: list[bytes]) -> bytes:
    return integer(len(session.db.data))


@command("FLUSHDB", arity=-1, flags=WRITE, group="server", since="1.0.0",
         syntax="[ASYNC@4.0.0|SYNC@6.2.0]",
         summary="Removes all keys from the database.", complexity="O(N) for N keys", categories=_CATEGORIES,
         tips=_ALL_SUCCEEDED)  # fmt: skip
def flushdb(session: Client, args: list[bytes]) -> bytes:
    _check_mode(args)
    return _flush(session, args, [session.db])


@command("FLUSHALL", arity=-1, flags=WRITE, group="server", since="1.0.0",
         syntax="[ASYNC@4.0.0|SYNC@6.2.0]",
         summary="Removes all keys from all databases.", complexity="O(N) for N keys", categories=_CATEGORIES,
         tips=_ALL_SUCCEEDED)  # fmt: skip
def flushall(session: Client, args: list[bytes]) -> bytes:
    _check_mode(args)
    reply = _flush(session, args, session.broker.keyspace.databases)
    session.broker.persistence.snapshots.all_flushed()
    return reply


def _check_mode(args: list[bytes]) -> None:
    """Accepts SYNC and ASYNC, which do the same: keys go immediately, and their memory is freed in slices."""
    if len(args) > 2 or (len(args) == 2 and args[1].upper() not in (b"SYNC", b"ASYNC")):
        raise CommandError(SYNTAX)


def _flush(session: Client, args: list[bytes], databases: Iterable[Database]) -> bytes:
    keyspace = session.broker.keyspace
    for database in databases:
        for name in database.listened_keys():
            if name in database.data:
                database.alert(name)
        data = database.data
        keyspace.dirty += database.clear()
        session.broker.reclaimer.take(data)
    tracking = session.broker.tracking
    tracking.flushed()
    if tracking.current is session and session.queued is None and args[-1].upper() != b"ASYNC":
        # In Redis, the client waits for another thread to free the memory: it is told before it gets its reply.
        tracking.send_pending(session)
        if not session.flags & (REPLY_OFF | REPLY_SKIP):
            messages, session.out[:] = b"".join(session.out), []
            return messages + OK
    return OK


@command("SWAPDB", arity=3, flags=WRITE | FAST, group="server", since="4.0.0",
         syntax="index1 index2", summary="Swaps the keys of two databases; clients keep their database number.",
         complexity="O(N) for N watched keys and waiting clients", categories=_CATEGORIES)  # fmt: skip
def swapdb(session: Client, args: list[bytes]) -> bytes:
    first = integer_between(args[1], -_INT_MAX - 1, _INT_MAX, _FIRST_INDEX)
    second = integer_between(args[2], -_INT_MAX - 1, _INT_MAX, _SECOND_INDEX)
    keyspace = session.broker.keyspace
    databases = keyspace.databases
    if not (0 <= first < len(databases) and 0 <= second < len(databases)):
        raise CommandError(DB_INDEX)
    if first != second:
        a, b = databases[first], databases[second]
        for database in (a, b):
            for name in database.listened_keys():
                if name in a.data or name in b.data:
                    database.alert(name)
        a.swap(b)
        session.broker.policies.reload()
    keyspace.dirty += 1
    return OK
