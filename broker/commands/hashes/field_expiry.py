"""Deadlines of the fields of hashes: HEXPIRE and its relatives, HTTL and its relatives, HPERSIST."""

from typing import Final

from broker.broker import Client
from broker.commands.expire_options import has_passed
from broker.keyspace.events import DEL, HASH, Event
from broker.table.arguments import integer as integer_argument
from broker.table.arguments import integer_between
from broker.table.command import ACCESS, FAST, READONLY, RO, RW, UPDATE, WRITE, command, key
from broker.values.hash import Hash
from protocol.errors import CommandError, invalid_expire
from protocol.replies import array_header, integers

HDEL: Final = Event(HASH, b"hdel")
HEXPIRE: Final = Event(HASH, b"hexpire")
HPERSIST: Final = Event(HASH, b"hpersist")

NEGATIVE: Final = b"ERR invalid expire time, must be >= 0"
NO_FIELDS: Final = b"ERR missing FIELDS argument"
FIELDS_TWICE: Final = b"ERR FIELDS keyword specified multiple times"
FIELDS_TOO_SHORT: Final = b"ERR FIELDS requires at least numfields and one field argument"
FIELDS_MISPLACED: Final = b"ERR Mandatory argument FIELDS is missing or not at the right position"
NUMFIELDS_ZERO: Final = b"ERR Parameter `numFields` should be greater than 0"
NUMFIELDS_NOT_POSITIVE: Final = b"ERR Number of fields must be a positive integer"
NUMFIELDS_MISMATCH: Final = b"ERR The `numfields` parameter must match the number of arguments"
TOO_FEW: Final = b"ERR wrong number of arguments"
CONDITIONS: Final = b"ERR Multiple condition flags specified"

# Results for a single field.
NO_SUCH_FIELD: Final = -2
NO_DEADLINE: Final = -1
NOT_MET: Final = 0
DONE: Final = 1
REMOVED: Final = 2

_INT_MAX = (1 << 31) - 1
_INTEGER_MAX = (1 << 63) - 1
# Redis keeps these deadlines in 46 bits of milliseconds.
MAX_DEADLINE: Final = (1 << 46) - 1

_CONDITIONS: Final = frozenset((b"NX", b"XX", b"GT", b"LT"))


def field_deadline(text: bytes, unit: int, start: int, command_name: bytes) -> int:
    """Returns the wall-clock milliseconds `text` units of `unit` milliseconds after `start`; raises Redis's errors."""
    value = integer_argument(text)
    if value < 0:
        raise CommandError(NEGATIVE)
    value *= unit
    if value > MAX_DEADLINE - start:
        raise CommandError(invalid_expire(command_name))
    return value + start


def unknown_argument(argument: bytes) -> bytes:
    """The error for an unknown option, which Redis cuts at a NUL."""
    return b"ERR unknown argument: " + argument.partition(b"\0")[0]


def set_field_deadline(value: Hash, field: bytes, when: int, condition: bytes, passed: bool) -> int:
    """Sets a field's deadline if the condition (b"" for none) is met; removes the field if `passed`.

    Returns NO_SUCH_FIELD, NOT_MET, DONE or REMOVED.
    """
    if field not in value:
        return NO_SUCH_FIELD
    current = None if value.deadlines is None else value.deadlines.get(field)
    if current is None:
        if condition in (b"XX", b"GT"):
            return NOT_MET
    elif condition == b"NX" or (condition == b"GT" and current >= when) or (condition == b"LT" and current <= when):
        return NOT_MET
    if passed:
        value.discard(field)
        return REMOVED
    value.expire_at(field, when)
    return DONE


def fields_argument(args: list[bytes]) -> list[bytes]:
    """Returns the fields of a command whose arguments are exactly `key FIELDS numfields field ...`."""
    if args[2].upper() != b"FIELDS":
        raise CommandError(FIELDS_MISPLACED)
    count = integer_between(args[3], 1, _INTEGER_MAX, NUMFIELDS_NOT_POSITIVE)
    if count != len(args) - 4:
        raise CommandError(NUMFIELDS_MISMATCH)
    return args[4:]


def fields_changed(session: Client, name: bytes, value: Hash) -> None:
    """The last step of a command that set deadlines: records them, or deletes the hash if it has no fields left."""
    db = session.db
    if value:
        db.note_field_deadlines(name, value)
    else:
        db.delete(name)
        db.notify(DEL, name)


def _expire(session: Client, args: list[bytes], start: int, unit: int) -> bytes:
    """HEXPIRE and its relatives: a deadline `args[2]` units of `unit` milliseconds after `start`."""
    name = args[1]
    db = session.db
    value = db.get_as(name, Hash)
    when = field_deadline(args[2], unit, start, args[0].lower())
    condition, fields = _condition_and_fields(args)
    if value is None:
        return array_header(len(fields)) + b":-2\r\n" * len(fields)
    passed = has_passed(session.broker, when)
    results = [set_field_deadline(value, field, when, condition, passed) for field in fields]
    updated = [field for field, result in zip(fields, results, strict=True) if result == DONE]
    removed = [field for field, result in zip(fields, results, strict=True) if result == REMOVED]
    effects = db.keyspace.effects
    if removed:
        db.changed(name, HDEL, len(removed))
        db.notify_fields(HDEL, name, removed)
        effects.replace_with([b"HDEL", name, *removed])
        fields_changed(session, name, value)
    elif updated:
        db.changed(name, HEXPIRE, len(updated))
        db.notify_fields(HEXPIRE, name, updated)
        effects.replace_with([b"HPEXPIREAT", name, b"%d" % when, b"FIELDS", b"%d" % len(updated), *updated])
        fields_changed(session, name, value)
    return integers(results)


def _condition_and_fields(args: list[bytes]) -> tuple[bytes, list[bytes]]:
    """Parses the arguments after the time: NX, XX, GT or LT (b"" if none is given), and the fields.

    Parsed by hand: each way in which FIELDS can be wrong has its own error, checked before the fields are read.
    """
    given: set[bytes] = set()
    fields: list[bytes] | None = None
    at, end = 3, len(args)
    while at < end:
        word = args[at].upper()
        if word == b"FIELDS":
            if fields is not None:
                raise CommandError(FIELDS_TWICE)
            if at >= end - 2:
                raise CommandError(FIELDS_TOO_SHORT)
            count = integer_between(args[at + 1], 1, _INT_MAX, NUMFIELDS_ZERO)
            at += 2
            if count > end - at:
                raise CommandError(TOO_FEW)
            fields = args[at : at + count]
            at += count
        elif word in _CONDITIONS:
            given.add(word)
            at += 1
        else:
            raise CommandError(unknown_argument(args[at]))
    if fields is None:
        raise CommandError(NO_FIELDS)
    if len(given) > 1:
        raise CommandError(CONDITIONS)
    return (given.pop() if given else b""), fields


@command("HEXPIRE", arity=-6, flags=WRITE | FAST, keys=(key(RW, UPDATE),), group="hash", since="7.4.0",
         syntax="key seconds [NX|XX|GT|LT] FIELDS numfields field ...",
         summary="Sets the time to live of fields in seconds.",
         complexity="O(N) where N is the number of fields")  # fmt: skip
def hexpire(session: Client, args: list[bytes]) -> bytes:
    return _expire(session, args, session.broker.clock.now, 1000)


@command("HPEXPIRE", arity=-6, flags=WRITE | FAST, keys=(key(RW, UPDATE),), group="hash", since="7.4.0",
         syntax="key milliseconds [NX|XX|GT|LT] FIELDS numfields field ...",
         summary="Sets the time to live of fields in milliseconds.",
         complexity="O(N) where N is the number of fields")  # fmt: skip
def hpexpire(session: Client, args: list[bytes]) -> bytes:
    return _expire(session, args, session.broker.clock.now, 1)


@command("HEXPIREAT", arity=-6, flags=WRITE | FAST, keys=(key(RW, UPDATE),), group="hash", since="7.4.0",
         syntax="key unix-time-seconds [NX|XX|GT|LT] FIELDS numfields field ...",
         summary="Sets the Unix time in seconds at which fields expire.",
         complexity="O(N) where N is the number of fields")  # fmt: skip
def hexpireat(session: Client, args: list[bytes]) -> bytes:
    return _expire(session, args, 0, 1000)


@command("HPEXPIREAT", arity=-6, flags=WRITE | FAST, keys=(key(RW, UPDATE),), group="hash", since="7.4.0",
         syntax="key unix-time-milliseconds [NX|XX|GT|LT] FIELDS numfields field ...",
         summary="Sets the Unix time in milliseconds at which fields expire.",
         complexity="O(N) where N is the number of fields")  # fmt: skip
def hpexpireat(session: Client, args: list[bytes]) -> bytes:
    return _expire(session, args, 0, 1)


def _remaining(session: Client, args: list[bytes], start: int, unit: int) -> bytes:
    """HTTL and its relatives: the time from `start` to each deadline, in units of `unit` milliseconds."""
    value = session.db.read_as(args[1], Hash)
    fields = fields_argument(args)
    if value is None:
        return array_header(len(fields)) + b":-2\r\n" * len(fields)
    deadlines: dict[bytes, int] = value.deadlines or {}
    results = []
    for field in fields:
        deadline = deadlines.get(field)
        if deadline is not None:
            results.append((max(deadline - start, 0) + unit - 1) // unit)  # in import mode some are due
        else:
            results.append(NO_DEADLINE if field in value else NO_SUCH_FIELD)
    return integers(results)


@command("HTTL", arity=-5, flags=READONLY | FAST, keys=(key(RO, ACCESS),), group="hash", since="7.4.0",
         syntax="key FIELDS numfields field ...", summary="Returns the time to live of fields in seconds.",
         complexity="O(N) where N is the number of fields", tips=("nondeterministic_output",))  # fmt: skip
def httl(session: Client, args: list[bytes]) -> bytes:
    return _remaining(session, args, session.broker.clock.now, 1000)


@command("HPTTL", arity=-5, flags=READONLY | FAST, keys=(key(RO, ACCESS),), group="hash", since="7.4.0",
         syntax="key FIELDS numfields field ...", summary="Returns the time to live of fields in milliseconds.",
         complexity="O(N) where N is the number of fields", tips=("nondeterministic_output",))  # fmt: skip
def hpttl(session: Client, args: list[bytes]) -> bytes:
    return _remaining(session, args, session.broker.clock.now, 1)


@command("HEXPIRETIME", arity=-5, flags=READONLY | FAST, keys=(key(RO, ACCESS),), group="hash", since="7.4.0",
         syntax="key FIELDS numfields field ...", summary="Returns the Unix time in seconds at which fields expire.",
         complexity="O(N) where N is the number of fields")  # fmt: skip
def hexpiretime(session: Client, args: list[bytes]) -> bytes:
    return _remaining(session, args, 0, 1000)


@command("HPEXPIRETIME", arity=-5, flags=READONLY | FAST, keys=(key(RO, ACCESS),), group="hash", since="7.4.0",
         syntax="key FIELDS numfields field ...",
         summary="Returns the Unix time in milliseconds at which fields expire.",
         complexity="O(N) where N is the number of fields")  # fmt: skip
def hpexpiretime(session: Client, args: list[bytes]) -> bytes:
    return _remaining(session, args, 0, 1)


@command("HPERSIST", arity=-5, flags=WRITE | FAST, keys=(key(RW, UPDATE),), group="hash", since="7.4.0",
         syntax="key FIELDS numfields field ...", summary="Removes the time to live of fields.",
         complexity="O(N) where N is the number of fields")  # fmt: skip
def hpersist(session: Client, args: list[bytes]) -> bytes:
    name = args[1]
    value = session.db.get_as(name, Hash)
    fields = fields_argument(args)
    if value is None:
        return array_header(len(fields)) + b":-2\r\n" * len(fields)
    results = []
    for field in fields:
        if value.persist(field):
            results.append(DONE)
        else:
            results.append(NO_DEADLINE if field in value else NO_SUCH_FIELD)
    if DONE in results:
        session.db.changed(name, HPERSIST)
        persisted = [field for field, result in zip(fields, results, strict=True) if result == DONE]
        session.db.notify_fields(HPERSIST, name, persisted)
    return integers(results)
