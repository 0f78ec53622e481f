"""Parts of strings: APPEND, SETRANGE, GETRANGE, SUBSTR, STRLEN."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.keyspace.events import STRING, Event
from broker.keyspace.strings import get_string, read_string
from broker.table.arguments import integer
from broker.table.command import ACCESS, DENYOOM, FAST, INSERT, READONLY, RO, RW, UPDATE, WRITE, command, key
from protocol.errors import STRING_TOO_LONG, CommandError
from protocol.replies import EMPTY_BULK, ZERO, bulk
from protocol.replies import integer as integer_reply

APPEND: Final = Event(STRING, b"append")
SETRANGE: Final = Event(STRING, b"setrange")

_OFFSET: Final = b"ERR offset is out of range"


@command("APPEND", arity=3, flags=WRITE | DENYOOM | FAST, keys=(key(RW, INSERT),), group="string", since="2.0.0",
         syntax="key value", summary="Appends to a string, which is created if it does not exist.",
         complexity="O(1) amortised, for short values")  # fmt: skip
def append(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    name, tail = args[1], args[2]
    value = get_string(db, name)
    if value is None:
        db.add(name, tail)
        length = len(tail)
    else:
        length = len(value) + len(tail)
        _check_length(session, length)
        if value.__class__ is bytes:
            value = db.data[name] = bytearray(value)
        value += tail
    db.changed(name, APPEND)
    return integer_reply(length)


@command("SETRANGE", arity=4, flags=WRITE | DENYOOM, keys=(key(RW, UPDATE),), group="string", since="2.2.0",
         syntax="key offset value",
         summary="Overwrites part of a string at an offset; pads a gap before it with zero bytes.",
         complexity="O(M) for M bytes written; O(N) for the length N the first time")  # fmt: skip
def setrange(session: Client, args: list[bytes]) -> bytes:
    offset = integer(args[2])
    if offset < 0:
        raise CommandError(_OFFSET)
    db = session.db
    name, part = args[1], args[3]
    value = get_string(db, name)
    if not part:
        return ZERO if value is None else integer_reply(len(value))
    end = offset + len(part)
    _check_length(session, end)
    if value is None:
        value = bytearray(end)
        db.add(name, value)
    elif value.__class__ is bytes:
        value = db.data[name] = bytearray(value)
    assert isinstance(value, bytearray)
    if len(value) < offset:
        value += bytes(offset - len(value))
    value[offset:end] = part
    db.changed(name, SETRANGE)
    return integer_reply(len(value))


@command("GETRANGE", arity=4, flags=READONLY, keys=(key(RO, ACCESS),), group="string", since="2.4.0",
         syntax="key start end:integer",
         summary="Returns part of a string.", complexity="O(N) for N bytes returned")  # fmt: skip
def getrange(session: Client, args: list[bytes]) -> bytes:
    start, end = integer(args[2]), integer(args[3])
    value = read_string(session.db, args[1])
    if value is None or (start < 0 and end < 0 and start > end):
        return EMPTY_BULK
    length = len(value)
    # A negative index counts from the end; one before the start is clamped to the start, also for the range's end.
    if start < 0:
        start = max(start + length, 0)
    if end < 0:
        end = max(end + length, 0)
    return bulk(value[start : end + 1])


command("SUBSTR", arity=4, flags=READONLY, keys=(key(RO, ACCESS),), group="string", since="1.0.0",
        syntax="key start end:integer", summary="Returns part of a string.", complexity="O(N) for N bytes returned",
        deprecated_since="2.0.0", replaced_by="`GETRANGE`")(getrange)  # fmt: skip


@command("STRLEN", arity=2, flags=READONLY | FAST, keys=(key(RO),), group="string", since="2.2.0",
         syntax="key", summary="Returns the length of a string in bytes.", complexity="O(1)")  # fmt: skip
def strlen(session: Client, args: list[bytes]) -> bytes:
    value = read_string(session.db, args[1])
    return ZERO if value is None else integer_reply(len(value))


def _check_length(session: Client, length: int) -> None:
    """Raises if `length` bytes exceed `proto-max-bulk-len`, which does not apply to replayed commands."""
    if length > session.broker.config.proto_max_bulk_len and not session.broker.state.is_replaying():
        raise CommandError(STRING_TOO_LONG)
