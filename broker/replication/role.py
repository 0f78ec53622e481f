"""Whether this broker is a master or a replica, and what changes along with that.

REPLICAOF and the end of a failover come here. The link to the master is a task of its own (broker.replication.link),
which works for `master` as long as that stays the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import trio

from broker.clients.session import REPLICA
from broker.replication.link_status import LinkStatus
from protocol.errors import UNBLOCKED_BY_ROLE
from protocol.replies import error

if TYPE_CHECKING:
    from broker.clients.blocking import Blocking
    from broker.config import Config
    from broker.execution.dispatcher import Dispatcher
    from broker.execution.state import State
    from broker.keyspace.effects import Effects
    from broker.policies.policies import Policies
    from broker.process.clock import Clock
    from broker.process.log import Log
    from broker.replication.feed import Feed
    from broker.replication.history import History
    from broker.replication.replicas import Replicas


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Role:
    """The role of this broker: the `master` that it follows, None if it is one itself, and the state of the link.

    `continues` says that the history's offset is how far this broker's data have come in the stream that the history
    names, so that a master may continue it. `stream_database` is the database that the stream has selected there.
    """

    def __init__(
        self,
        config: Config,
        log: Log,
        clock: Clock,
        state: State,
        dispatcher: Dispatcher,
        blocking: Blocking,
        effects: Effects,
        history: History,
        feed: Feed,
        replicas: Replicas,
        policies: Policies,
    ) -> None:
        self._config = config
        self._log = log
        self._state = state
        self._dispatcher = dispatcher
        self._blocking = blocking
        self._effects = effects
        self._history = history
        self._feed = feed
        self._replicas = replicas
        self._policies = policies
        self.master: Address | None = None
        self.link = LinkStatus(clock)
        self.continues = False
        self._scope = trio.CancelScope()
        for name in ("replica-read-only", "replica-serve-stale-data"):
            config.on_change(name, lambda _: self.update())
        if config.replicaof is not None:
            self.master = Address(*config.replicaof)
            feed.stop()
            self.link.begin()
            self.update()

    @property
    def is_replica(self) -> bool:
        """Whether this broker follows a master."""
        return self.master is not None

    @property
    def stream_database(self) -> int:
        return self._feed.followed_database

    @stream_database.setter
    def stream_database(self, index: int) -> None:
        self._feed.followed_database = index

    def resume(self) -> None:
        """After a restart, continue the master's stream where the RDB file was that has been loaded."""
        place = self._feed.restored
        if place is not None and self.master is not None:
            id, offset, self.stream_database = place
            self._history.adopt(id, offset)
            self.continues = True

    def scope(self) -> trio.CancelScope:
        """Returns a scope for what is done for the present master, or without one: it is cancelled at the change."""
        self._scope = trio.CancelScope()
        return self._scope

    def follow(self, master: Address) -> None:
        """Become that master's replica, of whichever role before; within a tick."""
        if self.master is None:
            self._log.notice(
                "Before turning into a replica, using my own master parameters to synthesize a cached master: I may be"
                " able to synchronize with the new master with just a partial transfer."
            )
            # What a transaction has written before this command will not be in the stream.
            self.continues = self._history.backlog is not None and not self._effects.has_gathered
            self._feed.stop()
            self.stream_database = 0  # a new master's stream begins with a SELECT
        self.master = master
        self._config.replicaof = (master.host, master.port)
        self._disconnect_blocked()
        self.link.begin()
        self._changed()

    def promote(self) -> None:
        """Become a master whose replicas, and those of the former master, can continue; within a tick."""
        if self.master is None:
            return
        history = self._history
        self.master = None
        self.continues = False
        self._config.replicaof = None
        self.link.end()
        self._replicas.disconnect_all()
        history.promote()
        self._log.notice(
            f"Setting secondary replication ID to {history.second_id}, valid up to offset: {history.second_offset}."
            f" New replication ID is {history.id}"
        )
        self._feed.start()
        self._changed()

    def update(self) -> None:
        """Bring up to date what clients may do, after a change of the role, the link or a directive."""
        config, state = self._config, self._state
        state.replica = self.master is not None
        self._log.role = "replica" if state.replica else "primary"
        state.stale = state.replica and not self.link.is_up and not config.replica_serve_stale_data
        read_only = state.replica and config.replica_read_only
        if read_only != state.read_only:
            state.read_only = read_only
            self._dispatcher.set_read_only(read_only)
        state.restrict()

    def _changed(self) -> None:
        self.update()
        self._policies.reload()
        self._scope.cancel()

    def _disconnect_blocked(self) -> None:
        """Close the clients that wait: what they wait for may never happen here."""
        for session in list(self._blocking.sessions):
            wait = session.waiting
            if wait is not None and wait.timeout_reply and not session.flags & REPLICA:
                self._blocking.finish(session, error(UNBLOCKED_BY_ROLE))
                session.close()
