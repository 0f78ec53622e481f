"""Strings at keys: what all commands on strings share.

A string is `bytes`, or a `bytearray` once a command changed it in place, so that further changes cost O(1)
amortised. Both compare, join and slice alike; where a hashable value is needed, `bytes(value)` gives one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors import STRING_TOO_LONG, WRONG_TYPE, CommandError

if TYPE_CHECKING:
    from broker.clients.session import Session
    from broker.keyspace.keyspace import Database

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


def check_length(session: Session, length: int) -> None:
    """Raise if a string may not become `length` bytes long (`proto-max-bulk-len`; what is loaded may)."""
    if length > session.broker.config.proto_max_bulk_len and not session.broker.loading:
        raise CommandError(STRING_TOO_LONG)
