"""DEBUG DIGEST: a signature of all data, the same as redis-server's for the same data.

Two servers with equal digests hold equal keys, values and databases (for deadlines, only their existence counts), so
replication, persistence and migration can be checked with one command on either side. The scheme is that of Redis's
src/debug.c: parts whose order matters are mixed (each step hashes the previous one), the others are xored.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha1
from typing import TYPE_CHECKING, Any, Final

from broker.values.hash import Hash
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from broker.values.streams.entry import decode_fields
from broker.values.streams.stream import Stream
from protocol.numbers import format_double
from protocol.shortest import shortest_digits

if TYPE_CHECKING:
    from broker.keyspace.database import Database

SIZE: Final = 20

# Whole numbers below this have the same text in the digest and in replies.
WHOLE_AS_IT_IS: Final = 1e7

# Redis's type numbers; anything else is a string, which is type 0.
_TYPES: Final[dict[type[Any], int]] = {List: 1, Set: 2, SortedSet: 3, Hash: 4, Stream: 6}


class Digest:
    """A digest that data can be added to."""

    __slots__ = ("_bits",)

    def __init__(self) -> None:
        self._bits = 0

    def add(self, data: bytes | bytearray) -> None:
        """Add data whose position does not matter."""
        self._bits ^= int.from_bytes(sha1(data).digest(), "big")

    def mix(self, data: bytes | bytearray) -> None:
        """Add data whose position matters."""
        self.add(data)
        self._bits = int.from_bytes(sha1(self.value()).digest(), "big")

    def value(self) -> bytes:
        return self._bits.to_bytes(SIZE, "big")


def of_databases(databases: Iterable[Database]) -> bytes:
    """The digest of all data; 20 zero bytes if there is none."""
    digest = Digest()
    for database in databases:
        if not database.data:
            continue
        digest.mix(database.index.to_bytes(4, "big"))
        for key, value in database.data.items():
            each = Digest()
            each.mix(key)
            _mix_value(each, value, database.deadline(key) is not None)
            digest.add(each.value())
    return digest.value()


def of_key(database: Database, key: bytes) -> bytes:
    """The digest of the value at a key, without the key; 20 zero bytes if the key is missing."""
    digest = Digest()
    value = database.get(key)
    if value is not None:
        _mix_value(digest, value, database.deadline(key) is not None)
    return digest.value()


def _mix_value(digest: Digest, value: Any, expires: bool) -> None:
    kind = value.__class__
    digest.mix(_TYPES.get(kind, 0).to_bytes(4, "big"))
    if kind is List:
        for element in value:
            digest.mix(element)
    elif kind is Set:
        for member in value:
            digest.add(member)
    elif kind is SortedSet:
        for score, member in value:
            digest.add(_mixed(member, score_text(score)).value())
    elif kind is Hash:
        for field, content in value.items():
            each = _mixed(field, content)
            if value.deadlines and field in value.deadlines:
                each.add(b"!!hexpire!!")
            digest.add(each.value())
    elif kind is Stream:
        for entry_id, entry in value.entries():
            digest.mix(b"%d.%d" % (entry_id >> 64, entry_id & 0xFFFFFFFFFFFFFFFF))
            for part in decode_fields(entry):
                digest.mix(part)
    else:
        digest.mix(value)
    if expires:
        digest.add(b"!!expire!!")


def score_text(score: float) -> bytes:
    """A score as the digest formats it: its shortest digits, even where replies print all digits of a whole number."""
    if not score.is_integer() or abs(score) < WHOLE_AS_IT_IS:
        return format_double(score)
    number, exponent = shortest_digits(abs(score))
    digits = b"%d" % number
    magnitude = len(digits) + exponent - 1
    sign = b"-" if score < 0 else b""
    if magnitude < len(digits) + 7:
        return sign + digits + b"0" * exponent
    rest = b"." + digits[1:] if len(digits) > 1 else b""
    return sign + digits[:1] + rest + b"e+%d" % magnitude


def _mixed(*parts: bytes) -> Digest:
    digest = Digest()
    for part in parts:
        digest.mix(part)
    return digest
