"""A hash: its fields with their values, and the deadlines of those fields that have one.

The compiled twin packs a small one in one block of memory, as Redis does, which takes a third of what a dict takes.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

from broker.values import positions
from broker.values.field_deadlines import FieldDeadlines
from protocol.native import prefer
from protocol.replies import bulk_run


class Hash(dict[bytes, bytes]):
    """A hash value. Never empty in the keyspace.

    `deadlines` is None until a field gets a time to live. It is for reading: changes go through the methods, and a
    field that is set again has to `persist`.
    """

    __slots__ = ("deadlines",)
    type_name = "hash"

    def __init__(self, content: dict[bytes, bytes] | None = None) -> None:
        if content is not None:
            super().__init__(content)
        self.deadlines: FieldDeadlines | None = None

    def discard(self, field: bytes) -> bool:
        """Delete a field and its deadline; False if it isn't there."""
        if self.pop(field, None) is None:
            return False
        if self.deadlines is not None:
            self.deadlines.pop(field, None)
        return True

    def expire_at(self, field: bytes, deadline: int) -> None:
        """Give a field that is there a deadline, in wall milliseconds."""
        if self.deadlines is None:
            self.deadlines = FieldDeadlines()
        self.deadlines.put(field, deadline)

    def persist(self, field: bytes) -> bool:
        """Drop a field's deadline; False if it had none."""
        return self.deadlines is not None and self.deadlines.pop(field, None) is not None

    def earliest_deadline(self) -> int | None:
        """The earliest deadline of a field, in wall milliseconds; None without one."""
        earliest = self.deadlines and self.deadlines.earliest()
        return earliest[0] if earliest else None

    def remove_due(self, now: int, limit: int) -> list[bytes]:
        """Delete up to `limit` fields whose deadline lies before `now`; returns their names, earliest first."""
        removed: list[bytes] = []
        while len(removed) < limit and self.deadlines and (earliest := self.deadlines.earliest()):
            deadline, field = earliest
            if deadline >= now:
                break
            self.discard(field)
            removed.append(field)
        return removed

    def clone(self) -> Hash:
        """An independent copy."""
        twin = Hash(self)
        if self.deadlines is not None:
            twin.deadlines = self.deadlines.clone()
        return twin

    def bulk_run(self) -> bytes:
        """All fields and values by turns as bulk strings, without a header."""
        return bulk_run(list(chain.from_iterable(self.items())))

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """The next cursor (0: finished) and fields of a scan; see positions.window."""
        return positions.window(self, cursor, count)

    def random_field(self) -> bytes:
        """A field, each with the same chance. O(1) expected."""
        return positions.random_key(self)

    def sample_fields(self, count: int) -> list[bytes]:
        """Up to `count` different fields; see positions.sample_keys."""
        return positions.sample_keys(self, count)

    def draw_fields(self, count: int) -> list[bytes]:
        """`count` fields, each drawn from all of them; see positions.draw_keys."""
        return positions.draw_keys(self, count)

    def encoding(self, max_entries: int, max_value: int) -> bytes:
        """The encoding Redis chooses for this content, given `hash-max-listpack-entries` and `-value`.

        `max_value` is in bytes.
        """
        return encoding_of(self.items(), self.deadlines is not None, max_entries, max_value)


def encoding_of(pairs: Collection[tuple[bytes, bytes]], expiring: bool, max_entries: int, max_value: int) -> bytes:
    """See Hash.encoding; `expiring` says that a field has had a deadline."""
    if len(pairs) > max_entries:
        return b"hashtable"
    for field, value in pairs:
        if len(field) > max_value or len(value) > max_value:
            return b"hashtable"
    # Redis's block keeps room for deadlines once a field has had one.
    return b"listpackex" if expiring else b"listpack"


prefer(globals(), "broker.values._hash", "Hash")
