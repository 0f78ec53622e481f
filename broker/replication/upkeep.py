"""What the stream needs as time passes: pings, an end of the backlog that nobody asks for, a count of good replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from broker.config import Config
    from broker.execution.state import State
    from broker.process.log import Log
    from broker.replication.feed import Feed
    from broker.replication.history import History
    from broker.replication.replicas import Replicas


class StreamUpkeep:
    """Keeps a master's stream and its replicas up.

    A replica relays its master's pings, and keeps its backlog for as long as it is one.
    """

    def __init__(
        self, config: Config, log: Log, history: History, feed: Feed, replicas: Replicas, state: State
    ) -> None:
        self._config = config
        self._log = log
        self._history = history
        self._feed = feed
        self._replicas = replicas
        self._state = state
        self._seconds = 0
        replicas.changed.append(self.count_good)
        for name in ("min-replicas-to-write", "min-replicas-max-lag"):
            config.on_change(name, lambda _: self.count_good())
        self.count_good()

    def cron(self) -> None:
        """Called once a second, within a tick."""
        self._seconds += 1
        if self._seconds % self._config.repl_ping_replica_period == 0 and self._replicas.by_session:
            self.ping()
        self._replicas.cron()
        self._drop_backlog()

    def ping(self) -> None:
        """Show the replicas that the link works; on a replica, its master does, and a failover needs it quiet."""
        if self._feed.active and not self._state.failing_over:
            self._feed.command(b"PING")

    def _drop_backlog(self) -> None:
        """Drop a backlog that no replica has asked for in repl-backlog-ttl seconds."""
        limit = self._config.repl_backlog_ttl
        if not (limit and self._feed.active) or self._replicas.by_session:
            return
        if self._replicas.left is None:
            self._replicas.left = trio.current_time()
        if trio.current_time() - self._replicas.left > limit:
            self._feed.detach()
            self._history.close_backlog()
            self._log.notice(f"Replication backlog freed after {limit} seconds without connected replicas.")

    def count_good(self) -> None:
        """Refuse writes while there are too few good replicas (min-replicas-to-write)."""
        config = self._config
        least = config.min_replicas_to_write
        few = bool(least and config.min_replicas_max_lag and not self._feed.following and self._replicas.good() < least)
        if few != self._state.too_few_replicas:
            self._state.too_few_replicas = few
            self._state.restrict()
