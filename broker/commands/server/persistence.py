"""Saving on a client's request: SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.table.command import ADMIN, FAST, LOADING, NO_ASYNC_LOADING, NO_MULTI, NOSCRIPT, STALE, command
from protocol.errors import SYNTAX, CommandError
from protocol.replies import OK, integer, simple

SAVING: Final = b"ERR Background save already in progress"
REWRITING: Final = b"ERR Background append only file rewriting already in progress"
ANOTHER_CHILD: Final = (
    b"ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a"
    b" BGSAVE whenever possible."
)
FAILED: Final = b"ERR"

_SAVE_STARTED: Final = simple(b"Background saving started")
_SAVE_SCHEDULED: Final = simple(b"Background saving scheduled")
_REWRITE_STARTED: Final = simple(b"Background append only file rewriting started")
_REWRITE_SCHEDULED: Final = simple(b"Background append only file rewriting scheduled")


@command("SAVE", arity=1, flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI, group="server", since="1.0.0",
         summary="Writes the RDB file; no client is served meanwhile.",
         complexity="O(N) where N is the total number of keys in all databases")  # fmt: skip
def save(session: Client, args: list[bytes]) -> bytes:
    persistence = session.broker.persistence
    if persistence.snapshots.running:
        raise CommandError(SAVING)
    session.broker.keyspace.count_changes()
    try:
        persistence.snapshots.save()
    except OSError:
        raise CommandError(FAILED) from None
    return OK


@command("BGSAVE", arity=-1, flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING, group="server", since="1.0.0",
         syntax="[SCHEDULE]@3.2.2", summary="Writes the RDB file in the background.", complexity="O(1)")  # fmt: skip
def bgsave(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 2 or (len(args) == 2 and args[1].upper() != b"SCHEDULE"):
        raise CommandError(SYNTAX)
    persistence = session.broker.persistence
    if persistence.snapshots.running:
        raise CommandError(SAVING)
    # A transaction's intermediate state must not be saved: other clients never see it.
    if persistence.background.active or session.queued is not None:
        if len(args) == 1 and session.queued is None:
            raise CommandError(ANOTHER_CHILD)
        persistence.snapshots.scheduled = True
        return _SAVE_SCHEDULED
    try:
        persistence.snapshots.start()
    except OSError:
        raise CommandError(FAILED) from None
    return _SAVE_STARTED


@command("BGREWRITEAOF", arity=1, flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING, group="server", since="1.0.0",
         summary="Rewrites the append-only file in the background.", complexity="O(1)")  # fmt: skip
def bgrewriteaof(session: Client, args: list[bytes]) -> bytes:
    persistence = session.broker.persistence
    backing_up = persistence.backup.in_progress
    if persistence.rewrites.running and not backing_up:
        raise CommandError(REWRITING)
    persistence.rewrites.failures = 0
    if backing_up or persistence.background.active or session.queued is not None:
        persistence.rewrites.scheduled = True
        return _REWRITE_SCHEDULED
    persistence.rewrites.start()
    return _REWRITE_STARTED


@command("LASTSAVE", arity=1, flags=LOADING | STALE | FAST, group="server", since="1.0.0",
         summary="Returns the Unix time in seconds of the last successful save.", complexity="O(1)",
         categories=("admin", "dangerous"), tips=("nondeterministic_output",))  # fmt: skip
def lastsave(session: Client, args: list[bytes]) -> bytes:
    return integer(session.broker.persistence.snapshots.last_save)
