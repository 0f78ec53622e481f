"""What replicas send: SYNC, PSYNC, REPLCONF."""

from __future__ import annotations

from typing import Final

from broker.broker import Broker, Client
from broker.clients.session import REPLICA
from broker.replication.handshakes import Handshake
from broker.table.arguments import integer
from broker.table.command import ADMIN, ALLOW_BUSY, LOADING, NO_ASYNC_LOADING, NO_MULTI, NOSCRIPT, STALE, command
from protocol.errors import CommandError
from protocol.replies import NO_REPLY, simple

FILTER_NEEDS_MARK: Final = b"ERR Filtered replica requires EOF capability"
FAILOVER: Final = b"ERR PSYNC FAILOVER can't be sent to a master."
ANOTHER_HISTORY: Final = b"ERR PSYNC FAILOVER replid must match my replid."
WHILE_FAILING_OVER: Final = b"NOMASTERLINK Can't SYNC while failing over"
NO_MASTER: Final = b"NOMASTERLINK Can't SYNC while not connected with my master"
"""Any other error makes a replica send SYNC, and then try again at once; after this one it waits a second."""


@command("SYNC", arity=1, flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI, group="server", since="1.0.0",
         summary="Sends the keys and then all changes, as replicas request it.", complexity="")  # fmt: skip
def sync(session: Client, args: list[bytes]) -> bytes:
    if session.flags & REPLICA:
        return NO_REPLY
    broker = session.broker
    wanted = _settings(session)
    if wanted.rdb_only:
        return broker.snapshot_transfers.start(session, sync, args, wanted, b"")
    broker.full_syncs.request(broker.replicas.add(session, wanted, silent=True))
    return NO_REPLY


@command("PSYNC", arity=-3, flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI, group="server", since="2.8.0",
         syntax="replicationid offset",
         summary="Sends the changes that a replica lacks, or the keys, and then all further changes.",
         complexity="")  # fmt: skip
def psync(session: Client, args: list[bytes]) -> bytes:
    if session.flags & REPLICA:
        return NO_REPLY
    broker = session.broker
    id = args[1].decode(errors="replace")
    if len(args) > 3 and args[3].lower() == b"failover":
        _take_over(broker, id)
    wanted = _settings(session)
    offset = integer(args[2])
    if wanted.rdb_only:
        greeting = simple(b"FULLRESYNC %b %d" % (broker.history.id.encode(), broker.history.offset))
        return broker.snapshot_transfers.start(session, psync, args, wanted, greeting)
    replica = broker.replicas.add(session, wanted, silent=False)
    return broker.full_syncs.synchronize(replica, id, offset)


def _settings(session: Client) -> Handshake:
    """What the client has said with REPLCONF; raises CommandError if it can't be served now."""
    role = session.broker.role
    if session.broker.failover.active:
        raise CommandError(WHILE_FAILING_OVER)
    if role.is_replica and not role.link.is_up:
        raise CommandError(NO_MASTER)
    wanted = session.broker.handshakes.of(session)
    if wanted.filtered and not wanted.end_mark:
        raise CommandError(FILTER_NEEDS_MARK)
    return wanted


def _take_over(broker: Broker, id: str) -> None:
    """Becomes the master, as the one that ends a failover asks. Raises CommandError."""
    broker.log.notice(f"Failover request received for replid {id}.")
    if not broker.role.is_replica:
        raise CommandError(FAILOVER)
    if id.lower() != broker.history.id:
        raise CommandError(ANOTHER_HISTORY)
    broker.role.promote()
    broker.log.notice("Failover request was successful.")


@command("REPLCONF", arity=-1, flags=ADMIN | NOSCRIPT | LOADING | STALE | ALLOW_BUSY, group="server", since="3.0.0",
         summary="Says what a replica is able to read, wants, or has executed.", complexity="O(1)",
         system=True)  # fmt: skip
def replconf(session: Client, args: list[bytes]) -> bytes:
    return session.broker.handshakes.configure(session, args[1:])
