"""What replicas send: SYNC, PSYNC, REPLCONF. Only clients that want nothing but the RDB file are served."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.clients.session import REPLICA
from broker.table.arguments import integer
from broker.table.command import ADMIN, ALLOW_BUSY, LOADING, NO_ASYNC_LOADING, NO_MULTI, NOSCRIPT, STALE, command
from protocol.errors import CommandError
from protocol.replies import NO_REPLY, simple

NO_REPLICAS: Final = (
    b"ERR This broker has no replicas: it only sends the RDB file, to clients that set REPLCONF rdb-only"
)
LATER: Final = (
    b"NOMASTERLINK This broker has no replicas: it only sends the RDB file, to clients that set REPLCONF rdb-only"
)
"""Any other error makes a replica send SYNC, and then try again at once; after this one it waits a second."""

FILTER_NEEDS_MARK: Final = b"ERR Filtered replica requires EOF capability"
FAILOVER: Final = b"ERR PSYNC FAILOVER can't be sent to a master."


def _transfer(session: Client, args: list[bytes], greeting: bytes, refusal: bytes) -> bytes:
    if session.flags & REPLICA:
        return NO_REPLY
    broker = session.broker
    wanted = broker.handshakes.of(session)
    if wanted.filtered and not wanted.end_mark:
        raise CommandError(FILTER_NEEDS_MARK)
    if not wanted.rdb_only:
        raise CommandError(refusal)
    handler = sync if len(args) == 1 else psync
    return broker.snapshot_transfers.start(session, handler, args, wanted, greeting)


@command("SYNC", arity=1, flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI, group="server", since="1.0.0",
         summary="Sends the RDB file, as replicas request it.", complexity="")  # fmt: skip
def sync(session: Client, args: list[bytes]) -> bytes:
    return _transfer(session, args, b"", NO_REPLICAS)


@command("PSYNC", arity=-3, flags=ADMIN | NOSCRIPT | NO_ASYNC_LOADING | NO_MULTI, group="server", since="2.8.0",
         syntax="replicationid offset", summary="Sends the RDB file, as replicas request it.",
         complexity="")  # fmt: skip
def psync(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 3 and args[3].lower() == b"failover":
        raise CommandError(FAILOVER)
    integer(args[2])
    return _transfer(session, args, simple(b"FULLRESYNC %b 0" % session.broker.run_id.encode()), LATER)


@command("REPLCONF", arity=-1, flags=ADMIN | NOSCRIPT | LOADING | STALE | ALLOW_BUSY, group="server", since="3.0.0",
         summary="Says what a replica is able to read, and wants.", complexity="O(1)", system=True)  # fmt: skip
def replconf(session: Client, args: list[bytes]) -> bytes:
    return session.broker.handshakes.configure(session, args[1:])
