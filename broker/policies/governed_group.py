"""One group under a policy: which of its entries are due, and the timer that acts when the next one will be.

Times and numbers of deliveries are facts of the group's pending entries, so nothing here has to survive a restart: what
became due meanwhile is found at once. The group is looked up by name whenever it is needed. If another one is there
(the stream was removed, renamed, restored), the policy applies to that one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from broker.config import Config
from broker.keyspace.database import Database
from broker.keyspace.events import POLICY, Event
from broker.keyspace.keyspace import Keyspace
from broker.policies.dead_letters import REJECTED, UNACKNOWLEDGED, Dying, Grave, Undeliverable
from broker.process.log import Log
from broker.process.stats import Stats
from broker.process.timers import Deadlines, Timer
from broker.values.deadline_queue import NEVER
from broker.values.streams.due_order import DueOrder
from broker.values.streams.group import MAX_COUNT, Group
from broker.values.streams.group_policy import DEFAULT_ACK_WAIT, GroupPolicy
from broker.values.streams.ids import format_id
from broker.values.streams.stream import Stream

REDELIVERED: Final = Event(POLICY, b"redeliver")

DEATHS_AT_ONCE: Final = 1000
"""The number of entries that may die before clients get a turn: about 5 ms of work."""

_COMPLAINT_MS: Final = 60_000


class Parts(NamedTuple):
    """The parts of a broker that governed groups depend on.

    `may_act(database, stream)` returns whether the broker may change anything on its own now, as the policies of that
    stream say; `serve` serves clients that wait for keys that have become ready.
    """

    config: Config
    log: Log
    keyspace: Keyspace
    timers: Deadlines
    stats: Stats
    may_act: Callable[[Database, bytes], bool]
    serve: Callable[[], None]


class GovernedGroup:
    """The group `name` of the stream at `key`, whether or not it exists.

    `redelivered` and `dead_lettered` count since the start. `in_force` is whether the policy applies.
    """

    __slots__ = (
        "_complained_at", "_key", "_name", "_order", "_parts", "_released_at", "_timer", "database", "dead_lettered",
        "in_force", "policy", "redelivered",
    )  # fmt: skip

    def __init__(self, parts: Parts, database: Database, key: bytes, name: bytes, policy: GroupPolicy) -> None:
        self._parts = parts
        self.database = database
        self._key = key
        self._name = name
        self.policy = policy
        self.in_force = False
        self.redelivered = 0
        self.dead_lettered = 0
        self._order: DueOrder | None = None
        self._timer: Timer | None = None
        # When entries without an owner must be looked at for dead ones: XNACK itself handles those that it releases.
        self._released_at = NEVER
        self._complained_at = -_COMPLAINT_MS

    def _find(self) -> tuple[Stream | None, Group | None]:
        stream = self.database.get_untouched(self._key)
        if type(stream) is not Stream:
            return None, None
        return stream, stream.groups.get(self._name)

    # Following the group

    def set_policy(self, policy: GroupPolicy) -> None:
        """Applies another policy from now on."""
        if policy != self.policy:
            self.stop()
            self.policy = policy
        self.in_force = True
        self.check()

    def stop(self) -> None:
        """Leaves the group alone from now on."""
        self.in_force = False
        _, group = self._find()
        if group is not None and group.due is self._order:
            group.due = None
        self._order = None
        self._disarm()

    def check(self) -> None:
        """Makes sure that the present group's entries are watched. Called now and then: it costs two lookups."""
        _, group = self._find()
        if group is not None and (self._timer is None or group.due is not self._order):
            self._arm_next(self._follow(group))

    def _follow(self, group: Group) -> DueOrder:
        """Returns the order of the group's pending entries, made if this is not the group that it was before."""
        order = self._order
        if order is None or group.due is not order:
            self._disarm()
            waits = self.policy.waits() or (NEVER,)
            order = DueOrder(waits, self.policy.last_count(), group.pel, self._arm)
            group.due = self._order = order
            if group.released_count():
                self._released_at = self._parts.keyspace.clock.now
        return order

    def _arm(self, due: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        clock = self._parts.keyspace.clock
        self._timer = self._parts.timers.at(clock.trio_deadline(due), self._fire)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm_next(self, order: DueOrder) -> None:
        due = min(order.next_due(self._parts.keyspace.clock.now), self._released_at)
        if due < NEVER and (due < order.armed or self._timer is None):
            order.armed = due
            self._arm(due)

    def _fire(self) -> None:
        """Acts on what is due now."""
        self._timer = None
        if self._order is not None:
            self._order.armed = NEVER
        if not self._parts.may_act(self.database, self._key) or not self.in_force:
            return  # until the next check
        stream, group = self._find()
        if stream is None or group is None:
            return
        order = self._follow(group)
        self._bury_dead(stream, group, order)
        database = self.database
        if self._key in database.waiters and self._has_due(group):
            database.keyspace.ready[(database, self._key)] = None
        if database.keyspace.ready:
            self._parts.serve()
        self._arm_next(order)

    # Redelivering

    def has_due(self) -> bool:
        """Whether an entry is to be delivered again."""
        _, group = self._find()
        return group is not None and self._has_due(group)

    def _has_due(self, group: Group) -> bool:
        order = self._follow(group)
        if not self.policy.waits():
            return False
        return bool(group.released_count()) or order.has_due(self._parts.keyspace.clock.now)

    def take_due(self, stream: Stream, group: Group, limit: int) -> tuple[list[int], list[list[bytes]]]:
        """Takes entries to be delivered again, at most `limit` (0: all): first those without an owner, then the oldest.

        The caller must deliver them all. Entries that no longer exist end to be pending, and dead ones are buried; the
        second value has the effects of the former.
        """
        now = self._parts.keyspace.clock.now
        order = self._follow(group)
        taken: list[int] = []
        gone: list[int] = []
        for id in list(group.released()) if self.policy.waits() else ():
            if limit and len(taken) == limit:
                break
            count = group.pel[id].count
            if id not in stream:
                gone.append(id)
            elif count >= order.last_count:
                self.bury(stream, group, Dying(id, b"", count, self._reason(count)))
            else:
                taken.append(id)
        while not limit or len(taken) < limit:
            due = order.take_due(now, limit - len(taken) if limit else 0)
            if not due:
                break
            taken += [id for id in due if id in stream]
            gone += [id for id in due if id not in stream]
        self.redelivered += len(taken)
        self._parts.stats.entries_redelivered += len(taken)
        if not gone:
            return taken, []
        for id in gone:
            group.acknowledge(id)
        self.database.keyspace.dirty += len(gone)
        return taken, [[b"XACK", self._key, self._name, *map(format_id, gone)]]

    # Dead letters

    def is_dead(self, count: int) -> bool:
        """Whether an entry that was delivered so often is not delivered again."""
        return count >= self.policy.last_count()

    def _reason(self, count: int) -> bytes:
        return REJECTED if count == MAX_COUNT else UNACKNOWLEDGED % count

    def _bury_dead(self, stream: Stream, group: Group, order: DueOrder) -> None:
        """Buries a bounded number of entries that are dead by now."""
        keyspace = self._parts.keyspace
        now = keyspace.clock.now
        dying = []
        for id in order.take_dead(now, DEATHS_AT_ONCE):
            delivery = group.pel[id]
            assert delivery.consumer is not None
            dying.append(Dying(id, delivery.consumer.name, delivery.count, self._reason(delivery.count)))
        if self._released_at <= now:
            self._released_at = NEVER
            dying += [
                Dying(id, b"", count, self._reason(count))
                for id in group.released()
                if self.is_dead(count := group.pel[id].count)
            ]
        for entry in dying:
            if not self.bury(stream, group, entry) and entry.consumer:
                order.postpone(entry.id, now)
            # Each is a unit of its own.
            keyspace.count_changes()
            keyspace.effects.flush(self.database.index, None)

    def bury(self, stream: Stream, group: Group, entry: Dying) -> bool:
        """Moves an entry to the dead letters; returns whether that was possible. If not, it is tried again later."""
        parts = self._parts
        now = parts.keyspace.clock.now
        grave = Grave(self.database, self._key, group, self.policy.dead_letter, parts.config)
        try:
            grave.bury(stream, entry, now)
        except Undeliverable as problem:
            wait = self.policy.wait(entry.deliveries) if self.policy.waits() else DEFAULT_ACK_WAIT
            self._released_at = min(self._released_at, now + wait)
            if now - self._complained_at >= _COMPLAINT_MS:
                self._complained_at = now
                parts.log.warning(
                    f"an entry stays pending: {problem}", stream=parts.log.user_data(self._key),
                    group=parts.log.user_data(self._name), dead_letters=parts.log.user_data(self.policy.dead_letter),
                )  # fmt: skip
            return False
        self.dead_lettered += 1
        parts.stats.entries_dead_lettered += 1
        return True

    def oldest_pending_ms(self, group: Group) -> int | None:
        """Returns the age in milliseconds of the oldest delivery that was not acknowledged, None without one."""
        oldest = self._follow(group).oldest()
        return None if oldest is None else max(0, self._parts.keyspace.clock.now - oldest)
