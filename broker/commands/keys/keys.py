"""Keys of any type: DEL, UNLINK, EXISTS, TOUCH, TYPE, RENAME, RENAMENX, COPY, MOVE."""

from __future__ import annotations

from typing import Any, Final

from broker.broker import Client
from broker.keyspace.database import Database, Value, type_name
from broker.keyspace.events import DEL, GENERIC, REPLACED, RETYPED, Event
from broker.table.arguments import integer
from broker.table.command import (
    ACCESS,
    DELETE,
    DENYOOM,
    FAST,
    INSERT,
    OW,
    READONLY,
    RM,
    RO,
    RW,
    UPDATE,
    WRITE,
    command,
    key,
    keys,
)
from broker.table.parsers import Parser
from broker.values.hash import Hash
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from broker.values.streams.stream import Stream
from protocol.errors import DB_INDEX, NO_SUCH_KEY, SAME_OBJECT, CommandError
from protocol.replies import OK, ONE, ZERO, simple
from protocol.replies import integer as integer_reply

RENAME_FROM: Final = Event(GENERIC, b"rename_from")
RENAME_TO: Final = Event(GENERIC, b"rename_to")
COPY_TO: Final = Event(GENERIC, b"copy_to")
MOVE_FROM: Final = Event(GENERIC, b"move_from")
MOVE_TO: Final = Event(GENERIC, b"move_to")

_INT_MAX: Final = (1 << 31) - 1
_NOT_INT: Final = b"ERR value is out of range, value must between %d and %d" % (-_INT_MAX - 1, _INT_MAX)
_SUM: Final = ("request_policy:multi_shard", "response_policy:agg_sum")


@command("DEL", arity=-2, flags=WRITE, keys=(keys(RM, DELETE),), group="generic", since="1.0.0",
         syntax="key ...", summary="Deletes keys.", complexity="O(N) for N keys, with O(M) for the M elements of each",
         tips=_SUM)  # fmt: skip
def delete_keys(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    removed = 0
    for name in args[1:]:
        if db.get(name) is not None:
            db.delete(name)
            db.changed(name, DEL)
            removed += 1
    return integer_reply(removed)


command("UNLINK", arity=-2, flags=WRITE | FAST, keys=(keys(RM, DELETE),), group="generic", since="4.0.0",
        syntax="key ...",
        summary="Deletes keys, as DEL does.", complexity="O(N) for N keys, with O(M) for the M elements of each",
        tips=_SUM)(delete_keys)  # fmt: skip


@command("EXISTS", arity=-2, flags=READONLY | FAST, keys=(keys(RO),), group="generic", since="1.0.0",
         syntax="key ...",
         summary="Returns how many of the given keys exist.", complexity="O(N) for N keys", tips=_SUM)  # fmt: skip
def exists(session: Client, args: list[bytes]) -> bytes:
    look = session.db.read_untouched
    return integer_reply(sum(look(name) is not None for name in args[1:]))


@command("TOUCH", arity=-2, flags=READONLY | FAST, keys=(keys(RO),), group="generic", since="3.2.1",
         syntax="key ...",
         summary="Returns how many of the given keys exist, and counts as an access to them.",
         complexity="O(N) for N keys", tips=_SUM)  # fmt: skip
def touch(session: Client, args: list[bytes]) -> bytes:
    read = session.db.read
    return integer_reply(sum(read(name) is not None for name in args[1:]))


@command("TYPE", arity=2, flags=READONLY | FAST, keys=(key(RO),), group="generic", since="1.0.0",
         syntax="key", summary="Returns the type of the value at a key.", complexity="O(1)")  # fmt: skip
def type_(session: Client, args: list[bytes]) -> bytes:
    value = session.db.read_untouched(args[1])
    return simple(b"none" if value is None else type_name(value).encode())


@command("RENAME", arity=3, flags=WRITE, keys=(key(RW, ACCESS, DELETE), key(OW, UPDATE, at=2)), group="generic",
         since="1.0.0",
         syntax="key newkey",
         summary="Renames a key and overwrites the destination.", complexity="O(1)")  # fmt: skip
def rename(session: Client, args: list[bytes]) -> bytes:
    _rename(session, args[1], args[2], False)
    return OK


@command("RENAMENX", arity=3, flags=WRITE | FAST, keys=(key(RW, ACCESS, DELETE), key(OW, INSERT, at=2)),
         group="generic", since="1.0.0",
         syntax="key newkey",
         summary="Renames a key only if the destination does not exist.",
         complexity="O(1)")  # fmt: skip
def renamenx(session: Client, args: list[bytes]) -> bytes:
    return ONE if _rename(session, args[1], args[2], True) else ZERO


def _rename(session: Client, old_name: bytes, new_name: bytes, only_new: bool) -> bool:
    db = session.db
    value = db.get(old_name)
    if value is None:
        raise CommandError(NO_SUCH_KEY)
    if old_name == new_name:
        return False
    replaced = db.get(new_name)
    if replaced is not None and only_new:
        return False
    deadline = db.deadline(old_name)
    db.delete(old_name)
    _put(session, db, new_name, value, deadline)
    db.changed(old_name, RENAME_FROM, 0)
    db.changed(new_name, RENAME_TO)
    _notify_replaced(db, new_name, replaced, value)
    session.broker.reclaimer.take(replaced)
    return True


def _put(session: Client, db: Database, name: bytes, value: Value, deadline: int | None) -> None:
    """Stores a value with its deadline as a new key, replacing any old one."""
    # A replaced key keeps its position in the dict: if it moved to the end, a SCAN in progress would miss it.
    db.persist(name)
    db.add(name, value)
    if deadline is not None:
        db.expire_at(name, deadline)
    if type(value) is SortedSet:
        session.broker.delayed.placed(db, name)


def _notify_replaced(db: Database, name: bytes, replaced: Value, value: Value) -> None:
    if replaced is not None:
        db.notify(REPLACED, name)
        if type_name(replaced) != type_name(value):
            db.notify(RETYPED, name)


def _target(argument: bytes, session: Client) -> Database:
    return _database(session, integer(argument))


_COPY_OPTIONS: Final = Parser[tuple[Database | None, bool]]("COPY", values={"DB": _target}, context=("DB",))


@command("COPY", arity=-3, flags=WRITE | DENYOOM, keys=(key(RO, ACCESS), key(OW, UPDATE, at=2)), group="generic",
         since="6.2.0",
         syntax="source destination [DB destination-db] [REPLACE]",
         summary="Copies a key's value and time to live to another key.",
         complexity="O(N) for the N elements of the value")  # fmt: skip
def copy(session: Client, args: list[bytes]) -> bytes:
    target, replace = _COPY_OPTIONS.parse(args, 3, session)
    source = session.db
    if target is None:
        target = source
    name, new_name = args[1], args[2]
    if source is target and name == new_name:
        raise CommandError(SAME_OBJECT)
    value = source.read(name)
    if value is None:
        return ZERO
    replaced = target.get(new_name)
    if replaced is not None and not replace:
        return ZERO
    _put(session, target, new_name, _duplicate(value), source.deadline(name))
    target.changed(new_name, COPY_TO)
    _notify_replaced(target, new_name, replaced, value)
    session.broker.reclaimer.take(replaced)
    return ONE


@command("MOVE", arity=3, flags=WRITE | FAST, keys=(key(RW, ACCESS, UPDATE),), group="generic", since="1.0.0",
         syntax="key db", summary="Moves a key to another database.", complexity="O(1)")  # fmt: skip
def move(session: Client, args: list[bytes]) -> bytes:
    source = session.db
    name = args[1]
    target = _database(session, integer(args[2]))
    if source is target:
        raise CommandError(SAME_OBJECT)
    value = source.get(name)
    if value is None or target.get(name) is not None:
        return ZERO
    deadline = source.deadline(name)
    source.delete(name)
    _put(session, target, name, value, deadline)
    source.changed(name, MOVE_FROM, 0)
    target.changed(name, MOVE_TO)
    return ONE


def _database(session: Client, number: int) -> Database:
    """Returns the database with that number; raises if it does not exist."""
    if not -_INT_MAX - 1 <= number <= _INT_MAX:
        raise CommandError(_NOT_INT)
    databases = session.broker.keyspace.databases
    if not 0 <= number < len(databases):
        raise CommandError(DB_INDEX)
    return databases[number]


def _duplicate(value: Any) -> Value:
    """Returns an independent copy of any value; bytes are returned as they are."""
    kind = value.__class__
    if kind is bytes:
        return value
    if kind is bytearray or kind is List:
        return kind(value)
    if kind is Stream:
        return value.copy()
    assert kind in (Hash, Set, SortedSet)
    return value.clone()
