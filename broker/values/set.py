"""A set: a dict from each member to None, so that positions.py can scan it and pick members at random."""

from collections.abc import Iterable
from typing import ClassVar

from broker.values import positions
from protocol.numbers import parse_integer


class Set(dict[bytes, None]):
    """A set value. Never empty in the keyspace."""

    __slots__ = ()
    type_name: ClassVar = "set"

    @classmethod
    def of(cls, members: Iterable[bytes]) -> "Set":
        """Returns a set of these members, in their order."""
        new = cls()
        new.update(dict.fromkeys(members))
        return new

    def clone(self) -> "Set":
        """Returns an independent copy."""
        return Set(self)

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Returns the next cursor (0: finished) and members of a scan; see positions.window."""
        return positions.window(self, cursor, count)

    def random_member(self) -> bytes:
        """Returns a random member; all are equally likely. O(1) expected."""
        return positions.random_key(self)

    def random_members(self, count: int) -> list[bytes]:
        """Returns `count` distinct random members, or all of them if there are fewer. O(count) expected."""
        return positions.sample_keys(self, count)

    def pop_random(self) -> bytes:
        """Removes and returns a random member; all are equally likely. O(1) expected."""
        member = positions.random_key(self)
        del self[member]
        return member

    def pop_random_members(self, count: int) -> list[bytes]:
        """Removes and returns `count` random members, or all of them if there are fewer."""
        chosen = positions.sample_keys(self, count)
        if len(chosen) == len(self):
            self.clear()
        else:
            for member in chosen:
                del self[member]
        return chosen

    def encoding(self, max_intset_entries: int, max_entries: int, max_value: int) -> bytes:
        """Returns the encoding Redis chooses for this content, given the three `set-max-...` thresholds.

        `max_value` is in bytes.
        """
        length = len(self)
        if length > max_intset_entries and length > max_entries:
            return b"hashtable"
        if all(parse_integer(member) is not None for member in self):
            return b"intset" if length <= max_intset_entries else b"hashtable"
        if length <= max_entries and all(len(member) <= max_value for member in self):
            return b"listpack"
        return b"hashtable"
