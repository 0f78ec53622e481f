"""The streams of a server and their consumer groups: found a bounded number of keys at a time, and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coredis.exceptions import RedisError

from consumers.connecting import Client, Command
from consumers.console.asking import ask, ask_node, nodes, pairs

__all__ = ["GroupFigures", "StreamFigures", "Streams"]

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
    """left_out: groups beyond GROUPS."""

    name: bytes
    entries: int
    groups: list[GroupFigures]
    left_out: int


class Streams:
    """What is known about the streams of one server. laps: how often all keys have been looked at."""

    def __init__(self) -> None:
        self.laps = 0
        self._cursors: dict[Any, bytes] = {}
        self._names: dict[bytes, None] = {}

    async def look(self, client: Client, slices: int = SLICES) -> None:
        """Look through up to `slices` slices of keys. Raises RedisError."""
        here = nodes(client)
        for _ in range(slices):
            node = next((node for node in here if self._cursors.get(node) != b"0"), here[0])
            if self._cursors.get(node) == b"0":
                break
            command: Command = (b"SCAN", self._cursors.get(node, b"0"), b"COUNT", SLICE, b"TYPE", b"stream")
            (reply,) = await ask_node(client, node, [command])
            if isinstance(reply, RedisError):
                raise reply
            self._cursors[node] = reply[0]
            for name in reply[1]:
                if len(self._names) < MOST:
                    self._names[name] = None
        if all(self._cursors.get(node) == b"0" for node in here):
            self._cursors.clear()
            self.laps += 1

    async def figures(self, client: Client) -> list[StreamFigures]:
        """Return the figures of all known streams that still exist, by name. Raises RedisError."""
        names = sorted(self._names)
        replies = await ask(client, [part for name in names for part in ((b"XLEN", name), (b"XINFO", b"GROUPS", name))])
        (time,) = await ask_node(client, nodes(client)[0], [(b"TIME",)])
        now_ms = 0 if isinstance(time, RedisError) else int(time[0]) * 1000 + int(time[1]) // 1000
        found: list[tuple[bytes, int, list[Mapping[bytes, Any]]]] = []
        for name, length, groups in zip(names, replies[::2], replies[1::2], strict=True):
            if isinstance(length, int) and not isinstance(groups, RedisError):
                found.append((name, length, [pairs(group) for group in groups]))
            else:
                # deleted, or of another type by now, or not for this user
                del self._names[name]
        oldest = await _oldest(client, found, now_ms)
        return [
            StreamFigures(
                name=name, entries=length, left_out=max(0, len(groups) - GROUPS),
                groups=[_group(group, oldest.get((name, group[b"name"]))) for group in groups[:GROUPS]],
            )
            for name, length, groups in found
        ]  # fmt: skip


async def _oldest(
    client: Client, found: list[tuple[bytes, int, list[Mapping[bytes, Any]]]], now_ms: int
) -> dict[tuple[bytes, bytes], float]:
    """Return the ages in seconds of each group's oldest pending entry, by stream and group."""
    asked = [
        (name, group[b"name"]) for name, _, groups in found for group in groups[:GROUPS] if group[b"pending"]
    ]  # fmt: skip
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
