"""maxmemory-clients: when clients' buffers take too much in total, the clients with the largest are disconnected.

The buffers are summed up at most every 10 ms, and less often where that takes long: a fiftieth of all time is the
most it gets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import perf_counter_ns
from typing import Final

from broker.clients.session import CLOSING, Session
from broker.config import Config
from broker.process.log import Log
from broker.process.stats import Stats

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

    def __init__(self, config: Config, sessions: Mapping[int, Session], stats: Stats, log: Log) -> None:
        """`sessions` are all that are open."""
        self._config = config
        self._sessions = sessions
        self._stats = stats
        self._log = log
        self._next = 0

    def least(self) -> int:
        """Bytes that all clients take without anything buffered."""
        return CLIENT_SIZE * len(self._sessions)

    def unsent(self) -> int:
        """Bytes that wait to be sent to clients."""
        return unsent_bytes(self._sessions.values())

    def limit(self) -> int:
        """The limit in bytes, 0 for none; a share is one of maxmemory."""
        config = self._config
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
        sizes = [(client_memory(session), session) for session in self._sessions.values()]
        total = sum(size for size, _ in sizes)
        if total < limit:
            return
        sizes.sort(key=lambda pair: pair[0], reverse=True)
        for size, session in sizes:
            if session.no_evict or session.flags & CLOSING:
                continue
            self._log.notice("client closed: maxmemory-clients is reached", id=session.id, bytes=size)
            session.kill()
            self._stats.evicted_clients += 1
            total -= size
            if total < limit:
                return
        self._log.warning("clients are over maxmemory-clients, and no more of them may be closed", bytes=total)


def unsent_bytes(sessions: Iterable[Session]) -> int:
    """Bytes that wait to be sent to some clients."""
    return sum(session.transport.sizes()[3] for session in sessions)


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
