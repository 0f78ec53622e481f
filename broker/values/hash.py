"""A hash: its fields with their values, and the deadlines of the fields that have one.

The compiled twin packs a small hash in one block of memory, as Redis does, which takes a third of a dict's memory.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import chain
from typing import TYPE_CHECKING, ClassVar

from broker.values import positions
from broker.values.field_deadlines import FieldDeadlines
from protocol.native import prefer
from protocol.replies import bulk_run

if TYPE_CHECKING:
    # Compiled modules rely on types, and the twin is no dict: this is as much of one as both are.
    from collections import UserDict as _Mapping
else:
    _Mapping = dict


class Hash(_Mapping[bytes, bytes]):
    """A hash value. Never empty in the keyspace.

    `deadlines` is None until a field gets a time to live. It is read-only: changes go through the methods, and setting
    a field again requires `persist`.
    """

    __slots__ = ("deadlines",)
    type_name: ClassVar = "hash"

    def __init__(self, content: Mapping[bytes, bytes] | None = None) -> None:
        if content is not None:
            super().__init__(content)
        self.deadlines: FieldDeadlines | None = None

    def discard(self, field: bytes) -> bool:
        """Deletes a field and its deadline; returns False if it does not exist."""
        if self.pop(field, None) is None:
            return False
        if self.deadlines is not None:
            self.deadlines.pop(field, None)
        return True

    def expire_at(self, field: bytes, deadline: int) -> None:
        """Sets the deadline of an existing field, in wall-clock milliseconds."""
        if self.deadlines is None:
            self.deadlines = FieldDeadlines()
        self.deadlines.put(field, deadline)

    def persist(self, field: bytes) -> bool:
        """Removes a field's deadline; returns False if it had none."""
        return self.deadlines is not None and self.deadlines.pop(field, None) is not None

    def earliest_deadline(self) -> int | None:
        """Returns the earliest deadline of a field, in wall-clock milliseconds, or None."""
        earliest = self.deadlines and self.deadlines.earliest()
        return earliest[0] if earliest else None

    def remove_due(self, now: int, limit: int) -> list[bytes]:
        """Deletes up to `limit` fields whose deadline is before `now`; returns their names, earliest first."""
        removed: list[bytes] = []
        while len(removed) < limit and self.deadlines and (earliest := self.deadlines.earliest()):
            deadline, field = earliest
            if deadline >= now:
                break
            self.discard(field)
            removed.append(field)
        return removed

    def clone(self) -> Hash:
        """Returns an independent copy."""
        twin = Hash(self)
        if self.deadlines is not None:
            twin.deadlines = self.deadlines.clone()
        return twin

    def bulk_run(self) -> bytes:
        """Encodes alternating fields and values as bulk strings, without a header."""
        return bulk_run(list(chain.from_iterable(self.items())))

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Returns the next cursor (0: finished) and fields of a scan; see positions.window."""
        return positions.window(self, cursor, count)  # type: ignore[arg-type]  # a dict here

    def random_field(self) -> bytes:
        """Returns a random field; all are equally likely. O(1) expected."""
        return positions.random_key(self)  # type: ignore[arg-type]  # a dict here

    def sample_fields(self, count: int) -> list[bytes]:
        """Returns up to `count` distinct fields; see positions.sample_keys."""
        return positions.sample_keys(self, count)  # type: ignore[arg-type]  # a dict here

    def draw_fields(self, count: int) -> list[bytes]:
        """Returns `count` fields, each drawn from all; see positions.draw_keys."""
        return positions.draw_keys(self, count)  # type: ignore[arg-type]  # a dict here

    def encoding(self, max_entries: int, max_value: int) -> bytes:
        """Returns the encoding Redis chooses for this content, given `hash-max-listpack-entries` and `-value`.

        `max_value` is in bytes.
        """
        return encoding_of(self.items(), self.deadlines is not None, max_entries, max_value)


def encoding_of(pairs: Collection[tuple[bytes, bytes]], expiring: bool, max_entries: int, max_value: int) -> bytes:
    """Does the work of Hash.encoding; `expiring` is whether a field has ever had a deadline."""
    if len(pairs) > max_entries:
        return b"hashtable"
    for field, value in pairs:
        if len(field) > max_value or len(value) > max_value:
            return b"hashtable"
    # Redis's block keeps its room for deadlines once a field has had one.
    return b"listpackex" if expiring else b"listpack"


prefer(globals(), "broker.values._hash", "Hash")
