"""Reading and setting several strings: MGET, MSET, MSETNX, MSETEX."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.expire_options import DEADLINES_AS_GIVEN, EXPIRE, deadline_option
from broker.commands.strings.whole import SET
from broker.keyspace.events import EXPIRED
from broker.keyspace.expiry import expire
from broker.table.arguments import integer_between
from broker.table.command import (
    ACCESS,
    DENYOOM,
    FAST,
    INSERT,
    OW,
    READONLY,
    RO,
    UPDATE,
    WRITE,
    command,
    counted_keys,
    keys,
)
from broker.table.parsers import Parser
from protocol.errors import CommandError, wrong_arity
from protocol.replies import OK, ONE, ZERO, array_header, bulk

_MSETEX_OPTIONS: Final = Parser[tuple[bytes, bytes, bytes]]("MSETEX", values=DEADLINES_AS_GIVEN)
_MAX_KEYS: Final = (1 << 31) - 1
_INVALID_NUMKEYS: Final = b"ERR invalid numkeys value"
_PAIRS: Final = b"ERR wrong number of key-value pairs"
_ALL_SUCCEEDED: Final = ("request_policy:multi_shard", "response_policy:all_succeeded")


@command("MGET", arity=-2, flags=READONLY | FAST, keys=(keys(RO, ACCESS),), group="string", since="1.0.0",
         syntax="key ...", summary="Returns the values of several strings.", complexity="O(N) for N keys",
         tips=("request_policy:multi_shard",))  # fmt: skip
def mget(session: Client, args: list[bytes]) -> bytes:
    read = session.db.read
    null = session.resp.null
    parts = [array_header(len(args) - 1)]
    for name in args[1:]:
        value = read(name)
        kind = value.__class__
        parts.append(bulk(value) if kind is bytes or kind is bytearray else null)
    return b"".join(parts)


@command("MSET", arity=-3, flags=WRITE | DENYOOM, keys=(keys(OW, UPDATE, step=2),), group="string", since="1.0.1",
         syntax="<key value> ...",
         summary="Sets several strings, overwriting existing keys.", complexity="O(N) for N keys",
         tips=_ALL_SUCCEEDED)  # fmt: skip
def mset(session: Client, args: list[bytes]) -> bytes:
    if len(args) % 2 == 0:
        raise CommandError(wrong_arity(b"mset"))
    _set_all(session, args)
    return OK


@command("MSETNX", arity=-3, flags=WRITE | DENYOOM, keys=(keys(OW, INSERT, step=2),), group="string", since="1.0.1",
         syntax="<key value> ...",
         summary="Sets several strings only if none of the keys exists.", complexity="O(N) for N keys")  # fmt: skip
def msetnx(session: Client, args: list[bytes]) -> bytes:
    if len(args) % 2 == 0:
        raise CommandError(wrong_arity(b"msetnx"))
    get = session.db.get
    if any(get(name) is not None for name in args[1::2]):
        return ZERO
    _set_all(session, args)
    return ONE


def _set_all(session: Client, args: list[bytes]) -> None:
    store = session.db.store
    for i in range(1, len(args), 2):
        store(args[i], args[i + 1], SET)


@command("MSETEX", arity=-4, flags=WRITE | DENYOOM, keys=(counted_keys(OW, UPDATE, at=1, step=2),), group="string",
         since="8.4.0",
         syntax="numkeys <key value> ... [NX|XX] "
                "[EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
         summary="Sets several strings with one time to live for all of them.",
         complexity="O(N) for N keys", tips=_ALL_SUCCEEDED)  # fmt: skip
def msetex(session: Client, args: list[bytes]) -> bytes:
    count = integer_between(args[1], 1, _MAX_KEYS, _INVALID_NUMKEYS)
    end = 2 + 2 * count
    if end > len(args):
        raise CommandError(_PAIRS)
    condition, unit, time = _MSETEX_OPTIONS.parse(args, end)
    broker = session.broker
    now = broker.clock.now
    when = deadline_option(unit, time, b"msetex", now)
    db = session.db
    names = args[2:end:2]
    if condition:
        wanted = condition == b"XX"
        for name in names:
            if (db.get(name) is not None) is not wanted:
                return ZERO
    past = when is not None and when < now and not (broker.state.loading or broker.state.replica)
    for name, value in zip(names, args[3:end:2], strict=True):
        if past and db.deadline(name) == when:
            expire(db, name)  # the key was given twice, and its first value has expired already
        if when is None and unit != b"KEEPTTL":
            db.set(name, value)
        else:
            db.set_keeping_deadline(name, value)
        if when is not None:
            db.expire_at(name, when)
            db.notify(EXPIRE, name)
        db.changed(name, SET)
    if past:
        _expire_all(session, names)
        return ONE
    effects = db.keyspace.effects
    if effects.sinks:
        effects.replace_with(*_as_sets(args[2:end], unit, when))
    return ONE


def _as_sets(pairs: list[bytes], unit: bytes, when: int | None) -> list[list[bytes]]:
    """Returns what an MSETEX did, in commands that servers older than Redis 8.4 know."""
    if when is not None:
        options = [b"PXAT", b"%d" % when]
    elif unit == b"KEEPTTL":
        options = [unit]
    else:
        return [[b"MSET", *pairs]]
    return [[b"SET", name, value, *options] for name, value in zip(pairs[::2], pairs[1::2], strict=True)]


def _expire_all(session: Client, names: list[bytes]) -> None:
    """Expires keys that were set with a deadline in the past; Redis, too, sets them before it removes them."""
    db = session.db
    for name in names:
        if db.delete(name):
            db.keyspace.expired += 1
            db.notify(EXPIRED, name)
    db.keyspace.effects.replace_with([b"DEL", *names])
