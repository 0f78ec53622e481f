"""maxmemory-clients: when clients' buffers take too much in total, the clients with the largest are disconnected.

The buffers are summed up at most every 10 ms, and less often where that takes long: a fiftieth of all time is the
most it gets.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from broker.clients.session import CLOSING

if TYPE_CHECKING:
    from broker.broker import Broker
    from broker.clients.session import Session

CLIENT_SIZE: Final = 4096
"""Bytes that a client without anything buffered takes: its session, connection, socket and parser."""

LISTED_SIZE: Final = 300
"""Bytes that a name costs beside its own where it is listed: a channel, a watched key, a key waited for."""

LIMIT_MIN: Final = 128 * 1024
"""A smaller limit is raised to this, so that a client can still set another one (as in Redis)."""

_EVERY_NS: Final = 10_000_000
_SHARE: Final = 50


class ClientEviction:
    """Keeps a broker's clients within maxmemory-clients."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._next = 0

    def limit(self) -> int:
        """The limit in bytes, 0 for none; a share is one of maxmemory."""
        config = self._broker.config
        limit: int = config.maxmemory_clients
        if limit < 0:
            limit = config.maxmemory * -limit // 100
            if not config.maxmemory:
                return 0
        return max(limit, LIMIT_MIN) if limit or config.maxmemory_clients else 0

    def check(self) -> None:
        """Disconnect clients, the largest first, until the rest is within the limit; not those with NO-EVICT on."""
        began = perf_counter_ns()
        if began < self._next:
            return
        limit = self.limit()
        if limit:
            self._evict(limit)
        ends = perf_counter_ns()
        self._next = ends + max(_EVERY_NS, (ends - began) * _SHARE)

    def _evict(self, limit: int) -> None:
        broker = self._broker
        sizes = [(client_memory(session), session) for session in broker.sessions.values()]
        total = sum(size for size, _ in sizes)
        if total < limit:
            return
        sizes.sort(key=lambda pair: pair[0], reverse=True)
        for size, session in sizes:
            if session.no_evict or session.gate & CLOSING:
                continue
            broker.log.notice("client closed: maxmemory-clients is reached", id=session.id, bytes=size)
            session.kill()
            broker.stats.evicted_clients += 1
            total -= size
            if total < limit:
                return
        broker.log.warning("clients are over maxmemory-clients, and no more of them may be closed", bytes=total)


def client_memory(session: Session) -> int:
    """About the bytes that a client takes: buffers, what it queued in a transaction, and all that is kept by a name it
    has sent: what it is subscribed to, watches and waits for, and its own names."""
    waiting = session.waiting
    listed = (
        session.channels, session.patterns, session.shard_channels, () if waiting is None else waiting.args,
    )  # fmt: skip
    count = len(session.watched)
    size = sum([len(key) for _, key in session.watched])
    for names in listed:
        if names:
            count += len(names)
            size += sum(map(len, names))
    size += len(session.name) + len(session.lib_name) + len(session.lib_ver)
    return CLIENT_SIZE + sum(session.transport.sizes()) + session.queued_size + size + count * LISTED_SIZE
