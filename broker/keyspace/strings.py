"""Strings at keys: what all commands on strings share.

A string is `bytes`, or a `bytearray` once a command changed it in place, so that further changes cost O(1)
amortised. Both compare, join and slice alike; where a hashable value is needed, `bytes(value)` gives one.
"""

from __future__ import annotations

from broker.keyspace.database import Database
from protocol.errors import WRONG_TYPE, CommandError

String = bytes | bytearray


def get_string(db: Database, key: bytes) -> String | None:
    """The string at `key`, None for a missing key; not counted as a read. Raises WRONGTYPE."""
    return None if (value := db.get(key)) is None else checked_string(value)


def read_string(db: Database, key: bytes) -> String | None:
    """The same, counted as a hit or a miss."""
    return None if (value := db.read(key)) is None else checked_string(value)


def checked_string(value: object) -> String:
    """A key's value as the string it is; raises WRONGTYPE if it is none."""
    # The classes are compared, not isinstance: it is the rule of the keyspace, and faster.
    if value.__class__ is bytes or value.__class__ is bytearray:
        return value
    raise CommandError(WRONG_TYPE)
