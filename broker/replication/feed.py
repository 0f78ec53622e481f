"""The stream that replicas receive: what this broker's commands do or, on a replica, its master's bytes as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.formats.aof.writing import CommandWriter
from protocol.replies import bulks

if TYPE_CHECKING:
    from broker.keyspace.effects import Effects, Unit
    from broker.replication.history import History
    from broker.replication.replicas import Replicas


class Feed:
    """Turns effects into the stream, a tick's at once.

    It collects effects only while it is `active`: the history then has a backlog, and this broker is a master.
    """

    def __init__(self, effects: Effects, history: History, replicas: Replicas) -> None:
        self.active = False
        self.pending: list[Unit] = []
        self._record = self.pending.append
        self._effects = effects
        self._history = history
        self._replicas = replicas
        self._writer = CommandWriter()

    def start(self) -> None:
        """Stream all effects from now on, beginning with a SELECT; only between two commands."""
        self._history.open_backlog()
        self.forget_database()
        if not self.active:
            self.active = True
            self._effects.sinks.append(self._record)

    def stop(self) -> None:
        """Stream no more effects: what is pending is the end."""
        if self.active:
            self.flush()
            self.active = False
            self._effects.sinks.remove(self._record)

    def forget_database(self) -> None:
        """Begin what follows with a SELECT: somebody joins who knows nothing of what came before."""
        self.flush()
        self._writer.database = None

    def flush(self) -> None:
        """Add the effects collected so far to the history; at the end of a tick, and where the offset must be exact."""
        if self.pending:
            data = self._writer.encode_all(self.pending)
            self.pending.clear()
            self.relay(data)

    def command(self, *words: bytes) -> None:
        """Add a command of our own (PING, REPLCONF GETACK), which belongs to no database."""
        self.flush()
        self.relay(bulks(list(words)))

    def relay(self, data: bytes) -> None:
        """Add these bytes to the stream as they are; on a replica, those of its master. Only within a tick."""
        self._history.append(data)
        self._replicas.deliver()
