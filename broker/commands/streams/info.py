"""Information about streams, groups and pending entries: XINFO and XPENDING."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import inf
from typing import Final

from broker.broker import Client
from broker.commands.help import declare_help
from broker.commands.streams.arguments import (
    bad_subcommand,
    interval_end,
    interval_start,
    no_group,
    no_key_or_group,
    positive_or_zero,
)
from broker.commands.streams.policies import described
from broker.commands.streams.retention import described_stream
from broker.table.arguments import integer
from broker.table.command import ACCESS, READONLY, RO, command, container, key
from broker.values.streams.delivery import PARKED
from broker.values.streams.group import Consumer, Group
from broker.values.streams.group_policy import GroupPolicy
from broker.values.streams.ids import MAX_ID, format_id
from broker.values.streams.measuring import is_measured
from broker.values.streams.stream import UNKNOWN, Stream
from protocol.errors import NO_SUCH_KEY, SYNTAX, CommandError
from protocol.replies import EMPTY_ARRAY, array, array_header, bulk
from protocol.replies import integer as integer_reply

Pairs = list[tuple[bytes, bytes]]

_FULL_COUNT: Final = 10
"""Entries that XINFO STREAM FULL shows by default."""

container("XINFO", group="stream", since="5.0.0", summary="A container for commands that inspect streams.")

declare_help(
    "XINFO", group="stream", since="5.0.0",
    usage={"CONSUMERS": "<key> <group>", "GROUPS": "<key>", "STREAM": "<key> [FULL [COUNT <count>]]"},
)  # fmt: skip


def _stream(session: Client, name: bytes) -> Stream:
    stream = session.db.read_as(name, Stream)
    if stream is None:
        raise CommandError(NO_SUCH_KEY)
    return stream


def _id(id: int) -> bytes:
    return bulk(format_id(id))


def _map(session: Client, pairs: Pairs) -> bytes:
    return session.resp.map([(bulk(name), value) for name, value in pairs])


def _progress(session: Client, stream: Stream, group: Group) -> Pairs:
    """Returns how far a group has read."""
    read, lag = group.entries_read, stream.lag(group)
    return [
        (b"last-delivered-id", _id(group.last_id)),
        (b"entries-read", session.resp.null if read == UNKNOWN else integer_reply(read)),
        (b"lag", session.resp.null if lag is None else integer_reply(lag)),
    ]


@command("XINFO|CONSUMERS", arity=4, flags=READONLY, keys=(key(RO, ACCESS, at=2),), group="stream", since="5.0.0",
         syntax="key group", summary="Returns information about a group's consumers.",
         complexity="O(N) with N consumers", tips=("nondeterministic_output",))  # fmt: skip
def xinfo_consumers(session: Client, args: list[bytes]) -> bytes:
    stream = _stream(session, args[2])
    group = stream.groups.get(args[3])
    if group is None:
        raise no_group(args[2], args[3])
    now = session.broker.clock.now
    rows = []
    hidden = PARKED if session.broker.config.stream_extensions else None
    for name, consumer in sorted(group.consumers.items()):
        if name == hidden:
            continue
        active = consumer.active_time
        rows.append(
            _map(
                session,
                [
                    (b"name", bulk(consumer.name)),
                    (b"pending", integer_reply(consumer.pending)),
                    (b"idle", integer_reply(max(now - consumer.seen_time, 0))),
                    (b"inactive", integer_reply(active if active == -1 else now - active)),
                ],
            )
        )
    return array(rows)


@command("XINFO|GROUPS", arity=3, flags=READONLY, keys=(key(RO, ACCESS, at=2),), group="stream", since="5.0.0",
         syntax="key",
         summary="Returns information about a stream's consumer groups.", complexity="O(N) with N groups")  # fmt: skip
def xinfo_groups(session: Client, args: list[bytes]) -> bytes:
    stream = _stream(session, args[2])
    broker = session.broker
    policies = broker.policies.stored(session.db, args[2]) if broker.config.stream_extensions else None
    rows = []
    for name, group in sorted(stream.groups.items()):
        hidden = broker.config.stream_extensions and PARKED in group.consumers
        pairs: Pairs = [
            (b"name", bulk(name)),
            (b"consumers", integer_reply(len(group.consumers) - hidden)),
            (b"pending", integer_reply(len(group.pel))),
        ]
        pairs += _progress(session, stream, group)
        if policies and name in policies:
            pairs += _policy(session, args[2], group, policies[name])
        rows.append(_map(session, pairs))
    return array(rows)


def _policy(session: Client, name: bytes, group: Group, policy: GroupPolicy) -> Pairs:
    """Returns what the policy of a group is, and what it has done."""
    governed = session.broker.policies.find(session.db, name, group.name)  # not on a replica
    oldest = None if governed is None else governed.oldest_pending_ms(group)
    return [
        *described(policy),
        (b"inflight", integer_reply(group.inflight())),
        (b"parked", integer_reply(group.parked_count())),
        (b"oldest-pending-ms", session.resp.null if oldest is None else integer_reply(oldest)),
        (b"redelivered", integer_reply(0 if governed is None else governed.redelivered)),
        (b"dead-lettered", integer_reply(0 if governed is None else governed.dead_lettered)),
    ]


def _stream_policy(session: Client, name: bytes, stream: Stream) -> Pairs:
    """Returns what the policy of a stream is, if it has one, and what it has done."""
    policy = session.broker.policies.stored_for_stream(session.db, name)
    if policy is None:
        return []
    governed = session.db.governed.get(name)  # not on a replica
    pairs = described_stream(policy)
    if is_measured(stream):
        pairs.append((b"bytes", integer_reply(stream.measured)))
    return [
        *pairs,
        (b"discarded", integer_reply(0 if governed is None else governed.discarded)),
        (b"refused", integer_reply(0 if governed is None else governed.refused)),
        (b"captured", integer_reply(0 if governed is None else governed.captured)),
    ]


@command("XINFO|STREAM", arity=-3, flags=READONLY, keys=(key(RO, ACCESS, at=2),), group="stream", since="5.0.0",
         syntax="key full-block=[FULL [COUNT count]]",
         summary="Returns information about a stream, with FULL including its entries, groups and pending entries.",
         complexity="O(N) with N nodes of the stream and items returned")  # fmt: skip
def xinfo_stream(session: Client, args: list[bytes]) -> bytes:
    stream = _stream(session, args[2])
    count = _FULL_COUNT
    full = len(args) > 3
    if full:
        if len(args) not in (4, 6) or args[3].upper() != b"FULL":
            raise bad_subcommand(args)
        if len(args) == 6:
            if args[4].upper() != b"COUNT":
                raise bad_subcommand(args)
            count = integer(args[5])
            if count < 0:
                count = _FULL_COUNT
    producers = stream.idempotency
    producers.expire(session.broker.clock.now)
    pairs: Pairs = [
        (b"length", integer_reply(stream.length)),
        (b"radix-tree-keys", integer_reply(stream.node_count())),
        (b"radix-tree-nodes", integer_reply(stream.radix_node_count())),
        (b"last-generated-id", _id(stream.last_id)),
        (b"max-deleted-entry-id", _id(stream.max_deleted_id)),
        (b"entries-added", integer_reply(stream.entries_added)),
        (b"recorded-first-entry-id", _id(stream.first_id)),
        (b"idmp-duration", integer_reply(producers.duration)),
        (b"idmp-maxsize", integer_reply(producers.maxsize)),
        (b"pids-tracked", integer_reply(len(producers.producers))),
        (b"iids-tracked", integer_reply(producers.tracked())),
        (b"iids-added", integer_reply(producers.added)),
        (b"iids-duplicates", integer_reply(producers.duplicates)),
    ]
    if session.broker.config.stream_extensions:
        pairs += _stream_policy(session, args[2], stream)
    if full:
        found, text = stream.range(0, MAX_ID, count)
        pairs.append((b"entries", array_header(found) + text))
        groups = [_group_in_full(session, stream, group, count) for _, group in sorted(stream.groups.items())]
        pairs.append((b"groups", array(groups)))
    else:
        pairs.append((b"groups", integer_reply(len(stream.groups))))
        pairs.append((b"first-entry", stream.range(0, MAX_ID, 1)[1] or session.resp.null))
        pairs.append((b"last-entry", stream.reverse_range(0, MAX_ID, 1)[1] or session.resp.null))
    if session.broker.config.stream_extensions:
        delayed, due = session.broker.delayed.stored(session.db, args[2])
        if delayed:
            pairs.append((b"delayed", integer_reply(delayed)))
            pairs.append((b"next-due-ms", session.resp.null if due == inf else integer_reply(int(due))))
    return _map(session, pairs)


def _group_in_full(session: Client, stream: Stream, group: Group, count: int) -> bytes:
    pending = []
    for id in islice(group.pending(), count or None):
        delivery = group.pel[id]
        owner = bulk(b"" if delivery.consumer is None else delivery.consumer.name)
        pending.append(array([_id(id), owner, integer_reply(delivery.time), integer_reply(delivery.count)]))
    consumers = [_consumer_in_full(session, group, consumer, count) for _, consumer in sorted(group.consumers.items())]
    pairs: Pairs = [
        (b"name", bulk(group.name)),
        *_progress(session, stream, group),
        (b"pel-count", integer_reply(len(group.pel))),
        (b"nacked-count", integer_reply(group.released_count())),
        (b"pending", array(pending)),
        (b"consumers", array(consumers)),
    ]
    return _map(session, pairs)


def _consumer_in_full(session: Client, group: Group, consumer: Consumer, count: int) -> bytes:
    pending = []
    for id in islice(group.pending_of(consumer), count or None):
        delivery = group.pel[id]
        pending.append(array([_id(id), integer_reply(delivery.time), integer_reply(delivery.count)]))
    pairs: Pairs = [
        (b"name", bulk(consumer.name)),
        (b"seen-time", integer_reply(consumer.seen_time)),
        (b"active-time", integer_reply(consumer.active_time)),
        (b"pel-count", integer_reply(consumer.pending)),
        (b"pending", array(pending)),
    ]
    return _map(session, pairs)


@command("XPENDING", arity=-3, flags=READONLY, keys=(key(RO, ACCESS),), group="stream", since="5.0.0",
         syntax="key group filters=[[IDLE min-idle-time]@6.2.0 start:string end count [consumer]]",
         summary="Returns the pending entries of a consumer group, as a summary or one by one.",
         complexity="O(log P + N) with N of P pending entries checked",
         tips=("nondeterministic_output",))  # fmt: skip
def xpending(session: Client, args: list[bytes]) -> bytes:
    count = len(args)
    if count == 3:
        return _summary(session, _pending_group(session, args))
    if count < 6 or count > 9:
        raise CommandError(SYNTAX)
    first = 3
    min_idle = 0
    if args[3].upper() == b"IDLE":
        min_idle = integer(args[4])
        if count < 8:
            raise CommandError(SYNTAX)
        first = 5
    limit = positive_or_zero(args[first + 2])
    start = interval_start(args[first])
    end = interval_end(args[first + 1])
    group = _pending_group(session, args)
    consumer = None
    if first + 3 < count:
        consumer = group.consumers.get(args[first + 3])
        if consumer is None:
            return EMPTY_ARRAY
    now = session.broker.clock.now
    rows: list[bytes] = []
    for id in _pending_between(group, consumer, start, end):
        if len(rows) >= limit:
            break
        delivery = group.pel[id]
        owner = delivery.consumer
        if owner is None:
            name, idle = b"", -1
        else:
            idle = now - delivery.time
            if min_idle and idle < min_idle:
                continue
            name, idle = owner.name, max(idle, 0)
        rows.append(b"*4\r\n" + _id(id) + bulk(name) + integer_reply(idle) + integer_reply(delivery.count))
    return array(rows)


def _pending_group(session: Client, args: list[bytes]) -> Group:
    stream = session.db.read_as(args[1], Stream)
    group = None if stream is None else stream.groups.get(args[2])
    if group is None:
        raise no_key_or_group(args[1], args[2])
    return group


def _pending_between(group: Group, consumer: Consumer | None, start: int, end: int) -> Iterator[int]:
    for id in group.pending(start) if consumer is None else group.pending_of(consumer, start):
        if id > end:
            return
        yield id


def _summary(session: Client, group: Group) -> bytes:
    lowest, highest = group.lowest_pending(), group.highest_pending()
    if lowest is None or highest is None:
        return b"*4\r\n:0\r\n" + session.resp.null * 2 + session.resp.null_array
    owners = [
        array([bulk(name), bulk(b"%d" % consumer.pending)])
        for name, consumer in sorted(group.consumers.items())
        if consumer.pending
    ]
    return array([integer_reply(len(group.pel)), _id(lowest), _id(highest), array(owners)])
