"""Commands on hashes, except those on field expiry.

Setting a field removes its deadline, incrementing keeps it.
"""

from typing import Final

from broker.broker import Client
from broker.commands.random_picks import pick_arguments, pick_by
from broker.commands.scanning import EMPTY_SCAN, SCAN_DEFAULTS, SCAN_VALUES, scan_cursor, scan_elements, scan_reply
from broker.keyspace.events import DEL, HASH, Event
from broker.process.globs import Glob
from broker.table.arguments import integer as integer_argument
from broker.table.command import ACCESS, DELETE, DENYOOM, FAST, INSERT, READONLY, RO, RW, UPDATE, WRITE, command, key
from broker.table.parsers import Parser
from broker.values.hash import Hash
from protocol.errors import (
    NAN_OR_INFINITY,
    NOT_FLOAT,
    OVERFLOW,
    WRONG_TYPE,
    CommandError,
    wrong_arity,
)
from protocol.long_doubles import format_long_double, parse_long_double, sum_long_doubles
from protocol.numbers import parse_integer
from protocol.replies import EMPTY_ARRAY, OK, ONE, ZERO, array, array_header, bulk, bulks, integer

HSET: Final = Event(HASH, b"hset")
HDEL: Final = Event(HASH, b"hdel")
HINCRBY: Final = Event(HASH, b"hincrby")
HINCRBYFLOAT: Final = Event(HASH, b"hincrbyfloat")

VALUE_NOT_INTEGER: Final = b"ERR hash value is not an integer"
VALUE_NOT_FLOAT: Final = b"ERR hash value is not a float"
INCREMENT_INFINITE: Final = b"ERR value is NaN or Infinity"

_INTEGER_MAX = (1 << 63) - 1
_NO_FIELDS: Final[Hash] = Hash()


def _hash_for_writing(session: Client, key: bytes) -> Hash:
    """Returns the hash at `key`, created if it does not exist."""
    value = session.db.get(key)
    if value is None:
        value = Hash()
        session.db.add(key, value)
    elif type(value) is not Hash:
        raise CommandError(WRONG_TYPE)
    return value


def _set_pairs(session: Client, args: list[bytes], value: Hash | None = None) -> int:
    """Sets the pairs from the third argument on; returns how many of the fields are new.

    `value` is given if the hash has been looked up, which counts as an access.
    """
    n = len(args)
    if n & 1:
        raise CommandError(wrong_arity(args[0].lower()))
    if value is None:
        value = _hash_for_writing(session, args[1])
    before = len(value)
    if n == 4:
        value[args[2]] = args[3]
    else:
        value.update(zip(args[2::2], args[3::2], strict=True))
    if value.deadlines:
        for field in args[2::2]:
            value.persist(field)
    session.db.changed(args[1], HSET, (n - 2) // 2)
    if session.db.keyspace.event_mask:
        session.db.notify_fields(HSET, args[1], args[2::2])
    return len(value) - before


@command("HSET", arity=-4, flags=WRITE | DENYOOM | FAST, keys=(key(RW, UPDATE),), group="hash", since="2.0.0",
         syntax="key <field value> ...", summary="Sets fields of a hash, which is created if it does not exist.",
         complexity="O(N) where N is the number of fields")  # fmt: skip
def hset(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    value = db.get(args[1])
    if type(value) is not Hash:
        return integer(_set_pairs(session, args))
    if len(args) == 4 and not value.deadlines and not db.keyspace.event_mask:
        # One field of an existing hash: this takes half the time of the general case.
        before = len(value)
        value[args[2]] = args[3]
        db.changed(args[1], HSET)
        return ONE if len(value) > before else ZERO
    return integer(_set_pairs(session, args, value))


@command("HMSET", arity=-4, flags=WRITE | DENYOOM | FAST, keys=(key(RW, UPDATE),), group="hash", since="2.0.0",
         syntax="key <field value> ...", summary="Sets fields of a hash; always returns OK.",
         complexity="O(N) where N is the number of fields",
         deprecated_since="4.0.0", replaced_by="`HSET` with multiple field-value pairs")  # fmt: skip
def hmset(session: Client, args: list[bytes]) -> bytes:
    _set_pairs(session, args)
    return OK


@command("HSETNX", arity=4, flags=WRITE | DENYOOM | FAST, keys=(key(RW, INSERT),), group="hash", since="2.0.0",
         syntax="key field value",
         summary="Sets a field only if it does not exist.", complexity="O(1)")  # fmt: skip
def hsetnx(session: Client, args: list[bytes]) -> bytes:
    value = _hash_for_writing(session, args[1])
    if args[2] in value:
        return ZERO
    value[args[2]] = args[3]
    session.db.changed(args[1], HSET)
    session.db.notify_fields(HSET, args[1], [args[2]])
    return ONE


@command("HGET", arity=3, flags=READONLY | FAST, keys=(key(RO, ACCESS),), group="hash", since="2.0.0",
         syntax="key field", summary="Returns the value of a field.", complexity="O(1)")  # fmt: skip
def hget(session: Client, args: list[bytes]) -> bytes:
    value = session.db.read_as(args[1], Hash)
    found = None if value is None else value.get(args[2])
    return session.resp.null if found is None else bulk(found)


@command("HMGET", arity=-3, flags=READONLY | FAST, keys=(key(RO, ACCESS),), group="hash", since="2.0.0",
         syntax="key field ...", summary="Returns the values of several fields.",
         complexity="O(N) where N is the number of requested fields")  # fmt: skip
def hmget(session: Client, args: list[bytes]) -> bytes:
    find = (session.db.read_as(args[1], Hash) or _NO_FIELDS).get
    null = session.resp.null
    parts = [array_header(len(args) - 2)]
    for field in args[2:]:
        found = find(field)
        parts.append(null if found is None else bulk(found))
    return b"".join(parts)


@command("HGETALL", arity=2, flags=READONLY, keys=(key(RO, ACCESS),), group="hash", since="2.0.0",
         syntax="key", summary="Returns all fields and values.", complexity="O(N) where N is the size of the hash",
         tips=("nondeterministic_output_order",))  # fmt: skip
def hgetall(session: Client, args: list[bytes]) -> bytes:
    value = session.db.read_as(args[1], Hash) or _NO_FIELDS
    return session.resp.map_header(len(value)) + value.bulk_run()


@command("HKEYS", arity=2, flags=READONLY, keys=(key(RO, ACCESS),), group="hash", since="2.0.0",
         syntax="key", summary="Returns all fields.", complexity="O(N) where N is the size of the hash",
         tips=("nondeterministic_output_order",))  # fmt: skip
def hkeys(session: Client, args: list[bytes]) -> bytes:
    return bulks(list(session.db.read_as(args[1], Hash) or _NO_FIELDS))


@command("HVALS", arity=2, flags=READONLY, keys=(key(RO, ACCESS),), group="hash", since="2.0.0",
         syntax="key", summary="Returns all values.", complexity="O(N) where N is the size of the hash",
         tips=("nondeterministic_output_order",))  # fmt: skip
def hvals(session: Client, args: list[bytes]) -> bytes:
    return bulks(list((session.db.read_as(args[1], Hash) or _NO_FIELDS).values()))


@command("HLEN", arity=2, flags=READONLY | FAST, keys=(key(RO),), group="hash", since="2.0.0",
         syntax="key", summary="Returns the number of fields.", complexity="O(1)")  # fmt: skip
def hlen(session: Client, args: list[bytes]) -> bytes:
    # Redis, and Valkey in import mode, count what they don't show.
    return integer(len(_with_due_fields(session, args[1]) or _NO_FIELDS))


def _with_due_fields(session: Client, key: bytes) -> Hash | None:
    """`read_as`, but where fields that are due are kept and hidden, with these as well."""
    value = session.db.read_as(key, Hash)
    if value is None or not session.db.keyspace.shown:
        return value
    whole = session.db.data[key]
    assert type(whole) is Hash
    return whole


@command("HEXISTS", arity=3, flags=READONLY | FAST, keys=(key(RO),), group="hash", since="2.0.0",
         syntax="key field", summary="Returns whether a field exists.", complexity="O(1)")  # fmt: skip
def hexists(session: Client, args: list[bytes]) -> bytes:
    return ONE if args[2] in (session.db.read_as(args[1], Hash) or _NO_FIELDS) else ZERO


@command("HSTRLEN", arity=3, flags=READONLY | FAST, keys=(key(RO),), group="hash", since="3.2.0",
         syntax="key field", summary="Returns the length of a field's value in bytes.", complexity="O(1)")  # fmt: skip
def hstrlen(session: Client, args: list[bytes]) -> bytes:
    return integer(len((session.db.read_as(args[1], Hash) or _NO_FIELDS).get(args[2], b"")))


@command("HDEL", arity=-3, flags=WRITE | FAST, keys=(key(RW, DELETE),), group="hash", since="2.0.0",
         syntax="key field ...", summary="Deletes fields, and the hash when none are left.",
         complexity="O(N) where N is the number of fields to be removed")  # fmt: skip
def hdel(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    value = db.get_as(args[1], Hash)
    if value is None:
        return ZERO
    removed = [field for field in args[2:] if value.discard(field)]
    if not removed:
        return ZERO
    if not value:
        db.delete(args[1])
    db.changed(args[1], HDEL, len(removed))
    db.notify_fields(HDEL, args[1], removed)
    if not value:
        db.notify(DEL, args[1])
    return integer(len(removed))


@command("HINCRBY", arity=4, flags=WRITE | DENYOOM | FAST, keys=(key(RW, ACCESS, UPDATE),), group="hash",
         since="2.0.0",
         syntax="key field increment",
         summary="Increments the integer value of a field; a missing one counts as 0.",
         complexity="O(1)")  # fmt: skip
def hincrby(session: Client, args: list[bytes]) -> bytes:
    increment = integer_argument(args[3])
    value = session.db.get_as(args[1], Hash)
    old = None if value is None else value.get(args[2])
    total = 0 if old is None else parse_integer(old)
    if total is None:
        raise CommandError(VALUE_NOT_INTEGER)
    total += increment
    if not -_INTEGER_MAX - 1 <= total <= _INTEGER_MAX:
        raise CommandError(OVERFLOW)
    if value is None:
        value = _hash_for_writing(session, args[1])
    value[args[2]] = b"%d" % total
    session.db.changed(args[1], HINCRBY)
    if session.db.keyspace.event_mask:
        session.db.notify_fields(HINCRBY, args[1], [args[2]])
    return integer(total)


@command("HINCRBYFLOAT", arity=4, flags=WRITE | DENYOOM | FAST, keys=(key(RW, ACCESS, UPDATE),), group="hash",
         since="2.6.0",
         syntax="key field increment:double",
         summary="Increments the decimal value of a field; a missing one counts as 0.",
         complexity="O(1)")  # fmt: skip
def hincrbyfloat(session: Client, args: list[bytes]) -> bytes:
    _, key, field, increment_text = args
    increment = parse_long_double(increment_text)
    if increment is None:
        raise CommandError(NOT_FLOAT)
    if isinstance(increment, float):
        raise CommandError(INCREMENT_INFINITE)
    value = session.db.get_as(key, Hash)
    old = None if value is None else value.get(field)
    before = parse_long_double(old or b"0")
    if before is None or old == b"":
        raise CommandError(VALUE_NOT_FLOAT)
    total = sum_long_doubles(before, increment)
    if total is None:
        raise CommandError(NAN_OR_INFINITY)
    if value is None:
        value = _hash_for_writing(session, key)
    text = value[field] = format_long_double(total)
    session.db.changed(key, HINCRBYFLOAT)
    session.db.notify_fields(HINCRBYFLOAT, key, [field])
    # Not the increment: another machine might round differently.
    session.db.keyspace.effects.replace_with(*set_effects(key, value, [field, text]))
    return bulk(text)


def set_effects(key: bytes, value: Hash, pairs: list[bytes]) -> list[list[bytes]]:
    """Returns the commands that set these fields of a hash, which are set already, with the deadlines that they have.

    HSETEX would do it in one, but older servers know only HSET, which drops deadlines, and Redis 7.4's HPEXPIREAT.
    """
    effects = [[b"HSET", key, *pairs]]
    if value.deadlines:
        fields: dict[int, dict[bytes, None]] = {}
        for field in pairs[::2]:
            when = value.deadlines.get(field)
            if when is not None:
                fields.setdefault(when, {})[field] = None
        for when, alike in fields.items():
            effects.append([b"HPEXPIREAT", key, b"%d" % when, b"FIELDS", b"%d" % len(alike), *alike])
    return effects


_SCAN_OPTIONS: Final = Parser[tuple[Glob | None, int, bool]]("HSCAN", values=SCAN_VALUES, defaults=SCAN_DEFAULTS)


@command("HSCAN", arity=-3, flags=READONLY, keys=(key(RO, ACCESS),), group="hash", since="2.8.0",
         syntax="key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
         summary="Iterates over the fields and values of a hash.",
         complexity="O(COUNT) for each call, O(N) for all N fields", tips=("nondeterministic_output",))  # fmt: skip
def hscan(session: Client, args: list[bytes]) -> bytes:
    cursor = scan_cursor(args[2])
    value = session.db.read_as(args[1], Hash)
    if value is None:
        return EMPTY_SCAN
    glob, count, no_values = _SCAN_OPTIONS.parse(args, 3)
    config = session.broker.config
    encoding = value.encoding(config.hash_max_listpack_entries, config.hash_max_listpack_value)
    cursor, fields = scan_elements(value.scan, value, encoding != b"hashtable", cursor, glob, count)
    if not no_values:
        fields = [text for field in fields for text in (field, value[field])]
    return scan_reply(cursor, fields)


@command("HRANDFIELD", arity=-2, flags=READONLY, keys=(key(RO, ACCESS),), group="hash", since="6.2.0",
         syntax="key options=[count [WITHVALUES]]", summary="Returns one or more random fields.",
         complexity="O(N) where N is the number of fields returned", tips=("nondeterministic_output",))  # fmt: skip
def hrandfield(session: Client, args: list[bytes]) -> bytes:
    if len(args) == 2:
        value = _drawn_from(session, args[1])
        return bulk(value.random_field()) if value else session.resp.null
    count, with_values = pick_arguments(args, b"WITHVALUES")
    value = _drawn_from(session, args[1])
    if not value or not count:
        return EMPTY_ARRAY
    fields = pick_by(value.sample_fields, value.draw_fields, count)
    if not with_values:
        return bulks(fields)
    if session.resp.version == 2:
        return bulks([text for field in fields for text in (field, value[field])])
    return array([bulks([field, value[field]]) for field in fields])


def _drawn_from(session: Client, key: bytes) -> Hash | None:
    """What HRANDFIELD draws from: in a pause, as in Redis, also what is due; in import mode, as in Valkey, not."""
    if session.broker.keyspace.importing:
        return session.db.read_as(key, Hash)
    return _with_due_fields(session, key)
