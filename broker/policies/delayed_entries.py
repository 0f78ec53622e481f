"""Entries that are added to their stream later: XADD with DELAY or AT.

Until then they are members of an ordinary sorted set beside the stream, `~delayed:{T}:K` (broker.values.streams.
delayed_entry), whose score is the time when they are due. Every server keeps such a set and does nothing with it. There
is no state to restore: the sets are found when loading has ended and when the broker becomes a master, and from then on
`next_due` is all that a tick compares with its clock. What clients do to a set is noticed before it is next used.

An entry is added by executing XADD with the options and fields it was given, so everything that XADD does, it does when
the entry is due. Those without options are added in runs, with the same result. What can't be such an entry gets the
score +inf: it stays, and is never looked at again.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf
from typing import Any, Final

from broker.clients.session import Session
from broker.config import Config
from broker.execution.state import State
from broker.keyspace.database import Database
from broker.keyspace.events import DEL, POLICY, ZSET, Event
from broker.keyspace.expiry_timer import ExpiryTimer
from broker.keyspace.keyspace import Keyspace
from broker.policies.adding import XADD
from broker.policies.companion_keys import companion_key, stream_beside
from broker.process.log import Log
from broker.process.stats import Stats
from broker.process.timers import Deadlines
from broker.table.command import DECLARED
from broker.values.deadline_queue import NEVER
from broker.values.sorted_set import SortedSet
from broker.values.streams.delayed_entry import NUMBER, NotAnEntry, number_of, pack, unpack, unpack_plain
from broker.values.streams.ids import MAX_ID, format_ids
from broker.values.streams.stream import MAX_ENTRY, EntryTooLarge, Stream
from protocol.errors import CommandError

PREFIX: Final = b"~delayed:{"

ADDED_AT_ONCE: Final = 1000
"""The number of entries that may be added to their streams before clients get a turn: about a millisecond of work."""

MAX_DUE: Final = (1 << 53) - 1
"""The latest time in milliseconds that a score can hold exactly."""

DELIVERED: Final = Event(POLICY, b"deliver")
ZADD: Final = Event(ZSET, b"zadd")
ZREM: Final = Event(ZSET, b"zrem")

_MAX_NUMBER: Final = (1 << 63) - 1
_CHECKED_AT_ONCE: Final = 1000
_COMPLAINT_MS: Final = 60_000

_RETRY_MS: Final = 50
"""How long the broker waits where it may not act, because of a pause for example."""

_REFUSED_MS: Final = 1000
"""How long a stream is left alone that takes no entries now, because its key holds another type for example."""


class TooManyDelayed(Exception):
    """A stream has `stream-delayed-max` delayed entries already."""


class _Queue:
    """The delayed entries of a stream: the set that they were last seen in, and when they are looked at next."""

    __slots__ = ("complained_at", "database", "due", "entries", "key", "name", "stream")

    def __init__(self, database: Database, stream: bytes, key: bytes, entries: SortedSet) -> None:
        self.database = database
        self.stream = stream
        self.key = key
        self.entries = entries
        self.name = b"%d:%b" % (database.index, stream)
        self.due = inf
        self.complained_at = -_COMPLAINT_MS


def delayed_key(stream: bytes) -> bytes:
    """Returns the key of the sorted set with the delayed entries of the stream at `stream`."""
    return companion_key(PREFIX, stream)


class DelayedEntries:
    """All delayed entries of a broker. `next_due` is when some are to be looked at, in wall milliseconds."""

    __slots__ = (
        "_by_name", "_config", "_keyspace", "_last", "_log", "_make_session", "_order", "_queues", "_session", "_state",
        "_stats", "_timer", "_unchecked", "next_due",
    )  # fmt: skip

    def __init__(
        self, config: Config, log: Log, state: State, keyspace: Keyspace, timers: Deadlines, stats: Stats,
        make_session: Callable[[], Session[Any]],
    ) -> None:  # fmt: skip
        """`make_session` returns a session that no client has, in which entries are added."""
        self._config = config
        self._log = log
        self._state = state
        self._keyspace = keyspace
        self._stats = stats
        self._make_session = make_session
        self._session: Session[Any] | None = None
        self._queues: dict[tuple[int, bytes], _Queue] = {}
        # The same by name, and the names by when the queues are due.
        self._by_name: dict[bytes, _Queue] = {}
        self._order = SortedSet()
        self._unchecked: list[_Queue] = []
        # The highest number of an entry. It is the broker's, not the stream's, so no handle is ever given twice.
        self._last = 0
        self.next_due = NEVER
        self._timer = ExpiryTimer(timers, keyspace.clock, self._before_next_due)

    def start(self) -> None:
        """Start setting timers; must be called with Trio running."""
        self._timer.start()

    def _before_next_due(self) -> int:
        # Keys expire after their deadline, entries are added at their time.
        return self.next_due - 1 if self.next_due < NEVER else NEVER

    # Following the sets

    def reload(self) -> None:
        """Find all sets; called when all keys may have changed, and when the role has."""
        self._queues.clear()
        self._by_name.clear()
        self._order = SortedSet()
        self._unchecked.clear()
        if self._config.stream_extensions and not (self._state.replica or self._state.loading):
            for database in self._keyspace.databases:
                for key in list(database.data):
                    stream = stream_beside(PREFIX, key)
                    if stream is not None:
                        self._find(database, stream)
        self._look_ahead()

    def check(self) -> None:
        """Look after a bounded number of sets, which clients may have changed."""
        if not self._queues:
            return
        if not self._unchecked:
            self._unchecked = list(self._queues.values())
        for queue in self._unchecked[:_CHECKED_AT_ONCE]:
            if self._find(queue.database, queue.stream) is queue:
                self._schedule(queue)
        del self._unchecked[:_CHECKED_AT_ONCE]
        self._look_ahead()

    def placed(self, database: Database, key: bytes) -> None:
        """Follows a sorted set that was renamed, copied, moved or restored to `key`, if it has delayed entries."""
        stream = stream_beside(PREFIX, key) if self._config.stream_extensions else None
        if stream is not None and not self._state.is_replaying():
            self._find(database, stream)

    def _find(self, database: Database, stream: bytes) -> _Queue | None:
        """Returns the queue of a stream, None if it has no delayed entries."""
        queue = self._queues.get((database.index, stream))
        if queue is not None:
            if database.get_untouched(queue.key) is queue.entries:
                return queue
            self._forget(queue)
        return self._adopt(database, stream)

    def _adopt(self, database: Database, stream: bytes) -> _Queue | None:
        """Follows the set that is there now."""
        key = delayed_key(stream)
        entries = database.get_untouched(key)
        if type(entries) is not SortedSet:
            return None
        queue = _Queue(database, stream, key, entries)
        if self._state.replica:
            return queue
        # A number beyond is not ours: the next ones must have room.
        highest = max((number for member in entries.scores if (number := number_of(member)) <= _MAX_NUMBER), default=0)
        self._last = max(self._last, highest)
        self._remember(queue)
        self._schedule(queue)
        if queue.due < self.next_due:
            self._look_ahead()
        return queue

    def _remember(self, queue: _Queue) -> None:
        self._queues[(queue.database.index, queue.stream)] = queue
        self._by_name[queue.name] = queue

    def _forget(self, queue: _Queue) -> None:
        self._queues.pop((queue.database.index, queue.stream), None)
        self._by_name.pop(queue.name, None)
        self._order.discard(queue.name)

    def _schedule(self, queue: _Queue) -> None:
        """Looks at the queue again when its first entry is due."""
        queue.due = due = queue.entries.first()[0]
        self._order.put(queue.name, due)

    def _look_ahead(self) -> None:
        """Finds out when the next entry is due."""
        due = self._order.first()[0] if len(self._order) else inf
        self.next_due = ceil(max(due, 0)) if due < NEVER else NEVER
        self._timer.moved()

    # What commands do

    def add(self, database: Database, stream: bytes, due: int, fields: list[bytes], options: list[bytes]) -> int:
        """Adds an entry that is due later; returns its number. Raises TooManyDelayed, EntryTooLarge or WRONGTYPE."""
        queue = self._queues.get((database.index, stream))
        if queue is None or database.get(queue.key) is not queue.entries:
            queue = self._find(database, stream) or self._create(database, stream)
        entries = queue.entries
        if len(entries) >= self._config.stream_delayed_max:
            raise TooManyDelayed
        self._last = number = self._last + 1
        member = pack(number, fields, options)
        if len(member) > MAX_ENTRY and sum(map(len, fields)) > MAX_ENTRY:
            raise EntryTooLarge
        while member in entries:
            # A client has put it there.
            self._last = number = number + 1
            member = pack(number, fields, options)
        if not entries:
            database.add(queue.key, entries)
        entries.insert(member, float(due))
        database.changed(queue.key, ZADD)
        effects = self._keyspace.effects
        if effects.sinks:
            effects.replace_with([b"ZADD", queue.key, b"%d" % due, member])
        if due < queue.due and not self._state.replica:
            self._schedule(queue)
            if due < self.next_due:
                self._look_ahead()
        return number

    def _create(self, database: Database, stream: bytes) -> _Queue:
        key = delayed_key(stream)
        database.get_as(key, SortedSet)  # raises WRONGTYPE
        queue = _Queue(database, stream, key, SortedSet())
        if not self._state.replica:
            self._remember(queue)
        return queue

    def cancel(self, database: Database, stream: bytes, handles: list[tuple[int, int]]) -> list[list[bytes]]:
        """Removes entries, given when they are due and their numbers, before they are; returns the effects.

        Each effect is a ZREM, with a member for each of the entries that existed.
        """
        queue = self._find(database, stream)
        if queue is None:
            return []
        entries = queue.entries
        found = []
        for due, number in handles:
            prefix = number.to_bytes(NUMBER, "big")
            at = entries.rank(prefix, float(due))
            for score, member in entries.span(at, at + 1):
                if score == due and member.startswith(prefix):
                    entries.discard(member)
                    found.append(member)
        if not found:
            return []
        self._removed(queue, len(found), not entries)
        return [[b"ZREM", queue.key, *found]]

    def stored(self, database: Database, stream: bytes) -> tuple[int, float]:
        """Returns the number of a stream's delayed entries, and when the first one is due."""
        queue = self._find(database, stream)
        return (0, inf) if queue is None else (len(queue.entries), queue.entries.first()[0])

    def count(self) -> int:
        """Returns the number of all delayed entries."""
        return sum(
            len(queue.entries) for queue in self._queues.values() if queue.database.data.get(queue.key) is queue.entries
        )

    def _removed(self, queue: _Queue, count: int, everything: bool) -> None:
        """Announces that entries were removed from a set; if it was everything, removes the set.

        The last ones may still be in it, since what is freed a little at a time is only a set that is not empty.
        """
        database = queue.database
        database.changed(queue.key, ZREM, count)
        if everything:
            self._forget(queue)
            database.delete(queue.key)
            database.notify(DEL, queue.key)

    # Adding what is due

    def add_due(self) -> None:
        """Adds a bounded number of entries that are due to their streams; called when `next_due` has come."""
        now = self._keyspace.clock.now
        if not self._state.acts_by_itself():
            self.next_due = now + _RETRY_MS if self._queues else NEVER
            self._timer.moved()
            return
        order = self._order
        _, end = order.score_span(-inf, False, now, False)
        names = order.members(0, min(end, ADDED_AT_ONCE))
        for name in names:
            due = self._by_name[name]
            queue = self._find(due.database, due.stream)
            if queue is not None:
                self._add_some(queue, now, ADDED_AT_ONCE // len(names))
        self._look_ahead()

    def _add_some(self, queue: _Queue, now: int, limit: int) -> None:
        """Adds entries of one stream that are due, in one unit."""
        entries = queue.entries
        members = entries.members(0, limit)
        if entries.scores[members[-1]] > now:
            _, end = entries.score_span(-inf, False, now, False)
            del members[end:]
        adding = _Adding(self._add_session(queue.database), queue.stream)
        adding.add(members)
        if adding.problem is not None:
            self._complain(queue, adding.problem, now)
        effects = self._keyspace.effects
        for member in adding.unsuitable:
            entries.move(member, entries.scores[member], inf)
            queue.database.changed(queue.key, ZADD)
            effects.replace_with([b"ZADD", queue.key, b"inf", member])
        done = adding.done
        all_done = len(done) == len(entries)
        if done:
            # Nothing else is before them, so their number says which they are; naming them would double the file.
            if effects.sinks:
                effects.replace_with([b"ZREMRANGEBYRANK", queue.key, b"0", b"%d" % (len(done) - 1)])
            if not all_done:
                entries.remove_span(0, len(done))
            self._removed(queue, len(done), all_done)
            self._stats.delayed_delivered += adding.added
            if self._keyspace.event_mask & POLICY:
                for _ in range(adding.added):
                    queue.database.notify(DELIVERED, queue.stream)
        self._keyspace.count_changes()
        effects.flush(queue.database.index, None)
        if not all_done:
            self._schedule(queue)
            if adding.refusal is not None:
                self._complain(queue, adding.refusal, now)
                queue.due = float(now + _REFUSED_MS)
                self._order.put(queue.name, queue.due)

    def _add_session(self, database: Database) -> Session[Any]:
        if self._session is None:
            self._session = self._make_session()
        self._session.db = database
        return self._session

    def _complain(self, queue: _Queue, problem: Exception, now: int) -> None:
        log = self._log
        if not isinstance(problem, CommandError):
            log.failure("a delayed entry could not be added", problem)
        elif now - queue.complained_at >= _COMPLAINT_MS:
            queue.complained_at = now
            log.warning(
                "delayed entries can't be added to their stream", stream=log.user_data(queue.stream),
                error=log.user_data(problem.text),
            )  # fmt: skip


class _Adding:
    """Adding members of a set to its stream: which are `done`, with `added` of them now in the stream.

    `unsuitable` ones are no entries that could ever be added; `problem` is the last one's error. With `refusal`, the
    stream takes no entries now, and what follows has not been tried.
    """

    __slots__ = ("_session", "_stream", "added", "done", "problem", "refusal", "unsuitable")

    def __init__(self, session: Session[Any], stream: bytes) -> None:
        self._session = session
        self._stream = stream
        self.done: list[bytes] = []
        self.added = 0
        self.unsuitable: list[bytes] = []
        self.problem: Exception | None = None
        self.refusal: CommandError | None = None

    def add(self, members: list[bytes]) -> None:
        """Adds the entries in order. The effects are those of each XADD."""
        at = 0
        while at < len(members) and self.refusal is None:
            at += self._add_run(members, at)
            if at < len(members):
                self._add_one(members[at])
                at += 1

    def _add_run(self, members: list[bytes], start: int) -> int:
        """Adds the entries from position `start` on, up to one that needs XADD itself; returns their number.

        Does the same as an XADD of each, in half the time. There must be a stream, without a policy, and nobody who is
        told of each change.
        """
        database, key = self._session.db, self._stream
        keyspace = database.keyspace
        if keyspace.event_mask or key in database.governed:
            return 0
        stream = database.get(key)
        if type(stream) is not Stream:
            return 0
        entries = unpack_plain(members, start)
        id = max(keyspace.clock.now << 64, stream.last_id + 1)
        if id + len(entries) > MAX_ID:
            return 0
        count = 0
        try:
            while count < len(entries):
                count += stream.append_run(id + count, entries, count)
        except Exception:
            pass  # XADD of the next one says what is wrong
        if not count:
            return 0
        self.done += members[start : start + count]
        self.added += count
        database.changed(key, XADD, count)
        effects = keyspace.effects
        if effects.sinks:
            ids = format_ids(id, count)
            effects.replace_with(*[[b"XADD", key, ids[at], *entries[at]] for at in range(count)])
        return count

    def _add_one(self, member: bytes) -> None:
        """Adds an entry by XADD."""
        try:
            fields, options = unpack(member)
            reply = DECLARED[b"xadd"].handler(self._session, [b"XADD", self._stream, *options, b"*", *fields])
        except NotAnEntry:
            self.unsuitable.append(member)
        except CommandError as problem:
            if not problem.text.startswith(b"ERR "):
                self.refusal = problem
                return
            self.unsuitable.append(member)
            self.problem = problem
        except Exception as defect:
            self.unsuitable.append(member)
            self.problem = defect
        else:
            self.done.append(member)
            if reply.startswith(b"$") and not reply.startswith(b"$-"):
                self.added += 1
