"""How much memory a client takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from broker.clients.session import Session

CLIENT_SIZE: Final = 4096
"""Bytes that a client with empty buffers takes: its session, connection, socket and parser."""

LISTED_SIZE: Final = 300
"""Bytes of overhead for each listed name (a channel, a watched key, a key waited for) besides its length."""


def client_memory(session: Session) -> int:
    """The approximate memory of a client: its buffers, its queued transaction, and the names that it has sent
    (subscriptions, tracked prefixes, keys it watches or waits for, and its own names)."""
    waiting = session.waiting
    listed = (
        session.channels, session.patterns, session.shard_channels, () if waiting is None else waiting.args,
        () if session.tracking is None else session.tracking.prefixes,
    )  # fmt: skip
    count = len(session.watched)
    size = sum([len(key) for _, key in session.watched])
    for names in listed:
        if names:
            count += len(names)
            size += sum(map(len, names))
    size += len(session.name) + len(session.lib_name) + len(session.lib_ver)
    return CLIENT_SIZE + sum(session.transport.sizes()) + session.queued_size + size + count * LISTED_SIZE
