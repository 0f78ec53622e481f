"""Adding entries to streams, and removing them: XADD, XTRIM, XDEL, XDELEX, XSETID, and idempotent producing."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.streams.arguments import (
    Trimming,
    acknowledgements,
    policy_and_ids,
    strict_id,
    strict_ids,
)
from broker.config.directives import REDIS_7_0
from broker.keyspace.events import STREAM, Event
from broker.table.arguments import integer
from broker.table.command import DELETE, DENYOOM, FAST, RW, UPDATE, WRITE, command, key
from broker.values.streams.idempotency import content_iid
from broker.values.streams.ids import MAX_ID, MAX_PART, format_id, parse_id
from broker.values.streams.stream import EntryTooLarge, Stream
from broker.values.streams.trim import References, trim_by_length, trim_effect
from protocol.errors import NO_SUCH_KEY, SYNTAX, CommandError, wrong_arity
from protocol.numbers import parse_integer
from protocol.replies import MINUS_ONE, OK, ZERO, array_header, bulk, integers
from protocol.replies import integer as integer_reply

ZERO_ID: Final = b"ERR The ID specified in XADD must be greater than 0-0"
SMALL_ID: Final = b"ERR The ID specified in XADD is equal or smaller than the target stream top item"
EXHAUSTED: Final = b"ERR The stream has exhausted the last possible ID, unable to add more items"
TOO_LARGE: Final = b"ERR Elements are too large to be stored"
PRODUCER_TWICE: Final = b"ERR syntax error, IDMP/IDMPAUTO specified multiple times"
NO_PRODUCER: Final = b"ERR syntax error, IDMP requires a non-empty producer ID"
NO_AUTO_PRODUCER: Final = b"ERR syntax error, IDMPAUTO requires a non-empty producer ID"
NO_IID: Final = b"ERR syntax error, IDMP requires a non-empty idempotent ID"
NOT_AUTO_ID: Final = b"ERR syntax error, IDMP/IDMPAUTO can be used only with auto-generated IDs"
NEGATIVE_ADDED: Final = b"ERR entries_added must be positive"
BELOW_GIVEN_DELETED: Final = b"ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
BELOW_DELETED: Final = b"ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
BELOW_TOP: Final = b"ERR The ID specified in XSETID is smaller than the target stream top item"
ADDED_BELOW_LENGTH: Final = b"ERR The entries_added specified in XSETID is smaller than the target stream length"

XADD: Final = Event(STREAM, b"xadd")
XTRIM: Final = Event(STREAM, b"xtrim")
XDEL: Final = Event(STREAM, b"xdel")
XSETID: Final = Event(STREAM, b"xsetid")


class _AddOptions(Trimming):
    """The options between XADD's key and its ID. `id` is -1 for `*`; without `seq_given` only its time counts."""

    __slots__ = ("id", "iid", "no_create", "producer", "seq_given")

    def __init__(self) -> None:
        super().__init__()
        self.id = -1
        self.seq_given = True
        self.no_create = False
        self.producer: bytes | None = None
        self.iid: bytes | None = None


_NO_OPTIONS: Final = _AddOptions()


@command("XADD", arity=-5, flags=WRITE | DENYOOM | FAST, keys=(key(RW, UPDATE),), group="stream", since="5.0.0",
         syntax="key [NOMKSTREAM]@6.2.0 [KEEPREF|DELREF|ACKED] idmp=[IDMPAUTO pid|IDMP pid iid]@8.6.0 "
                "trim=[<MAXLEN|MINID@6.2.0> [=|~] threshold [LIMIT count]@6.2.0] id-selector=<*|id> <field value> ...",
         summary="Adds an entry to a stream, which is created if it does not exist.",
         complexity="O(1), and O(N) where N entries are trimmed", tips=("nondeterministic_output",))  # fmt: skip
def xadd(session: Client, args: list[bytes]) -> bytes:
    name = args[1]
    db = session.db
    stream = db.get(name)
    if type(stream) is Stream and not (db.governed and name in db.governed):
        text = args[2]
        if text == b"*" and len(args) & 1:
            # The commonest form of the commonest command, so it makes only the checks it needs.
            id = session.broker.clock.now << 64
            if id > stream.last_id or (id := stream.last_id + 1) <= MAX_ID:
                try:
                    reply = stream.append(id, args[3:])
                except EntryTooLarge:
                    raise CommandError(TOO_LARGE) from None
                db.changed(name, XADD)
                effects = db.keyspace.effects
                if effects.sinks:
                    effect = args.copy()
                    effect[2] = reply[reply.index(b"\n") + 1 : -2]
                    effects.replace_with(effect)
                return reply
        else:
            reply = _add_bounded(session, args, stream) if text == b"MAXLEN" else _add_given(session, args, stream)
            if reply:
                return reply
    return _add(session, args)


def _add_given(session: Client, args: list[bytes], stream: Stream) -> bytes:
    """Executes XADD with an ID and no options, as append-only files have it; returns b"" for other or refused ones.

    Does the same as `_add` in a third of the time.
    """
    text = args[2]
    if not len(args) & 1 or not text or not 48 <= text[0] <= 57:
        return b""
    id = parse_id(text)
    if id <= stream.last_id:
        return b""
    try:
        reply = stream.append(id, args[3:])
    except EntryTooLarge:
        raise CommandError(TOO_LARGE) from None
    session.db.changed(args[1], XADD)
    return reply


def _add_bounded(session: Client, args: list[bytes], stream: Stream) -> bytes:
    """Executes XADD with `MAXLEN ~ n *` or `MAXLEN n *`, as many producers send it; returns b"" for any other form.

    Does the same as `_add`, whose option parsing takes 0.5 us.
    """
    at = 4 if args[4] == b"*" else 5
    approximate = at == 5
    if len(args) < at + 3 or not (len(args) - at) & 1 or args[at] != b"*" or (approximate and args[3] != b"~"):
        return b""
    length = parse_integer(args[at - 1])
    if length is None or length < 0:
        return b""
    id = session.broker.clock.now << 64
    if id <= stream.last_id and (id := stream.last_id + 1) > MAX_ID:
        return b""
    fields = args[at + 1 :]
    try:
        reply = stream.append(id, fields)
    except EntryTooLarge:
        raise CommandError(TOO_LARGE) from None
    db = session.db
    name = args[1]
    db.changed(name, XADD)
    removed = trim_by_length(stream, length, approximate)
    if removed:
        db.notify(XTRIM, name)
    effects = db.keyspace.effects
    if effects.sinks:
        id_text = reply[reply.index(b"\n") + 1 : -2]
        if not approximate:
            effects.replace_with([*args[:at], id_text, *fields])
        elif removed:
            effects.replace_with([b"XADD", name, id_text, *fields], trim_effect(name, stream))
        else:
            effects.replace_with([b"XADD", name, id_text, *fields])
    return reply


def _add(session: Client, args: list[bytes]) -> bytes:
    """Executes XADD in any form."""
    if args[2] == b"*":
        options = _NO_OPTIONS
        at = 2
    else:
        options, at = add_options(args)
    count = len(args) - at - 1
    if options.producer is not None and options.id >= 0 and not session.broker.state.is_replaying():
        raise CommandError(NOT_AUTO_ID)
    options.check(required=False)
    if count < 2 or count & 1:
        raise CommandError(wrong_arity(b"xadd"))
    if options.id == 0 and options.seq_given:
        raise CommandError(ZERO_ID)
    name = args[1]
    db = session.db
    stream = db.get_as(name, Stream)
    governed = db.governed.get(name) if db.governed else None
    if stream is None:
        if options.no_create:
            return session.resp.null
        if governed is not None:
            # Before there is an empty stream.
            likely_id = options.id if options.id >= 0 else session.broker.clock.now << 64
            governed.admit(None, likely_id, args[at + 1 :])
        stream = Stream(session.broker.config)
        db.add(name, stream)
    if options.producer is not None:
        known = _known(session, args[at + 1 :], options, stream)
        if known is not None:
            return known
    if options.id < 0:
        id = session.broker.clock.now << 64
        if id <= stream.last_id:
            id = stream.last_id + 1
            if id > MAX_ID:
                raise CommandError(EXHAUSTED)
    else:
        id = _given_id(stream, options)
    if governed is not None:
        governed.admit(stream, id, args[at + 1 :])
    try:
        reply = stream.append(id, args[at + 1 :])
    except EntryTooLarge:
        raise CommandError(TOO_LARGE) from None
    db.changed(name, XADD)
    removed = 0
    if options is not _NO_OPTIONS:
        removed = options.apply(stream)
        if removed:
            db.notify(XTRIM, name)
        if options.producer is not None and options.iid is not None:
            stream.idempotency.record(options.producer, options.iid, id)
    effects = db.keyspace.effects
    if effects.sinks:
        older = session.broker.config.replication_compat == REDIS_7_0
        effects.replace_with(*_effects(args, at, options, format_id(id), stream, removed, older))
    if governed is not None:
        governed.added(stream)
    return reply


def _given_id(stream: Stream, options: _AddOptions) -> int:
    """Returns the next entry's ID if the client gives it, or at least its time; raises if it is too low."""
    last = stream.last_id
    if last == MAX_ID:
        raise CommandError(EXHAUSTED)
    id = options.id
    if not options.seq_given and id >> 64 == last >> 64:
        if last & MAX_PART == MAX_PART:
            raise CommandError(SMALL_ID)
        return last + 1
    if id <= last:
        raise CommandError(SMALL_ID)
    return id


def _known(session: Client, fields: list[bytes], options: _AddOptions, stream: Stream) -> bytes | None:
    """Returns the reply if the producer has added this before, None if it has not."""
    assert options.producer is not None
    if options.iid is None:
        options.iid = content_iid(fields)
    if session.broker.state.is_replaying():
        # redis-server's journal has an ID if and only if an entry was added, whatever is known about the iid by now.
        if options.id >= 0:
            return None
        stream.idempotency.duplicates += 1
        return session.resp.null
    id = stream.idempotency.find(options.producer, options.iid, session.broker.clock.now)
    if id is None:
        return None
    stream.idempotency.duplicates += 1
    # Redis counts it as a change and propagates the command. Executed later it might add an entry, so nothing is
    # propagated here.
    session.db.keyspace.dirty += 1
    session.db.keyspace.effects.replace_with()
    return bulk(format_id(id))


def _effects(
    args: list[bytes], at: int, options: _AddOptions, id_text: bytes, stream: Stream, removed: int, older: bool
) -> list[list[bytes]]:
    """Returns the commands that have the same effect as this XADD whenever they are executed.

    `older` is whether servers of 7.0 must understand them; those have no word for idempotent producers.
    """
    name = args[1]
    if options.producer is None and options.is_exact():
        return [[*args[:at], id_text, *args[at + 1 :]]]
    effects = [[b"XADD", name, id_text, *args[at + 1 :]]]
    if options.producer is not None and options.iid is not None and not older:
        effects.append([b"XIDMPRECORD", name, options.producer, options.iid, id_text])
    if removed:
        effects += options.effects(name, stream, older)
    return effects


def add_options(args: list[bytes]) -> tuple[_AddOptions, int]:
    """Parses the options before XADD's ID, without checking them against each other; returns the ID's position too."""
    options = _AddOptions()
    i = 2
    while i < len(args):
        argument = args[i]
        if argument == b"*":
            break
        after = options.take(args, i)
        if after > i:
            i = after
            continue
        word = argument.upper()
        if word == b"NOMKSTREAM":
            options.no_create = True
            i += 1
        elif word in (b"IDMPAUTO", b"IDMP") and len(args) - 1 - i >= (2 if word == b"IDMP" else 1):
            i = _take_producer(args, i, word, options)
        else:
            options.seq_given = not argument.endswith(b"-*")
            options.id = strict_id(argument if options.seq_given else argument[:-1] + b"0")
            break
    return options, i


def _take_producer(args: list[bytes], i: int, word: bytes, options: _AddOptions) -> int:
    """Parses IDMP or IDMPAUTO at `i`; returns the position after it. Raises."""
    if options.producer is not None:
        raise CommandError(PRODUCER_TWICE)
    options.producer = args[i + 1]
    if word == b"IDMPAUTO":
        if not args[i + 1]:
            raise CommandError(NO_AUTO_PRODUCER)
        return i + 2
    if not args[i + 1]:
        raise CommandError(NO_PRODUCER)
    if not args[i + 2]:
        raise CommandError(NO_IID)
    options.iid = args[i + 2]
    return i + 3


@command("XTRIM", arity=-4, flags=WRITE, keys=(key(RW, DELETE),), group="stream", since="5.0.0",
         syntax="key trim=<<MAXLEN|MINID@6.2.0> [=|~] threshold [LIMIT count]@6.2.0 [KEEPREF|DELREF|ACKED]>",
         summary="Removes entries from the beginning of a stream.", complexity="O(N) where N entries are removed",
         tips=("nondeterministic_output",))  # fmt: skip
def xtrim(session: Client, args: list[bytes]) -> bytes:
    trimming = Trimming()
    i = 2
    while i < len(args):
        after = trimming.take(args, i)
        if after == i:
            raise CommandError(SYNTAX)
        i = after
    trimming.check(required=True)
    db = session.db
    stream = db.get_as(args[1], Stream)
    if stream is None:
        return ZERO
    removed = trimming.apply(stream)
    if removed:
        if not trimming.is_exact():
            older = session.broker.config.replication_compat == REDIS_7_0
            db.keyspace.effects.replace_with(*trimming.effects(args[1], stream, older))
        db.changed(args[1], XTRIM, removed)
    return integer_reply(removed)


@command("XDEL", arity=-3, flags=WRITE | FAST, keys=(key(RW, DELETE),), group="stream", since="5.0.0",
         syntax="key id ...", summary="Removes entries from a stream.", complexity="O(1) for each entry")  # fmt: skip
def xdel(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    stream = db.get_as(args[1], Stream)
    if stream is None:
        return ZERO
    deleted = 0
    for id in strict_ids(args[2:]):
        deleted += stream.delete(id)
    if deleted:
        db.changed(args[1], XDEL, deleted)
    return integer_reply(deleted)


@command("XDELEX", arity=-5, flags=WRITE | FAST, keys=(key(RW, DELETE),), group="stream", since="8.2.0",
         syntax="key [KEEPREF|DELREF|ACKED] IDS numids id ...",
         summary="Removes entries from a stream, with a policy on consumer groups that refer to them.",
         complexity="O(1) for each entry and group")  # fmt: skip
def xdelex(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    stream = db.get_as(args[1], Stream)
    policy, texts = policy_and_ids(args, 2)
    if stream is None:
        return array_header(len(texts)) + MINUS_ONE * len(texts)
    results = []
    deleted: list[bytes] = []
    unlinked: dict[bytes, list[int]] = {}
    for id in strict_ids(texts):
        if policy is References.ACKED and stream.is_referenced(id):
            results.append(2)
            continue
        if policy is References.DELETE:
            stream.remove_references(id, unlinked)
        if stream.delete(id):
            deleted.append(format_id(id))
            results.append(1)
        else:
            results.append(-1)
    if deleted:
        db.changed(args[1], XDEL, len(deleted))
    elif unlinked:
        # References to entries deleted earlier are gone. Redis does not count that as a change, and would lose it.
        db.keyspace.dirty += sum(map(len, unlinked.values()))
    if deleted or unlinked:
        effects = acknowledgements(args[1], unlinked)
        if deleted:
            effects.append([b"XDEL", args[1], *deleted])
        db.keyspace.effects.replace_with(*effects)
    return integers(results)


@command("XSETID", arity=-3, flags=WRITE | DENYOOM | FAST, keys=(key(RW, UPDATE),), group="stream", since="5.0.0",
         syntax="key last-id [ENTRIESADDED entries-added]@7.0.0 [MAXDELETEDID max-deleted-id]@7.0.0",
         summary="Sets the counters of a stream, for replication and restoring.", complexity="O(1)")  # fmt: skip
def xsetid(session: Client, args: list[bytes]) -> bytes:
    id = strict_id(args[2])
    added = -1
    deleted = 0
    # Parsed by hand: the two IDs are compared as soon as the second one is read.
    i = 3
    while i < len(args):
        word = args[i].upper()
        if i + 1 < len(args) and word == b"ENTRIESADDED":
            added = integer(args[i + 1])
            if added < 0:
                raise CommandError(NEGATIVE_ADDED)
        elif i + 1 < len(args) and word == b"MAXDELETEDID":
            deleted = strict_id(args[i + 1])
            if id < deleted:
                raise CommandError(BELOW_GIVEN_DELETED)
        else:
            raise CommandError(SYNTAX)
        i += 2
    db = session.db
    stream = db.get_as(args[1], Stream)
    if stream is None:
        raise CommandError(NO_SUCH_KEY)
    if id < stream.max_deleted_id:
        raise CommandError(BELOW_DELETED)
    if stream.length:
        if id < stream.top_id():
            raise CommandError(BELOW_TOP)
        if 0 <= added < stream.length:
            raise CommandError(ADDED_BELOW_LENGTH)
    stream.last_id = id
    if added >= 0:
        stream.entries_added = added
    if deleted:
        stream.max_deleted_id = deleted
    db.keyspace.dirty += 1
    db.notify(XSETID, args[1])
    return OK
