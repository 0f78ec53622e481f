"""The commands that do to a group's pending entries what has just happened to them, on servers that only replay it."""

from __future__ import annotations

from collections.abc import Iterable

from broker.values.streams.delivery import Consumer
from broker.values.streams.group import Group
from broker.values.streams.ids import format_id


def hand_out_effects(
    name: bytes, group: Group, consumer: Consumer, ids: list[int], noack: bool, now: int
) -> list[list[bytes]]:
    """Returns the commands that move a group past new entries, and make them pending unless `noack`."""
    effects = [move_effect(name, group)]
    if not noack:
        effects.insert(0, claim_effect(name, group, consumer, ids, now, 1))
    return effects


def move_effect(name: bytes, group: Group) -> list[bytes]:
    """Returns the command that sets how far a group has read."""
    return [b"XGROUP", b"SETID", name, group.name, format_id(group.last_id), b"ENTRIESREAD", b"%d" % group.entries_read]


def claim_effect(name: bytes, group: Group, consumer: Consumer, ids: list[int], time: int, count: int) -> list[bytes]:
    """Returns the command that makes entries pending for a consumer, as delivered at `time` for the `count`-th time."""
    return pending_effect(name, group.name, consumer.name, ids, time, count)


def pending_effect(name: bytes, group: bytes, consumer: bytes, ids: list[int], time: int, count: int) -> list[bytes]:
    """`claim_effect`, with the names of the group and the consumer."""
    return [b"XCLAIM", name, group, consumer, b"0", *map(format_id, ids), b"TIME", b"%d" % time,
            b"RETRYCOUNT", b"%d" % count, b"FORCE", b"JUSTID"]  # fmt: skip


def claims_by_count(name: bytes, group: Group, consumer: Consumer, ids: list[int], time: int) -> list[list[bytes]]:
    """Returns the commands that make entries pending for a consumer, delivered as often as they are now."""
    by_count: dict[int, list[int]] = {}
    for id in ids:
        by_count.setdefault(group.pel[id].count, []).append(id)
    return [claim_effect(name, group, consumer, alike, time, count) for count, alike in by_count.items()]


def acknowledge_effect(name: bytes, group: Group, ids: Iterable[int]) -> list[bytes]:
    """Returns the command that removes entries from the pending ones."""
    return [b"XACK", name, group.name, *map(format_id, ids)]


def creation_effect(name: bytes, group: Group, consumer: Consumer) -> list[bytes]:
    """Returns the command that creates a consumer; for cases where no other effect implies it."""
    return [b"XGROUP", b"CREATECONSUMER", name, group.name, consumer.name]
