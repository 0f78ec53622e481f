"""The line that CLIENT LIST and CLIENT INFO print for one client.

The fields are Redis's, in Redis's order, since tools split the line at spaces and look fields up by name. Where Redis
has a reply buffer of its own for each client, here a list collects the replies of a tick: `obl` and `rbs` are the
bytes in it and with it, `rbp` the most that a tick has sent lately. Replies are never shared with the keys' values, so
the fields about sharing are 0.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal

from broker.clients.memory_use import client_memory
from broker.clients.session import BLOCKED, CLOSING, MASTER, MONITORING, REPLICA
from protocol.limits import READ_SIZE

if TYPE_CHECKING:
    from broker.clients.session import Session

ClientType = Literal["normal", "replica", "pubsub", "master"]

CLIENT_TYPES: Final[dict[bytes, ClientType]] = {
    b"normal": "normal",
    b"slave": "replica",
    b"replica": "replica",
    b"pubsub": "pubsub",
    b"master": "master",
}
"""The names that CLIENT LIST TYPE and CLIENT KILL TYPE accept."""


def client_type(session: Session) -> ClientType:
    """Returns the client's class, which determines its output buffer limits."""
    if session.flags & (REPLICA | MASTER):
        return "replica" if session.flags & REPLICA else "master"
    if session.channels or session.patterns or session.shard_channels:
        return "pubsub"
    return "normal"


def client_line(session: Session, running: bytes | None = None, args: Iterable[bytes] = ()) -> bytes:
    """Returns the line, without a line break.

    `running` is the command that the client is executing right now, with these arguments.
    """
    broker = session.broker
    transport = session.transport
    now = broker.clock.now
    buffered, room, parsed, _ = transport.sizes()
    unsent, pieces, peak = transport.replies()
    queued = session.queued
    memory = client_memory(session)
    unsent_replies = session.unsent()
    replies = sum(map(len, unsent_replies))
    parsed += sum(map(len, args))
    if session.waiting is not None:
        parsed += sum(map(len, session.waiting.args))
    in_transaction = sum(len(argument) for _, arguments in queued or () for argument in arguments)
    if running is None:
        running = session.last_command.name if session.last_command is not None else b"NULL"
        idle = (now - session.last_active) // 1000
    else:
        idle = 0
        # All clients' input is received into one buffer, which is this client's for as long as it is being served.
        buffered += session.received
        room += READ_SIZE - session.received
        memory += READ_SIZE
    fields = (
        (b"id", session.id),
        (b"addr", transport.peer()),
        (b"laddr", transport.local()),
        (b"fd", getattr(transport, "fd", -1)),
        (b"name", session.name),
        (b"age", (now - session.created) // 1000),
        (b"idle", idle),
        (b"flags", _flags(session)),
        (b"db", session.db.index),
        (b"sub", len(session.channels)),
        (b"psub", len(session.patterns)),
        (b"ssub", len(session.shard_channels)),
        (b"multi", -1 if queued is None else len(queued)),
        (b"watch", 0 if session.watch_broken else len(session.watched)),
        (b"qbuf", buffered),
        (b"qbuf-free", room),
        (b"argv-mem", parsed),
        (b"multi-mem", in_transaction),
        (b"rbs", sys.getsizeof(unsent_replies) + replies),
        (b"rbp", peak),
        (b"obl", replies),
        (b"oll", pieces),
        (b"omem", unsent),
        (b"omem-shared", 0),
        (b"omem-unshared", 0),
        (b"tot-mem", memory),
        (b"events", b"rw" if unsent else b"r"),
        (b"cmd", running),
        (b"user", session.user_name),
        (b"redir", -1 if session.tracking is None else session.tracking.redirect),
        (b"resp", session.resp.version),
        (b"lib-name", session.lib_name),
        (b"lib-ver", session.lib_ver),
        (b"io-thread", 0),
        (b"tot-net-in", session.bytes_in),
        (b"tot-net-out", session.bytes_out),
        (b"tot-cmds", session.commands),
        (b"read-events", session.reads),
        (b"avg-pipeline-len-sum", session.parsed),
        (b"avg-pipeline-len-cnt", session.pipelines),
    )
    return b" ".join(name + b"=" + (b"%d" % value if isinstance(value, int) else value) for name, value in fields)


def _flags(session: Session) -> bytes:
    """Returns Redis's letters for a client's states, or N if none applies."""
    tracking = session.tracking
    letters = (
        (b"S", session.flags & REPLICA),
        (b"M", session.flags & MASTER),
        (b"O", session.flags & MONITORING),
        (b"P", client_type(session) == "pubsub"),
        (b"x", session.queued is not None),
        (b"b", session.flags & BLOCKED),
        (b"t", tracking is not None),
        (b"R", tracking is not None and tracking.broken),
        (b"B", tracking is not None and tracking.broadcast),
        (b"d", session.watch_broken),
        (b"c", session.flags & CLOSING),
        (b"U", session.transport.peer().startswith(b"/")),
        (b"e", session.no_evict),
        (b"T", session.no_touch),
        (b"I", session.import_source and not session.flags & MASTER),
    )
    return b"".join(letter for letter, holds in letters if holds) or b"N"
