"""Iterating over the keys of a database: KEYS, SCAN, RANDOMKEY."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.scanning import ONLY_OF_HASHES, SCAN_DEFAULTS, SCAN_VALUES, scan_cursor, scan_reply
from broker.keyspace.database import Database, type_name
from broker.process.globs import Glob
from broker.table.command import READONLY, TOUCHES_ARBITRARY_KEYS, command
from broker.table.parsers import Parser
from broker.values import positions
from broker.values.deadline_queue import NEVER
from protocol.replies import bulk, bulks

# No database has more keys than this, and compiled code takes cursors and counts as machine integers.
_MOST: Final = 1 << 48

RANDOM_TRIES: Final = 100
"""Keys that RANDOMKEY tries while expired ones must stay. After that, if every key has a deadline, it returns an
expired one, as Redis does."""


@command("KEYS", arity=2, flags=READONLY, group="generic", since="1.0.0",
         syntax="pattern",
         summary="Returns all keys that match a pattern.", complexity="O(N) for N keys", categories=("dangerous",),
         tips=("request_policy:all_shards", "nondeterministic_output_order"))  # fmt: skip
def keys_(session: Client, args: list[bytes]) -> bytes:
    glob = Glob(args[1])
    db = session.db
    if glob.matches_all:
        found = list(db.data)
    else:
        match = glob.match
        found = [name for name in db.data if match(name)]
    if db.keyspace.overdue and not db.keyspace.everything_visible:
        # Unlike other lookups, this one does not remove what has expired.
        now, deadline = db.keyspace.clock.now, db.expires.get
        found = [name for name in found if deadline(name, NEVER) >= now]
    return bulks(found)


def _present(db: Database, names: list[bytes]) -> list[bytes]:
    """Returns the keys that have not expired; checks each only while expired keys may still be present."""
    if not db.keyspace.overdue:
        return names
    get = db.get
    return [name for name in names if get(name) is not None]


def _type(name: bytes) -> str:
    # An unknown type is not an error; it just matches no key.
    return name.lower().decode("latin-1")


_OPTIONS: Final = Parser[tuple[Glob | None, int, str | None]](
    "SCAN", values={**SCAN_VALUES, "TYPE": _type}, defaults=SCAN_DEFAULTS, refused=ONLY_OF_HASHES
)


@command("SCAN", arity=-2, flags=READONLY | TOUCHES_ARBITRARY_KEYS, group="generic", since="2.8.0",
         syntax="cursor [MATCH pattern] [COUNT count] [TYPE type]@6.0.0",
         summary="Iterates over the keys of the database.",
         complexity="O(1) per call, O(N) for all N keys",
         tips=("nondeterministic_output", "request_policy:special", "response_policy:special"))  # fmt: skip
def scan(session: Client, args: list[bytes]) -> bytes:
    cursor = scan_cursor(args[1])
    glob, count, kind = _OPTIONS.parse(args, 2)
    db = session.db
    cursor, found = positions.window(db.data, min(cursor, _MOST), min(count, _MOST))
    found = _present(db, found)
    if glob is not None:
        match = glob.match
        found = [name for name in found if match(name)]
    if kind is not None:
        get = db.data.__getitem__
        found = [name for name in found if type_name(get(name)) == kind]
    return scan_reply(cursor, found)


@command("RANDOMKEY", arity=1, flags=READONLY | TOUCHES_ARBITRARY_KEYS, group="generic", since="1.0.0",
         summary="Returns a random key; all are equally likely.", complexity="O(1)",
         tips=("request_policy:all_shards", "response_policy:special", "nondeterministic_output"))  # fmt: skip
def randomkey(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    tries = 0
    while db.data:
        name = positions.random_key(db.data)
        if db.get(name) is not None:
            return bulk(name)
        tries += 1
        if tries > RANDOM_TRIES and session.broker.keyspace.hiding and len(db.expires) == len(db.data):
            return bulk(name)
    return session.resp.null
