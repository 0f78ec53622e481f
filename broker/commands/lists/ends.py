"""The ends of lists: LPUSH, RPUSH, LPOP and their relatives, LLEN; and the events of all list commands.

Queues mostly push and pop single elements, so these functions are written flat: calling a shared helper would cost
more than the work it does.
"""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.keyspace.database import Database, Value
from broker.keyspace.events import DEL, LIST, Event
from broker.table.arguments import integer_between
from broker.table.command import ACCESS, DELETE, DENYOOM, FAST, INSERT, READONLY, RO, RW, WRITE, command, key
from broker.values.list import List
from protocol.errors import NOT_POSITIVE, WRONG_TYPE, CommandError, wrong_arity
from protocol.numbers import INTEGER_MAX
from protocol.replies import EMPTY_ARRAY, ZERO, bulk, bulks, integer

LPUSHED: Final = Event(LIST, b"lpush")
RPUSHED: Final = Event(LIST, b"rpush")
LPOPPED: Final = Event(LIST, b"lpop")
RPOPPED: Final = Event(LIST, b"rpop")

_PUSHES: Final = key(RW, INSERT)
_POPS: Final = key(RW, ACCESS, DELETE)


def delete_if_empty(db: Database, name: bytes, value: List) -> None:
    """Removes the key of a list that has lost its last element."""
    if not value:
        db.delete(name)
        db.notify(DEL, name)


def _new_list(db: Database, name: bytes, value: Value) -> List:
    """Adds a list at a key whose `value` is not a list; raises WRONGTYPE if the key exists."""
    if value is not None:
        raise CommandError(WRONG_TYPE)
    created = List()
    db.add(name, created)
    return created


# Pushing


@command("LPUSH", arity=-3, flags=WRITE | DENYOOM | FAST, keys=(_PUSHES,), group="list", since="1.0.0",
         syntax="key element ...", summary="Prepends elements to a list, which is created if it does not exist.",
         complexity="O(1) for each element")  # fmt: skip
def lpush(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    name = args[1]
    value = db.get(name)
    if type(value) is not List:
        value = _new_list(db, name, value)
    if len(args) == 3:
        value.appendleft(args[2])
        db.changed(name, LPUSHED)
    else:
        value.extendleft(args[2:])
        db.changed(name, LPUSHED, len(args) - 2)
    return integer(len(value))


@command("RPUSH", arity=-3, flags=WRITE | DENYOOM | FAST, keys=(_PUSHES,), group="list", since="1.0.0",
         syntax="key element ...", summary="Appends elements to a list, which is created if it does not exist.",
         complexity="O(1) for each element")  # fmt: skip
def rpush(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    name = args[1]
    value = db.get(name)
    if type(value) is not List:
        value = _new_list(db, name, value)
    if len(args) == 3:
        value.append(args[2])
        db.changed(name, RPUSHED)
    else:
        value.extend(args[2:])
        db.changed(name, RPUSHED, len(args) - 2)
    return integer(len(value))


@command("LPUSHX", arity=-3, flags=WRITE | DENYOOM | FAST, keys=(_PUSHES,), group="list", since="2.2.0",
         syntax="key element ...", summary="Prepends elements to a list only if it exists.",
         complexity="O(1) for each element")  # fmt: skip
def lpushx(session: Client, args: list[bytes]) -> bytes:
    return lpush(session, args) if session.db.get_untouched(args[1]) is not None else ZERO


@command("RPUSHX", arity=-3, flags=WRITE | DENYOOM | FAST, keys=(_PUSHES,), group="list", since="2.2.0",
         syntax="key element ...", summary="Appends elements to a list only if it exists.",
         complexity="O(1) for each element")  # fmt: skip
def rpushx(session: Client, args: list[bytes]) -> bytes:
    return rpush(session, args) if session.db.get_untouched(args[1]) is not None else ZERO


# Popping


@command("LPOP", arity=-2, flags=WRITE | FAST, keys=(_POPS,), group="list", since="1.0.0",
         syntax="key [count]@6.2.0", summary="Removes and returns the first elements of a list.",
         complexity="O(N) where N is the number of elements returned")  # fmt: skip
def lpop(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 2:
        return _pop_several(session, args, left=True)
    db = session.db
    name = args[1]
    value = db.get(name)
    if type(value) is not List:
        if value is None:
            return session.resp.null
        raise CommandError(WRONG_TYPE)
    element = value.popleft()
    db.changed(name, LPOPPED)
    if not value:
        db.delete(name)
        db.notify(DEL, name)
    return bulk(element)


@command("RPOP", arity=-2, flags=WRITE | FAST, keys=(_POPS,), group="list", since="1.0.0",
         syntax="key [count]@6.2.0", summary="Removes and returns the last elements of a list.",
         complexity="O(N) where N is the number of elements returned")  # fmt: skip
def rpop(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 2:
        return _pop_several(session, args, left=False)
    db = session.db
    name = args[1]
    value = db.get(name)
    if type(value) is not List:
        if value is None:
            return session.resp.null
        raise CommandError(WRONG_TYPE)
    element = value.pop()
    db.changed(name, RPOPPED)
    if not value:
        db.delete(name)
        db.notify(DEL, name)
    return bulk(element)


def _pop_several(session: Client, args: list[bytes], left: bool) -> bytes:
    if len(args) > 3:
        raise CommandError(wrong_arity(b"lpop" if left else b"rpop"))
    count = integer_between(args[2], 0, INTEGER_MAX, NOT_POSITIVE)
    db = session.db
    value = db.get_as(args[1], List)
    if value is None:
        return session.resp.null_array
    if not count:
        return EMPTY_ARRAY
    return bulks(pop_elements(db, args[1], value, left, count))


def pop_elements(db: Database, name: bytes, value: List, left: bool, count: int) -> list[bytes]:
    """Pops up to `count` elements off an end of the list at key `name`, and returns them in that order."""
    elements = value.pop_left(count) if left else value.pop_right(count)
    db.changed(name, LPOPPED if left else RPOPPED, len(elements))
    delete_if_empty(db, name, value)
    return elements


@command("LLEN", arity=2, flags=READONLY | FAST, keys=(key(RO),), group="list", since="1.0.0",
         syntax="key", summary="Returns the number of elements of a list.", complexity="O(1)")  # fmt: skip
def llen(session: Client, args: list[bytes]) -> bytes:
    value = session.db.read_as(args[1], List)
    return ZERO if value is None else integer(len(value))
