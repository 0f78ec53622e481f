"""Incrementing numbers in strings: INCR and its relatives, INCRBYFLOAT.

INCREX, which has bounds and a time to live, is in ratelimit.py.
"""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.keyspace.events import STRING, Event
from broker.keyspace.strings import String, get_string
from broker.table.arguments import integer
from broker.table.command import ACCESS, DENYOOM, FAST, RW, UPDATE, WRITE, command, key
from protocol.errors import NAN_OR_INFINITY, NOT_FLOAT, NOT_INTEGER, OVERFLOW, WRONG_TYPE, CommandError
from protocol.numbers import (
    INTEGER_MAX,
    INTEGER_MIN,
    LongDouble,
    format_long_double,
    parse_integer,
    parse_long_double,
    sum_long_doubles,
)
from protocol.replies import CRLF, bulk

INCRBY: Final = Event(STRING, b"incrby")
INCRBYFLOAT: Final = Event(STRING, b"incrbyfloat")

_FLAGS: Final = WRITE | DENYOOM | FAST
_KEYS: Final = (key(RW, ACCESS, UPDATE),)
_ZERO: Final = ord("0")
_CANNOT_NEGATE: Final = b"ERR decrement would overflow"


@command("INCR", arity=2, flags=_FLAGS, keys=_KEYS, group="string", since="1.0.0",
         syntax="key",
         summary="Increments the integer in a string by 1; a missing key counts as 0.", complexity="O(1)")  # fmt: skip
def incr(session: Client, args: list[bytes]) -> bytes:
    name = args[1]
    db = session.db
    value = db.get(name)
    if type(value) is bytes and value.isdigit() and len(value) < 19 and value[0] != _ZERO:
        # A plain counter: this saves 0.2 us.
        db.data[name] = text = b"%d" % (int(value) + 1)
        db.changed(name, INCRBY)
        return b":" + text + CRLF
    return _add(session, name, 1)


@command("DECR", arity=2, flags=_FLAGS, keys=_KEYS, group="string", since="1.0.0",
         syntax="key",
         summary="Decrements the integer in a string by 1; a missing key counts as 0.", complexity="O(1)")  # fmt: skip
def decr(session: Client, args: list[bytes]) -> bytes:
    return _add(session, args[1], -1)


@command("INCRBY", arity=3, flags=_FLAGS, keys=_KEYS, group="string", since="1.0.0",
         syntax="key increment", summary="Increments the integer in a string; a missing key counts as 0.",
         complexity="O(1)")  # fmt: skip
def incrby(session: Client, args: list[bytes]) -> bytes:
    return _add(session, args[1], integer(args[2]))


@command("DECRBY", arity=3, flags=_FLAGS, keys=_KEYS, group="string", since="1.0.0",
         syntax="key decrement", summary="Decrements the integer in a string; a missing key counts as 0.",
         complexity="O(1)")  # fmt: skip
def decrby(session: Client, args: list[bytes]) -> bytes:
    decrement = integer(args[2])
    if decrement == INTEGER_MIN:
        raise CommandError(_CANNOT_NEGATE)
    return _add(session, args[1], -decrement)


def _add(session: Client, name: bytes, increment: int) -> bytes:
    db = session.db
    value = db.get(name)
    if value is None:
        number = increment
    else:
        kind = value.__class__
        if kind is not bytes:
            if kind is not bytearray:
                raise CommandError(WRONG_TYPE)
            value = bytes(value)
        old = parse_integer(value)
        if old is None:
            raise CommandError(NOT_INTEGER)
        number = old + increment
        if not INTEGER_MIN <= number <= INTEGER_MAX:
            raise CommandError(OVERFLOW)
    text = b"%d" % number
    if value is None:
        db.add(name, text)
    else:
        db.data[name] = text
    db.changed(name, INCRBY)
    return b":" + text + CRLF


def stored_integer(value: String | None) -> int:
    """Returns the integer in a string, 0 for a missing key; raises if it is not an integer."""
    return 0 if value is None else integer(bytes(value))


def stored_long_double(value: String | None) -> LongDouble:
    """Returns the long double in a string, 0 for a missing key; raises if it is not a number."""
    return long_double(b"0" if value is None else bytes(value), NOT_FLOAT)


def long_double(argument: bytes, error: bytes) -> LongDouble:
    """Parses a long double, which may be infinite; raises with `error`."""
    number = parse_long_double(argument)
    if number is None:
        raise CommandError(error)
    return number


@command("INCRBYFLOAT", arity=3, flags=_FLAGS, keys=_KEYS, group="string", since="2.6.0",
         syntax="key increment:double", summary="Increments the decimal number in a string; a missing key counts as 0.",
         complexity="O(1)")  # fmt: skip
def incrbyfloat(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    name = args[1]
    value = get_string(db, name)
    total = sum_long_doubles(stored_long_double(value), long_double(args[2], NOT_FLOAT))
    if total is None:
        raise CommandError(NAN_OR_INFINITY)
    text = format_long_double(total)
    if value is None:
        db.add(name, text)
    else:
        db.data[name] = text
    db.changed(name, INCRBYFLOAT)
    # The result is propagated instead of the increment, so that a replay can't round differently.
    db.keyspace.effects.replace_with([b"SET", name, text, b"KEEPTTL"])
    return bulk(text)
