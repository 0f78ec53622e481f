"""Changing the role: REPLICAOF, and its older name SLAVEOF."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.clients.describing import client_line
from broker.clients.session import REPLICA
from broker.replication.role import Address
from broker.table.arguments import integer_between
from broker.table.command import ADMIN, NO_ASYNC_LOADING, NOSCRIPT, STALE, command
from protocol.errors import CommandError
from protocol.replies import OK, simple

FAILING_OVER: Final = b"ERR REPLICAOF not allowed while failing over."
IS_REPLICA: Final = b"ERR Command is not valid when client is a replica."
INVALID_PORT: Final = b"ERR Invalid master port"
ALREADY: Final = simple(b"OK Already connected to specified master")

_FLAGS: Final = ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING
_SYNTAX: Final = "args=<host-port=<host port:integer>|no-one=<NO ONE>>"


@command("REPLICAOF", arity=3, flags=_FLAGS, group="server", since="5.0.0", syntax=_SYNTAX,
         summary="Turns this broker into a replica of another server or a master.", complexity="O(1)")  # fmt: skip
def replicaof(session: Client, args: list[bytes]) -> bytes:
    return _change_role(session, args)


@command("SLAVEOF", arity=3, flags=_FLAGS, group="server", since="1.0.0", syntax=_SYNTAX,
         summary="Turns this broker into a replica of another server or a master.", complexity="O(1)",
         deprecated_since="5.0.0", replaced_by="`REPLICAOF`")  # fmt: skip
def slaveof(session: Client, args: list[bytes]) -> bytes:
    return _change_role(session, args)


def _change_role(session: Client, args: list[bytes]) -> bytes:
    role, log = session.broker.role, session.broker.log
    if session.broker.failover.active:
        raise CommandError(FAILING_OVER)
    client = client_line(session).decode("utf-8", "backslashreplace")
    if args[1].lower() == b"no" and args[2].lower() == b"one":
        if role.is_replica:
            role.promote()
            log.notice(f"MASTER MODE enabled (user request from '{client}')")
        return OK
    if session.flags & REPLICA:
        raise CommandError(IS_REPLICA)
    port = integer_between(args[2], 0, 65535, INVALID_PORT)
    master = Address(args[1].decode("utf-8", "surrogateescape"), port)
    if role.master is not None and role.master.port == port and role.master.host.lower() == master.host.lower():
        log.notice(
            "REPLICAOF would result into synchronization with the master we are already connected with. No operation"
            " performed."
        )
        return ALREADY
    role.follow(master)
    log.notice(f"REPLICAOF {master} enabled (user request from '{client}')")
    return OK
