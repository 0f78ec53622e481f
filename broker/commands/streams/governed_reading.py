"""What XREADGROUP reads with `>` from a group under a policy.

First what is due, or what CLAIM asks for, then parked entries that are ready, then new ones; as far as COUNT and its
like, and the policy's MAXINFLIGHT and ORDERBY, permit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from broker.broker import Client
from broker.commands.streams.read import ReadReply
from broker.policies.governed_group import REDELIVERED, GovernedGroup
from broker.values.streams.admission import Admission
from broker.values.streams.group import MAX_COUNT, Consumer, Group
from broker.values.streams.group_effects import acknowledge_effect, claim_effect, claims_by_count, move_effect
from broker.values.streams.stream import Stream

Commands = list[list[bytes]]

_READ_AT_ONCE: Final = 100
"""The number of entries that are looked at together, if any number may be given."""

_PASSED_AT_ONCE: Final = 1000
"""The number of entries that one read passes over: 2 ms of work."""


class Target(NamedTuple):
    """Who reads, and from what: the stream `name`, at most `limit` entries (0: all), less if `one_by_one` (MAXSIZE)."""

    name: bytes
    stream: Stream
    group: Group
    consumer: Consumer
    limit: int
    one_by_one: bool
    noack: bool


class GovernedReading:
    """One stream of an XREADGROUP.

    `given` has the IDs of the entries that the consumer gets. `unfinished` is whether so many were passed over that it
    must be executed again.
    """

    __slots__ = (
        "_effects", "_governed", "_now", "_parts", "_reply", "_session", "_target", "_with_claim", "given",
        "unfinished",
    )  # fmt: skip

    def __init__(
        self, session: Client, reply: ReadReply, effects: Commands | None, target: Target, governed: GovernedGroup
    ) -> None:
        self._session = session
        self._reply = reply
        self._effects = effects
        self._target = target
        self._governed = governed
        self._now = session.broker.clock.now
        self._parts: list[bytes] = []
        self._with_claim = False
        self.given: list[int] = []
        self.unfinished = False

    def read(self, claim: Callable[[list[bytes]], None] | None) -> bool:
        """Adds the stream to the reply unless there is nothing to read. Returns whether there is.

        `claim` adds to a list the entries that CLAIM asks for, in its format.
        """
        target, governed, reply = self._target, self._governed, self._reply
        admission = governed.admission(target.group)
        if admission is not None and not admission.is_complete():
            return False
        reply.begin(target.name)
        if claim is not None:
            self._with_claim = True
            claim(self._parts)
        elif not target.noack:
            self._read_due()
        if admission is not None and admission.has_ready():
            self._read_parked(admission)
        moved = self._read_new(admission)
        if self._parts:
            reply.end(len(self._parts), b"".join(self._parts))
        else:
            reply.withdraw()
            self._session.db.keyspace.dirty += moved
        return bool(self._parts)

    def _left(self) -> int:
        """Returns how many entries may be taken at once, -1 if none; 0 means any number."""
        target, taken = self._target, len(self._parts)
        if (target.limit and taken >= target.limit) or self._reply.oversized(taken):
            return -1
        if target.one_by_one:
            return 1  # what is taken must be allowed
        return target.limit - taken if target.limit else 0

    def _room(self, admission: Admission, left: int) -> int:
        """Returns the same with the policy's MAXINFLIGHT, which does not concern NOACK."""
        if self._target.noack:
            return left
        room = self._governed.room(self._target.group, left)
        if not room:
            admission.held_back = True
            return -1
        return 0 if room == MAX_COUNT else room

    def _add(self, entry: bytes) -> None:
        self._parts.append(entry)
        self._reply.size += len(entry)

    def _propagate(self, effects: Commands) -> None:
        if self._effects is not None:
            self._effects += effects

    # Pending entries

    def _read_due(self) -> None:
        target = self._target
        while (left := self._left()) >= 0:
            due, effects = self._governed.take_due(target.stream, target.group, left)
            self._propagate(effects)
            if not due:
                break
            self._redeliver(due)
            self._session.db.notify(REDELIVERED, target.name)

    def _read_parked(self, admission: Admission) -> None:
        target = self._target
        while (left := self._left()) >= 0 and (left := self._room(admission, left)) >= 0:
            ready, effects = self._governed.take_parked(target.stream, target.group, left)
            self._propagate(effects)
            if not ready:
                break
            self._redeliver(ready)

    def _redeliver(self, ids: list[int]) -> None:
        """Delivers pending entries."""
        target, group, consumer = self._target, self._target.group, self._target.consumer
        for id in ids:
            entry = target.stream.entry(id)
            assert entry is not None
            self._add(self._with_zeros(entry))
        self.given += ids
        consumer.active_time = self._now
        if target.noack:
            for id in ids:
                group.acknowledge(id)
            self._propagate([acknowledge_effect(target.name, group, ids)])
            return
        group.redeliver(ids, consumer, self._now)
        if self._effects is not None:
            self._effects += claims_by_count(target.name, group, consumer, ids, self._now)

    def _with_zeros(self, entry: bytes) -> bytes:
        """Returns an entry as CLAIM has it: followed by zeros, since it is not one that was claimed."""
        return b"*4" + entry[2:] + b":0\r\n:0\r\n" if self._with_claim else entry

    # New entries

    def _read_new(self, admission: Admission | None) -> bool:
        """Reads new entries; returns whether the group has moved."""
        target = self._target
        group = target.group
        if self._left() < 0 or group.last_id >= target.stream.last_id:
            return False
        room = target.limit - len(self._parts) if target.limit else 0
        if admission is not None:
            room = self._room(admission, room)
            if room < 0:
                return False
        if admission is None or not self._governed.policy.order_by:
            choice = None
        else:
            places = self._session.broker.config.stream_parked_max - group.parked_count()
            choice = _Choice(admission, group, places, target.noack)
        given: list[int] = []
        passed: list[int] = []
        parked: list[int] = []
        after = group.last_id
        while after >= 0:
            after = self._read_some(after, room, choice, (given, passed, parked))
        if choice is not None:
            self.unfinished = choice.unfinished
        self._move(passed, given, parked)
        return bool(passed)

    def _read_some(
        self, after: int, room: int, choice: _Choice | None, lists: tuple[list[int], list[int], list[int]]
    ) -> int:
        """Reads new entries above the ID `after`, and sorts them into those given, passed, and parked.

        `room` is the number of all that may be given (0: any). Returns where to go on, -1 at the end.
        """
        given, passed, parked = lists
        entries = self._target.stream.next_entries(after, room - len(given) if room else _READ_AT_ONCE)
        if not entries:
            return -1
        for id, entry in entries:
            if self._reply.oversized(len(self._parts)):
                return -1
            verdict = _GIVE if choice is None else choice.of(id, entry)
            if verdict == _STOP:
                return -1
            passed.append(id)
            if verdict == _GIVE:
                self._add(self._with_zeros(entry))
                given.append(id)
            elif verdict == _PARK:
                parked.append(id)
        return -1 if room and len(given) == room else entries[-1][0]

    def _move(self, passed: list[int], given: list[int], parked: list[int]) -> None:
        """Moves the group past new entries, and makes those pending that are given or parked."""
        if not passed:
            return
        target, group, consumer = self._target, self._target.group, self._target.consumer
        target.stream.advance(group, passed)
        self.given += given
        # First those that the parked ones wait for.
        if given and not target.noack:
            group.deliver(consumer, given, self._now)
            if self._effects is not None:
                self._effects.append(claim_effect(target.name, group, consumer, given, self._now, 1))
        if parked:
            self._propagate(self._governed.park(group, parked))
        self._propagate([move_effect(target.name, group)])


_GIVE: Final = 0
_PARK: Final = 1
_PASS: Final = 2
_STOP: Final = 3


class _Choice:
    """Decides which new entries an ordered group is given in one read; `places` more may be parked.

    `unfinished` is whether it has passed over as many as one read may.
    """

    __slots__ = ("_admission", "_busy", "_noack", "_passed", "_pel", "_places", "unfinished")

    def __init__(self, admission: Admission, group: Group, places: int, noack: bool) -> None:
        self._admission = admission
        self._pel = group.pel
        self._places = places
        self._noack = noack
        self._busy: set[bytes] = set()
        self._passed = 0
        self.unfinished = False

    def of(self, id: int, entry: bytes) -> int:
        """Returns what becomes of the next entry."""
        if id in self._pel:
            # After XGROUP SETID to an earlier ID. It comes again when it is due, or its turn.
            return self._pass(_PASS)
        admission = self._admission
        value = admission.value_in(entry)
        if value is None:
            return _GIVE
        if value not in self._busy and not admission.is_busy(value):
            if not self._noack:
                self._busy.add(value)
                admission.learn(id, value)
            return _GIVE
        if self._places <= 0:
            admission.held_back = True
            return _STOP
        verdict = self._pass(_PARK)
        if verdict == _PARK:
            self._places -= 1
            admission.learn(id, value)
        return verdict

    def _pass(self, verdict: int) -> int:
        if self._passed == _PASSED_AT_ONCE:
            self.unfinished = True
            return _STOP
        self._passed += 1
        return verdict
