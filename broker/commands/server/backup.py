"""BACKUP: a copy of the append-only files at one point in time; see broker.persistence.backup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from broker.broker import Client
from broker.commands.help import declare_help
from broker.persistence.backup import Refused
from broker.table.command import ADMIN, NOSCRIPT, STALE, command, container
from protocol.errors import CommandError
from protocol.replies import OK, array, bulk, integer

_CHANGES: Final = ADMIN | NOSCRIPT
_SHOWS: Final = ADMIN | STALE

container("BACKUP", arity=2, group="server", since="8.10.0", summary="A container for commands that back up the data.")

declare_help("BACKUP", group="server", since="8.10.0")


@command("BACKUP|START", arity=2, flags=_CHANGES, group="server", since="8.10.0",
         summary="Starts a backup in the folder that backupdirname names.", complexity="O(1)")  # fmt: skip
def backup_start(session: Client, args: list[bytes]) -> bytes:
    # A transaction's intermediate state must not be saved: other clients never see it.
    later = session.queued is not None
    return _answer(lambda: session.broker.persistence.backup.start(later=later))


@command("BACKUP|SEAL", arity=2, flags=_CHANGES, group="server", since="8.10.0",
         summary="Completes the backup; no client is served until its files are on the disk.",
         complexity="O(1)")  # fmt: skip
def backup_seal(session: Client, args: list[bytes]) -> bytes:
    return _answer(session.broker.persistence.backup.seal)


@command("BACKUP|ABORT", arity=2, flags=_CHANGES, group="server", since="8.10.0",
         summary="Cancels a backup that is not sealed, and removes its files.", complexity="O(1)")  # fmt: skip
def backup_abort(session: Client, args: list[bytes]) -> bytes:
    return _answer(session.broker.persistence.backup.abort)


@command("BACKUP|CLEANUP", arity=2, flags=_CHANGES, group="server", since="8.10.0",
         summary="Removes all files in the backup's folder.", complexity="O(1)")  # fmt: skip
def backup_cleanup(session: Client, args: list[bytes]) -> bytes:
    return _answer(session.broker.persistence.backup.clean_up)


@command("BACKUP|STATUS", arity=2, flags=_SHOWS, group="server", since="8.10.0",
         summary="Returns the backup's state, why it failed, and when it began and was sealed.",
         complexity="O(1)")  # fmt: skip
def backup_status(session: Client, args: list[bytes]) -> bytes:
    backup = session.broker.persistence.backup
    return session.resp.map([
        (bulk(b"state"), bulk(backup.state.encode())),
        (bulk(b"error"), bulk(backup.error.encode(errors="surrogateescape"))),
        (bulk(b"start_time"), integer(backup.start_time)),
        (bulk(b"end_time"), integer(backup.end_time)),
    ])  # fmt: skip


@command("BACKUP|LIST", arity=2, flags=_SHOWS, group="server", since="8.10.0",
         summary="Returns the absolute paths of the backup's files.", complexity="O(1)")  # fmt: skip
def backup_list(session: Client, args: list[bytes]) -> bytes:
    files = session.broker.persistence.backup.files()
    return array([bulk(path.encode(errors="surrogateescape")) for path in files])


def _answer(request: Callable[[], None]) -> bytes:
    try:
        request()
    except Refused as refusal:
        raise CommandError(b"ERR " + str(refusal).encode(errors="surrogateescape")) from None
    return OK
