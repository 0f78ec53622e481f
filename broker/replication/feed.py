"""The stream that replicas receive: what this broker's commands do or, on a replica, its master's bytes as they are."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from broker.formats.aof.writing import CommandWriter
from broker.replication.history import NO_ID
from protocol.numbers import parse_integer
from protocol.replies import bulks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from broker.keyspace.effects import Effects, Unit
    from broker.replication.history import History
    from broker.replication.replicas import Replicas

MARKS: Final = 8192
"""The number of ticks of which it is known exactly what they have added to the stream. Before that it is less exact."""


class Feed:
    """Turns effects into the stream, a tick's at once.

    It collects effects only while it is `active`: the history then has a backlog, and this broker is a master, not
    `following` another. While it follows one, `followed_database` is the one selected in its master's stream.
    `restored` is the place in a stream at which the RDB file was that was loaded at the start: its ID, its offset, and
    the database selected there.
    """

    def __init__(self, effects: Effects, history: History, replicas: Replicas) -> None:
        self.active = False
        self.following = False
        self.pending: list[Unit] = []
        self._record = self.pending.append
        self._effects = effects
        self._history = history
        self._replicas = replicas
        self._writer = CommandWriter()
        self.followed_database = 0
        self.restored: tuple[str, int, int] | None = None
        # Values of Effects.position, and the stream's length when everything up to there had been added to it.
        self._positions: list[int] = []
        self._offsets: list[int] = []

    def start(self) -> None:
        """This broker is a master (again): stream effects, beginning with a SELECT, if anybody could continue here.

        Only between two commands.
        """
        self.following = False
        self._replicas.left = None
        if self._history.backlog is not None:
            self.join()

    def stop(self) -> None:
        """This broker becomes a replica: stream no more effects of its own."""
        self.following = True
        self.detach()

    def join(self) -> None:
        """Somebody joins who knows nothing of what came before: stream what follows, beginning with a SELECT.

        Only between two commands.
        """
        self.flush()
        self._writer.database = None
        if not (self.active or self.following):
            if self._history.backlog is None:
                # There is no past that anybody could continue.
                self._history.change_id()
                self._history.open_backlog()
            self.active = True
            self._effects.sinks.append(self._record)
            self._effects.replica_sinks.append(self._record)
            self._mark()

    def detach(self) -> None:
        """Collect no more effects: what is pending is the end."""
        if self.active:
            self.flush()
            self.active = False
            self._effects.sinks.remove(self._record)
            self._effects.replica_sinks.remove(self._record)
            self._positions.clear()
            self._offsets.clear()

    def flush(self) -> None:
        """Add the effects collected so far to the history; at the end of a tick, and where the offset must be exact."""
        if self.pending:
            data = self._writer.encode_all(self.pending)
            self.pending.clear()
            self.relay(data)
            self._mark()

    def _mark(self) -> None:
        if len(self._positions) >= MARKS:
            del self._positions[::2], self._offsets[::2]
        self._positions.append(self._effects.position)
        self._offsets.append(self._history.offset)

    def offset_of(self, position: int) -> int:
        """Returns how long the stream was when it had all effects up to a value of Effects.position.

        It may be a little longer, and 0 if those were never part of it.
        """
        self.flush()
        index = bisect_left(self._positions, position)
        return self._offsets[index] if index < len(self._offsets) else 0

    # The place in files

    @property
    def offset(self) -> int:
        """How long the stream is, apart from what is pending."""
        return self._history.offset

    def facts(self) -> list[tuple[bytes, bytes]]:
        """The place in the stream, as metadata of an RDB file; none if nobody could continue from there."""
        if self._history.backlog is None:
            return []
        self.flush()
        database = self.followed_database if self.following else self._writer.database or 0
        return [
            (b"repl-stream-db", b"%d" % database),
            (b"repl-id", self._history.id.encode()),
            (b"repl-offset", b"%d" % self._history.offset),
        ]

    def restore(self, facts: Mapping[bytes, bytes]) -> None:
        """After a restart, continue at the place in the metadata of the RDB file that was loaded, if it has one."""
        id, offset = facts.get(b"repl-id", b""), parse_integer(facts.get(b"repl-offset", b""))
        if len(id) != len(NO_ID) or offset is None or offset < 0:
            return
        name = id.decode(errors="replace")
        self.restored = (name, offset, parse_integer(facts.get(b"repl-stream-db", b"")) or 0)
        if not self.following:
            self._history.restore(name, offset)
            self.join()

    def resume(self, offset: int) -> None:
        """After a restart, count on from there: the append-only files that were loaded end at this offset."""
        if self._history.backlog is None:
            self._history.offset = offset

    # Bytes

    def command(self, *words: bytes) -> None:
        """Add a command of our own (PING, REPLCONF GETACK), which belongs to no database."""
        self.flush()
        self.relay(bulks(list(words)))

    def relay(self, data: bytes) -> None:
        """Add these bytes to the stream as they are; on a replica, those of its master that it has executed.

        Only within a tick, and between two commands: a snapshot for the next replica may begin there.
        """
        self._history.append(data)
        self._replicas.deliver()
