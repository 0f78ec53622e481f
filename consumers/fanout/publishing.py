"""Publishes to current subscribers. For services that read later there are streams (`consumers.streams.Producer`)."""

from __future__ import annotations

from collections.abc import Iterable

from consumers.connection import Client, ask_any

Data = str | bytes


async def publish(client: Client, channel: Data, data: Data, *, shard: bool = False) -> int:
    """Publish to a channel, or with `shard` to a shard channel; returns how many subscribers got it.

    Delivery is at most once: a disconnected subscriber never gets the message. In a cluster the number covers only the
    subscribers of one node. The client repeats the command after a lost connection (its retry policy), so a message may
    arrive twice.
    """
    return await (client.spublish(channel, data) if shard else client.publish(channel, data))


async def publish_many(client: Client, messages: Iterable[tuple[Data, Data]]) -> list[int]:
    """Publish (channel, data) pairs in one round trip, in order; returns each one's number of subscribers."""
    commands = [(b"PUBLISH", channel, data) for channel, data in messages]
    if not commands:
        return []
    counts: list[int] = []
    for reply in await ask_any(client, commands):
        if isinstance(reply, Exception):
            raise reply
        counts.append(reply)
    return counts
