"""maxmemory-clients: when clients' buffers are too large in total, the clients with the largest are disconnected.

The buffers are added up at most every 10 ms, and less often if that takes long, so that it never uses more than a
fiftieth of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import perf_counter_ns
from typing import Final

from broker.clients.memory_use import CLIENT_SIZE, client_memory
from broker.clients.session import CLOSING, MASTER, REPLICA, Session
from broker.config import Config
from broker.process.log import Log
from broker.process.stats import Stats

LIMIT_MIN: Final = 128 * 1024
"""Smaller limits are raised to this, so that a client can still change the limit (as in Redis)."""

_EVERY_NS: Final = 10_000_000
_SHARE: Final = 50


class ClientEviction:
    """Keeps a broker's clients within maxmemory-clients."""

    def __init__(self, config: Config, sessions: Mapping[int, Session], stats: Stats, log: Log) -> None:
        """`sessions` are all open sessions."""
        self._config = config
        self._sessions = sessions
        self._stats = stats
        self._log = log
        self._next = 0

    def least(self) -> int:
        """Bytes that all clients would take with empty buffers."""
        return CLIENT_SIZE * len(self._sessions)

    def unsent(self) -> int:
        """Bytes waiting to be sent to clients."""
        return unsent_bytes(self._sessions.values())

    def limit(self) -> int:
        """The limit in bytes, 0 for none; a percentage is of maxmemory."""
        config = self._config
        limit: int = config.maxmemory_clients
        if limit < 0:
            limit = config.maxmemory * -limit // 100
            if not config.maxmemory:
                return 0
        return max(limit, LIMIT_MIN) if limit or config.maxmemory_clients else 0

    def check(self) -> None:
        """Disconnect clients, largest first, until the rest is within the limit; spares clients with NO-EVICT on."""
        began = perf_counter_ns()
        if began < self._next:
            return
        limit = self.limit()
        if limit:
            self._evict(limit)
        ends = perf_counter_ns()
        self._next = ends + max(_EVERY_NS, (ends - began) * _SHARE)

    def _evict(self, limit: int) -> None:
        sizes = [(client_memory(session), session) for session in self._sessions.values()]
        total = sum(size for size, _ in sizes)
        if total < limit:
            return
        sizes.sort(key=lambda pair: pair[0], reverse=True)
        for size, session in sizes:
            if session.no_evict or session.flags & (CLOSING | REPLICA | MASTER):
                continue
            self._log.notice("client closed: maxmemory-clients is reached", id=session.id, bytes=size)
            session.kill()
            self._stats.evicted_clients += 1
            total -= size
            if total < limit:
                return
        self._log.warning("clients exceed maxmemory-clients, but no more of them may be closed", bytes=total)


def unsent_bytes(sessions: Iterable[Session]) -> int:
    """Bytes waiting to be sent to these clients; replicas share theirs, the part of the stream that they lack."""
    unsent = shared = 0
    for session in sessions:
        size = session.transport.sizes()[3]
        if session.flags & REPLICA:
            shared = max(shared, size)
        else:
            unsent += size
    return unsent + shared
