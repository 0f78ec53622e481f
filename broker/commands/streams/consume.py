"""Consuming streams in a group: XREADGROUP, XACK and XACKDEL."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from broker.broker import Client
from broker.commands.streams.arguments import (
    acknowledgements,
    consumer_of,
    no_key_or_group,
    policy_and_ids,
    strict_id,
    strict_ids,
)
from broker.commands.streams.governed_reading import GovernedReading, Target
from broker.commands.streams.read import (
    MISSING_GROUP,
    UNBALANCED_GROUP,
    ReadReply,
    Sources,
    find_read_keys,
    group_options,
    look_up_again,
    one_stream,
)
from broker.commands.streams.write import XDEL
from broker.policies.governed_group import GovernedGroup
from broker.table.command import (
    ACCESS,
    BLOCKING,
    DELETE,
    FAST,
    INCOMPLETE,
    RO,
    RW,
    UPDATE,
    WRITE,
    command,
    key,
    keys_behind,
)
from broker.values.streams.delivery import PARKED
from broker.values.streams.group import MAX_COUNT, Consumer, Group
from broker.values.streams.group_effects import claim_effect, creation_effect, hand_out_effects
from broker.values.streams.ids import MAX_ID, format_id
from broker.values.streams.stream import Stream
from broker.values.streams.trim import References
from protocol.errors import CommandError
from protocol.replies import MINUS_ONE, ZERO, array_header, bulk, integers
from protocol.replies import integer as integer_reply

_MEANINGLESS: Final = (
    b"ERR The %b ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by"
    b" specifying a proper ID, or use the > ID to get new messages. The %b ID would just return an empty result set."
)
RESERVED_CONSUMER: Final = b"ERR the consumer ~parked is the broker's own"
IN_XREADGROUP: Final = b" in XREADGROUP with GROUP option"

_NEW: Final = MAX_ID
"""Represents the ID `>`, as in Redis."""

Commands = list[list[bytes]]


@command("XREADGROUP", arity=-7, flags=BLOCKING | WRITE,
         keys=(keys_behind(b"STREAMS", RO, ACCESS, INCOMPLETE, start=4, limit=2),), find_keys=find_read_keys,
         group="stream", since="5.0.0",
         syntax="group-block=GROUP group consumer [COUNT count] [MAXCOUNT maxcount]@8.10.0 [MAXSIZE maxsize]@8.10.0 "
                "[BLOCK milliseconds] [CLAIM min-idle-time]@8.4.0 [NOACK] STREAMS key ... id ...",
         summary="Returns new entries of streams to a consumer of a group, or those it has not acknowledged yet; BLOCK"
                 " waits if there are no new ones.",
         complexity="O(log S + N) for each stream, with N of S entries returned")  # fmt: skip
def xreadgroup(session: Client, args: list[bytes]) -> bytes:
    at, group, consumer, count, maxcount, maxsize, block, claim, noack = group_options(session, args)
    retry_ms = 0
    plain = args[-1] == b">" and len(args) - at == 3 and not (maxcount or maxsize or claim >= 0)
    if plain and group is not None and consumer is not None and _is_plain(session, args[at + 1], group, count, noack):
        keys = args[at + 1 : at + 2]
        given = _read_new(session, keys[0], group, consumer, count, noack)
        if given:
            return given
    else:
        wanted = Sources(args, at, count, maxcount, maxsize, UNBALANCED_GROUP)
        if group is None or consumer is None:
            raise CommandError(MISSING_GROUP)
        wanted.check()
        if consumer == PARKED and session.broker.policies.by_stream:
            raise CommandError(RESERVED_CONSUMER)
        keys = wanted.keys
        reading = _Reading(session, wanted, consumer, claim, noack)
        for name, stream, found, after in _sources(session, wanted, group):
            if reading.reply.full():
                break
            reading.serve(name, stream, found, after)
        reading.propagate()
        encoded = reading.reply.encoded()
        if encoded:
            return encoded
        retry_ms = reading.retry_ms()
    nil = session.resp.null_array
    if block < 0:
        return nil
    return session.broker.blocking.wait(
        session, xreadgroup, args, keys=keys, value_type=None, timeout_ms=block, timeout_reply=nil, retry_ms=retry_ms
    )


def _is_plain(session: Client, name: bytes, group_name: bytes, count: int, noack: bool) -> bool:
    """Whether the policy of the group, if any, has nothing to do with a read of new entries."""
    policies = session.broker.policies
    if not policies.by_stream:
        return True
    governed = policies.find(session.db, name, group_name)
    return governed is None or governed.is_plain(count, noack)


def _read_new(session: Client, name: bytes, group_name: bytes, consumer_name: bytes, count: int, noack: bool) -> bytes:
    """Reads new entries of one stream, b"" if there are none. Workers mostly do this; it saves 2 us over `_Reading`."""
    db = session.db
    stream = db.read_as(name, Stream)
    group = None if stream is None else stream.groups.get(group_name)
    if stream is None or group is None:
        raise no_key_or_group(name, group_name, IN_XREADGROUP)
    now = session.broker.clock.now
    consumer = known = group.consumers.get(consumer_name)
    if consumer is None:
        consumer = consumer_of(session, name, group, consumer_name)
    consumer.seen_time = now
    ids, text = stream.read_after(group.last_id, count if count > 0 else 0)
    keyspace = db.keyspace
    keyspace.hits += 1  # as look_up_again
    if ids:
        stream.advance(group, ids)
        if not noack:
            group.deliver(consumer, ids, now)
        keyspace.dirty += 1
    if keyspace.dirty and keyspace.effects.sinks:
        effects = hand_out_effects(name, group, consumer, ids, noack, now) if ids else []
        if known is None and (noack or not ids):
            effects.append(creation_effect(name, group, consumer))
        keyspace.effects.replace_with(*effects)
    if noack and db.governed and name in db.governed:
        db.governed[name].released(stream, ids)
    return one_stream(session, name, len(ids), text) if ids else b""


def _sources(session: Client, wanted: Sources, name: bytes) -> list[tuple[bytes, Stream, Group, int]]:
    """Returns the keys with their streams, groups of that name and the IDs to read from; raises."""
    sources = []
    for key_name, text in zip(wanted.keys, wanted.ids, strict=True):
        stream = session.db.read_as(key_name, Stream)
        group = None if stream is None else stream.groups.get(name)
        if stream is None or group is None:
            raise no_key_or_group(key_name, name, IN_XREADGROUP)
        if text == b">":
            after = _NEW
        elif text in (b"$", b"+"):
            raise CommandError(_MEANINGLESS % (text, text))
        else:
            after = strict_id(text)
        sources.append((key_name, stream, group, after))
    return sources


class _Reading:
    """One XREADGROUP in progress: collects its reply and its effects."""

    __slots__ = (
        "_claim", "_consumer", "_effects", "_noack", "_now", "_oldest", "_session", "_unacknowledged", "_unfinished",
        "_wanted", "reply",
    )  # fmt: skip

    def __init__(self, session: Client, wanted: Sources, consumer: bytes, claim: int, noack: bool) -> None:
        self._session = session
        self._wanted = wanted
        self._consumer = consumer
        self._claim = claim
        self._noack = noack
        self._now = session.broker.clock.now
        self._oldest: int | None = None
        # What nobody has to acknowledge.
        self._unacknowledged: list[tuple[bytes, Stream, list[int]]] = []
        self._unfinished = False
        self._effects: Commands | None = [] if session.db.keyspace.effects.sinks else None
        self.reply = ReadReply(session, wanted)

    def propagate(self) -> None:
        """Propagates the effects instead of the command, if it changed anything."""
        db = self._session.db
        if self._effects is not None and db.keyspace.dirty:
            db.keyspace.effects.replace_with(*self._effects)
        if self._noack and db.governed:
            for name, stream, ids in self._unacknowledged:
                if name in db.governed:
                    db.governed[name].released(stream, ids)

    def retry_ms(self) -> int:
        """Returns in how many milliseconds to try again: a pending entry may be old enough to claim; 0 means never."""
        if self._unfinished:
            return 1
        if self._claim < 0:
            return 0
        oldest = self._now if self._oldest is None else self._oldest
        return max(oldest + self._claim - self._now + 1, 1)

    def serve(self, name: bytes, stream: Stream, group: Group, after: int) -> None:
        """Reads one stream; adds it to the reply only if it has entries for the consumer."""
        look_up_again(self._session, name, stream)
        claimable = self._claim >= 0 and self._has_claimable(stream, group)
        known = self._consumer in group.consumers
        consumer = consumer_of(self._session, name, group, self._consumer)
        reply = self.reply
        limit = self._wanted.limit(reply.total)
        changed = False
        if after != _NEW:
            # Redis ignores CLAIM from here on, for the following streams too.
            self._claim = -1
            reply.begin(name)
            self._read_history(stream, group, consumer, after, limit)
        elif (governed := self._governed(name, group)) is not None:
            changed = self._read_governed(name, stream, group, consumer, limit, governed)
        elif self._claim < 0 and not self._wanted.maxsize:
            ids, text = stream.read_after(group.last_id, limit)
            if ids:
                reply.begin(name)
                reply.end(len(ids), text)
                self._hand_out(name, stream, group, consumer, ids)
                changed = True
        elif claimable or stream.top_id() > group.last_id:
            reply.begin(name)
            changed = self._read_bounded(name, stream, group, consumer, limit)
        if changed:
            self._session.db.keyspace.dirty += 1
        if self._effects is not None and not known and (self._noack or not changed):
            self._effects.append(creation_effect(name, group, consumer))

    def _governed(self, name: bytes, group: Group) -> GovernedGroup | None:
        """Returns the group if its policy decides what is read, rather than CLAIM or NOACK alone."""
        policies = self._session.broker.policies
        if not policies.by_stream:
            return None
        governed = policies.find(self._session.db, name, group.name)
        if governed is not None and (self._claim >= 0 or self._noack) and governed.admission(group) is None:
            return None
        return governed

    def _read_governed(
        self, name: bytes, stream: Stream, group: Group, consumer: Consumer, limit: int, governed: GovernedGroup
    ) -> bool:
        """Reads as the group's policy says. Returns whether the consumer has been given anything."""
        target = Target(name, stream, group, consumer, limit, self._wanted.maxsize > 0, self._noack)
        reading = GovernedReading(self._session, self.reply, self._effects, target, governed)
        claim = None if self._claim < 0 else partial(self._claim_old, name, stream, group, consumer, limit)
        read = reading.read(claim)
        self._unfinished = self._unfinished or reading.unfinished
        if self._noack:
            self._unacknowledged.append((name, stream, reading.given))
        return read

    def _has_claimable(self, stream: Stream, group: Group) -> bool:
        """Whether a pending entry is old enough to be claimed; remembers the oldest one's time."""
        oldest = group.oldest(1 << 64, _claimable(stream, group), 1)
        if not oldest:
            return False
        time = group.pel[oldest[0]].time
        if self._oldest is None or time < self._oldest:
            self._oldest = time
        return self._now - time >= self._claim

    def _hand_out(self, name: bytes, stream: Stream, group: Group, consumer: Consumer, ids: list[int]) -> None:
        """Moves the group past new entries and makes them pending."""
        stream.advance(group, ids)
        if not self._noack:
            group.deliver(consumer, ids, self._now)
        else:
            self._unacknowledged.append((name, stream, ids))
        if self._effects is not None:
            self._effects += hand_out_effects(name, group, consumer, ids, self._noack, self._now)

    def _read_bounded(self, name: bytes, stream: Stream, group: Group, consumer: Consumer, limit: int) -> bool:
        """Reads with CLAIM or MAXSIZE: claimable entries first, then new ones. Returns whether there were any."""
        reply = self.reply
        parts: list[bytes] = []
        if self._claim >= 0:
            self._claim_old(name, stream, group, consumer, limit, parts)
        ids = []
        if not limit or len(parts) < limit:
            for id, entry in stream.entries(group.last_id + 1):
                if reply.oversized(len(parts)):
                    break
                if self._claim >= 0:
                    entry = b"*4" + entry[2:] + b":0\r\n:0\r\n"
                parts.append(entry)
                ids.append(id)
                reply.size += len(entry)
                if len(parts) == limit:
                    break
        if ids:
            self._hand_out(name, stream, group, consumer, ids)
        reply.end(len(parts), b"".join(parts))
        return bool(parts)

    def _claim_old(
        self, name: bytes, stream: Stream, group: Group, consumer: Consumer, limit: int, parts: list[bytes]
    ) -> None:
        """Claims the pending entries that are old enough for the consumer, in order of delivery."""
        now = self._now
        for id in group.oldest(now - self._claim, _claimable(stream, group), limit):
            if self.reply.oversized(len(parts)):
                break
            entry = stream.entry(id)
            assert entry is not None
            delivery = group.pel[id]
            entry = b"*4" + entry[2:] + integer_reply(now - delivery.time) + integer_reply(delivery.count)
            parts.append(entry)
            self.reply.size += len(entry)
            count = min(delivery.count + 1, MAX_COUNT)
            group.claim(id, consumer, now, count)
            consumer.active_time = now
            if self._effects is not None:
                self._effects.append(claim_effect(name, group, consumer, [id], now, count))

    def _read_history(self, stream: Stream, group: Group, consumer: Consumer, after: int, limit: int) -> None:
        """Returns the consumer's pending entries above `after` once more, with nil for those deleted since."""
        reply = self.reply
        parts: list[bytes] = []
        redelivered = []
        for id in group.pending_of(consumer, after + 1):
            if reply.oversized(len(parts)):
                break
            entry = stream.entry(id)
            if entry is None:
                entry = b"*2\r\n" + bulk(format_id(id)) + self._session.resp.null_array
            else:
                redelivered.append(id)
            parts.append(entry)
            reply.size += len(entry)
            if len(parts) == limit:
                break
        group.redeliver(redelivered, consumer, self._now)
        reply.end(len(parts), b"".join(parts))


def _claimable(stream: Stream, group: Group) -> Callable[[int], bool]:
    """Returns a function that says whether CLAIM may take a pending entry: it exists, and is not parked."""
    if group.admission is None:
        return stream.__contains__
    return lambda id: id in stream and not group.is_parked(id)


@command("XACK", arity=-4, flags=WRITE | FAST, keys=(key(RW, UPDATE),), group="stream", since="5.0.0",
         syntax="key group id ...",
         summary="Acknowledges entries, which removes them from the group's pending entries.",
         complexity="O(1) for each ID")  # fmt: skip
def xack(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    stream = db.read_as(args[1], Stream)
    if stream is None:
        return ZERO
    group = stream.groups.get(args[2])
    if group is None:
        return ZERO
    if len(args) == 4:
        acknowledged = int(group.acknowledge(strict_id(args[3])))
    else:
        acknowledged = sum(map(group.acknowledge, strict_ids(args[3:])))
    # Neither a change for WATCH nor one that a client could wait for.
    db.keyspace.dirty += acknowledged
    if acknowledged and db.governed and args[1] in db.governed:
        db.keyspace.effects.begin_with(args)
        db.governed[args[1]].released(stream, strict_ids(args[3:]))
    return integer_reply(acknowledged)


@command("XACKDEL", arity=-6, flags=WRITE | FAST, keys=(key(RW, UPDATE, DELETE),), group="stream", since="8.2.0",
         syntax="key group [KEEPREF|DELREF|ACKED] IDS numids id ...",
         summary="Acknowledges entries and removes them from the stream.",
         complexity="O(1) for each ID and group")  # fmt: skip
def xackdel(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    stream = db.read_as(args[1], Stream)
    policy, texts = policy_and_ids(args, 3)
    group = None if stream is None else stream.groups.get(args[2])
    if stream is None or group is None:
        return array_header(len(texts)) + MINUS_ONE * len(texts)
    results = []
    deleted: list[bytes] = []
    acknowledged: list[int] = []
    unlinked: dict[bytes, list[int]] = {args[2]: acknowledged}
    for id in strict_ids(texts):
        if not group.acknowledge(id):
            results.append(-1)
            continue
        acknowledged.append(id)
        if policy is References.ACKED and stream.is_referenced(id):
            results.append(2)
            continue
        if policy is References.DELETE:
            stream.remove_references(id, unlinked)
        if stream.delete(id):
            deleted.append(format_id(id))
        results.append(1)
    if deleted:
        db.changed(args[1], XDEL, len(acknowledged))
    else:
        db.keyspace.dirty += len(acknowledged)
    if acknowledged:
        effects = acknowledgements(args[1], unlinked)
        if deleted:
            effects.append([b"XDEL", args[1], *deleted])
        db.keyspace.effects.replace_with(*effects)
    return integers(results)
