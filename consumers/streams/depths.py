"""How far a group is behind on a stream with partitions: the figures of all of them, added up."""

from dataclasses import dataclass
from typing import Any

from coredis.exceptions import ResponseError

from consumers.connection import Client
from consumers.partitions import partition_streams

__all__ = ["Depths", "partition_depths"]


@dataclass(frozen=True, slots=True)
class Depths:
    """waiting: entries that no member has read yet; None if the server doesn't know, as after a deletion, or if the
    group has not been created in every partition. pending: those that are delivered and not acknowledged. dead: those
    in the dead-letter stream."""

    waiting: int | None
    pending: int
    dead: int


async def partition_depths(
    client: Client, stream: str, group: str, *, partitions: int, dead_letter: str | None = None
) -> Depths:
    """Return a group's figures over all partitions. Raises errors of coredis."""
    waiting: int | None = 0
    pending = dead = 0
    for name in partition_streams(stream, partitions):
        about = await _group(client, name, group)
        lag = about.get(b"lag")
        waiting = None if waiting is None or lag is None else waiting + lag
        pending += about.get(b"pending", 0)
    for name in partition_streams(dead_letter, partitions) if dead_letter is not None else ():
        dead += await client.xlen(name)
    return Depths(waiting, pending, dead)


async def _group(client: Client, stream: str, group: str) -> dict[bytes, Any]:
    try:
        groups: Any = await client.xinfo_groups(stream).raw(decode_response=False)
    except ResponseError as error:
        if "no such key" not in str(error):
            raise
        return {}
    return next((dict(one) for one in groups if one[b"name"] == group.encode()), {})
