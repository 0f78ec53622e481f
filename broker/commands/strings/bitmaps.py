"""Strings as arrays of bits: SETBIT, GETBIT, BITCOUNT, BITPOS, BITOP.

BITFIELD, for integers of any width, is in bitfield.py.
"""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.keyspace.database import Database
from broker.keyspace.events import DEL, STRING, Event
from broker.keyspace.strings import checked_string, read_string
from broker.table.arguments import MAX_INTEGER, integer
from broker.table.command import ACCESS, DENYOOM, FAST, OW, READONLY, RO, RW, UPDATE, WRITE, command, key, keys
from broker.values.bits import combine, count, exchange, find, offset_of
from protocol.errors import SYNTAX, CommandError
from protocol.limits import MAX_BULK_LEAST
from protocol.replies import MINUS_ONE, ONE, ZERO
from protocol.replies import integer as integer_reply

SETBIT: Final = Event(STRING, b"setbit")
SET: Final = Event(STRING, b"set")

BIT_OFFSET: Final = b"ERR bit offset is not an integer or out of range"
_BIT: Final = b"ERR bit is not an integer or out of range"
_BIT_ARGUMENT: Final = b"ERR The bit argument must be 1 or 0."
_NOT_TAKES_ONE: Final = b"ERR BITOP NOT must be called with a single source key."

_BITS: Final = {b"0": 0, b"1": 1}

# The minimum number of sources of each operation.
_OPERATIONS: Final = {
    b"AND": 1, b"OR": 1, b"XOR": 1, b"NOT": 1, b"DIFF": 2, b"DIFF1": 2, b"ANDOR": 2, b"ONE": 1,
}  # fmt: skip
_NEW_OPERATIONS: Final = frozenset((b"DIFF", b"DIFF1", b"ANDOR", b"ONE"))
"""Since Redis 8.2: what they stored is propagated, so that older servers can read it."""


def bit_offset(session: Client, argument: bytes, unit: int = 1) -> int:
    """Returns an offset in bits, `unit` times the argument; raises beyond the longest string, unless replaying."""
    offset = offset_of(argument, unit, MAX_BULK_LEAST)
    if offset < 0:
        broker = session.broker
        offset = offset_of(
            argument, unit, MAX_INTEGER if broker.state.is_replaying() else broker.config.proto_max_bulk_len
        )
        if offset < 0:
            raise CommandError(BIT_OFFSET)
    return offset


def grown(db: Database, name: bytes, length: int) -> tuple[bytearray, bool]:
    """Returns the string at `name` in mutable form, at least `length` bytes long, and whether it has grown.

    A missing key is added. New bytes are zero. Raises WRONGTYPE.
    """
    return _lengthened(db, name, db.get(name), length)


def _lengthened(db: Database, name: bytes, found: object, length: int) -> tuple[bytearray, bool]:
    """Does the work of `grown` for the value found at `name`."""
    if found is None:
        value = bytearray(length)
        db.add(name, value)
        return value, True
    string = checked_string(found)
    if isinstance(string, bytes):
        string = db.data[name] = bytearray(string)
    missing = length - len(string)
    if missing > 0:
        string += bytes(missing)
    return string, missing > 0


@command("SETBIT", arity=4, flags=WRITE | DENYOOM, keys=(key(RW, ACCESS, UPDATE),), group="bitmap", since="2.2.0",
         syntax="key offset value:integer",
         summary="Sets or clears a bit of a string, which grows as needed; returns the old bit.",
         complexity="O(1), amortised if the string grows")  # fmt: skip
def setbit(session: Client, args: list[bytes]) -> bytes:
    offset = bit_offset(session, args[2])
    bit = _BITS.get(args[3])
    if bit is None:
        raise CommandError(_BIT)
    db = session.db
    name = args[1]
    is_grown = False
    found = db.get(name)
    former = exchange(found, offset, bit)
    if former < 0:
        value, is_grown = _lengthened(db, name, found, (offset >> 3) + 1)
        former = exchange(value, offset, bit)
    if is_grown or former != bit:
        db.changed(name, SETBIT)
    return ONE if former else ZERO


@command("GETBIT", arity=3, flags=READONLY | FAST, keys=(key(RO, ACCESS),), group="bitmap", since="2.2.0",
         syntax="key offset", summary="Returns a bit of a string; all bits after its end are 0.",
         complexity="O(1)")  # fmt: skip
def getbit(session: Client, args: list[bytes]) -> bytes:
    offset = bit_offset(session, args[2])
    value = read_string(session.db, args[1])
    at = offset >> 3
    if value is None or at >= len(value):
        return ZERO
    return ONE if value[at] & (0x80 >> (offset & 7)) else ZERO


def _is_in_bits(unit: bytes) -> bool:
    name = unit.upper()
    if name != b"BIT" and name != b"BYTE":
        raise CommandError(SYNTAX)
    return name == b"BIT"


def _bit_range(length: int, start: int, end: int, *, in_bits: bool) -> tuple[int, int]:
    """Returns the first and the last bit of a range in a string of `length` bytes; an empty range has first > last.

    Negative indexes count from the end; indexes outside the string are clamped to its start or end.
    """
    total = 8 * length if in_bits else length
    if start < 0:
        start = max(start + total, 0)
    if end < 0:
        end = max(end + total, 0)
    end = min(end, total - 1)
    return (start, end) if in_bits else (8 * start, 8 * end + 7)


@command("BITCOUNT", arity=-2, flags=READONLY, keys=(key(RO, ACCESS),), group="bitmap", since="2.6.0",
         syntax="key range=[start end:integer unit=[BYTE|BIT]@7.0.0]",
         summary="Counts the bits set in a string or part of it.",
         complexity="O(N) for N bytes counted")  # fmt: skip
def bitcount(session: Client, args: list[bytes]) -> bytes:
    given = len(args)
    if given == 2:
        value = read_string(session.db, args[1])
        return integer_reply(count(value, 0, 8 * len(value) - 1)) if value else ZERO
    if given != 4 and given != 5:
        raise CommandError(SYNTAX)
    start, end = integer(args[2]), integer(args[3])
    in_bits = given == 5 and _is_in_bits(args[4])
    value = read_string(session.db, args[1])
    if not value or (start < 0 and end < 0 and start > end):
        return ZERO
    first, last = _bit_range(len(value), start, end, in_bits=in_bits)
    return integer_reply(count(value, first, last)) if first <= last else ZERO


@command("BITPOS", arity=-3, flags=READONLY, keys=(key(RO, ACCESS),), group="bitmap", since="2.8.7",
         syntax="key bit:integer range=[start end-unit-block=[end:integer unit=[BYTE|BIT]@7.0.0]]",
         summary="Finds the first set or clear bit in a string or part of it.",
         complexity="O(N) for N bytes searched")  # fmt: skip
def bitpos(session: Client, args: list[bytes]) -> bytes:
    bit = integer(args[2])
    if bit != 0 and bit != 1:
        raise CommandError(_BIT_ARGUMENT)
    given = len(args)
    if given > 6:
        raise CommandError(SYNTAX)
    start = integer(args[3]) if given > 3 else 0
    in_bits = given == 6 and _is_in_bits(args[5])
    end = integer(args[4]) if given > 4 else -1
    value = read_string(session.db, args[1])
    if value is None:
        return MINUS_ONE if bit else ZERO
    first, last = _bit_range(len(value), start, end, in_bits=in_bits)
    if first > last:
        return MINUS_ONE
    position = find(value, bit, first, last)
    if position < 0 and not bit and given < 5:
        # Without an explicit end, zeros follow the string.
        position = last + 1
    return integer_reply(position)


@command("BITOP", arity=-4, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE, at=2), keys(RO, ACCESS, at=3)),
         group="bitmap", since="2.6.0",
         syntax="operation=<AND|OR|XOR|NOT|DIFF|DIFF1|ANDOR|ONE> destkey:key key ...",
         summary="Stores the result of a bitwise operation on strings; returns its length in bytes.",
         complexity="O(N) for N bytes in all sources")  # fmt: skip
def bitop(session: Client, args: list[bytes]) -> bytes:
    operation = args[1].upper()
    fewest = _OPERATIONS.get(operation)
    names = args[3:]
    if fewest is None:
        raise CommandError(SYNTAX)
    if operation == b"NOT" and len(names) > 1:
        raise CommandError(_NOT_TAKES_ONE)
    if len(names) < fewest:
        raise CommandError(b"ERR BITOP %b must be called with at least two source keys." % operation)
    db = session.db
    sources = [read_string(db, name) or b"" for name in names]
    target = args[2]
    if any(sources):
        result = combine(operation, sources)
        db.set(target, result)
        db.changed(target, SET)
        if operation in _NEW_OPERATIONS:
            db.keyspace.effects.replace_with([b"SET", target, bytes(result)])
        return integer_reply(len(result))
    if db.delete(target):
        db.changed(target, DEL)
        if operation in _NEW_OPERATIONS:
            db.keyspace.effects.replace_with([b"DEL", target])
    return ZERO
