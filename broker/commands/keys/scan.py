"""Looking through the keys of a database: KEYS, SCAN, RANDOMKEY."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.scanning import DEFAULT_COUNT, NOVALUES_ELSEWHERE, scan_cursor, scan_reply
from broker.keyspace.keyspace import Database, type_name
from broker.process.globs import Glob
from broker.table.arguments import integer
from broker.table.command import READONLY, TOUCHES_ARBITRARY_KEYS, command
from broker.values import positions
from protocol.errors import SYNTAX, CommandError
from protocol.replies import bulk, bulks

# Cursors and counts past this can't mean more, and compiled code takes them as machine integers.
_MOST: Final = 1 << 48

RANDOM_TRIES: Final = 100
"""Keys that RANDOMKEY looks at while expired ones must stay; where all may have expired it then gives such a one, as
Redis does."""


@command("KEYS", arity=2, flags=READONLY, group="generic", since="1.0.0",
         syntax="pattern",
         summary="Gives all keys that match a pattern.", complexity="O(N) for N keys", categories=("dangerous",),
         tips=("request_policy:all_shards", "nondeterministic_output_order"))  # fmt: skip
def keys_(session: Client, args: list[bytes]) -> bytes:
    glob = Glob(args[1])
    db = session.db
    if glob.matches_all:
        found = list(db.data)
    else:
        match = glob.match
        found = [name for name in db.data if match(name)]
    return bulks(_present(db, found))


def _present(db: Database, names: list[bytes]) -> list[bytes]:
    """Those keys that have not expired; looking at each is needed only while expired ones may be there."""
    if not db.keyspace.overdue:
        return names
    get = db.get
    return [name for name in names if get(name) is not None]


@command("SCAN", arity=-2, flags=READONLY | TOUCHES_ARBITRARY_KEYS, group="generic", since="2.8.0",
         syntax="cursor [MATCH pattern] [COUNT count] [TYPE type]@6.0.0",
         summary="Gives the keys in portions; the cursor leads to the next one.",
         complexity="O(1) a call, O(N) for all N keys",
         tips=("nondeterministic_output", "request_policy:special", "response_policy:special"))  # fmt: skip
def scan(session: Client, args: list[bytes]) -> bytes:
    cursor = scan_cursor(args[1])
    count, glob, kind = _options(args)
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


def _options(args: list[bytes]) -> tuple[int, Glob | None, str | None]:
    """COUNT, MATCH (None: all) and TYPE (None: all); of one given again, the last holds."""
    count = DEFAULT_COUNT
    glob = None
    kind = None
    i = 2
    while i < len(args):
        option = args[i].upper()
        if option == b"NOVALUES":
            raise CommandError(NOVALUES_ELSEWHERE)
        if option not in (b"COUNT", b"MATCH", b"TYPE") or i + 1 == len(args):
            raise CommandError(SYNTAX)
        value = args[i + 1]
        if option == b"COUNT":
            count = integer(value)
            if count < 1:
                raise CommandError(SYNTAX)
        elif option == b"MATCH":
            glob = None if value == b"*" else Glob(value)
        else:
            # A type that does not exist is no error: no key is of it.
            kind = value.lower().decode("latin-1")
        i += 2
    return count, glob, kind


@command("RANDOMKEY", arity=1, flags=READONLY | TOUCHES_ARBITRARY_KEYS, group="generic", since="1.0.0",
         summary="Gives a key at random, each with the same chance.", complexity="O(1)",
         tips=("request_policy:all_shards", "response_policy:special", "nondeterministic_output"))  # fmt: skip
def randomkey(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    tries = 0
    while db.data:
        name = positions.random_key(db.data)
        if db.get(name) is not None:
            return bulk(name)
        tries += 1
        if tries > RANDOM_TRIES and db.keyspace.hiding and len(db.expires) == len(db.data):
            return bulk(name)
    return session.resp.null
