"""Valkey's import-mode: what is due stays, while a tool copies the data of another server that is in use.

That server removes what expires there, and the tool passes the removals on; removed here as well, a key could expire
before the command that prolongs its life has arrived. The tool's clients (CLIENT IMPORT-SOURCE) see everything. For
all others, what is due does not exist, and before they write to a key, what is due of it is removed. (Valkey itself
keeps the due fields of a hash that others write to; which they then see again if they set them.)
"""

from __future__ import annotations

from broker.keyspace.database import Database, Lookup, SharedState, Value
from broker.keyspace.expiry import expire, expire_fields, visible
from broker.table.command import READONLY, RM, RO, WRITE, Command
from broker.table.key_access import keys_and_access
from broker.values.deadline_queue import NEVER


def imported(database: Database) -> Lookup:
    """Returns the lookup for import mode: it hides what is due, unless `everything_visible`."""
    shown = visible(database)
    keyspace = database.keyspace
    everything = database.data.get

    def get(key: bytes) -> Value:
        return everything(key) if keyspace.everything_visible else shown(key)

    return get


def prepare(database: Database, everything_visible: bool, command: Command, args: list[bytes]) -> None:
    """Prepare for a command that a client is about to execute in import mode."""
    keyspace = database.keyspace
    keyspace.everything_visible = everything_visible
    if not command.flags & READONLY:
        forget_copies(keyspace)
    if everything_visible or not command.flags & WRITE:
        return
    now = keyspace.clock.now
    for position, access in keys_and_access(command, args):
        key = args[position]
        if RO in access:
            continue
        if keyspace.written_here is not None:
            keyspace.written_here[(database.index, key)] = None
        if RM in access:
            keyspace.everything_visible = True  # DEL and UNLINK find, and count, what is hidden from reads
            continue
        if database.expires.get(key, NEVER) < now:
            expire(database, key)
        while database.field_deadlines.get(key, NEVER) < now:
            keyspace.expired_fields_on_access += expire_fields(database, key, now)


def forget_copies(keyspace: SharedState) -> None:
    """Forget the copies of hashes that are shown to those who must not see what is due."""
    copies, keyspace.shown = keyspace.shown, {}
    for copy in copies.values():
        keyspace.release(copy)
