"""Handing pending entries from one consumer to another: XCLAIM and XAUTOCLAIM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from broker.broker import Client
from broker.commands.streams.arguments import consumer_of, interval_start, no_key_or_group, shown, strict_id
from broker.table.arguments import MAX_INTEGER, between, integer
from broker.table.command import DELETE, FAST, RW, UPDATE, WRITE, command, key
from broker.table.parsers import Parser
from broker.values.streams.group import MAX_COUNT, Consumer, Group
from broker.values.streams.group_effects import (
    acknowledge_effect,
    claim_effect,
    claims_by_count,
    creation_effect,
    move_effect,
)
from broker.values.streams.ids import format_id, parse_id
from broker.values.streams.stream import Stream
from protocol.errors import CommandError
from protocol.replies import array, bulk

XCLAIM_MIN_IDLE: Final = b"ERR Invalid min-idle-time argument for XCLAIM"
XAUTOCLAIM_MIN_IDLE: Final = b"ERR Invalid min-idle-time argument for XAUTOCLAIM"
COUNT_NOT_POSITIVE: Final = b"ERR COUNT must be > 0"
COUNT_TOO_HIGH: Final = b"ERR Insufficient memory, failed allocating transient memory, COUNT too high."

_DEFAULT_COUNT: Final = 100
_ATTEMPTS_FOR_EACH: Final = 10
"""Pending entries that XAUTOCLAIM checks at most, per entry of its COUNT."""

_MAX_COUNT_OPTION: Final = MAX_INTEGER // 16
_ALLOCATABLE_COUNT: Final = 1 << 43
"""Redis allocates 16 bytes per requested entry; from this count on, no machine has enough memory."""


def _number(token: str) -> Callable[[bytes], int]:
    return between(-MAX_INTEGER - 1, MAX_INTEGER, b"ERR Invalid %b option argument for XCLAIM" % token.encode())


def _unknown_option(args: list[bytes], at: int) -> CommandError:
    return CommandError(b"ERR Unrecognized XCLAIM option '%b'" % shown(args[at]))


_XCLAIM_OPTIONS: Final = Parser[tuple[bytes, int, int, bool, bool, int]](
    "XCLAIM", values={token: _number(token) for token in ("IDLE", "TIME", "RETRYCOUNT")} | {"LASTID": strict_id},
    defaults={"RETRYCOUNT": -1, "LASTID": 0, "time": 0}, together={"time": ("IDLE", "TIME")}, last=("time",),
    error=_unknown_option,
)  # fmt: skip
_XAUTOCLAIM_OPTIONS: Final = Parser[tuple[int, bool]](
    "XAUTOCLAIM",
    values={"COUNT": between(1, _MAX_COUNT_OPTION, COUNT_NOT_POSITIVE)},
    defaults={"COUNT": _DEFAULT_COUNT},
)


@command("XCLAIM", arity=-6, flags=WRITE | FAST, keys=(key(RW, UPDATE),), group="stream", since="5.0.0",
         syntax="key group consumer min-idle-time:string id ... [IDLE ms] [TIME unix-time-milliseconds] "
                "[RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
         summary="Changes the owner of pending entries to another consumer.", complexity="O(1) for each ID",
         tips=("nondeterministic_output",))  # fmt: skip
def xclaim(session: Client, args: list[bytes]) -> bytes:
    name = args[1]
    db = session.db
    now = session.broker.clock.now
    stream = db.read_as(name, Stream)
    group = None if stream is None else stream.groups.get(args[2])
    if stream is None or group is None:
        raise no_key_or_group(name, args[2])
    min_idle = max(integer(args[4], XCLAIM_MIN_IDLE), 0)
    ids = []
    i = 5
    while i < len(args) and (id := parse_id(args[i])) >= 0:
        ids.append(id)
        i += 1
    unit, number, retry_count, force, just_ids, last_id = _XCLAIM_OPTIONS.parse(args, i)
    effects: list[list[bytes]] = []
    moved = last_id > group.last_id
    if moved:
        group.last_id = last_id
    time = now
    if unit:
        wanted = number if unit == b"TIME" else now - number
        time = wanted if 0 <= wanted <= now else now
    known = args[3] in group.consumers
    consumer = consumer_of(session, name, group, args[3])
    claimed = []
    deleted = []
    traced = bool(db.keyspace.effects.sinks)
    for id in ids:
        delivery = group.pel.get(id)
        if id not in stream:
            if delivery is not None:
                group.acknowledge(id)
                deleted.append(id)
            continue
        if delivery is None:
            if not force:
                continue
            count = 1
        else:
            if delivery.consumer is not None and min_idle and now - delivery.time < min_idle:
                continue
            count = delivery.count
        if retry_count >= 0:
            count = retry_count
        elif not just_ids:
            count = min(count + 1, MAX_COUNT)
        group.claim(id, consumer, time, count)
        claimed.append(id)
        if traced:
            effects.append(claim_effect(name, group, consumer, [id], time, count))
    if claimed:
        consumer.active_time = now
    if deleted:
        effects.append(acknowledge_effect(name, group, deleted))
    if moved:
        effects.append(move_effect(name, group))
    _propagate(session, name, group, consumer, known, effects, len(claimed) + len(deleted) + moved)
    if moved and session.db.governed and name in session.db.governed:
        session.db.governed[name].groups_changed(stream)
    return _entries(stream, claimed, just_ids)


def _propagate(
    session: Client, name: bytes, group: Group, consumer: Consumer, known: bool, effects: list[list[bytes]], count: int
) -> None:
    """Counts `count` changes and propagates them, and a new consumer's creation where nothing else implies it."""
    keyspace = session.db.keyspace
    keyspace.dirty += count
    if not keyspace.dirty:
        return
    if not known:
        effects.insert(0, creation_effect(name, group, consumer))
    keyspace.effects.replace_with(*effects)


def _entries(stream: Stream, ids: list[int], just_ids: bool) -> bytes:
    if just_ids:
        return array([bulk(format_id(id)) for id in ids])
    return array([stream.entry(id) or b"" for id in ids])


@command("XAUTOCLAIM", arity=-6, flags=WRITE | FAST, keys=(key(RW, DELETE),), group="stream", since="6.2.0",
         syntax="key group consumer min-idle-time:string start:string [COUNT count] [JUSTID]",
         summary="Finds long-idle pending entries and changes their owner to a consumer.",
         complexity="O(log P + N) with N of P pending entries checked",
         tips=("nondeterministic_output",))  # fmt: skip
def xautoclaim(session: Client, args: list[bytes]) -> bytes:
    name = args[1]
    min_idle = max(integer(args[4], XAUTOCLAIM_MIN_IDLE), 0)
    start = interval_start(args[5])
    count, just_ids = _XAUTOCLAIM_OPTIONS.parse(args, 6)
    stream = session.db.read_as(name, Stream)
    group = None if stream is None else stream.groups.get(args[2])
    if stream is None or group is None:
        raise no_key_or_group(name, args[2])
    if count >= _ALLOCATABLE_COUNT:
        raise CommandError(COUNT_TOO_HIGH)
    known = args[3] in group.consumers
    consumer = consumer_of(session, name, group, args[3])
    now = session.broker.clock.now
    claimed, deleted, cursor = _claimable(stream, group, start, count, now, min_idle)
    group.redeliver(claimed, consumer, now, counts=not just_ids)
    effects: list[list[bytes]] = []
    if claimed:
        consumer.active_time = now
        if session.db.keyspace.effects.sinks:
            effects = claims_by_count(name, group, consumer, claimed, now)
    if deleted:
        effects.append(acknowledge_effect(name, group, deleted))
    _propagate(session, name, group, consumer, known, effects, len(claimed) + len(deleted))
    ids = array([bulk(format_id(id)) for id in deleted])
    return b"*3\r\n" + bulk(format_id(cursor)) + _entries(stream, claimed, just_ids) + ids


def _claimable(
    stream: Stream, group: Group, start: int, count: int, now: int, min_idle: int
) -> tuple[list[int], list[int], int]:
    """Walks the pending entries from `start`, bounded by `count` and by the number of entries checked.

    Returns those to claim, those removed because their entry is deleted, and where to continue (0: at the end).
    """
    claimed: list[int] = []
    deleted: list[int] = []
    pel = group.pel
    pending = group.pending(start)
    for _ in range(count * _ATTEMPTS_FOR_EACH):
        id = next(pending, -1)
        if id < 0:
            return claimed, deleted, 0
        if id not in stream:
            group.acknowledge(id)
            deleted.append(id)
        else:
            delivery = pel[id]
            if delivery.consumer is not None and min_idle and now - delivery.time < min_idle:
                continue
            claimed.append(id)
        if len(claimed) + len(deleted) == count:
            break
    return claimed, deleted, next(pending, 0)
