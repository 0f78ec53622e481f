"""Clients that wait for the answer to an entry that they have added: XCALL, answered by XREPLY.

A call is only in memory: a broker that ends cuts the connection, so its caller knows that it knows nothing. What
becomes of the entry is seen where it is acknowledged or dies. An entry that nobody has read when its caller stops
waiting is removed, so that no work is done for nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from broker.clients.blocking import FOREVER, Blocking
from broker.clients.session import Session
from broker.execution.state import State
from broker.keyspace.database import Database
from broker.keyspace.events import STREAM, Event
from broker.keyspace.keyspace import Keyspace
from broker.process.timers import Deadlines, Timer
from broker.table.command import Handler
from broker.values.streams.ids import format_id
from broker.values.streams.stream import Stream
from protocol.replies import array, bulk, error

XDEL: Final = Event(STREAM, b"xdel")

_RETRY_MS: Final = 50
"""How long the broker waits where it may not remove entries, because of a pause for example."""


class _Call:
    """A call: who waits for which entry, of the stream at `key`."""

    __slots__ = ("database", "id", "key", "session")

    def __init__(self, session: Session, database: Database, key: bytes, id: int) -> None:
        self.session = session
        self.database = database
        self.key = key
        self.id = id


class Calls:
    """All calls of a broker, in `waiting` by database, key and ID of the entry; empty while nobody calls."""

    __slots__ = ("_blocking", "_by_session", "_keyspace", "_left", "_removal", "_state", "_timers", "waiting")

    def __init__(self, state: State, keyspace: Keyspace, timers: Deadlines, blocking: Blocking) -> None:
        self._state = state
        self._keyspace = keyspace
        self._timers = timers
        self._blocking = blocking
        self.waiting: dict[tuple[int, bytes, int], _Call] = {}
        self._by_session: dict[Session, _Call] = {}
        # Calls whose callers were unblocked or have gone, perhaps during another command.
        self._left: list[_Call] = []
        self._removal: Timer | None = None

    def wait(self, session: Session, handler: Handler, args: list[bytes], id: int, timeout_ms: int) -> bytes:
        """Makes the client, which has just added the entry `id`, wait for its answer; XCALL must return what this does.

        `timeout_ms` counts from now; FOREVER means no timeout.
        """
        call = _Call(session, session.db, args[2], id)
        self.waiting[(session.db.index, args[2], id)] = call
        self._by_session[session] = call
        reply = self._blocking.wait(
            session, handler, args, keys=(), value_type=None, timeout_ms=FOREVER,
            timeout_reply=session.resp.null_array,
        )  # fmt: skip
        wait = session.waiting
        assert wait is not None
        wait.ended = self._ended
        if timeout_ms:
            wait.timeout = self._timers.after(timeout_ms, lambda: self._timed_out(call))
        return reply

    # What becomes of an entry

    def answer(self, database: Database, key: bytes, id: int, value: bytes) -> bool:
        """Answers the call for an entry; returns whether there was one."""
        call = self.waiting.get((database.index, key, id))
        if call is None:
            return False
        self._finish(call, array([bulk(format_id(id)), bulk(value)]))
        return True

    def acknowledged(self, database: Database, key: bytes, ids: Iterable[int]) -> None:
        """Answers the calls for those entries that no group will answer any more: they were acknowledged."""
        for id in ids:
            call = self.waiting.get((database.index, key, id))
            if call is not None and not self._is_expected(call):
                self._finish(call, array([bulk(format_id(id)), call.session.resp.null]))

    def died(self, database: Database, key: bytes, id: int, reason: bytes) -> bool:
        """Answers the call for an entry that has died, unless another group may still answer it; returns whether."""
        call = self.waiting.get((database.index, key, id))
        if call is None or self._is_expected(call):
            return False
        self._finish(call, error(b"DEADLETTER " + reason))
        return True

    def _is_expected(self, call: _Call) -> bool:
        """Whether a group has yet to read or acknowledge the entry."""
        stream = call.database.get_untouched(call.key)
        if type(stream) is not Stream:
            return False
        id, groups = call.id, stream.groups.values()
        return any(id in group.pel for group in groups) or (
            id in stream and any(group.last_id < id for group in groups)
        )

    # The ends of calls

    def _forget(self, call: _Call) -> None:
        self.waiting.pop((call.database.index, call.key, call.id), None)
        self._by_session.pop(call.session, None)

    def _finish(self, call: _Call, reply: bytes) -> None:
        self._forget(call)
        self._blocking.finish(call.session, reply)

    def _timed_out(self, call: _Call) -> None:
        if self._by_session.get(call.session) is call:
            self._forget(call)
            # First, so that the caller who learns of the end finds the entry removed.
            self._left.append(call)
            self._remove_unread()
            self._blocking.finish(call.session, call.session.resp.null_array)

    def _ended(self, session: Session) -> None:
        """A caller's wait is over. If that is not because of an answer, nobody needs the entry any more."""
        call = self._by_session.get(session)
        if call is not None:
            self._forget(call)
            self._left.append(call)
            self._remove_later(0)

    def _remove_later(self, milliseconds: int) -> None:
        if self._removal is None:
            self._removal = self._timers.after(milliseconds, self._remove_due)

    def _remove_due(self) -> None:
        self._removal = None
        self._remove_unread()

    def _remove_unread(self) -> None:
        """Removes the entries of callers that no longer wait, as far as no group has read them."""
        if self._state.replica or self._state.loading:
            self._left.clear()
        if not self._left:
            return
        if not self._state.acts_by_itself():
            self._remove_later(_RETRY_MS)
            return
        left, self._left = self._left, []
        keyspace = self._keyspace
        for call in left:
            stream = call.database.get_untouched(call.key)
            id = call.id
            if type(stream) is not Stream or any(
                group.last_id >= id or id in group.pel for group in stream.groups.values()
            ):
                continue
            if stream.delete(id):
                call.database.changed(call.key, XDEL)
                keyspace.effects.replace_with([b"XDEL", call.key, format_id(id)])
                keyspace.count_changes()
                keyspace.effects.flush(call.database.index, None)
