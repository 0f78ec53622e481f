"""Publishing to whoever listens now. For services that read later there are streams (`consumers.streams.Producer`)."""

from __future__ import annotations

from collections.abc import Iterable

from consumers.connecting import Client

Data = str | bytes


async def publish(client: Client, channel: Data, data: Data, *, shard: bool = False) -> int:
    """Publish to a channel, or with `shard` to a shard channel; returns how many subscribers got it.

    At most once: nobody gets it later, and a subscriber that is disconnected never does. In a cluster the number
    counts only the subscribers of one node. A client repeats the command after a lost connection (its retry policy),
    so that a message may arrive twice.
    """
    return await (client.spublish(channel, data) if shard else client.publish(channel, data))


async def publish_many(client: Client, messages: Iterable[tuple[Data, Data]]) -> list[int]:
    """Publish (channel, data) pairs in one round trip, in order; returns each one's number of subscribers."""
    async with client.pipeline(transaction=False) as pipeline:
        counts = [pipeline.publish(channel, data) for channel, data in messages]
    return [await count for count in counts]
