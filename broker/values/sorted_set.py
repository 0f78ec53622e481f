"""A sorted set: members in the order of their scores, with scans, random picks and Redis's encoding.

Redis orders by score, then by the bytes of the member (-0.0 and 0.0 are equal). Every range of the ZRANGE family is a
span of ranks, half-open and ascending: the `..._span` methods find it in O(log n), and `span` and `remove_span` take
it.
"""

from typing import ClassVar

from broker.values import positions
from broker.values.score_order import Entry, ScoreOrder
from protocol.native import prefer

__all__ = ["Entry", "SortedSet"]

prefer(globals(), "broker.values._score_order", "ScoreOrder")


class SortedSet(ScoreOrder):
    """A sorted set value. Never empty in the keyspace."""

    __slots__ = ()
    type_name: ClassVar = "zset"

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Returns the next cursor (0: finished) and members of a scan; see positions.window."""
        return positions.window(self.scores, cursor, count)

    def random_member(self) -> bytes:
        """Returns a random member; all are equally likely. O(1) expected."""
        return positions.random_key(self.scores)

    def encoding(self, max_entries: int, max_value: int) -> bytes:
        """Returns the encoding Redis chooses for this content, given `zset-max-listpack-entries` and `-value`.

        `max_value` is in bytes.
        """
        if len(self.scores) > max_entries or any(len(member) > max_value for member in self.scores):
            return b"skiplist"
        return b"listpack"
