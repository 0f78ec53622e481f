"""Lists by index and by content: LINDEX, LRANGE, LSET, LTRIM, LINSERT, LREM, LPOS."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.lists.ends import delete_if_empty
from broker.keyspace.events import LIST, Event
from broker.table.arguments import between
from broker.table.arguments import integer as integer_argument
from broker.table.command import ACCESS, DELETE, DENYOOM, INSERT, READONLY, RO, RW, UPDATE, WRITE, command, key
from broker.table.parsers import Parser
from broker.values.list import List
from protocol.errors import INDEX_OUT_OF_RANGE, NO_SUCH_KEY, SYNTAX, CommandError
from protocol.numbers import INTEGER_MAX
from protocol.replies import EMPTY_ARRAY, MINUS_ONE, OK, ZERO, bulk, integer, integers

LSET: Final = Event(LIST, b"lset")
LTRIM: Final = Event(LIST, b"ltrim")
LINSERT: Final = Event(LIST, b"linsert")
LREM: Final = Event(LIST, b"lrem")

MAGNITUDE: Final = b"ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
RANK_ZERO: Final = (
    b"ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... "
    b"or use negative to start from the end of the list"
)
COUNT_NEGATIVE: Final = b"ERR COUNT can't be negative"
MAXLEN_NEGATIVE: Final = b"ERR MAXLEN can't be negative"


def _span(start: int, stop: int, length: int) -> tuple[int, int]:
    """Converts an inclusive range with negative indexes to a half-open one; (0, 0) if empty."""
    if start < 0:
        start = max(start + length, 0)
    if stop < 0:
        stop += length
    if start > stop or start >= length:
        return 0, 0
    return start, min(stop + 1, length)


def _magnitude(argument: bytes) -> int:
    """Parses an integer whose negative is representable, too."""
    value = integer_argument(argument)
    if value < -INTEGER_MAX:
        raise CommandError(MAGNITUDE)
    return value


def _rank(argument: bytes) -> int:
    rank = _magnitude(argument)
    if not rank:
        raise CommandError(RANK_ZERO)
    return rank


_LPOS_OPTIONS: Final = Parser[tuple[int, int | None, int]](
    "LPOS", defaults={"RANK": 1, "MAXLEN": 0},
    values={"RANK": _rank, "COUNT": between(0, INTEGER_MAX, COUNT_NEGATIVE),
            "MAXLEN": between(0, INTEGER_MAX, MAXLEN_NEGATIVE)},
)  # fmt: skip


# Reading


@command("LINDEX", arity=3, flags=READONLY, keys=(key(RO, ACCESS),), group="list", since="1.0.0",
         syntax="key index", summary="Returns the element at an index of a list.",
         complexity="O(N) where N is the distance to the nearer end")  # fmt: skip
def lindex(session: Client, args: list[bytes]) -> bytes:
    value = session.db.read_as(args[1], List)
    if value is None:
        return session.resp.null
    index = integer_argument(args[2])
    length = len(value)
    return bulk(value[index]) if -length <= index < length else session.resp.null


@command("LRANGE", arity=4, flags=READONLY, keys=(key(RO, ACCESS),), group="list", since="1.0.0",
         syntax="key start stop", summary="Returns the elements between two indexes of a list.",
         complexity="O(S+N) for S elements to the nearer end and N elements returned")  # fmt: skip
def lrange(session: Client, args: list[bytes]) -> bytes:
    start = integer_argument(args[2])
    stop = integer_argument(args[3])
    value = session.db.read_as(args[1], List)
    if value is None:
        return EMPTY_ARRAY
    start, stop = _span(start, stop, len(value))
    return value.bulks(start, stop) if start < stop else EMPTY_ARRAY


@command("LPOS", arity=-3, flags=READONLY, keys=(key(RO, ACCESS),), group="list", since="6.0.6",
         syntax="key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
         summary="Returns the index of matching elements in a list.",
         complexity="O(N) where N is the number of elements compared")  # fmt: skip
def lpos(session: Client, args: list[bytes]) -> bytes:
    rank, count, maxlen = _LPOS_OPTIONS.parse(args, 3)
    value = session.db.read_as(args[1], List)
    found = value.positions(args[2], rank, 1 if count is None else count, maxlen) if value is not None else []
    if count is not None:
        return integers(found)
    return integer(found[0]) if found else session.resp.null


# Changing


@command("LSET", arity=4, flags=WRITE | DENYOOM, keys=(key(RW, UPDATE),), group="list", since="1.0.0",
         syntax="key index element", summary="Replaces the element at an index of a list.",
         complexity="O(N) where N is the distance to the nearer end")  # fmt: skip
def lset(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    value = db.get_as(args[1], List)
    if value is None:
        raise CommandError(NO_SUCH_KEY)
    index = integer_argument(args[2])
    length = len(value)
    if not -length <= index < length:
        raise CommandError(INDEX_OUT_OF_RANGE)
    value[index] = args[3]
    db.changed(args[1], LSET)
    return OK


@command("LTRIM", arity=4, flags=WRITE, keys=(key(RW, DELETE),), group="list", since="1.0.0",
         syntax="key start stop", summary="Removes all elements of a list except those between two indexes.",
         complexity="O(N) where N is the number of elements removed")  # fmt: skip
def ltrim(session: Client, args: list[bytes]) -> bytes:
    start = integer_argument(args[2])
    stop = integer_argument(args[3])
    db = session.db
    value = db.get_as(args[1], List)
    if value is None:
        return OK
    length = len(value)
    start, stop = _span(start, stop, length)
    value.keep(start, stop)
    # Redis fires the event even if nothing was removed; nothing propagates then.
    db.changed(args[1], LTRIM, length - len(value))
    delete_if_empty(db, args[1], value)
    return OK


@command("LINSERT", arity=5, flags=WRITE | DENYOOM, keys=(key(RW, INSERT),), group="list", since="2.2.0",
         syntax="key where=<BEFORE|AFTER> pivot element",
         summary="Inserts an element before or after another one in a list.",
         complexity="O(N) where N is the length of the list")  # fmt: skip
def linsert(session: Client, args: list[bytes]) -> bytes:
    place = args[2].upper()
    if place not in (b"BEFORE", b"AFTER"):
        raise CommandError(SYNTAX)
    db = session.db
    value = db.get_as(args[1], List)
    if value is None:
        return ZERO
    if not value.insert_beside(args[3], args[4], place == b"AFTER"):
        return MINUS_ONE
    db.changed(args[1], LINSERT)
    return integer(len(value))


@command("LREM", arity=4, flags=WRITE, keys=(key(RW, DELETE),), group="list", since="1.0.0",
         syntax="key count element", summary="Removes matching elements from a list.",
         complexity="O(N) where N is the length of the list")  # fmt: skip
def lrem(session: Client, args: list[bytes]) -> bytes:
    count = _magnitude(args[2])
    db = session.db
    value = db.get_as(args[1], List)
    if value is None:
        return ZERO
    removed = value.remove_equal(args[3], count)
    if removed:
        db.changed(args[1], LREM, removed)
        delete_if_empty(db, args[1], value)
    return integer(removed)
