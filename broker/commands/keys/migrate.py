"""MIGRATE: moving keys to another server."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.migration.migrations import Request
from broker.table.arguments import integer
from broker.table.command import ACCESS, DELETE, INCOMPLETE, RW, WRITE, command, key, keys_behind
from protocol.errors import SYNTAX, CommandError

KEY_WITH_KEYS: Final = b"ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"

_FIRST_OPTION: Final = 6
_DEFAULT_TIMEOUT_MS: Final = 1000


def _find_keys(args: list[bytes]) -> list[int]:
    at = _FIRST_OPTION
    while at < len(args):
        option = args[at].upper()
        if option == b"KEYS" and at + 1 < len(args):
            return [] if args[3] else list(range(at + 1, len(args)))
        at += {b"AUTH": 2, b"AUTH2": 3}.get(option, 1)
    return [3]


@command("MIGRATE", arity=-6, flags=WRITE,
         keys=(key(RW, ACCESS, DELETE, at=3), keys_behind(b"KEYS", RW, ACCESS, DELETE, INCOMPLETE, start=-2)),
         find_keys=_find_keys, group="generic", since="2.6.0",
         syntax="host port:integer key-selector=<key|empty-string=\"\"> destination-db timeout:integer [COPY]@3.0.0"
                " [REPLACE]@3.0.0 authentication=[auth=AUTH password@4.0.7|<AUTH2 username password>@6.0.0]"
                " [keys=KEYS key#1 ...]@3.0.6",
         categories=("keyspace", "dangerous"), tips=("nondeterministic_output",),
         summary="Moves keys to another server.",
         complexity="O(N) for the size N of the values, and their transfer")  # fmt: skip
def migrate(session: Client, args: list[bytes]) -> bytes:
    copy = replace = False
    credentials: list[bytes] = []
    names = args[3:4]
    at = _FIRST_OPTION
    # By hand: KEYS takes all that follows, and depends on an argument before the options.
    while at < len(args):
        option = args[at].upper()
        values = {b"AUTH": 1, b"AUTH2": 2}.get(option, 0)
        if option == b"COPY":
            copy = True
        elif option == b"REPLACE":
            replace = True
        elif values:
            credentials = args[at + 1 : at + 1 + values]
            if len(credentials) < values:
                raise CommandError(SYNTAX)
            at += values
        elif option == b"KEYS":
            if args[3]:
                raise CommandError(KEY_WITH_KEYS)
            names = args[at + 1 :]
            break
        else:
            raise CommandError(SYNTAX)
        at += 1
    timeout = integer(args[5])
    database = integer(args[4])
    if timeout <= 0:
        timeout = _DEFAULT_TIMEOUT_MS
    request = Request((args[1], args[2]), names, database, timeout / 1000, copy, replace, credentials)
    return session.broker.migrations.start(session, migrate, args, request)
