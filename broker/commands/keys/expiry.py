"""Deadlines of keys: EXPIRE and its relatives, TTL and its relatives, PERSIST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from broker.broker import Client
from broker.commands.expire_options import EXPIRE, PERSIST, has_passed
from broker.keyspace.events import DEL
from broker.table.arguments import MAX_INTEGER, integer
from broker.table.command import ACCESS, FAST, READONLY, RO, RW, UPDATE, WRITE, command, key
from broker.table.parsers import Parser
from protocol.errors import CommandError, invalid_expire
from protocol.replies import MINUS_ONE, ONE, ZERO
from protocol.replies import integer as integer_reply

_WRITES: Final = WRITE | FAST
_READS: Final = READONLY | FAST
_WRITTEN: Final = (key(RW, UPDATE),)
_READ: Final = (key(RO, ACCESS),)

_NO_KEY: Final = b":-2\r\n"
_NX_WITH_OTHERS: Final = b"ERR NX and XX, GT or LT options at the same time are not compatible"
_GT_WITH_LT: Final = b"ERR GT and LT options at the same time are not compatible"


@command("EXPIRE", arity=-3, flags=_WRITES, keys=_WRITTEN, group="generic", since="1.0.0",
         syntax="key seconds [NX|XX|GT|LT]@7.0.0",
         summary="Sets a key's time to live in seconds.", complexity="O(1)")  # fmt: skip
def expire(session: Client, args: list[bytes]) -> bytes:
    return _expire(session, args, b"expire", session.broker.clock.now, 1000)


@command("PEXPIRE", arity=-3, flags=_WRITES, keys=_WRITTEN, group="generic", since="2.6.0",
         syntax="key milliseconds [NX|XX|GT|LT]@7.0.0",
         summary="Sets a key's time to live in milliseconds.", complexity="O(1)")  # fmt: skip
def pexpire(session: Client, args: list[bytes]) -> bytes:
    return _expire(session, args, b"pexpire", session.broker.clock.now, 1)


@command("EXPIREAT", arity=-3, flags=_WRITES, keys=_WRITTEN, group="generic", since="1.2.0",
         syntax="key unix-time-seconds [NX|XX|GT|LT]@7.0.0",
         summary="Sets the Unix time in seconds at which a key expires.", complexity="O(1)")  # fmt: skip
def expireat(session: Client, args: list[bytes]) -> bytes:
    return _expire(session, args, b"expireat", 0, 1000)


@command("PEXPIREAT", arity=-3, flags=_WRITES, keys=_WRITTEN, group="generic", since="2.6.0",
         syntax="key unix-time-milliseconds [NX|XX|GT|LT]@7.0.0",
         summary="Sets the Unix time in milliseconds at which a key expires.", complexity="O(1)")  # fmt: skip
def pexpireat(session: Client, args: list[bytes]) -> bytes:
    return _expire(session, args, b"pexpireat", 0, 1)


def _expire(session: Client, args: list[bytes], command_name: bytes, start: int, unit: int) -> bytes:
    """Sets a deadline `args[2]` units of `unit` milliseconds after `start`."""
    allowed = _allowed(args) if len(args) > 3 else None
    when = integer(args[2]) * unit
    # Redis rejects only what overflows in its own computation.
    if not -MAX_INTEGER - 1 <= when <= MAX_INTEGER - start:
        raise CommandError(invalid_expire(command_name))
    when += start
    if session.broker.state.importing:
        when = max(when, 0)  # the key stays, with a deadline that every format can hold
    db = session.db
    name = args[1]
    if db.get(name) is None or (allowed and not allowed(db.deadline(name), when)):
        return ZERO
    effects = db.keyspace.effects
    if has_passed(session.broker, when):
        db.delete(name)
        db.changed(name, DEL)
        effects.replace_with([b"DEL", name])
        return ONE
    db.expire_at(name, when)
    db.changed(name, EXPIRE)
    if effects.sinks:
        effects.replace_with([b"PEXPIREAT", name, b"%d" % when])
    return ONE


def _unsupported(args: list[bytes], at: int) -> CommandError:
    return CommandError(b"ERR Unsupported option " + args[at].partition(b"\0")[0])


_OPTIONS: Final = Parser[tuple[bool, bool, bool, bool]]("EXPIRE", free=("condition",), error=_unsupported)


def _allowed(args: list[bytes]) -> Callable[[int | None, int], bool]:
    """Returns NX, XX, GT and LT as a test: may a deadline move from one time (None: infinitely far) to another?"""
    nx, xx, gt, lt = _OPTIONS.parse(args, 3)
    if nx and (xx or gt or lt):
        raise CommandError(_NX_WITH_OTHERS)
    if gt and lt:
        raise CommandError(_GT_WITH_LT)

    def test(current: int | None, when: int) -> bool:
        if nx:
            return current is None
        if current is None:
            return lt and not xx
        if gt:
            return when > current
        return not lt or when < current

    return test


@command("TTL", arity=2, flags=_READS, keys=_READ, group="generic", since="1.0.0",
         syntax="key", summary="Returns a key's time to live in seconds.", complexity="O(1)",
         tips=("nondeterministic_output",))  # fmt: skip
def ttl(session: Client, args: list[bytes]) -> bytes:
    return _remaining(session, args[1], session.broker.clock.now, 1000)


@command("PTTL", arity=2, flags=_READS, keys=_READ, group="generic", since="2.6.0",
         syntax="key", summary="Returns a key's time to live in milliseconds.", complexity="O(1)",
         tips=("nondeterministic_output",))  # fmt: skip
def pttl(session: Client, args: list[bytes]) -> bytes:
    return _remaining(session, args[1], session.broker.clock.now, 1)


@command("EXPIRETIME", arity=2, flags=_READS, keys=_READ, group="generic", since="7.0.0",
         syntax="key", summary="Returns the Unix time in seconds at which a key expires.",
         complexity="O(1)")  # fmt: skip
def expiretime(session: Client, args: list[bytes]) -> bytes:
    return _remaining(session, args[1], 0, 1000)


@command("PEXPIRETIME", arity=2, flags=_READS, keys=_READ, group="generic", since="7.0.0",
         syntax="key",
         summary="Returns the Unix time in milliseconds at which a key expires.", complexity="O(1)")  # fmt: skip
def pexpiretime(session: Client, args: list[bytes]) -> bytes:
    return _remaining(session, args[1], 0, 1)


def _remaining(session: Client, name: bytes, start: int, unit: int) -> bytes:
    """Returns the time from `start` to the deadline, rounded to units of `unit` milliseconds."""
    db = session.db
    if db.read_untouched(name) is None:
        return _NO_KEY
    when = db.deadline(name)
    if when is None:
        return MINUS_ONE
    left = max(when - start, 0)
    return integer_reply(left if unit == 1 else (left + 500) // 1000)


@command("PERSIST", arity=2, flags=_WRITES, keys=_WRITTEN, group="generic", since="2.2.0",
         syntax="key", summary="Removes a key's time to live.", complexity="O(1)")  # fmt: skip
def persist(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    if db.get(args[1]) is None or not db.persist(args[1]):
        return ZERO
    db.changed(args[1], PERSIST)
    return ONE
