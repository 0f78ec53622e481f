"""Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.

Between MULTI and EXEC the dispatcher checks and queues the client's commands; EXEC executes them with nothing in
between. An error while queueing makes EXEC refuse the whole transaction; an error while executing is that command's
reply and affects no other command. All effects go to the journal as one unit, and waiting clients are served after
the last command.

A watched key is listed in its database's `watchers`; any change to the key marks the sessions listed there, so EXEC
only checks that mark.
"""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.clients.session import IN_MULTI
from broker.table.command import (
    ALLOW_BUSY,
    FAST,
    LOADING,
    NEVER_QUEUED,
    NOSCRIPT,
    RO,
    SKIP_SLOWLOG,
    STALE,
    command,
    keys,
)
from protocol.errors import (
    DISCARD_WITHOUT_MULTI,
    EXEC_ABORT,
    EXEC_WITHOUT_MULTI,
    NESTED_MULTI,
    WATCH_INSIDE_MULTI,
    CommandError,
)
from protocol.replies import OK, array_header

_FLAGS: Final = NOSCRIPT | LOADING | STALE | FAST | ALLOW_BUSY


@command("MULTI", arity=1, flags=_FLAGS | NEVER_QUEUED, group="transactions", since="1.2.0",
         summary="Starts a transaction: the commands that follow are queued.", complexity="O(1)")  # fmt: skip
def multi(session: Client, args: list[bytes]) -> bytes:
    if session.queued is not None:
        raise CommandError(NESTED_MULTI)
    session.queued = []
    session.flags |= IN_MULTI
    return OK


@command("EXEC", arity=1, flags=NOSCRIPT | LOADING | STALE | SKIP_SLOWLOG | NEVER_QUEUED, group="transactions",
         since="1.2.0", summary="Executes the queued commands of a transaction.",
         complexity="That of the queued commands")  # fmt: skip
def exec_(session: Client, args: list[bytes]) -> bytes:
    queued = session.queued
    if queued is None:
        raise CommandError(EXEC_WITHOUT_MULTI)
    if session.queue_broken:
        session.discard()
        raise CommandError(EXEC_ABORT)
    if watched_key_changed(session):
        session.discard()
        return session.resp.null_array
    # Unwatch first, so that the transaction's own writes do not mark this session.
    session.unwatch()
    try:
        replies = session.broker.executor.run_transaction(session, queued)
    finally:
        session.discard()
    return array_header(len(queued)) + b"".join(replies)


@command("DISCARD", arity=1, flags=_FLAGS | NEVER_QUEUED, group="transactions", since="2.0.0",
         summary="Discards a transaction and unwatches all keys.",
         complexity="O(N) for N queued commands")  # fmt: skip
def discard(session: Client, args: list[bytes]) -> bytes:
    if session.queued is None:
        raise CommandError(DISCARD_WITHOUT_MULTI)
    session.discard()
    return OK


@command("WATCH", arity=-2, flags=_FLAGS | NEVER_QUEUED, keys=(keys(RO),), group="transactions", since="2.2.0",
         syntax="key ...", summary="Watches keys: the next EXEC does nothing if one of them has changed.",
         complexity="O(1) for each key")  # fmt: skip
def watch(session: Client, args: list[bytes]) -> bytes:
    if session.queued is not None:
        raise CommandError(WATCH_INSIDE_MULTI)
    if session.watch_broken:
        return OK
    database = session.db
    for name in args[1:]:
        # Remove an expired key now, so that its later removal does not count as a change.
        hidden = database.get(name) is None and name in database.data
        database.watchers.setdefault(name, set()).add(session)
        session.watched.setdefault((database, name), hidden)
    return OK


@command("UNWATCH", arity=1, flags=_FLAGS, group="transactions", since="2.2.0",
         summary="Unwatches all keys.", complexity="O(1)")  # fmt: skip
def unwatch(session: Client, args: list[bytes]) -> bytes:
    session.unwatch()
    return OK


def watched_key_changed(session: Client) -> bool:
    """Whether a key that the session watches has changed or expired since."""
    if session.watched and session.broker.keyspace.overdue:
        # Expired keys may still be present. A lookup removes the key, which marks its watchers, or hides it.
        for (database, name), was_hidden in list(session.watched.items()):
            if database.get(name) is None and name in database.data and not was_hidden:
                return True
    return session.watch_broken
