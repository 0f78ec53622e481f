"""Reading or setting fields while changing their deadlines, and reading and deleting fields."""

from typing import Final

from broker.broker import Client
from broker.commands.expire_options import has_passed
from broker.commands.hashes.field_expiry import (
    FIELDS_TWICE,
    HDEL,
    HEXPIRE,
    HPERSIST,
    NO_FIELDS,
    TOO_FEW,
    field_deadline,
    fields_argument,
    fields_changed,
    set_field_deadline,
    unknown_argument,
)
from broker.commands.hashes.fields import set_effects
from broker.keyspace.events import DEL, HASH, Event
from broker.table.arguments import integer_between
from broker.table.command import ACCESS, DELETE, DENYOOM, FAST, RW, UPDATE, WRITE, command, key
from broker.values.hash import Hash
from protocol.errors import CommandError, wrong_arity
from protocol.replies import ONE, ZERO, array_header, bulk

HSET: Final = Event(HASH, b"hset")

NUMFIELDS: Final = b"ERR invalid number of fields"
NO_TIME: Final = b"ERR missing expire time"
FXX_AND_FNX: Final = b"ERR Only one of FXX or FNX arguments can be specified"

_INT_MAX = (1 << 31) - 1
# Option -> the length of its unit in milliseconds, and whether it counts from now.
_UNITS: Final = {b"EX": (1000, True), b"PX": (1, True), b"EXAT": (1000, False), b"PXAT": (1, False)}


class _Arguments:
    """The arguments of HGETEX (`own` is PERSIST, one word per field) and HSETEX (KEEPTTL, two words per field).

    `words` are the fields, with their values for HSETEX. `when` is the deadline in wall-clock milliseconds, or None;
    `kept` is whether `own` was given; `condition` is FXX, FNX or b"".

    Parsed by hand: each way in which FIELDS can be wrong has its own error, checked before the fields are read.
    """

    __slots__ = ("condition", "kept", "when", "words")

    def __init__(self, session: Client, args: list[bytes], own: bytes, width: int) -> None:
        self.condition = b""
        self.kept = False
        self.when: int | None = None
        words: list[bytes] | None = None
        at, end = 2, len(args)
        while at < end:
            word = args[at].upper()
            if word == b"FIELDS":
                if words is not None:
                    raise CommandError(FIELDS_TWICE)
                if at + 1 >= end:
                    raise CommandError(wrong_arity(args[0].lower()))
                count = width * integer_between(args[at + 1], 1, _INT_MAX, NUMFIELDS)
                at += 2
                if count > end - at:
                    raise CommandError(TOO_FEW)
                words = args[at : at + count]
                at += count
                continue
            if word in _UNITS or word == own:
                if self.kept or self.when is not None:
                    raise CommandError(b"ERR Only one of EX, PX, EXAT, PXAT or %b arguments can be specified" % own)
                if word == own:
                    self.kept = True
                else:
                    at += 1
                    if at >= end:
                        raise CommandError(NO_TIME)
                    unit, from_now = _UNITS[word]
                    start = session.broker.clock.now if from_now else 0
                    self.when = field_deadline(args[at], unit, start, args[0].lower())
            elif width == 2 and word in (b"FXX", b"FNX"):
                if self.condition:
                    raise CommandError(FXX_AND_FNX)
                self.condition = word
            else:
                raise CommandError(unknown_argument(args[at]))
            at += 1
        if words is None:
            raise CommandError(NO_FIELDS)
        self.words = words


@command("HGETEX", arity=-5, flags=WRITE | FAST, keys=(key(RW, ACCESS, UPDATE),), group="hash", since="8.0.0",
         syntax="key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST] "
                "FIELDS numfields field ...",
         summary="Returns the values of fields, and sets or removes their time to live.",
         complexity="O(N) where N is the number of fields")  # fmt: skip
def hgetex(session: Client, args: list[bytes]) -> bytes:
    name = args[1]
    db = session.db
    value = db.get_as(name, Hash)
    given = _Arguments(session, args, b"PERSIST", 1)
    null = session.resp.null
    if value is None:
        return array_header(len(given.words)) + null * len(given.words)
    when = given.when
    passed = when is not None and has_passed(session.broker, when)
    parts = [array_header(len(given.words))]
    affected: list[bytes] = []
    for field in given.words:
        found = value.get(field)
        parts.append(null if found is None else bulk(found))
        if found is None:
            continue
        if when is not None:
            set_field_deadline(value, field, when, b"", passed)
            affected.append(field)
        elif given.kept and value.persist(field):
            affected.append(field)
    if affected:
        count = b"%d" % len(affected)
        if when is None:
            event, effect = HPERSIST, [b"HPERSIST", name, b"FIELDS", count, *affected]
        elif passed:
            event, effect = HDEL, [b"HDEL", name, *affected]
        else:
            event, effect = HEXPIRE, [b"HPEXPIREAT", name, b"%d" % when, b"FIELDS", count, *affected]
        db.changed(name, event, len(affected))
        db.notify_fields(event, name, affected)
        db.keyspace.effects.replace_with(effect)
        fields_changed(session, name, value)
    return b"".join(parts)


@command("HSETEX", arity=-6, flags=WRITE | DENYOOM | FAST, keys=(key(RW, UPDATE),), group="hash", since="8.0.0",
         syntax="key [FNX|FXX] "
                "[EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL] "
                "FIELDS numfields <field value> ...",
         summary="Sets fields and their time to live, optionally only if all or none of them exist.",
         complexity="O(N) where N is the number of fields")  # fmt: skip
def hsetex(session: Client, args: list[bytes]) -> bytes:
    given = _Arguments(session, args, b"KEEPTTL", 2)
    name = args[1]
    db = session.db
    value = db.get_as(name, Hash)
    fields = given.words[::2]
    if given.condition and not _condition_met(given.condition, fields, value):
        return ZERO
    if value is None:
        value = Hash()
        db.add(name, value)
    when = given.when
    passed = when is not None and has_passed(session.broker, when)
    for field, text in zip(fields, given.words[1::2], strict=True):
        value[field] = text
        if when is not None:
            set_field_deadline(value, field, when, b"", passed)
        elif not given.kept:
            value.persist(field)
    db.changed(name, HSET, len(fields))
    db.notify_fields(HSET, name, fields)
    effects = db.keyspace.effects
    if passed:
        db.notify(HDEL, name)
        db.notify_fields(HDEL, name, fields)
        effects.replace_with([b"HDEL", name, *fields])
    else:
        if when is not None:
            db.notify(HEXPIRE, name)
            db.notify_fields(HEXPIRE, name, fields)
        if effects.sinks:
            effects.replace_with(*set_effects(name, value, given.words))
    fields_changed(session, name, value)
    return ONE


def _condition_met(condition: bytes, fields: list[bytes], value: Hash | None) -> bool:
    """Whether all fields exist (FXX) or none does (FNX)."""
    if value is None:
        return condition == b"FNX"
    if condition == b"FXX":
        return all(field in value for field in fields)
    return not any(field in value for field in fields)


@command("HGETDEL", arity=-5, flags=WRITE | FAST, keys=(key(RW, ACCESS, DELETE),), group="hash", since="8.0.0",
         syntax="key FIELDS numfields field ...",
         summary="Returns the values of fields and deletes them.",
         complexity="O(N) where N is the number of fields")  # fmt: skip
def hgetdel(session: Client, args: list[bytes]) -> bytes:
    name = args[1]
    db = session.db
    value = db.get_as(name, Hash)
    fields = fields_argument(args)
    null = session.resp.null
    if value is None:
        return array_header(len(fields)) + null * len(fields)
    parts = [array_header(len(fields))]
    removed: list[bytes] = []
    for field in fields:
        found = value.get(field)
        parts.append(null if found is None else bulk(found))
        if value.discard(field):
            removed.append(field)
    if removed:
        if not value:
            db.delete(name)
        db.changed(name, HDEL, len(removed))
        db.notify_fields(HDEL, name, removed)
        db.keyspace.effects.replace_with([b"HDEL", name, *removed])
        if not value:
            db.notify(DEL, name)
    return b"".join(parts)
