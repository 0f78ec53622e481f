"""The streams of a server and their consumer groups: found a bounded number of keys at a time, and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coredis.exceptions import RedisError

from consumers.connecting import Client, Command
from consumers.console.asking import ask, ask_node, nodes, pairs
from consumers.console.laps import Laps
from consumers.console.partitioned import numbers_of_partitions, whole_of

__all__ = ["GroupFigures", "StreamFigures", "Streams", "folded", "measure", "summed"]

SLICE = 1000
"""COUNT of one SCAN."""

SLICES = 20
"""Slices of one look."""

MOST = 20_000
"""Streams that are remembered; further ones are not shown."""

GROUPS = 100
"""Groups of one stream that are measured."""


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """lag: entries not delivered yet, None if the server does not know. oldest: seconds since the oldest pending entry
    was added, None if nothing is pending or its ID is not a time. dead: entries that the server's own policy for the
    group has moved to the dead letters; None without one.
    """

    name: bytes
    consumers: int
    pending: int
    lag: int | None
    oldest: float | None
    dead: int | None


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """left_out: groups beyond GROUPS. partitions: how many the stream has, of which these are the sums, or None."""

    name: bytes
    entries: int
    groups: list[GroupFigures]
    left_out: int
    partitions: int | None = None

    @property
    def pending(self) -> int:
        """Pending entries of all groups."""
        return sum(group.pending for group in self.groups)

    @property
    def lag(self) -> int | None:
        """The largest lag of a group; None if no group's is known."""
        return max((group.lag for group in self.groups if group.lag is not None), default=None)

    @property
    def oldest(self) -> float | None:
        """The age in seconds of the oldest entry that a group has pending."""
        return max((group.oldest for group in self.groups if group.oldest is not None), default=None)

    @property
    def dead(self) -> int | None:
        """Entries that policies have moved to dead letters; None if no group has such a policy."""
        dead = [group.dead for group in self.groups if group.dead is not None]
        return sum(dead) if dead else None


class Streams:
    """What is known about the streams of one server."""

    def __init__(self) -> None:
        self._laps = Laps()
        self._names: dict[bytes, None] = {}

    @property
    def laps(self) -> int:
        """How often all keys have been looked at."""
        return self._laps.count

    async def look(self, client: Client, slices: int = SLICES) -> None:
        """Look through up to `slices` slices of keys. Raises RedisError."""

        async def show(node: Any, cursor: bytes) -> bytes | int:
            command: Command = (b"SCAN", cursor, b"COUNT", SLICE, b"TYPE", b"stream")
            (reply,) = await ask_node(client, node, [command])
            if isinstance(reply, RedisError):
                raise reply
            for name in reply[1]:
                if len(self._names) < MOST:
                    self._names[name] = None
            following: bytes | int = reply[0]
            return following

        await self._laps.go_on(client, slices, show)

    async def figures(self, client: Client) -> list[StreamFigures]:
        """Return the figures of all known streams that still exist, by name. Raises RedisError.

        Those of partitions are added up.
        """
        names = sorted(self._names)
        found = await measure(client, names)
        for gone in self._names.keys() - {one.name for one in found}:
            # deleted, or of another type by now, or not for this user
            del self._names[gone]
        return folded(found, await numbers_of_partitions(client, [one.name for one in found]))


async def measure(client: Client, names: Sequence[bytes]) -> list[StreamFigures]:
    """Return the figures of those of these streams that exist. Raises RedisError."""
    replies = await ask(client, [part for name in names for part in ((b"XLEN", name), (b"XINFO", b"GROUPS", name))])
    (time,) = await ask_node(client, nodes(client)[0], [(b"TIME",)])
    now_ms = 0 if isinstance(time, RedisError) else int(time[0]) * 1000 + int(time[1]) // 1000
    found: list[tuple[bytes, int, list[Mapping[bytes, Any]]]] = [
        (name, length, [pairs(group) for group in groups])
        for name, length, groups in zip(names, replies[::2], replies[1::2], strict=True)
        if isinstance(length, int) and not isinstance(groups, RedisError)
    ]
    oldest = await _oldest(client, found, now_ms)
    return [
        StreamFigures(
            name=name, entries=length, left_out=max(0, len(groups) - GROUPS),
            groups=[_group(group, oldest.get((name, group[b"name"]))) for group in groups[:GROUPS]],
        )
        for name, length, groups in found
    ]  # fmt: skip


def folded(found: Sequence[StreamFigures], numbers: Mapping[bytes, int]) -> list[StreamFigures]:
    """Return the same with one row for all partitions of a stream, by name. numbers: of partitions, by stream."""
    parts: dict[bytes, list[StreamFigures]] = {}
    rows = []
    for one in found:
        place = whole_of(one.name, numbers)
        if place is None:
            rows.append(one)
        else:
            parts.setdefault(place[0], []).append(one)
    rows += [summed(name, numbers[name], some) for name, some in parts.items()]
    return sorted(rows, key=lambda one: one.name)


def summed(name: bytes, partitions: int, found: Sequence[StreamFigures]) -> StreamFigures:
    """Return the figures of a stream from those of its partitions. A lag that one of them does not know is unknown."""
    groups: dict[bytes, list[GroupFigures]] = {}
    for one in found:
        for group in one.groups:
            groups.setdefault(group.name, []).append(group)
    return StreamFigures(
        name=name, entries=sum(one.entries for one in found), partitions=partitions,
        left_out=max((one.left_out for one in found), default=0),
        groups=[
            _summed_group(group, some, all(one.entries == 0 or _has(one, group) for one in found))
            for group, some in sorted(groups.items())
        ],
    )  # fmt: skip


def _has(one: StreamFigures, group: bytes) -> bool:
    return any(its.name == group for its in one.groups)


def _summed_group(name: bytes, found: Sequence[GroupFigures], everywhere: bool) -> GroupFigures:
    """everywhere: whether all partitions that hold something have the group; what others hold it may still get."""
    lags = [one.lag for one in found]
    dead = [one.dead for one in found if one.dead is not None]
    return GroupFigures(
        name=name, consumers=sum(one.consumers for one in found), pending=sum(one.pending for one in found),
        lag=sum(lag for lag in lags if lag is not None) if everywhere and None not in lags else None,
        oldest=max((one.oldest for one in found if one.oldest is not None), default=None),
        dead=sum(dead) if dead else None,
    )  # fmt: skip


async def _oldest(
    client: Client, found: list[tuple[bytes, int, list[Mapping[bytes, Any]]]], now_ms: int
) -> dict[tuple[bytes, bytes], float]:
    """Return the ages in seconds of each group's oldest pending entry, by stream and group."""
    asked = [(name, group[b"name"]) for name, _, groups in found for group in groups[:GROUPS] if group[b"pending"]]
    ages = {}
    for pair, reply in zip(asked, await ask(client, [(b"XPENDING", *pair) for pair in asked]), strict=True):
        if isinstance(reply, RedisError) or not reply[0]:
            continue
        added = int(reply[1].partition(b"-")[0])
        if 0 < added <= now_ms:
            ages[pair] = (now_ms - added) / 1000
    return ages


def _group(group: Mapping[bytes, Any], oldest: float | None) -> GroupFigures:
    return GroupFigures(
        name=group[b"name"], consumers=group[b"consumers"], pending=group[b"pending"], lag=group.get(b"lag"),
        oldest=oldest, dead=group.get(b"dead-lettered"),
    )  # fmt: skip
