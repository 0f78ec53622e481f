"""Members of sets: adding, removing, testing, random picks and scans."""

from typing import Final

from broker.broker import Client
from broker.commands.random_picks import pick, pick_arguments
from broker.commands.scanning import (
    EMPTY_SCAN,
    ONLY_OF_HASHES,
    SCAN_DEFAULTS,
    SCAN_VALUES,
    scan_cursor,
    scan_elements,
    scan_reply,
)
from broker.keyspace.events import DEL, SET, Event
from broker.process.globs import Glob
from broker.table.arguments import integer_between
from broker.table.command import ACCESS, DELETE, DENYOOM, FAST, INSERT, READONLY, RO, RW, WRITE, command, key
from broker.table.parsers import Parser
from broker.values.set import Set
from protocol.errors import NOT_POSITIVE, SYNTAX, WRONG_TYPE, CommandError
from protocol.replies import EMPTY_ARRAY, ONE, ZERO, array_header, bulk, bulk_run, bulks, integer

SADD: Final = Event(SET, b"sadd")
SREM: Final = Event(SET, b"srem")
SPOP: Final = Event(SET, b"spop")

_INTEGER_MAX = (1 << 63) - 1
# An SPOP propagates as SREMs of up to this many members each, as in Redis.
_SREM_BATCH = 1024

_NO_MEMBERS: Final[Set] = Set()


@command("SADD", arity=-3, flags=WRITE | DENYOOM | FAST, keys=(key(RW, INSERT),), group="set", since="1.0.0",
         syntax="key member ...", summary="Adds members to a set, which is created if it does not exist.",
         complexity="O(N) where N is the number of members")  # fmt: skip
def sadd(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    value = db.get(args[1])
    if value is None:
        value = Set()
        db.add(args[1], value)
    elif type(value) is not Set:
        raise CommandError(WRONG_TYPE)
    if len(args) == 3:
        if args[2] in value:
            return ZERO
        value[args[2]] = None
        db.changed(args[1], SADD)
        return ONE
    before = len(value)
    value.update(dict.fromkeys(args[2:]))
    added = len(value) - before
    if added:
        db.changed(args[1], SADD, added)
    return integer(added)


@command("SREM", arity=-3, flags=WRITE | FAST, keys=(key(RW, DELETE),), group="set", since="1.0.0",
         syntax="key member ...", summary="Removes members from a set, and the set when none are left.",
         complexity="O(N) where N is the number of members to be removed")  # fmt: skip
def srem(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    value = db.get_as(args[1], Set)
    if value is None:
        return ZERO
    before = len(value)
    for member in args[2:]:
        if member in value:
            del value[member]
    removed = before - len(value)
    if not removed:
        return ZERO
    if value:
        db.changed(args[1], SREM, removed)
    else:
        db.delete(args[1])
        db.changed(args[1], SREM, removed)
        db.notify(DEL, args[1])
    return integer(removed)


@command("SMEMBERS", arity=2, flags=READONLY, keys=(key(RO, ACCESS),), group="set", since="1.0.0",
         syntax="key", summary="Returns all members.", complexity="O(N) where N is the size of the set",
         tips=("nondeterministic_output_order",))  # fmt: skip
def smembers(session: Client, args: list[bytes]) -> bytes:
    value = session.db.read_as(args[1], Set) or _NO_MEMBERS
    return session.resp.set_header(len(value)) + bulk_run(value)


@command("SISMEMBER", arity=3, flags=READONLY | FAST, keys=(key(RO),), group="set", since="1.0.0",
         syntax="key member", summary="Returns whether a member is in a set.", complexity="O(1)")  # fmt: skip
def sismember(session: Client, args: list[bytes]) -> bytes:
    return ONE if args[2] in (session.db.read_as(args[1], Set) or _NO_MEMBERS) else ZERO


@command("SMISMEMBER", arity=-3, flags=READONLY | FAST, keys=(key(RO, ACCESS),), group="set", since="6.2.0",
         syntax="key member ...", summary="Returns for each of several members whether it is in a set.",
         complexity="O(N) where N is the number of requested members")  # fmt: skip
def smismember(session: Client, args: list[bytes]) -> bytes:
    value = session.db.read_as(args[1], Set) or _NO_MEMBERS
    members = args[2:]
    return array_header(len(members)) + b"".join([ONE if member in value else ZERO for member in members])


@command("SCARD", arity=2, flags=READONLY | FAST, keys=(key(RO),), group="set", since="1.0.0",
         syntax="key", summary="Returns the number of members.", complexity="O(1)")  # fmt: skip
def scard(session: Client, args: list[bytes]) -> bytes:
    return integer(len(session.db.read_as(args[1], Set) or _NO_MEMBERS))


@command("SPOP", arity=-2, flags=WRITE | FAST, keys=(key(RW, ACCESS, DELETE),), group="set", since="1.0.0",
         syntax="key [count]@3.2.0", summary="Removes and returns one or more random members.",
         complexity="O(N) where N is the number of members popped",
         tips=("nondeterministic_output",))  # fmt: skip
def spop(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 2:
        return _pop_several(session, args)
    db = session.db
    value = db.get_as(args[1], Set)
    if value is None:
        return session.resp.null
    member = value.pop_random()
    if not value:
        db.delete(args[1])
    db.changed(args[1], SPOP)
    if not value:
        db.notify(DEL, args[1])
    db.keyspace.effects.replace_with([b"SREM", args[1], member])
    return bulk(member)


def _pop_several(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 3:
        raise CommandError(SYNTAX)
    name = args[1]
    count = integer_between(args[2], 0, _INTEGER_MAX, NOT_POSITIVE)
    db = session.db
    value = db.get_as(name, Set)
    if value is None or not count:
        return session.resp.set_header(0)
    members = value.pop_random_members(count)
    effects = db.keyspace.effects
    if not value:
        db.delete(name)
        db.changed(name, SPOP, len(members))
        db.notify(DEL, name)
        effects.replace_with([b"DEL", name])
    else:
        db.changed(name, SPOP, len(members))
        for start in range(0, len(members), _SREM_BATCH):
            effects.replace_with([b"SREM", name, *members[start : start + _SREM_BATCH]])
    return session.resp.set_header(len(members)) + bulk_run(members)


@command("SRANDMEMBER", arity=-2, flags=READONLY, keys=(key(RO, ACCESS),), group="set", since="1.0.0",
         syntax="key [count]@2.6.0", summary="Returns one or more random members.",
         complexity="O(N) where N is the number of members returned",
         tips=("nondeterministic_output",))  # fmt: skip
def srandmember(session: Client, args: list[bytes]) -> bytes:
    if len(args) == 2:
        value = session.db.read_as(args[1], Set)
        return session.resp.null if value is None else bulk(value.random_member())
    if len(args) > 3:
        raise CommandError(SYNTAX)
    count, _ = pick_arguments(args, b"")
    value = session.db.read_as(args[1], Set)
    if value is None or not count:
        return EMPTY_ARRAY
    return bulks(pick(value, count))


@command("SMOVE", arity=4, flags=WRITE | FAST, keys=(key(RW, ACCESS, DELETE), key(RW, INSERT, at=2)),
         group="set", since="1.0.0",
         syntax="source destination member",
         summary="Moves a member from one set to another.",
         complexity="O(1)")  # fmt: skip
def smove(session: Client, args: list[bytes]) -> bytes:
    _, source_key, target_key, member = args
    db = session.db
    source = db.get(source_key)
    target = db.get(target_key)
    if source is None:
        return ZERO
    if type(source) is not Set or (target is not None and type(target) is not Set):
        raise CommandError(WRONG_TYPE)
    if source is target:
        return ONE if member in source else ZERO
    if member not in source:
        return ZERO
    del source[member]
    if not source:
        db.delete(source_key)
    db.changed(source_key, SREM)
    if not source:
        db.notify(DEL, source_key)
    if target is None:
        target = Set()
        db.add(target_key, target)
    if member not in target:
        target[member] = None
        db.changed(target_key, SADD)
    return ONE


_SCAN_OPTIONS: Final = Parser[tuple[Glob | None, int]](
    "SSCAN", values=SCAN_VALUES, defaults=SCAN_DEFAULTS, refused=ONLY_OF_HASHES
)


@command("SSCAN", arity=-3, flags=READONLY, keys=(key(RO, ACCESS),), group="set", since="2.8.0",
         syntax="key cursor [MATCH pattern] [COUNT count]", summary="Iterates over the members of a set.",
         complexity="O(COUNT) for each call, O(N) for all N members",
         tips=("nondeterministic_output",))  # fmt: skip
def sscan(session: Client, args: list[bytes]) -> bytes:
    cursor = scan_cursor(args[2])
    value = session.db.read_as(args[1], Set)
    if value is None:
        return EMPTY_SCAN
    glob, count = _SCAN_OPTIONS.parse(args, 3)
    config = session.broker.config
    encoding = value.encoding(
        config.set_max_intset_entries, config.set_max_listpack_entries, config.set_max_listpack_value
    )
    return scan_reply(*scan_elements(value.scan, value, encoding != b"hashtable", cursor, glob, count))
