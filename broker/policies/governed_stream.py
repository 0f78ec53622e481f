"""One stream under a policy: what it may hold, and the timer that acts when its oldest entry has become too old.

Commands find it in `Database.governed` by the name of their key, so it applies to whatever stream is there, and a
stream that is renamed, restored or made later needs no attention. What it does is propagated as plain commands, behind
those of the command that gave cause to it, or on their own.

Each limit is checked whenever an entry is added. What was acknowledged is removed when that happens; where that can't
be known entry by entry (a group goes, or moves), the stream is searched for what no group refers to any more.
"""

from __future__ import annotations

from typing import Final

from broker.keyspace.database import Database
from broker.keyspace.events import NOT_EVENTS, POLICY, STREAM, Event
from broker.policies.adding import Undeliverable, add_entry
from broker.policies.governed_group import Parts
from broker.process.timers import Timer
from broker.values.streams.entry import encode_entry
from broker.values.streams.ids import MAX_ID, MAX_PART, format_id
from broker.values.streams.measuring import forget, is_measured, measure
from broker.values.streams.stream import Stream
from broker.values.streams.stream_policy import LIMITS, NEW, WORKQUEUE, StreamPolicy
from broker.values.streams.trim import trim_by_bytes, trim_by_id, trim_by_length, trim_effect
from protocol.errors import CommandError

FULL: Final = b"STREAMFULL the stream holds all that it may"
ONE_GROUP: Final = b"ERR a work queue has one group"

DISCARDED: Final = Event(POLICY, b"discard")
REFUSED: Final = Event(POLICY, b"refuse")
XTRIM: Final = Event(STREAM, b"xtrim")
XDEL: Final = Event(STREAM, b"xdel")

MIN_INTERVAL_MS: Final = 100
"""How long the timer waits at least before it acts on the same stream again."""

_COMPLAINT_MS: Final = 60_000

MEASURED_AT_ONCE: Final = 200
"""The number of nodes, of 100 entries each, whose bytes are counted before clients get a turn: about 1 ms of work."""

SEARCHED_AT_ONCE: Final = 10_000
"""The number of entries that are searched for unneeded ones before clients get a turn: about 5 ms of work."""


class GovernedStream:
    """The stream at `key`, whether or not it exists.

    `discarded` and `refused` count entries since the start, `captured` messages. `in_force` is whether the policy
    applies.
    """

    __slots__ = (
        "_acted_at", "_complained_at", "_events", "_key", "_known", "_parts", "_searched_to", "_timer", "captured",
        "database", "discarded", "in_force", "policy", "refused",
    )  # fmt: skip

    def __init__(self, parts: Parts, database: Database, key: bytes, policy: StreamPolicy) -> None:
        self._parts = parts
        self.database = database
        self._key = key
        self.policy = policy
        self.in_force = False
        self.discarded = 0
        self.refused = 0
        self.captured = 0
        # Keyspace events to be added.
        self._events: list[tuple[bytes, bytes]] = []
        self._complained_at = -_COMPLAINT_MS
        self._timer: Timer | None = None
        self._acted_at = -MIN_INTERVAL_MS
        # Up to where the stream has been searched for entries that no group needs.
        self._searched_to = 0
        # The stream that was found last: another one has not been searched.
        self._known: Stream | None = None

    def _find(self) -> Stream | None:
        stream = self.database.get_untouched(self._key)
        return stream if type(stream) is Stream else None

    def _may_act(self) -> bool:
        return self._parts.may_act(self.database, self._key) and self.in_force

    # Following the stream

    def set_policy(self, policy: StreamPolicy) -> None:
        """Applies another policy from now on."""
        if policy != self.policy:
            self.stop()
            self.policy = policy
        self.in_force = True
        self.database.governed[self._key] = self
        for pattern in policy.channels:
            self._parts.pubsub.add_captor(pattern, self)
        self._disarm()
        self._arm_at(self._parts.keyspace.clock.now)

    def stop(self) -> None:
        """Leaves the stream alone from now on."""
        self.in_force = False
        if self.database.governed.get(self._key) is self:
            del self.database.governed[self._key]
        for pattern in self.policy.channels:
            self._parts.pubsub.remove_captor(pattern, self)
        if self._known is not None:
            forget(self._known)
            self._known = None
        self._disarm()

    def check(self) -> None:
        """Looks after the stream that is there now, which may be another one. Called now and then."""
        stream = self._find()
        if stream is not None:
            self._disarm()
            self._act(stream)
        elif self._known is not None:
            forget(self._known)
            self._known = None

    def enforce(self) -> None:
        """Does what the policy says, as part of the running command, which has named its own effects."""
        stream = self._find()
        if stream is not None and self._may_act():
            self._disarm()
            self._remove(stream)

    def _follow(self, stream: Stream) -> None:
        if stream is not self._known:
            if self._known is not None:
                forget(self._known)
            self._known = stream
            self._searched_to = 0
        if self.policy.max_bytes and stream.measured < 0:
            measure(stream, MEASURED_AT_ONCE)

    def _fire(self) -> None:
        self._timer = None
        stream = self._find()
        if stream is not None:
            self._act(stream)

    def _act(self, stream: Stream) -> None:
        """Does what the policy says, as a unit of its own; if that is not possible now, the next check does."""
        if not self._may_act():
            return
        keyspace = self._parts.keyspace
        self._remove(stream)
        if keyspace.dirty:
            keyspace.count_changes()
            keyspace.effects.flush(self.database.index, None)
        if keyspace.ready:
            self._parts.serve()

    def _remove(self, stream: Stream) -> None:
        """Removes what is to go now, and waits for what is to go next."""
        before = self.discarded
        self._follow(stream)
        if self._is_measuring(stream):
            measure(stream, MEASURED_AT_ONCE)
        self._trim(stream)
        if self._searched_to < MAX_ID:
            self._search(stream)
        else:
            self._release(stream, [])
        if self.discarded > before:
            self._acted_at = self._parts.keyspace.clock.now
        self._arm(stream)

    def _arm(self, stream: Stream) -> None:
        """Waits for the oldest entry to become too old, or to go on with long work, unless the timer is set anyway."""
        if self._timer is not None:
            return
        if self._searched_to < MAX_ID or self._is_measuring(stream):
            self._arm_at(self._parts.keyspace.clock.now + 1)
        elif self.policy.max_age and stream.length:
            self._arm_at(max((stream.first_id >> 64) + self.policy.max_age, self._acted_at + MIN_INTERVAL_MS))

    def _is_measuring(self, stream: Stream) -> bool:
        return self.policy.max_bytes > 0 and not is_measured(stream)

    def _arm_at(self, due: int) -> None:
        self._timer = self._parts.timers.at(self._parts.keyspace.clock.trio_deadline(due), self._fire)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # For commands

    def admit(self, stream: Stream | None, id: int, fields: list[bytes]) -> None:
        """Raises STREAMFULL if the stream is full and refuses new entries; it need not exist."""
        policy = self.policy
        if policy.discard != NEW or not self._may_act():
            return
        size = len(encode_entry(id >> 64, id & MAX_PART, fields)[1]) if policy.max_bytes else 0
        length = 0
        if stream is not None:
            self._follow(stream)
            self._expire(stream)
            if self._is_measuring(stream):
                # A full stream must not take an entry that would cost it another one.
                measure(stream, stream.node_count())
            length = stream.length
            size += stream.measured
        if (policy.max_len and length >= policy.max_len) or (policy.max_bytes and size > policy.max_bytes):
            self.refused += 1
            self._parts.stats.entries_refused += 1
            self._notify(REFUSED)
            raise CommandError(FULL)

    def added(self, stream: Stream) -> None:
        """Removes what exceeds the limits now that an entry was added; the caller has named the effects of that."""
        if self._may_act():
            self._follow(stream)
            self._trim(stream)
            self._arm(stream)

    def released(self, stream: Stream, ids: list[int]) -> None:
        """Removes those of the entries that no group needs: they have just been acknowledged.

        The caller has named the effects of that.
        """
        if self.policy.retain != LIMITS and self._may_act():
            self._release(stream, ids)

    def groups_changed(self, stream: Stream) -> None:
        """Removes what no group needs now that there is another group, one less, or one has moved."""
        if self.policy.retain != LIMITS and self._may_act():
            self._follow(stream)
            self._searched_to = 0
            self._search(stream)
            self._arm(stream)

    def check_groups(self, count: int) -> None:
        """Raises if a work queue would have that many groups."""
        if self.policy.retain == WORKQUEUE and count > 1 and self._may_act():
            raise CommandError(ONE_GROUP)

    # Capturing

    def capture(self, channel: bytes, message: bytes) -> bool:
        """Adds a message, in the unit of the running command; returns whether that was possible.

        No events are sent, since the stream may capture events. A full stream refuses none.
        """
        if not self._capture(channel, message):
            return False
        self._parts.keyspace.effects.flush(self.database.index, None)
        return True

    def _capture(self, channel: bytes, message: bytes) -> bool:
        """Does the same, and leaves the effects to be flushed."""
        if not self._may_act():
            return False
        parts = self._parts
        keyspace = parts.keyspace
        fields = [b"channel", channel, b"message", message]
        mask = keyspace.event_mask
        keyspace.event_mask = mask & NOT_EVENTS
        try:
            stream, effect = add_entry(self.database, self._key, fields, keyspace.clock.now, parts.config)
            self.database.changed_silently(self._key)
            self._propagate(effect)
            self.added(stream)
        except Undeliverable as problem:
            self._complain(problem)
            return False
        finally:
            keyspace.event_mask = mask
        self.captured += 1
        parts.stats.captured_messages += 1
        return True

    def capture_event(self, channel: bytes, message: bytes) -> None:
        """Adds a keyspace event once the running command has ended, in its unit if it is a write.

        What is due to no command (a key expires), or to one that only reads, is added in a moment.
        """
        if not self._events:
            clock = self._parts.keyspace.clock
            self._parts.timers.at(clock.trio_deadline(clock.now), self._capture_events)
            self._parts.keyspace.effects.close_with(self._add_events)
        self._events.append((channel, message))

    def _add_events(self) -> int:
        events, self._events = self._events, []
        for channel, message in events:
            self._capture(channel, message)
        self._parts.keyspace.count_changes()
        return self.database.index

    def _capture_events(self) -> None:
        """Adds events that were not part of a write, and serves those who wait for any."""
        events, self._events = self._events, []
        for channel, message in events:
            self.capture(channel, message)
        keyspace = self._parts.keyspace
        keyspace.count_changes()
        if keyspace.ready:
            self._parts.serve()

    def _complain(self, problem: Undeliverable) -> None:
        now = self._parts.keyspace.clock.now
        if now - self._complained_at >= _COMPLAINT_MS:
            self._complained_at = now
            log = self._parts.log
            log.warning(f"a message was not captured: {problem}", stream=log.user_data(self._key))

    # Removing

    def _expire(self, stream: Stream) -> None:
        max_age = self.policy.max_age
        if max_age and stream.length:
            lowest = max(self._parts.keyspace.clock.now - max_age + 1, 0) << 64
            if stream.first_id < lowest:
                self._trimmed(stream, trim_by_id(stream, lowest))

    def _trim(self, stream: Stream) -> None:
        """Removes what exceeds the limits."""
        policy = self.policy
        self._expire(stream)
        if policy.max_len and stream.length > policy.max_len:
            self._trimmed(stream, trim_by_length(stream, policy.max_len))
        if policy.max_bytes and stream.measured > policy.max_bytes:
            self._trimmed(stream, trim_by_bytes(stream, policy.max_bytes))

    def _release(self, stream: Stream, ids: list[int]) -> None:
        """Removes all entries before the first one that a group needs, and those of `ids` that none needs."""
        if self.policy.retain == LIMITS or not (stream.groups and stream.length):
            return
        lowest = MAX_ID
        for group in stream.groups.values():
            pending = group.lowest_pending()
            needed = group.last_id + 1 if pending is None else min(pending, group.last_id + 1)
            lowest = min(lowest, needed)
        if stream.first_id < lowest:
            self._trimmed(stream, trim_by_id(stream, lowest))
        deleted = [id for id in ids if id >= lowest and not stream.is_referenced(id) and stream.delete(id)]
        if deleted:
            self._removed(len(deleted), XDEL)
            self._propagate([b"XDEL", self._key, *map(format_id, deleted)])

    def _search(self, stream: Stream) -> None:
        """Removes what no group needs, as far as a bounded search finds it; the timer continues."""
        if self.policy.retain == LIMITS or not (stream.groups and stream.length):
            self._searched_to = MAX_ID
            return
        self._release(stream, [])
        found, _ = stream.read_after(max(self._searched_to, stream.first_id - 1), SEARCHED_AT_ONCE)
        last = min(group.last_id for group in stream.groups.values())
        ids = [id for id in found if id <= last]
        finished = len(ids) < SEARCHED_AT_ONCE
        self._searched_to = MAX_ID if finished else ids[-1]
        self._release(stream, ids)

    def _trimmed(self, stream: Stream, count: int) -> None:
        if count:
            self._removed(count, XTRIM)
            self._propagate(trim_effect(self._key, stream))

    def _removed(self, count: int, event: Event) -> None:
        self.discarded += count
        self._parts.stats.entries_discarded += count
        if self._captures_events():
            self.database.changed_silently(self._key, count)
        else:
            self.database.changed(self._key, event, count)
            self._notify(DISCARDED)

    def _propagate(self, effect: list[bytes]) -> None:
        self.database.keyspace.effects.replace_with(effect)

    def _notify(self, event: Event) -> None:
        if not self._captures_events():
            self.database.notify(event, self._key)

    def _captures_events(self) -> bool:
        """Whether it would capture what it causes, and so on forever."""
        return any(pattern.startswith(b"__key") for pattern in self.policy.channels)
