"""Strings: SET and GET."""

from typing import TYPE_CHECKING

from broker.events import STRING, Event
from broker.registry import ACCESS, DENYOOM, FAST, OW, READONLY, RO, UPDATE, WRITE, command, key
from protocol.errors import WRONG_TYPE, CommandError
from protocol.replies import OK, bulk

if TYPE_CHECKING:
    from broker.session import Session

SET = Event(STRING, b"set")


@command("GET", arity=2, flags=READONLY | FAST, keys=(key(RO, ACCESS),), group="string", since="1.0.0",
         summary="Gives the value of a string.", complexity="O(1)")  # fmt: skip
def get(session: "Session", args: list[bytes]) -> bytes:
    value = session.db.read(args[1])
    if value is None:
        return session.resp.null
    kind = value.__class__
    if kind is bytes or kind is bytearray:
        return bulk(value)
    raise CommandError(WRONG_TYPE)


@command("SET", arity=-3, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE),), group="string", since="1.0.0",
         summary="Sets a string, whatever the key held.", complexity="O(1)")  # fmt: skip
def set_(session: "Session", args: list[bytes]) -> bytes:
    db = session.db
    db.set(args[1], args[2])
    db.changed(args[1], SET)
    return OK
