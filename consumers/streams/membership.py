"""Which member of a group has which partition: leases in one hash on the server, by the server's clock.

    member:NAME    1526919030474            until when the member is alive (milliseconds), restarted by each renewal
    member:NAME    1526919030474 leaving    it is stopping, and gets no partitions any more
    partition:3    7 held NAME              the member has the partition; 7 is the epoch, one more than its last owner's
    partition:3    7 left NAME              it has stopped in order
    partition:3    7 died NAME              its lease ran out

Every change is one transaction under WATCH, so no two members see the same partition free and both take it. There is
no leader: each member computes from the hash how many partitions it may have, gives up those beyond that, and takes
free ones up to it. Shares differ by one at most, and the larger ones go to those who have the most already, so that as
few partitions as possible change hands.

A member stops using its partitions when nine tenths of its lease have passed on its own clock since it *asked* for the
last renewal. Others may take them after the whole lease on the server's clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from consumers.connection import Client, Command, Reply
from consumers.names import decoded
from consumers.options import Succession
from consumers.transactions import Ask, Transactions

__all__ = ["Grant", "Membership", "Renewal", "partition_owners"]

MEMBER, PARTITION = "member:", "partition:"


class State(Enum):
    """What has become of a partition's last owner."""

    HELD = "held"
    LEFT = "left"
    DIED = "died"


@dataclass(frozen=True, slots=True)
class Grant:
    """A partition that a member may use. epoch: higher than those of all earlier owners."""

    epoch: int
    succession: Succession


@dataclass(frozen=True, slots=True)
class Renewal:
    """A member's standing. taken: partitions it has from now on. lost: those it has no longer, which others may have.

    surplus: how many of its partitions it has to give up. missing: how many it waits for.
    """

    taken: Mapping[int, Grant]
    lost: frozenset[int]
    surplus: int
    missing: int


@dataclass(slots=True)
class _Lease:
    epoch: int
    state: State
    member: str


@dataclass(slots=True)
class _Table:
    """The hash, and the changes to it."""

    partitions: list[_Lease]
    members: dict[str, int] = field(default_factory=dict)
    leaving: set[str] = field(default_factory=set)
    changed: dict[str, str] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)

    def set(self, partition: int, epoch: int, state: State, member: str) -> None:
        self.partitions[partition] = _Lease(epoch, state, member)
        self.changed[f"{PARTITION}{partition}"] = f"{epoch} {state.value} {member}"

    def bury(self, now: int) -> None:
        """Free the partitions of members whose lease has run out, and forget these."""
        for name in [name for name, until in self.members.items() if until <= now]:
            del self.members[name]
            self.removed.append(f"{MEMBER}{name}")
        for partition, lease in enumerate(self.partitions):
            if lease.state is State.HELD and lease.member not in self.members:
                self.set(partition, lease.epoch, State.DIED, lease.member)

    def held_by(self, name: str) -> list[int]:
        return [
            partition
            for partition, lease in enumerate(self.partitions)
            if lease.state is State.HELD and lease.member == name
        ]

    def share_of(self, name: str) -> int:
        """Return how many partitions a member may have."""
        staying = sorted(
            (one for one in self.members if one not in self.leaving), key=lambda one: (-len(self.held_by(one)), one)
        )
        if name not in staying:
            return 0
        least, more = divmod(len(self.partitions), len(staying))
        return least + (staying.index(name) < more)

    def commands(self, key: str) -> list[Command]:
        removed = [name for name in self.removed if name not in self.changed]
        commands: list[Command] = [(b"HDEL", key, *removed)] if removed else []
        if self.changed:
            commands.append((b"HSET", key, *(one for pair in self.changed.items() for one in pair)))
        return commands


class Membership:
    """One member's place in a group. key: the hash. lease: in seconds."""

    def __init__(self, transactions: Transactions, key: str, member: str, partitions: int, lease: float) -> None:
        self._transactions = transactions
        self._key = key
        self._member = member
        self._partitions = partitions
        self._lease = max(1, round(lease * 1000))

    async def renew(self, held: Mapping[int, int], ended: Mapping[int, int], *, leaving: bool) -> Renewal:
        """Restart the lease, give back partitions in which nothing runs any more, and take what is free.

        held: the epochs of the partitions that the member uses. ended: of those that it has stopped using in order.
        leaving: take nothing more. Raises as Transactions.run() does.
        """

        async def decide(ask: Ask) -> tuple[list[Command], Renewal]:
            table, now = await self._read(ask)
            self._end(table, ended)
            until = now + self._lease
            table.members[self._member] = until
            table.changed[f"{MEMBER}{self._member}"] = f"{until} leaving" if leaving else str(until)
            if leaving:
                table.leaving.add(self._member)
            lost = frozenset(one for one, epoch in held.items() if not self._is_ours(table, one, epoch))
            # granted in a reply that was lost, or before a pause
            for partition in set(table.held_by(self._member)) - held.keys():
                table.set(partition, table.partitions[partition].epoch, State.DIED, self._member)
            share, count = table.share_of(self._member), len(held) - len(lost)
            taken: dict[int, Grant] = {}
            for partition, lease in enumerate(table.partitions):
                if count + len(taken) >= share:
                    break
                if lease.state is not State.HELD:
                    left = lease.state is State.LEFT
                    grant = Grant(lease.epoch + 1, Succession.AFTER_HANDOVER if left else Succession.AFTER_CRASH)
                    table.set(partition, grant.epoch, State.HELD, self._member)
                    taken[partition] = grant
            count += len(taken)
            return table.commands(self._key), Renewal(taken, lost, max(0, count - share), max(0, share - count))

        return await self._transactions.run([self._key], decide)

    async def leave(self, ended: Mapping[int, int]) -> None:
        """Give back partitions, and be no member any more. Raises as Transactions.run() does."""

        async def decide(ask: Ask) -> tuple[list[Command], None]:
            table, _ = await self._read(ask)
            self._end(table, ended)
            for partition in table.held_by(self._member):
                table.set(partition, table.partitions[partition].epoch, State.DIED, self._member)
            table.removed.append(f"{MEMBER}{self._member}")
            return table.commands(self._key), None

        await self._transactions.run([self._key], decide)

    def _end(self, table: _Table, ended: Mapping[int, int]) -> None:
        for partition, epoch in ended.items():
            if self._is_ours(table, partition, epoch):
                table.set(partition, epoch, State.LEFT, self._member)

    def _is_ours(self, table: _Table, partition: int, epoch: int) -> bool:
        return table.partitions[partition] == _Lease(epoch, State.HELD, self._member)

    async def _read(self, ask: Ask) -> tuple[_Table, int]:
        """Return the hash as it is once expired leases are gone, and the server's time in milliseconds."""
        rows, clock = await ask([(b"HGETALL", self._key), (b"TIME",)])
        table = _Table([_Lease(0, State.LEFT, "") for _ in range(self._partitions)])
        for name, value in _texts(rows).items():
            if name.startswith(MEMBER):
                until, _, leaving = value.partition(" ")
                table.members[name.removeprefix(MEMBER)] = int(until)
                if leaving:
                    table.leaving.add(name.removeprefix(MEMBER))
            elif name.startswith(PARTITION):
                epoch, state, member = value.split(" ", 2)
                table.partitions[int(name.removeprefix(PARTITION))] = _Lease(int(epoch), State(state), member)
        now = int(clock[0]) * 1000 + int(clock[1]) // 1000
        table.bury(now)
        return table, now


async def partition_owners(client: Client, key: str | bytes, partitions: Sequence[int]) -> list[str | None]:
    """Return who has these partitions by the hash, None for those that nobody has. Raises errors of coredis."""
    found: Any = await client.hmget(key, [f"{PARTITION}{partition}" for partition in partitions])
    return [_owner(value) for value in found]


def _owner(value: bytes | str | None) -> str | None:
    text = decoded(value) if isinstance(value, bytes) else value or ""
    _, state, member = (*text.split(" ", 2), "", "")[:3]
    return member if state == State.HELD.value else None


def _texts(rows: Reply) -> dict[str, str]:
    pairs: Sequence[tuple[bytes, bytes]] = list(rows.items())
    return {decoded(name): decoded(value) for name, value in pairs}
