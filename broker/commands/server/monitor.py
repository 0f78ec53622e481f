"""MONITOR: all requests, as they come."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.clients.session import MONITORING
from broker.table.command import ADMIN, LOADING, NOSCRIPT, STALE, command
from protocol.errors import CommandError
from protocol.replies import NO_REPLY, OK

DENIED: Final = b"ERR MONITOR isn't allowed for DENY BLOCKING client"


@command("MONITOR", arity=1, flags=ADMIN | NOSCRIPT | LOADING | STALE, group="server", since="1.0.0",
         summary="Shows the client every request that the broker executes from now on.", complexity="")  # fmt: skip
def monitor(session: Client, args: list[bytes]) -> bytes:
    if session.deny_blocking:
        raise CommandError(DENIED)
    if session.flags & MONITORING:
        return NO_REPLY
    session.broker.start_monitoring(session)
    return OK
