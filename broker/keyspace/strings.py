"""String values: what all string commands share.

A string is `bytes`, or a `bytearray` once a command has changed it in place, so that further changes cost amortised
O(1). Both compare, join and slice alike; `bytes(value)` returns a hashable one.
"""

from __future__ import annotations

from broker.keyspace.database import Database
from protocol.errors import WRONG_TYPE, CommandError

String = bytes | bytearray


def get_string(db: Database, key: bytes) -> String | None:
    """The string at `key`, None for a missing key; not counted as a read. Raises WRONGTYPE."""
    return None if (value := db.get(key)) is None else checked_string(value)


def read_string(db: Database, key: bytes) -> String | None:
    """`get_string`, counted as a hit or a miss."""
    return None if (value := db.read(key)) is None else checked_string(value)


def checked_string(value: object) -> String:
    """Returns a key's value if it is a string; raises WRONGTYPE otherwise."""
    # Compare classes instead of calling isinstance: that is how the keyspace tells types, and faster.
    if type(value) is bytes or type(value) is bytearray:
        return value
    raise CommandError(WRONG_TYPE)
