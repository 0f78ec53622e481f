"""DUMP and RESTORE: a value in Redis's own serialisation, out and in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from broker.arguments import MAX_INTEGER, integer, integer_between
from broker.events import DEL, GENERIC, REPLACED, RETYPED, Event
from broker.keyspace import NEVER, type_name
from broker.persistence.dump_payload import BadFooter, BadFormat, dump, restore
from broker.registry import ACCESS, DENYOOM, OW, READONLY, RO, UPDATE, WRITE, command, key
from broker.values.stream import Stream
from protocol.errors import SYNTAX, CommandError
from protocol.replies import OK, bulk

if TYPE_CHECKING:
    from broker.keyspace import Database
    from broker.session import Session

RESTORED: Final = Event(GENERIC, b"restore")

_BUSY_KEY: Final = b"BUSYKEY Target key name already exists."
_INVALID_TTL: Final = b"ERR Invalid TTL value, must be >= 0"
_INVALID_IDLE_TIME: Final = b"ERR Invalid IDLETIME value, must be >= 0"
_INVALID_FREQUENCY: Final = b"ERR Invalid FREQ value, must be >= 0 and <= 255"
_BAD_FOOTER: Final = b"ERR DUMP payload version or checksum are wrong"
_BAD_FORMAT: Final = b"ERR Bad data format"


@command("DUMP", arity=2, flags=READONLY, keys=(key(RO, ACCESS),), group="generic", since="2.6.0",
         syntax="key", categories=("keyspace",), tips=("nondeterministic_output",),
         summary="Gives the value at a key in Redis's serialisation.",
         complexity="O(N) for the size N of the value")  # fmt: skip
def dump_(session: Session, args: list[bytes]) -> bytes:
    value = session.db.read(args[1])
    return session.resp.null if value is None else bulk(dump(value, session.broker.config))


@command("RESTORE", arity=-4, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE),), group="generic", since="2.6.0",
         syntax="key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
         categories=("keyspace", "dangerous"),
         summary="Makes a key of a value in Redis's serialisation.",
         complexity="O(N) for the size N of the value, O(N*log(N)) for sorted sets")  # fmt: skip
def restore_(session: Session, args: list[bytes]) -> bytes:
    replace, absolute = _options(args)
    db = session.db
    name = args[1]
    if not replace and db.get(name) is not None:
        raise CommandError(_BUSY_KEY)
    now = session.broker.clock.now
    ttl = integer(args[2])
    if ttl < 0:
        raise CommandError(_INVALID_TTL)
    try:
        value = restore(args[3], session.broker.config)
    except BadFooter:
        raise CommandError(_BAD_FOOTER) from None
    except BadFormat as error:
        session.broker.log.verbose("RESTORE of a bad payload", key=name, reason=error)
        raise CommandError(_BAD_FORMAT) from None
    deadline = ttl if absolute or not ttl else ttl + now
    old = db.get(name)
    db.delete(name)
    # Redis's sum of now and a time to live that is too long wraps: the deadline is past.
    if deadline and (deadline <= now or deadline > MAX_INTEGER):
        _remove_expired(db, name, old is not None)
        return OK
    if value.__class__ is Stream:
        value.idempotency.expire(now)
    db.add(name, value)
    if deadline:
        db.expire_at(name, deadline)
        if not absolute:
            db.keyspace.propagation.instead([args[0], name, b"%d" % deadline, *args[3:], b"ABSTTL"])
    db.changed(name, RESTORED)
    if old is not None:
        db.notify(REPLACED, name)
        if type_name(old) != type_name(value):
            db.notify(RETYPED, name)
    if db.field_deadlines.get(name, NEVER) < now:
        # Commands rely on due fields being gone.
        db.expire_fields(name, now)
    return OK


def _options(args: list[bytes]) -> tuple[bool, bool]:
    """Whether REPLACE and ABSTTL are given; checks all options."""
    given: set[bytes] = set()
    at = 4
    while at < len(args):
        option = args[at].upper()
        more = at + 1 < len(args)
        if option == b"IDLETIME" and more and b"FREQ" not in given:
            # Accesses are not recorded, so there is nothing to set.
            at += 1
            if integer(args[at]) < 0:
                raise CommandError(_INVALID_IDLE_TIME)
        elif option == b"FREQ" and more and b"IDLETIME" not in given:
            at += 1
            integer(args[at])
            integer_between(args[at], 0, 255, _INVALID_FREQUENCY)
        elif option not in (b"REPLACE", b"ABSTTL"):
            raise CommandError(SYNTAX)
        given.add(option)
        at += 1
    return b"REPLACE" in given, b"ABSTTL" in given


def _remove_expired(db: Database, name: bytes, existed: bool) -> None:
    """A value was restored past its time: it takes the place of what was there, and is gone at once."""
    db.keyspace.expired += 1
    if existed:
        db.keyspace.propagation.instead([b"DEL", name])
        db.changed(name, DEL)
