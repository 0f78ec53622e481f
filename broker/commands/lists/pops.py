"""Popping from the first non-empty one of several lists, without or with waiting: LMPOP, BLPOP, BRPOP, BLMPOP.

The result of a wait depends on when the client came, so all of these propagate as plain LPOP or RPOP.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from broker.broker import Client
from broker.clients.blocking import FOREVER
from broker.commands.lists.ends import LPOPPED, RPOPPED, pop_elements
from broker.keyspace.events import DEL
from broker.table.arguments import integer_between, timeout_seconds
from broker.table.command import ACCESS, BLOCKING, DELETE, RW, WRITE, command, counted_keys, keys
from broker.values.list import List
from protocol.errors import SYNTAX, WRONG_TYPE, CommandError
from protocol.numbers import INTEGER_MAX
from protocol.replies import array_header, bulk, bulks

NUMKEYS: Final = b"ERR numkeys should be greater than 0"
COUNT: Final = b"ERR count should be greater than 0"

_PAIR: Final = array_header(2)


def is_left(argument: bytes) -> bool:
    """Whether the argument is LEFT (True) or RIGHT (False); anything else is a syntax error."""
    end = argument.upper()
    if end == b"LEFT":
        return True
    if end == b"RIGHT":
        return False
    raise CommandError(SYNTAX)


def timeout_of(session: Client, argument: bytes) -> int:
    """Returns a blocking command's timeout in milliseconds; a client that already waits has had it checked."""
    return timeout_seconds(argument, session.broker.clock.now) if session.waiting is None else FOREVER


# One element


@command("BLPOP", arity=-3, flags=WRITE | BLOCKING, keys=(keys(RW, ACCESS, DELETE, last=-2),), group="list",
         since="2.0.0",
         syntax="key ... timeout",
         summary="Removes and returns the first element of the first non-empty list; waits if there is none.",
         complexity="O(N) where N is the number of keys")  # fmt: skip
def blpop(session: Client, args: list[bytes]) -> bytes:
    return _pop_or_wait(session, args, left=True)


@command("BRPOP", arity=-3, flags=WRITE | BLOCKING, keys=(keys(RW, ACCESS, DELETE, last=-2),), group="list",
         since="2.0.0",
         syntax="key ... timeout",
         summary="Removes and returns the last element of the first non-empty list; waits if there is none.",
         complexity="O(N) where N is the number of keys")  # fmt: skip
def brpop(session: Client, args: list[bytes]) -> bytes:
    return _pop_or_wait(session, args, left=False)


def _pop_or_wait(session: Client, args: list[bytes], left: bool) -> bytes:
    timeout_ms = timeout_of(session, args[-1])
    db = session.db
    names = args[1:-1]
    for name in names:
        value = db.get(name)
        if value is None:
            continue
        if type(value) is not List:
            raise CommandError(WRONG_TYPE)
        effects = db.keyspace.effects  # whose sinks are asked about here, since making the list costs more
        if left:
            element = value.popleft()
            db.changed(name, LPOPPED)
            if effects.sinks:
                effects.replace_with([b"LPOP", name])
        else:
            element = value.pop()
            db.changed(name, RPOPPED)
            if effects.sinks:
                effects.replace_with([b"RPOP", name])
        if not value:
            db.delete(name)
            db.notify(DEL, name)
        return bulks([name, element])
    return session.broker.blocking.wait(
        session, blpop if left else brpop, args, keys=names, value_type=List, timeout_ms=timeout_ms,
        timeout_reply=session.resp.null_array,
    )  # fmt: skip


# Several elements


@command("LMPOP", arity=-4, flags=WRITE, keys=(counted_keys(RW, ACCESS, DELETE, at=1),), group="list",
         since="7.0.0",
         syntax="numkeys key ... where=<LEFT|RIGHT> [COUNT count]",
         summary="Removes and returns elements of the first non-empty list.",
         complexity="O(N+M) where N is the number of keys and M the number of elements returned")  # fmt: skip
def lmpop(session: Client, args: list[bytes]) -> bytes:
    names, left, count = _parse_several(args, 1)
    return _pop_several(session, names, left, count) or session.resp.null_array


@command("BLMPOP", arity=-5, flags=WRITE | BLOCKING, keys=(counted_keys(RW, ACCESS, DELETE, at=2),), group="list",
         since="7.0.0",
         syntax="timeout numkeys key ... where=<LEFT|RIGHT> [COUNT count]",
         summary="Removes and returns elements of the first non-empty list; waits if there is none.",
         complexity="O(N+M) where N is the number of keys and M the number of elements returned")  # fmt: skip
def blmpop(session: Client, args: list[bytes]) -> bytes:
    names, left, count = _parse_several(args, 2)
    timeout_ms = timeout_of(session, args[1])
    return _pop_several(session, names, left, count) or session.broker.blocking.wait(
        session, blmpop, args, keys=names, value_type=List, timeout_ms=timeout_ms, timeout_reply=session.resp.null_array
    )


def _parse_several(args: list[bytes], at: int) -> tuple[list[bytes], bool, int]:
    """Parses the keys, end and count of an LMPOP or BLMPOP whose number of keys is argument `at`."""
    numkeys = integer_between(args[at], 1, INTEGER_MAX, NUMKEYS)
    where = at + numkeys + 1
    if where >= len(args):
        raise CommandError(SYNTAX)
    left = is_left(args[where])
    rest = args[where + 1 :]
    count = 1
    if rest:
        if rest[0].upper() != b"COUNT" or len(rest) == 1:
            raise CommandError(SYNTAX)
        count = integer_between(rest[1], 1, INTEGER_MAX, COUNT)
        if len(rest) > 2:
            raise CommandError(SYNTAX)
    return args[at + 1 : where], left, count


def _pop_several(session: Client, names: Sequence[bytes], left: bool, count: int) -> bytes:
    """Returns the reply of an LMPOP or BLMPOP, b"" if no list exists."""
    db = session.db
    for name in names:
        value = db.get_as(name, List)
        if value is not None:
            elements = pop_elements(db, name, value, left, count)
            db.keyspace.effects.replace_with([b"LPOP" if left else b"RPOP", name, b"%d" % len(elements)])
            return _PAIR + bulk(name) + bulks(elements)
    return b""
