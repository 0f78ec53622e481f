"""Numbers of 1 to 64 bits anywhere in a string: BITFIELD and BITFIELD_RO."""

from __future__ import annotations

from typing import Final, NamedTuple

from broker.broker import Client
from broker.commands.strings.bitmaps import SETBIT, bit_offset, grown
from broker.keyspace.strings import String, read_string
from broker.table.arguments import integer
from broker.table.command import (
    ACCESS,
    DENYOOM,
    FAST,
    READONLY,
    RO,
    RW,
    UPDATE,
    VARIABLE_FLAGS,
    WRITE,
    KeySpec,
    command,
    key,
)
from protocol.errors import SYNTAX, CommandError
from protocol.numbers import INTEGER_MAX, parse_integer
from protocol.replies import array
from protocol.replies import integer as integer_reply

_TYPE: Final = b"ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
_OVERFLOW: Final = b"ERR Invalid OVERFLOW type specified"
_READ_ONLY: Final = b"ERR BITFIELD_RO only supports the GET subcommand"

# Each operation and its number of arguments.
_OPERATIONS: Final = {b"GET": 2, b"SET": 3, b"INCRBY": 3}
_WRAP: Final = b"WRAP"
_SATURATE: Final = b"SAT"
_FAIL: Final = b"FAIL"


class _Operation(NamedTuple):
    """One operation on the `width` bits at `offset`; `operand` is the new value or the increment."""

    name: bytes
    offset: int
    width: int
    signed: bool
    operand: int
    overflow: bytes

    @property
    def end(self) -> int:
        """The first bit after the number."""
        return self.offset + self.width


@command("BITFIELD", arity=-2, flags=WRITE | DENYOOM,
         keys=(KeySpec((RW, UPDATE, ACCESS, VARIABLE_FLAGS), index=1,
                       notes="Read-only if all operations are GET."),),
         group="bitmap", since="3.2.0",
         syntax="key operation=[get-block=GET encoding offset|write=<[overflow-block=OVERFLOW <WRAP|SAT|FAIL>]"
         " write-operation=<set-block=SET encoding offset value:integer|incrby-block=INCRBY encoding offset increment>>"
         "] ...",
         summary="Reads, sets and increments integers of any width at any bit of a string.",
         complexity="O(1) for each operation")  # fmt: skip
def bitfield(session: Client, args: list[bytes]) -> bytes:
    operations = _operations(session, args)
    length = max((operation.end + 7 >> 3 for operation in operations if operation.name != b"GET"), default=0)
    if not length:
        return _read(session, args[1], operations)
    db = session.db
    name = args[1]
    value, is_grown = grown(db, name, length)
    replies = []
    changes = 0
    for operation in operations:
        old = _number(value, operation)
        if operation.name == b"GET":
            replies.append(integer_reply(old))
            continue
        new = _new_number(operation, old)
        if new is None:
            replies.append(session.resp.null)
            continue
        replies.append(integer_reply(new if operation.name == b"INCRBY" else old))
        _put(value, operation, new)
        changes += is_grown or new != old
    if changes:
        db.changed(name, SETBIT, changes)
    elif is_grown:
        # All writes failed for overflow, but the string has grown: Redis neither notifies nor propagates that.
        db.changed_silently(name)
    return array(replies)


@command("BITFIELD_RO", arity=-2, flags=READONLY | FAST, keys=(key(RO, ACCESS),), group="bitmap", since="6.0.0",
         syntax="key get-block=[GET encoding offset] ...",
         summary="Reads integers of any width at any bit of a string.",
         complexity="O(1) for each operation")  # fmt: skip
def bitfield_ro(session: Client, args: list[bytes]) -> bytes:
    operations = _operations(session, args)
    if any(operation.name != b"GET" for operation in operations):
        raise CommandError(_READ_ONLY)
    return _read(session, args[1], operations)


def _read(session: Client, name: bytes, operations: list[_Operation]) -> bytes:
    value = read_string(session.db, name) or b""
    return array([integer_reply(_number(value, operation)) for operation in operations])


def _operations(session: Client, args: list[bytes]) -> list[_Operation]:
    """Parses the operations, each with the last OVERFLOW before it.

    Parsed by hand, because their order matters.
    """
    found = []
    overflow = _WRAP
    at = 2
    end = len(args)
    while at < end:
        name = args[at].upper()
        left = end - at - 1
        if name == b"OVERFLOW" and left:
            overflow = args[at + 1].upper()
            if overflow not in (_WRAP, _SATURATE, _FAIL):
                raise CommandError(_OVERFLOW)
            at += 2
            continue
        takes = _OPERATIONS.get(name)
        if takes is None or takes > left:
            raise CommandError(SYNTAX)
        signed, width = _type(args[at + 1])
        place = args[at + 2]
        # `#3` is the position after three numbers of this type.
        offset = bit_offset(session, place[1:], width) if place[:1] == b"#" else bit_offset(session, place)
        operand = integer(args[at + 3]) if takes == 3 else 0
        found.append(_Operation(name, offset, width, signed, operand, overflow))
        at += 1 + takes
    return found


def _type(argument: bytes) -> tuple[bool, int]:
    """Parses a type like `i5` or `u63`: returns whether it is signed, and its width in bits."""
    kind = argument[:1]
    # In Redis the width is a C string, which ends at a NUL.
    width = parse_integer(argument[1:].partition(b"\0")[0])
    if kind not in (b"i", b"u") or width is None or not 1 <= width <= (64 if kind == b"i" else 63):
        raise CommandError(_TYPE)
    return kind == b"i", width


def _number(value: String, operation: _Operation) -> int:
    """Returns the number that an operation works on; zeros follow the end of the string."""
    start, end = operation.offset >> 3, operation.end + 7 >> 3
    shift = -operation.end & 7
    number = int.from_bytes(value[start:end].ljust(end - start, b"\0"), "big") >> shift & (1 << operation.width) - 1
    return _signed(number, operation.width) if operation.signed else number


def _signed(number: int, width: int) -> int:
    return number - (1 << width) if number >> (width - 1) & 1 else number


def _put(value: bytearray, operation: _Operation, number: int) -> None:
    """Overwrites the number that an operation works on; the string is long enough."""
    start, end = operation.offset >> 3, operation.end + 7 >> 3
    shift = -operation.end & 7
    mask = (1 << operation.width) - 1
    around = int.from_bytes(value[start:end], "big") & ~(mask << shift)
    value[start:end] = (around | (number & mask) << shift).to_bytes(end - start, "big")


def _new_number(operation: _Operation, old: int) -> int | None:
    """Returns the result of SET or INCRBY; None if it overflows under OVERFLOW FAIL."""
    adds = operation.name == b"INCRBY"
    new = old + operation.operand if adds else operation.operand
    width = operation.width
    if operation.signed:
        low, high = -(1 << width - 1), (1 << width - 1) - 1
        # Redis computes the distance to the maximum in 64 bits. If the number to SET is further below it than that,
        # the result is negative, and the number counts as too large.
        too_large = new > high or (not adds and width < 64 and high - new > INTEGER_MAX)
    else:
        low, high = 0, (1 << width) - 1
        # SET takes a negative number for a large unsigned one.
        too_large = new > high or (not adds and new < 0)
    if low <= new <= high:
        return new
    if operation.overflow == _FAIL:
        return None
    if operation.overflow == _SATURATE:
        return high if too_large else low
    wrapped = new & (1 << width) - 1
    return _signed(wrapped, width) if operation.signed else wrapped
