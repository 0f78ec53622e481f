"""Clients that wait until replicas have their writes: WAIT and WAITAOF.

Replicas report once a second how far they are. While somebody waits, they are asked in the stream itself (REPLCONF
GETACK), once per tick for all who begin to wait in it. The reports of a tick are looked at together in the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from broker.clients.session import Session
    from broker.execution.state import State
    from broker.replication.feed import Feed
    from broker.replication.history import History
    from broker.replication.replicas import Replicas


class ReplicaWaits:
    """Who waits for replicas.

    `asking` is not empty if the replicas are to be asked at the end of this tick. `published` are the clients that have
    sent messages to replicas in this tick, which Effects.position does not count.
    """

    def __init__(
        self, feed: Feed, history: History, replicas: Replicas, state: State, retry: Callable[[Session], None]
    ) -> None:
        """`retry` executes a session's waiting command again."""
        self._state = state
        self._feed = feed
        self._history = history
        self._replicas = replicas
        self._retry = retry
        # How much of the stream each waits for.
        self._offsets: dict[Session, int] = {}
        # How long the stream was when it had a client's last message.
        self._messages: dict[Session, int] = {}
        self.asking: list[Session] = []
        self.published: set[Session] = set()

    def acknowledged(self, session: Session) -> int:
        """The number of replicas that have the session's writes."""
        offset = self._offset(session)
        return sum(1 for replica in self._replicas.online if replica.acknowledged >= offset)

    def synced(self, session: Session) -> int:
        """The number of replicas that have the session's writes on their disk."""
        offset = self._offset(session)
        return sum(1 for replica in self._replicas.online if replica.synced >= offset)

    def _offset(self, session: Session) -> int:
        """How much of the stream a replica must have to have all that this client has written."""
        if session.waiting is not None and session in self._offsets:
            return self._offsets[session]
        offset = self._feed.offset_of(session.last_write_position)
        if session in self.published:
            return self._history.offset
        return max(offset, self._messages.get(session, 0))

    def begin(self, session: Session) -> None:
        """The session's command is about to wait: execute it again when replicas report."""
        if session.waiting is None:
            self._offsets[session] = self._offset(session)
            self.asking.append(session)

    def forget(self, session: Session) -> None:
        """Forget a client that has disconnected."""
        self._offsets.pop(session, None)
        self._messages.pop(session, None)
        self.published.discard(session)

    def serve(self) -> None:
        """Look at the replicas' reports: answer those who have waited for them."""
        self._replicas.acknowledgements.clear()
        for session in list(self._offsets):
            if session.waiting is not None:
                self._retry(session)
            if session.waiting is None:
                self._offsets.pop(session, None)

    def ask(self) -> None:
        """At the end of a tick, ask all replicas how far they are, if anybody has begun to wait.

        During a failover it does nothing: then replicas have been asked, and the stream must not grow.
        """
        if self._state.failing_over:
            return
        if self.published:
            self._feed.flush()
            self._messages.update(dict.fromkeys(self.published, self._history.offset))
            self.published.clear()
        if self.asking:
            self.asking.clear()
            if self._replicas.online and not self._feed.following:
                self._feed.command(b"REPLCONF", b"GETACK", b"*")
