"""Streams with partitions (consumers/partitions.py), recognised among those of a server.

A name like `orders:{3}` is not enough: there has to be the number of partitions that the library stores, larger than 3,
and no stream of the name `orders` itself. So a stream that only looks like a partition is one of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from consumers.connecting import Client
from consumers.console.asking import ask
from consumers.names import decoded, encoded
from consumers.partitions import DIGITS, number_in, number_key, partition_in

__all__ = ["numbers_of_partitions", "whole_of"]


async def numbers_of_partitions(client: Client, names: Iterable[bytes]) -> dict[bytes, int]:
    """Return the streams with partitions of which some are among these names, and how many each has.

    Raises what ask() raises.
    """
    wholes = sorted({place[0] for name in names if (place := _place(name)) is not None})
    commands = [
        part
        for whole in wholes
        for part in ((b"GETRANGE", encoded(number_key(whole)), 0, DIGITS), (b"TYPE", encoded(whole)))
    ]
    replies = await ask(client, commands)
    return {
        encoded(whole): number
        for whole, stored, kind in zip(wholes, replies[::2], replies[1::2], strict=True)
        if isinstance(stored, bytes) and (number := number_in(stored)) is not None and kind not in (b"stream", "stream")
    }


def whole_of(name: bytes, numbers: Mapping[bytes, int]) -> tuple[bytes, int] | None:
    """Return the stream that a partition belongs to, and its number there; None if it is a stream of its own.

    numbers: as numbers_of_partitions() returns them.
    """
    place = _place(name)
    if place is None:
        return None
    whole = encoded(place[0])
    return (whole, place[1]) if place[1] < numbers.get(whole, 0) else None


def _place(name: bytes) -> tuple[str, int] | None:
    return partition_in(decoded(name))
