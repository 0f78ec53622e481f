"""Channels that have subscribers, and what is published on one while somebody watches.

PUBSUB CHANNELS has no cursor and no limit. So the server is asked first how many there are, and beyond MOST they are
not listed: one can still be asked for by its name. In a cluster each node knows its own subscribers only.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import anyio
from coredis.exceptions import RedisError

from consumers.connecting import Client, Command
from consumers.console.asking import BATCH, ask_node, nodes
from consumers.console.info import fields, number
from consumers.console.server import Server, Unreachable
from consumers.fanout import Message, Subscription, subscribe
from consumers.task_groups import open_plain_task_group

__all__ = ["MOST", "Channel", "Channels", "Kind", "Tapped", "named", "read_channels", "tap"]

MOST = 20_000
"""Channels of one node that are listed."""

SHOWN = 50
"""Messages that a viewer is sent at once: the newest."""

BUFFER = 50
"""Messages that wait to be counted: the tap does nothing else with most of them."""

KEPT_BYTES = 4096
"""Bytes of a message that are kept until it is sent to a viewer."""

PAUSE = 0.25
"""Seconds between two batches for a viewer."""


class Kind(StrEnum):
    """What a viewer listens to."""

    CHANNEL = "channel"
    PATTERN = "pattern"
    SHARD = "shard"


@dataclass(frozen=True, slots=True)
class Channel:
    """shard: whether it is a shard channel. subscribers: without those of patterns."""

    name: bytes
    shard: bool
    subscribers: int


@dataclass(frozen=True, slots=True)
class Channels:
    """channels: in order; empty if there are too many, which `listed` tells. total: of both kinds."""

    channels: list[Channel]
    total: int
    patterns: int
    listed: bool


@dataclass(frozen=True, slots=True)
class Tapped:
    """Messages since the last batch: the newest, oldest first, each cut, with the time of its arrival and its size.

    rate: messages a second. connected: whether the server sends what is published.
    """

    messages: list[tuple[float, Message, int]]
    rate: float
    left_out: int
    connected: bool


async def read_channels(client: Client) -> Channels:
    """Return the channels that have subscribers. Raises RedisError."""
    here = nodes(client)
    total, patterns, most = 0, 0, 0
    for node in here:
        (info,) = await _answers(client, node, [(b"INFO", b"stats")])
        found = fields(info)
        count = int(number(found, "pubsub_channels") + number(found, "pubsubshard_channels"))
        total += count
        most = max(most, count)
        patterns += int(number(found, "pubsub_patterns"))
    if most > MOST:
        return Channels([], total, patterns, False)
    subscribers: dict[tuple[bytes, bool], int] = {}
    for node in here:
        plain, shard = await _answers(client, node, [(b"PUBSUB", b"CHANNELS"), (b"PUBSUB", b"SHARDCHANNELS")])
        for names, is_shard in ((plain, False), (shard, True)):
            for begin in range(0, len(names), BATCH):
                await _count(client, node, names[begin : begin + BATCH], is_shard, subscribers)
    every = [Channel(name, shard, count) for (name, shard), count in sorted(subscribers.items())]
    return Channels(every, len(every), patterns, True)


async def named(client: Client, name: bytes) -> list[Channel]:
    """Return the channel and the shard channel of this name, those that have subscribers. Raises RedisError."""
    subscribers: dict[tuple[bytes, bool], int] = {}
    for node in nodes(client):
        for shard in (False, True):
            await _count(client, node, [name], shard, subscribers)
    return [Channel(name, shard, count) for (name, shard), count in sorted(subscribers.items()) if count]


async def _count(
    client: Client, node: Any, names: list[bytes], shard: bool, subscribers: dict[tuple[bytes, bool], int]
) -> None:
    (reply,) = await _answers(client, node, [(b"PUBSUB", b"SHARDNUMSUB" if shard else b"NUMSUB", *names)])
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    for name, count in pairs:
        subscribers[name, shard] = subscribers.get((name, shard), 0) + count


async def _answers(client: Client, node: Any, commands: list[Command]) -> list[Any]:
    replies = await ask_node(client, node, commands)
    for reply in replies:
        if isinstance(reply, RedisError):
            raise reply
    return replies


async def tap(server: Server, kind: Kind, name: bytes, push: Callable[[Tapped], Awaitable[None]]) -> str:
    """Push what is published, in batches, until it is cancelled or fails; returns why it failed.

    The first batch, which is empty, is pushed once nothing would be missed. Listens on a connection of its own, which
    is always read, however slow the viewer is.
    """
    wanted: dict[str, Any] = {"patterns": [name]} if kind is Kind.PATTERN else {"shard_channels": [name]}
    channels = [name] if kind is Kind.CHANNEL else []
    try:
        async with (
            server.client() as client,
            subscribe(client, *channels, **(wanted if not channels else {}), size=BUFFER) as messages,
            open_plain_task_group() as tasks,
        ):
            kept: deque[tuple[float, Message, int]] = deque(maxlen=SHOWN)
            tasks.start_soon(_collect, messages, kept)
            await _report(messages, kept, push)
    except (RedisError, Unreachable, OSError) as error:
        return str(error) or type(error).__name__
    raise AssertionError("a report has no end")


async def _collect(messages: Subscription, kept: deque[tuple[float, Message, int]]) -> None:
    async for one in messages:
        size = len(one.data)
        kept.append((time.time(), Message(one.channel, one.data[:KEPT_BYTES], one.pattern), size))


async def _report(
    messages: Subscription, kept: deque[tuple[float, Message, int]], push: Callable[[Tapped], Awaitable[None]]
) -> None:
    await push(Tapped([], 0.0, 0, messages.connected))
    before, counted = anyio.current_time(), messages.received
    while True:
        await anyio.sleep(PAUSE)
        batch, now, received = list(kept), anyio.current_time(), messages.received
        kept.clear()
        arrived = received - counted
        rate = arrived / max(now - before, 0.001)
        before, counted = now, received
        await push(Tapped(batch, rate, max(0, arrived - len(batch) - messages.waiting), messages.connected))
