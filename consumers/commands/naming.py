"""Resolves how users name a queue: by its key, or by the name that the program gives a job queue or a stream with
partitions.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from coredis.exceptions import AuthorizationError, RedisError

from consumers.commands.queue_states import find_streams
from consumers.commands.running import CommandError, printable
from consumers.connecting import Client
from consumers.console.scanning import escaped
from consumers.errors import ConsumerError
from consumers.jobs.names import Keys
from consumers.partitions import partition_streams, stored_partitions

__all__ = ["dead_streams", "kind_of", "named_streams", "partitions_of"]


async def kind_of(client: Client, key: str) -> str:
    """The key's type; "none" if there is no such key."""
    kind: Any = await client.type(key)
    return kind.decode() if isinstance(kind, bytes) else str(kind)


async def queue_streams(client: Client, name: str) -> list[str]:
    """The streams of the job queue with this name; empty if there is none."""
    return await find_streams(client, f"{escaped(Keys(name, ()).prefix)}*")


async def partitions_of(client: Client, name: str) -> int | None:
    """How many partitions the stream with this name has; None if it has none, or this user may not know."""
    partitions = None
    # the key may be somebody else's, or one that this user may not read
    with suppress(ConsumerError, RedisError):
        partitions = await stored_partitions(client, name)
    if partitions is not None:
        # to a publisher, who may not ask for types, the number is enough
        with suppress(AuthorizationError):
            return None if await kind_of(client, name) == "stream" else partitions
    return partitions


async def named_streams(client: Client, name: str) -> list[str]:
    """Resolve `name`: the stream or list itself, or the streams of a job queue. Raises CommandError."""
    kind = await kind_of(client, name)
    if kind in ("stream", "list"):
        return [name]
    if found := await queue_streams(client, name):
        return found
    if kind != "none":
        raise CommandError(f"{printable(name)} is a {kind}, not a stream, list or job queue")
    raise CommandError(f"there is no stream, list or job queue {printable(name)}")


async def dead_streams(client: Client, name: str) -> list[str]:
    """Resolve `name` to dead-letter streams: itself, its partitions, or that of a job queue. Raises CommandError.

    A job queue without dead jobs has no such stream yet; its name is returned all the same.
    """
    kind = await kind_of(client, name)
    if kind == "stream":
        return [name]
    if kind != "none":
        raise CommandError(f"{printable(name)} is a {kind}, not a dead-letter stream")
    if (partitions := await partitions_of(client, name)) is not None:
        return list(partition_streams(name, partitions))
    dead = Keys(name, ()).dead
    if await kind_of(client, dead) == "stream" or await queue_streams(client, name):
        return [dead]
    raise CommandError(f"there is no dead-letter stream or job queue {printable(name)}")
