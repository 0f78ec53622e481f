"""A plain model of one consumer group under a policy: what docs/policies.md says, without regard for speed.

Where the rules leave open which of several entries comes first (those delivered in the same millisecond), the model
takes over what the broker chose, having checked that it was allowed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile

DEFAULT_WAIT = 30_000
REJECTED = (1 << 63) - 1
"""The number of deliveries of an entry that was rejected."""


@dataclass
class Rules:
    """The policy."""

    ack_wait: int = 0
    max_deliver: int = 0
    backoff: tuple[int, ...] = ()
    max_inflight: int = 0
    ordered: bool = False
    dead_letters: bool = True

    def waits(self) -> tuple[int, ...]:
        if self.backoff:
            return self.backoff
        wait = self.ack_wait or (DEFAULT_WAIT if self.max_deliver else 0)
        return (wait,) if wait else ()

    def wait(self, count: int) -> int:
        waits = self.waits()
        return waits[min(max(count, 1), len(waits)) - 1]

    def is_dead(self, count: int) -> bool:
        return count >= (self.max_deliver or REJECTED)

    def exist(self) -> bool:
        return bool(self.waits() or self.max_inflight or self.ordered or self.dead_letters)


@dataclass
class Pending:
    """A pending entry; `owner` is None without one, and "" if it is parked."""

    owner: str | None
    time: int
    count: int


@dataclass
class GroupModel:
    """`values` has all entries ever added, and `outcome` what became of those that are no longer pending."""

    rules: Rules
    parked_max: int
    values: dict[int, str | None] = field(default_factory=dict)
    unread: list[int] = field(default_factory=list)
    pending: dict[int, Pending] = field(default_factory=dict)
    outcome: dict[int, str] = field(default_factory=dict)
    dead: dict[int, tuple[str, int]] = field(default_factory=dict)
    delivered: dict[int, int] = field(default_factory=dict)
    now: int = 0

    # Questions

    def value(self, id: int) -> str | None:
        return self.values[id] if self.rules.ordered else None

    def in_flight(self, value: str | None) -> list[int]:
        return [id for id in sorted(self.pending) if self.pending[id].owner != "" and self.value(id) == value]

    def is_first(self, id: int) -> bool:
        value = self.value(id)
        return value is None or self.in_flight(value)[0] == id

    def parked(self) -> list[int]:
        return [id for id in sorted(self.pending) if self.pending[id].owner == ""]

    def owned(self) -> list[int]:
        return [id for id in sorted(self.pending) if self.pending[id].owner]

    def room(self) -> int:
        return max(0, self.rules.max_inflight - len(self.owned())) if self.rules.max_inflight else 1 << 30

    def is_due(self, id: int) -> bool:
        entry = self.pending[id]
        return bool(entry.owner and self.rules.waits()) and self.now - entry.time >= self.rules.wait(entry.count)

    def ready(self) -> list[int]:
        """The first parked entry of each value of which nothing is in flight; all that have none."""
        found: list[int] = []
        seen: set[str] = set()
        for id in self.parked():
            value = self.value(id)
            if value is None or (value not in seen and not self.in_flight(value)):
                found.append(id)
            if value is not None:
                seen.add(value)
        return found

    # What happens

    def add(self, id: int, value: str | None) -> None:
        self.values[id] = value
        self.unread.append(id)

    def end(self, id: int, how: str) -> None:
        del self.pending[id]
        assert id not in self.outcome
        self.outcome[id] = how

    def bury(self, id: int, owner: str, count: int) -> None:
        if self.rules.dead_letters:
            self.dead[id] = owner, count
        self.end(id, "dead")

    def bury_dead(self) -> None:
        """What the broker does by itself, at any time."""
        if not self.rules.exist():
            return
        for id in list(self.pending):
            entry = self.pending[id]
            # Those without an owner are dead only if the policy is newer than they are.
            if (entry.owner is None or self.is_due(id)) and self.rules.is_dead(entry.count):
                self.bury(id, entry.owner or "", entry.count)

    def nack(self, id: int, mode: str, delay: int) -> None:
        entry = self.pending[id]
        count = entry.count - 1 if mode == "SILENT" and entry.count else entry.count
        if mode == "FATAL" and not self.rules.exist():
            count = REJECTED
        if self.rules.exist() and (mode == "FATAL" or self.rules.is_dead(count)):
            self.bury(id, entry.owner or "", entry.count)
        elif delay >= 0:
            assert entry.owner
            self.pending[id] = Pending(entry.owner, self.now + delay - self.rules.wait(count), count)
        else:
            self.pending[id] = Pending(None, 0, count)

    def claim(self, id: int, consumer: str) -> None:
        """XCLAIM, of whatever is pending."""
        entry = self.pending[id]
        self.pending[id] = Pending(consumer, self.now, min(entry.count + 1, REJECTED))

    def leave(self, consumer: str) -> None:
        """XGROUP DELCONSUMER."""
        for id in list(self.pending):
            if self.pending[id].owner == consumer:
                self.end(id, "left")

    # Reading

    def read(self, consumer: str, limit: int, noack: bool, given: list[int]) -> None:
        """Checks what the broker has given to a reader, in its order, and takes it over."""
        rest = list(given)
        most = limit or 1 << 30
        taken = 0
        if not noack and self.rules.waits():
            taken = self._read_released(consumer, most, rest)
            taken += self._read_due(consumer, most - taken, rest)
        taken += self._read_parked(consumer, most - taken, noack, rest)
        if taken < most:
            self._read_new(consumer, most - taken, noack, rest)
        assert rest == [], f"given without reason: {rest}"

    def _give(self, id: int, consumer: str, noack: bool = False) -> None:
        count = self.pending[id].count if id in self.pending else 0
        self.delivered[id] = self.delivered.get(id, 0) + 1
        self.pending[id] = Pending(consumer, self.now, count + 1)
        if noack:
            self.end(id, "noack")

    def _read_released(self, consumer: str, most: int, rest: list[int]) -> int:
        released = [id for id in self.pending if self.pending[id].owner is None]
        allowed = {id for id in released if self.is_first(id)}
        taken = list(takewhile(allowed.__contains__, rest))
        assert len(taken) == min(most, self.room(), len(allowed)), (taken, allowed)
        for id in taken:
            self._give(id, consumer)
        for id in released:
            if id not in allowed and len(taken) < most:
                self.may_be_parked.add(id)
        del rest[: len(taken)]
        return len(taken)

    def _read_due(self, consumer: str, most: int, rest: list[int]) -> int:
        due = [id for id in self.owned() if self.is_due(id) and not self.rules.is_dead(self.pending[id].count)]
        allowed = {id for id in due if self.is_first(id)}
        times = {id: self.pending[id].time for id in due}
        taken = list(takewhile(allowed.__contains__, rest))
        assert len(taken) == min(most, len(allowed)), (taken, allowed)
        assert [times[id] for id in taken] == sorted(times[id] for id in allowed)[: len(taken)]
        for id in taken:
            self._give(id, consumer)
        self.may_be_parked.update(set(due) - allowed)
        del rest[: len(taken)]
        return len(taken)

    def _read_parked(self, consumer: str, most: int, noack: bool, rest: list[int]) -> int:
        taken = 0
        while taken < most and (noack or self.room() > 0):
            ready = self.ready()
            if not ready or not rest or rest[0] not in ready:
                assert not ready or self.may_be_parked, f"ready, but not given: {ready}"
                break
            self._give(rest.pop(0), consumer, noack)
            taken += 1
        return taken

    def _read_new(self, consumer: str, most: int, noack: bool, rest: list[int]) -> None:
        most = most if noack else min(most, self.room())
        busy: set[str] = set()
        while self.unread and most > 0:
            id = self.unread[0]
            value = self.value(id)
            if value is not None and (value in busy or self._is_pending(value)):
                if len(self.parked()) >= self.parked_max:
                    break
                self.unread.pop(0)
                self.pending[id] = Pending("", self.now, 0)
                continue
            self.unread.pop(0)
            assert rest and rest[0] == id, f"{id} is not given, but {rest}"
            self._give(rest.pop(0), consumer, noack)
            most -= 1

    def _is_pending(self, value: str) -> bool:
        return any(self.value(id) == value for id in self.pending)

    # Comparing

    may_be_parked: set[int] = field(default_factory=set)
    """Entries that come after another one in flight, and may have been parked by the last read."""

    def compare(self, rows: list[tuple[int, str, int]]) -> None:
        """Compares the pending entries: ID, owner (empty for none), and number of deliveries."""
        for id, owner, _ in rows:
            if id in self.may_be_parked and owner == "~parked" and id in self.pending:
                self.pending[id].owner = ""
        self.may_be_parked.clear()
        shown = {"": "~parked", None: ""}
        mine = [
            (id, shown.get(self.pending[id].owner, self.pending[id].owner or ""), self.pending[id].count)
            for id in sorted(self.pending)
        ]
        assert mine == rows, f"expected {mine}, found {rows}"
        for id in self.values:
            places = (id in self.unread) + (id in self.pending) + (id in self.outcome)
            assert places == 1, f"{id} is in {places} places"
