"""FAILOVER: handing the role of the master over to a replica."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.replication.failover import address_of
from broker.replication.replicas import ONLINE
from broker.replication.role import Address
from broker.table.arguments import integer
from broker.table.command import ADMIN, NOSCRIPT, STALE, command
from protocol.errors import SYNTAX, CommandError
from protocol.replies import OK

TIMEOUT_NOT_POSITIVE: Final = b"ERR FAILOVER timeout must be greater than 0"
IN_PROGRESS: Final = b"ERR FAILOVER already in progress."
NONE_IN_PROGRESS: Final = b"ERR No failover in progress."
IS_REPLICA: Final = b"ERR FAILOVER is not valid when server is a replica."
NO_REPLICAS: Final = b"ERR FAILOVER requires connected replicas."
FORCE_NEEDS_MORE: Final = b"ERR FAILOVER with force option requires both a timeout and target HOST and IP."
NOT_A_REPLICA: Final = b"ERR FAILOVER target HOST and PORT is not a replica."
NOT_ONLINE: Final = b"ERR FAILOVER target replica is not online."


@command("FAILOVER", arity=-1, flags=ADMIN | NOSCRIPT | STALE, group="server", since="6.2.0",
         syntax="[target=TO <host port:integer [FORCE]>] [ABORT] [TIMEOUT milliseconds]",
         summary="Hands the role of the master over to a replica that has all writes.",
         complexity="O(1)")  # fmt: skip
def failover(session: Client, args: list[bytes]) -> bytes:
    target, timeout_ms, forced, abort = _options(args)
    broker = session.broker
    running = broker.failover
    if running.active:
        if not abort:
            raise CommandError(IN_PROGRESS)
        running.abort("Failover manually aborted")
        return OK
    if abort:
        raise CommandError(NONE_IN_PROGRESS)
    if broker.role.is_replica:
        raise CommandError(IS_REPLICA)
    replicas = broker.replicas.by_session.values()
    if not replicas:
        raise CommandError(NO_REPLICAS)
    if forced and not (timeout_ms and target):
        raise CommandError(FORCE_NEEDS_MORE)
    if target is not None:
        found = [replica for replica in replicas if address_of(replica) == target]
        if not found:
            raise CommandError(NOT_A_REPLICA)
        if found[0].state != ONLINE:
            raise CommandError(NOT_ONLINE)
    running.begin(target, timeout_ms, forced)
    return OK


def _options(args: list[bytes]) -> tuple[Address | None, int, bool, bool]:
    """The target, the timeout, FORCE and ABORT. By hand: how many words follow decides what a word is."""
    target: Address | None = None
    timeout_ms = 0
    forced = abort = False
    at = 1
    while at < len(args):
        word, left = args[at].lower(), len(args) - at - 1
        if word == b"timeout" and left and not timeout_ms:
            timeout_ms = integer(args[at + 1])
            if timeout_ms <= 0:
                raise CommandError(TIMEOUT_NOT_POSITIVE)
            at += 1
        elif word == b"to" and left >= 2 and target is None:
            target = Address(args[at + 1].decode("utf-8", "surrogateescape"), integer(args[at + 2]))
            at += 2
        elif word == b"abort" and len(args) == 2:
            abort = True
        elif word == b"force" and not forced:
            forced = True
        else:
            raise CommandError(SYNTAX)
        at += 1
    return target, timeout_ms, forced, abort
