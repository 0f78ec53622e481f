"""Intersection, union and difference of sets: returned, counted or stored."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

from broker.broker import Client
from broker.keyspace.events import DEL, SET, Event
from broker.table.arguments import between, integer_between
from broker.table.command import ACCESS, DENYOOM, OW, READONLY, RO, UPDATE, WRITE, command, counted_keys, key, keys
from broker.table.parsers import Parser
from broker.values.hyperloglog.registers import REGISTERS, estimate, histogram
from broker.values.hyperloglog.sketch import place
from broker.values.set import Set
from protocol.errors import CommandError
from protocol.replies import ZERO, bulk_run, integer

SINTERSTORE: Final = Event(SET, b"sinterstore")
SUNIONSTORE: Final = Event(SET, b"sunionstore")
SDIFFSTORE: Final = Event(SET, b"sdiffstore")

NUMKEYS: Final = b"ERR numkeys should be greater than 0"
TOO_MANY_KEYS: Final = b"ERR Number of keys can't be greater than number of args"
NEGATIVE_LIMIT: Final = b"ERR LIMIT can't be negative"

_INTEGER_MAX = (1 << 63) - 1

# An estimate costs as much as 60 members, so at least this many members lie between two of them.
_ESTIMATE_EVERY: Final = 1024

Sources = Sequence[Set | None]
"""A command's sets in the order of its arguments, None for a missing key."""


def _sources(session: Client, names: Iterable[bytes]) -> Sources:
    db = session.db
    return [db.read_as(name, Set) for name in names]


def _intersection(sources: Sources) -> list[bytes]:
    present = [source for source in sources if source is not None]
    if len(present) < len(sources):
        return []
    present.sort(key=len)
    members = list(present[0])
    for other in present[1:]:
        members = [member for member in members if member in other]
    return members


def _count_common(sources: Sources, limit: int) -> int:
    """Returns the size of the intersection, counted up to `limit` if that isn't 0."""
    present = [source for source in sources if source is not None]
    if len(present) < len(sources):
        return 0
    smallest, *others = sorted(present, key=len)
    count = 0
    for member in smallest:
        if all(member in other for other in others):
            count += 1
            if count == limit:
                break
    return count


def _union(sources: Sources) -> dict[bytes, None]:
    members: dict[bytes, None] = {}
    for source in sources:
        if source is not None:
            members.update(source)
    return members


def _difference(sources: Sources) -> dict[bytes, None]:
    first = sources[0]
    if first is None:
        return {}
    members: dict[bytes, None] = dict(first)
    for other in sources[1:]:
        if other is None:
            continue
        if len(other) < len(members):
            for member in other:
                members.pop(member, None)
        else:
            members = {member: None for member in members if member not in other}
    return members


def _set_reply(session: Client, members: Sequence[bytes] | dict[bytes, None]) -> bytes:
    return session.resp.set_header(len(members)) + bulk_run(members)


def _store(session: Client, target: bytes, members: Sequence[bytes] | dict[bytes, None], event: Event) -> bytes:
    """Replaces the value of `target` with a set of these members; deletes the key if there are none."""
    db = session.db
    if members:
        db.set(target, Set.of(members))
        db.changed(target, event)
        return integer(len(members))
    if db.delete(target):
        db.changed(target, DEL)
    return ZERO


def _estimated_union(sources: Sources, limit: int) -> int:
    """Estimates the size of the union by HyperLogLog, as Redis does; counts up to `limit` if that isn't 0."""
    registers = bytearray(REGISTERS)
    # An estimate never decreases, so checking now and then whether it has reached the limit is enough.
    next_check = limit
    for seen, member in enumerate(chain.from_iterable(filter(None, sources)), 1):
        index, least = place(member)
        if registers[index] < least:
            registers[index] = least
        if seen == next_check:
            estimated = estimate(histogram(bytes(registers)))
            if estimated >= limit:
                return limit
            next_check = seen + max(limit - estimated, _ESTIMATE_EVERY)
    estimated = estimate(histogram(bytes(registers)))
    return min(estimated, limit) if limit else estimated


def _counted(args: list[bytes]) -> tuple[list[bytes], int]:
    """Returns the keys of a ...CARD command, and the index where its options begin."""
    count = integer_between(args[1], 1, _INTEGER_MAX, NUMKEYS)
    if count > len(args) - 2:
        raise CommandError(TOO_MANY_KEYS)
    return args[2 : 2 + count], 2 + count


_LIMIT: Final = between(0, _INTEGER_MAX, NEGATIVE_LIMIT)
_CARD_OPTIONS: Final = Parser[tuple[int]]("SINTERCARD", values={"LIMIT": _LIMIT}, defaults={"LIMIT": 0})
_UNION_OPTIONS: Final = Parser[tuple[bool, int]]("SUNIONCARD", values={"LIMIT": _LIMIT}, defaults={"LIMIT": 0})


def _count_reply(count: int, limit: int) -> bytes:
    return integer(min(count, limit) if limit else count)


@command("SINTER", arity=-2, flags=READONLY, keys=(keys(RO, ACCESS),), group="set", since="1.0.0",
         syntax="key ...", summary="Returns the intersection of sets.",
         complexity="O(N*M) where N is the size of the smallest set and M the number of sets",
         tips=("nondeterministic_output_order",))  # fmt: skip
def sinter(session: Client, args: list[bytes]) -> bytes:
    return _set_reply(session, _intersection(_sources(session, args[1:])))


@command("SINTERSTORE", arity=-3, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE), keys(RO, ACCESS, at=2)),
         group="set", since="1.0.0",
         syntax="destination key ...",
         summary="Stores the intersection of sets.",
         complexity="O(N*M) where N is the size of the smallest set and M the number of sets")  # fmt: skip
def sinterstore(session: Client, args: list[bytes]) -> bytes:
    return _store(session, args[1], _intersection(_sources(session, args[2:])), SINTERSTORE)


@command("SINTERCARD", arity=-3, flags=READONLY, keys=(counted_keys(RO, ACCESS),), group="set", since="7.0.0",
         syntax="numkeys key ... [LIMIT limit]", summary="Returns the number of members in the intersection of sets.",
         complexity="O(N*M) where N is the size of the smallest set and M the number of sets")  # fmt: skip
def sintercard(session: Client, args: list[bytes]) -> bytes:
    names, options_at = _counted(args)
    [limit] = _CARD_OPTIONS.parse(args, options_at)
    sources = _sources(session, names)
    return integer(_count_common(sources, limit))


@command("SUNION", arity=-2, flags=READONLY, keys=(keys(RO, ACCESS),), group="set", since="1.0.0",
         syntax="key ...", summary="Returns the union of sets.",
         complexity="O(N) where N is the size of all sets together",
         tips=("nondeterministic_output_order",))  # fmt: skip
def sunion(session: Client, args: list[bytes]) -> bytes:
    return _set_reply(session, _union(_sources(session, args[1:])))


@command("SUNIONSTORE", arity=-3, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE), keys(RO, ACCESS, at=2)),
         group="set", since="1.0.0",
         syntax="destination key ...",
         summary="Stores the union of sets.",
         complexity="O(N) where N is the size of all sets together")  # fmt: skip
def sunionstore(session: Client, args: list[bytes]) -> bytes:
    return _store(session, args[1], _union(_sources(session, args[2:])), SUNIONSTORE)


@command("SUNIONCARD", arity=-3, flags=READONLY, keys=(counted_keys(RO, ACCESS),), group="set", since="8.10.0",
         syntax="numkeys key ... [APPROX] [LIMIT limit]",
         summary="Returns the number of members in the union of sets, with APPROX an estimate.",
         complexity="O(N) where N is the size of all sets together")  # fmt: skip
def sunioncard(session: Client, args: list[bytes]) -> bytes:
    names, options_at = _counted(args)
    approximate, limit = _UNION_OPTIONS.parse(args, options_at)
    sources = _sources(session, names)
    if approximate:
        return integer(_estimated_union(sources, limit))
    return _count_reply(len(_union(sources)), limit)


@command("SDIFF", arity=-2, flags=READONLY, keys=(keys(RO, ACCESS),), group="set", since="1.0.0",
         syntax="key ...", summary="Returns the difference between the first set and all others.",
         complexity="O(N) where N is the size of all sets together",
         tips=("nondeterministic_output_order",))  # fmt: skip
def sdiff(session: Client, args: list[bytes]) -> bytes:
    return _set_reply(session, _difference(_sources(session, args[1:])))


@command("SDIFFSTORE", arity=-3, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE), keys(RO, ACCESS, at=2)),
         group="set", since="1.0.0",
         syntax="destination key ...",
         summary="Stores the difference between the first set and all others.",
         complexity="O(N) where N is the size of all sets together")  # fmt: skip
def sdiffstore(session: Client, args: list[bytes]) -> bytes:
    return _store(session, args[1], _difference(_sources(session, args[2:])), SDIFFSTORE)


@command("SDIFFCARD", arity=-3, flags=READONLY, keys=(counted_keys(RO, ACCESS),), group="set", since="8.10.0",
         syntax="numkeys key ... [LIMIT limit]", summary="Returns the number of members that only the first set has.",
         complexity="O(N) where N is the size of all sets together")  # fmt: skip
def sdiffcard(session: Client, args: list[bytes]) -> bytes:
    names, options_at = _counted(args)
    [limit] = _CARD_OPTIONS.parse(args, options_at)
    sources = _sources(session, names)
    return _count_reply(len(_difference(sources)), limit)
