"""One group under a policy: which of its entries are due, and the timer that acts when the next one will be.

Times and numbers of deliveries are facts of the group's pending entries, so nothing here has to survive a restart: what
became due meanwhile is found at once. The group is looked up by name whenever it is needed. If another one is there
(the stream was removed, renamed, restored), the policy applies to that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from broker.clients.pubsub import PubSub
from broker.config import Config
from broker.execution.state import State
from broker.keyspace.database import Database
from broker.keyspace.events import POLICY, Event
from broker.keyspace.keyspace import Keyspace
from broker.policies.adding import Undeliverable
from broker.policies.calls import Calls
from broker.policies.dead_letters import REJECTED, UNACKNOWLEDGED, Dying, Grave
from broker.process.log import Log
from broker.process.stats import Stats
from broker.process.timers import Deadlines, Timer
from broker.values.deadline_queue import NEVER
from broker.values.streams.admission import Admission
from broker.values.streams.delivery import PARKED
from broker.values.streams.due_order import DueOrder
from broker.values.streams.group import MAX_COUNT, Group
from broker.values.streams.group_effects import acknowledge_effect, claim_effect, claims_by_count
from broker.values.streams.group_policy import DEFAULT_ACK_WAIT, GroupPolicy
from broker.values.streams.stream import Stream

REDELIVERED: Final = Event(POLICY, b"redeliver")

DEATHS_AT_ONCE: Final = 1000
"""The number of entries that may die before clients get a turn: about 5 ms of work."""

_COMPLAINT_MS: Final = 60_000

ORDERED_AT_ONCE: Final = 2000
"""Pending entries whose deliveries are looked at before clients get a turn: about 1 ms of work."""

_WALKED_AT_ONCE: Final = 500
"""Pending entries whose values are looked up before clients get a turn: at most 6 ms of work, uncompiled."""

_WALK_PAUSE_MS: Final = 1

Commands = list[list[bytes]]


class Parts(NamedTuple):
    """The parts of a broker that governed groups depend on.

    `may_act(database, stream)` returns whether the broker may change anything on its own now, as the policies of that
    stream say; `serve` serves clients that wait for keys that have become ready.
    """

    config: Config
    log: Log
    state: State
    keyspace: Keyspace
    timers: Deadlines
    stats: Stats
    may_act: Callable[[Database, bytes], bool]
    serve: Callable[[], None]
    pubsub: PubSub
    calls: Calls


class GovernedGroup:
    """The group `name` of the stream at `key`, whether or not it exists.

    `redelivered` and `dead_lettered` count since the start. `in_force` is whether the policy applies.
    """

    __slots__ = (
        "_admission", "_complained_at", "_followed", "_key", "_name", "_order", "_parts", "_timer", "_walker",
        "database", "dead_lettered", "in_force", "policy", "redelivered",
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
        # The group that reports to these two.
        self._followed: Group | None = None
        self._order: DueOrder | None = None
        self._admission: Admission | None = None
        self._timer: Timer | None = None
        self._walker: Timer | None = None
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
        self._wake()

    def stop(self) -> None:
        """Leaves the group alone from now on."""
        self.in_force = False
        self._forget()
        self._wake()

    def check(self) -> None:
        """Makes sure that the present group's entries are watched. Called now and then: it costs two lookups."""
        _, group = self._find()
        if group is None:
            self._forget()
            return
        if self._timer is None or group.due is not self._order:
            self._arm_next(self._follow(group))
        if self._walker is None and self._order is not None and self._order.is_untidy():
            self._walk()

    def _follow(self, group: Group) -> DueOrder:
        """Returns the order of the group's pending entries, made if this is not the group that it was before."""
        order = self._order
        if order is None or group.due is not order:
            self._forget()
            waits = self.policy.waits() or (NEVER,)
            release = self._parts.keyspace.release
            order = DueOrder(waits, self.policy.last_count(), group.pel, self._arm, release)
            self._followed = group
            group.due = self._order = order
            self._restrict(group)
            self._walk()
        return order

    def _forget(self) -> None:
        """Has the group that was followed report no more, and gives up what is known of it, a little at a time."""
        followed, order, admission = self._followed, self._order, self._admission
        self._followed = self._order = self._admission = None
        self._disarm()
        if followed is None or order is None:
            return
        if followed.due is order:
            followed.due = None
            followed.admission = None
        order.discard()
        release = self._parts.keyspace.release
        release(admission)
        # Perhaps it no longer exists, and this is the last reference.
        release(followed)

    def _arm(self, due: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        clock = self._parts.keyspace.clock
        self._timer = self._parts.timers.at(clock.trio_deadline(due), self._fire)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._walker is not None:
            self._walker.cancel()
            self._walker = None

    def _arm_next(self, order: DueOrder) -> None:
        due = order.next_due(self._parts.keyspace.clock.now)
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
        if self._has_due(group):
            self._wake()
        if database.keyspace.ready:
            self._parts.serve()
        self._arm_next(order)

    # Restricting what is delivered

    def _restrict(self, group: Group) -> None:
        """Has the group report to an Admission, if its policy or parked entries make that necessary."""
        policy = self.policy
        self._admission = group.admission = None
        if policy.max_inflight or policy.order_by or group.parked_count():
            self._admission = group.admission = Admission(policy.order_by, group.pel, self._entry, self._wake)

    def _entry(self, id: int) -> bytes | None:
        stream, _ = self._find()
        return None if stream is None else stream.entry(id)

    def _wake(self) -> None:
        """Has clients that wait for the stream try again."""
        if self._key in self.database.waiters:
            self.database.keyspace.ready[(self.database, self._key)] = None

    def _walk(self) -> None:
        """Looks at a bounded number of pending entries, and goes on in a moment if there are more."""
        self._walker = None
        _, group = self._find()
        order, admission = self._order, self._admission
        if group is None or order is None or group.due is not order:
            return
        if not order.is_complete() or order.is_untidy():
            order.walk(group.pending, ORDERED_AT_ONCE)
        if admission is not None and not admission.is_complete():
            self._show(group, admission)
        if not order.is_complete() or not (admission is None or admission.is_complete()):
            self._walker = self._parts.timers.after(_WALK_PAUSE_MS, self._walk_on)

    def _show(self, group: Group, admission: Admission) -> None:
        if self.policy.order_by:
            admission.walk(group.pending, _WALKED_AT_ONCE)
        else:
            # All that matters is what was parked before.
            parked = group.consumers.get(PARKED)
            ids = [] if parked is None else list(group.pending_of(parked))
            admission.walk(lambda start: iter(ids), len(ids) + 1)

    def _walk_on(self) -> None:
        self._walk()
        if self._walker is None:
            self._disarm()
            self._fire()
        if self.database.keyspace.ready:
            self._parts.serve()

    def is_plain(self, count: int, noack: bool) -> bool:
        """Whether a read of at most `count` new entries (0: all) is as in a group without a policy."""
        _, group = self._find()
        if group is None:
            return True
        if self._has_due(group) and not noack:
            return False
        admission = self._admission
        if admission is None:
            return True
        if self.policy.order_by or admission.has_ready() or not admission.is_complete():
            return False
        return noack or not self.policy.max_inflight or 0 < count <= self.policy.max_inflight - group.inflight()

    def admission(self, group: Group) -> Admission | None:
        """Returns what decides which entries may be delivered, None if all may."""
        self._follow(group)
        return self._admission

    def room(self, group: Group, limit: int) -> int:
        """Returns how many further entries may be in flight, at most `limit` (0: any number)."""
        most = limit or MAX_COUNT
        if not self.policy.max_inflight:
            return most
        return max(0, min(most, self.policy.max_inflight - group.inflight()))

    def take_parked(self, stream: Stream, group: Group, limit: int) -> tuple[list[int], Commands]:
        """Takes parked entries that may be delivered, at most `limit` (0: all); as `take_due`."""
        admission = self.admission(group)
        taken: list[int] = []
        effects: Commands = []
        while admission is not None and (not limit or len(taken) < limit):
            ready = admission.take_ready(limit - len(taken) if limit else 0)
            if not ready:
                break
            taken += [id for id in ready if id in stream]
            effects += self._acknowledge_gone(group, [id for id in ready if id not in stream])
        return taken, effects

    def park(self, group: Group, ids: list[int]) -> Commands:
        """Parks new entries in ascending order; returns the effects."""
        now = self._parts.keyspace.clock.now
        consumer = group.consumers.get(PARKED) or group.create_consumer(PARKED, now)
        group.park(ids, now)
        return [claim_effect(self._key, group, consumer, ids, now, 0)]

    def _park_again(self, group: Group, ids: list[int]) -> Commands:
        """Parks entries that were delivered, since one in flight comes before them; returns the effects."""
        if not ids:
            return []
        now = self._parts.keyspace.clock.now
        consumer = group.consumers.get(PARKED) or group.create_consumer(PARKED, now)
        for id in ids:
            group.claim(id, consumer, now, group.pel[id].count)
        self.database.keyspace.dirty += len(ids)
        return claims_by_count(self._key, group, consumer, ids, now)

    def _acknowledge_gone(self, group: Group, ids: Iterable[int]) -> Commands:
        """Ends that entries are pending which no longer exist; returns the effects."""
        gone = [id for id in ids if group.acknowledge(id)]
        self.database.keyspace.dirty += len(gone)
        return [acknowledge_effect(self._key, group, gone)] if gone else []

    # Redelivering

    def _has_due(self, group: Group) -> bool:
        order = self._follow(group)
        if not self.policy.waits():
            return False
        return bool(group.released_count()) or order.has_due(self._parts.keyspace.clock.now)

    def take_due(self, stream: Stream, group: Group, limit: int) -> tuple[list[int], Commands]:
        """Takes entries to be delivered again, at most `limit` (0: all): first those without an owner, then the oldest.

        The caller must deliver them all. Entries that no longer exist end to be pending, dead ones are buried, and
        those that come after another one in flight are parked; the second value has the effects, without burying.
        """
        now = self._parts.keyspace.clock.now
        order = self._follow(group)
        taken: list[int] = []
        gone: list[int] = []
        behind: list[int] = []
        self._take_released(stream, group, order, limit, (taken, gone, behind))
        admission = self._admission
        while not limit or len(taken) < limit:
            due = order.take_due(now, limit - len(taken) if limit else 0)
            if not due:
                break
            for id in due:
                if id not in stream:
                    gone.append(id)
                elif admission is not None and not admission.is_first(id):
                    behind.append(id)
                else:
                    taken.append(id)
        self.redelivered += len(taken)
        self._parts.stats.entries_redelivered += len(taken)
        if not gone and not behind:
            return taken, []
        effects = self._park_again(group, behind)
        return taken, effects + self._acknowledge_gone(group, gone)

    def _take_released(
        self, stream: Stream, group: Group, order: DueOrder, limit: int, lists: tuple[list[int], list[int], list[int]]
    ) -> None:
        """Takes entries without an owner, as far as more may be in flight: to be delivered, gone, or to be parked."""
        if not group.released_count() or not self.policy.waits():
            return
        taken, gone, behind = lists
        admission = self._admission
        room = self.room(group, limit)
        for id in group.released():
            if id not in stream:
                gone.append(id)
            elif group.pel[id].count >= order.last_count:
                continue  # it is about to be buried, or that is tried again later
            elif admission is not None and not admission.is_first(id):
                behind.append(id)
            elif len(taken) == room:
                if admission is not None and room != limit:
                    admission.held_back = True
                break
            else:
                taken.append(id)

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
            owner = b"" if delivery.consumer is None else delivery.consumer.name
            dying.append(Dying(id, owner, delivery.count, self._reason(delivery.count)))
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
        grave = Grave(self.database, self._key, group, self.policy.dead_letter, parts.config, parts.state.out_of_memory)
        try:
            grave.bury(stream, entry, now)
        except Undeliverable as problem:
            wait = self.policy.wait(entry.deliveries) if self.policy.waits() else DEFAULT_ACK_WAIT
            self._follow(group).look_again(entry.id, now + wait)
            if now - self._complained_at >= _COMPLAINT_MS:
                self._complained_at = now
                parts.log.warning(
                    f"an entry stays pending, without a dead letter: {problem}", stream=parts.log.user_data(self._key),
                    group=parts.log.user_data(self._name), dead_letters=parts.log.user_data(self.policy.dead_letter),
                )  # fmt: skip
            return False
        self.dead_lettered += 1
        parts.stats.entries_dead_lettered += 1
        if parts.calls.waiting:
            parts.calls.died(self.database, self._key, entry.id, entry.reason)
        return True

    def oldest_pending_ms(self, group: Group) -> int | None:
        """Returns the age in milliseconds of the oldest delivery that was not acknowledged, None without one."""
        oldest = self._follow(group).oldest()
        return None if oldest is None else max(0, self._parts.keyspace.clock.now - oldest)
