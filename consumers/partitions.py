"""Partitions of an event stream: streams `orders:{0}`, `orders:{1}`, ... that together are one.

The number in braces is the hash tag, so in a cluster the partitions are spread over the slots, and whatever belongs to
one of them (its dead letters, the answers to its calls) is in the same slot.

Only with that number is `orders:{3}` a partition: a stream that merely has such a name is one of its own.

The number of partitions belongs to the stream: with another one a key's entries would be in two places, and some
partitions would have no reader. So it is stored under `orders:partitions` by whoever uses the stream first, and anyone
with another number is refused.
"""

import binascii
import re
from typing import Any

from consumers import given
from consumers.connection import Client
from consumers.errors import ConsumerError
from consumers.names import encoded

__all__ = [
    "DIGITS",
    "agree",
    "check_partitions",
    "members_key",
    "number_in",
    "number_key",
    "partition_in",
    "partition_of",
    "partition_stream",
    "partition_streams",
    "record_dead_letters",
    "stored_partitions",
]

MOST = 1024
"""Partitions of one stream: each one costs its owner two connections, and each member's renewal reads all of them."""


DIGITS = 4
"""Digits of the largest number of partitions."""

_PARTITION = re.compile(r"([^{]*):\{(0|[1-9][0-9]{0,3})\}", re.DOTALL)


def check_partitions(stream: str, partitions: int) -> int:
    """Return the number. Raises TypeError or ValueError for a number or a name that can't be used."""
    if not 1 <= given.whole("partitions", partitions) <= MOST:
        raise ValueError(f"partitions must be between 1 and {MOST}")
    if "{" in stream:
        raise ValueError(f"{stream} has a hash tag of its own, so it can't have partitions")
    return partitions


def partition_stream(stream: str, partition: int) -> str:
    """Return the name of one partition, counted from 0."""
    return f"{stream}:{{{partition}}}"


def partition_streams(stream: str, partitions: int) -> tuple[str, ...]:
    """Return the names of all partitions of a stream, or of its dead-letter stream."""
    count = check_partitions(given.text("stream", stream), partitions)
    return tuple(partition_stream(stream, partition) for partition in range(count))


def partition_in(name: str) -> tuple[str, int] | None:
    """Return the stream and the number in the name of a partition; None if no partition can have this name."""
    found = _PARTITION.fullmatch(name)
    return None if found is None else (found[1], int(found[2]))


def number_key(stream: str) -> str:
    """Return the key that holds how many partitions a stream has."""
    return f"{stream}:partitions"


def number_in(stored: bytes | str | None) -> int | None:
    """Return the number of partitions that is stored under number_key(); None if it is no such number."""
    text = stored.decode("latin-1") if isinstance(stored, bytes) else stored or ""
    plausible = text.isascii() and text.isdigit() and len(text) <= DIGITS and not text.startswith("0")
    return int(text) if plausible and int(text) <= MOST else None


def partition_of(key: str | bytes | int, partitions: int) -> int:
    """Return the partition of a key: the CRC-16 of its bytes (XMODEM, as for a cluster's slots) modulo their number.

    A text is encoded as UTF-8, an integer written in decimal.
    """
    if isinstance(key, bool) or not isinstance(key, str | bytes | int):
        raise TypeError(f"a key is str, bytes or int, not {type(key).__name__}: {key!r:.100}")
    data = encoded(key if isinstance(key, bytes) else str(key))
    return binascii.crc_hqx(data, 0) % partitions


def members_key(stream: str, group: str) -> str:
    """Return the hash in which the members of a group share out the partitions."""
    return f"{stream}:partitions:{group}"


async def stored_partitions(client: Client, stream: str) -> int | None:
    """Return how many partitions a stream has; None if it has none.

    Raises ConsumerError if something else is stored in the place of the number, and errors of coredis.
    """
    stored: Any = await client.get(number_key(stream))
    number = number_in(stored)
    if stored is not None and number is None:
        raise ConsumerError(f"{number_key(stream)} holds no number of partitions: {stored!r:.100}")
    return number


async def agree(client: Client, stream: str, partitions: int) -> None:
    """Store the number of a stream's partitions if it has none yet. Raises ConsumerError if it has another one."""
    await client.setnx(number_key(stream), str(partitions))
    stored = await stored_partitions(client, stream)
    if stored is not None and stored != partitions:
        raise ConsumerError(f"{stream} has {stored} partitions, not {partitions}")


async def record_dead_letters(client: Client, stream: str, partitions: int) -> None:
    """Store how many partitions a dead-letter stream has, so that they are shown and redriven as one.

    The largest number counts: streams with different ones may have their dead letters in the same place. Raises errors
    of coredis.
    """
    if not await client.setnx(number_key(stream), str(partitions)):
        stored = await stored_partitions(client, stream)
        if stored is not None and stored < partitions:
            await client.set(number_key(stream), str(partitions))
