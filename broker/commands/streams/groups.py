"""Consumer groups and their consumers: XGROUP."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.help import declare_help
from broker.commands.streams.arguments import (
    XGROUP_CREATECONSUMER,
    any_id,
    bad_subcommand,
    no_group,
    signal_ready,
    strict_id,
)
from broker.keyspace.events import STREAM, Event
from broker.process.reclaim import LARGE
from broker.table.arguments import integer
from broker.table.command import DELETE, DENYOOM, INSERT, RW, UPDATE, WRITE, command, container, key
from broker.table.parsers import Parser
from broker.values.streams.delivery import PARKED
from broker.values.streams.group import Group
from broker.values.streams.stream import UNKNOWN, Stream
from protocol.errors import CommandError
from protocol.replies import OK, ONE, ZERO
from protocol.replies import integer as integer_reply

KEY_REQUIRED: Final = (
    b"ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM"
    b" option to create an empty stream automatically."
)
BUSY_GROUP: Final = b"BUSYGROUP Consumer Group name already exists"
PARKED_ENTRIES: Final = b"ERR the consumer ~parked has entries that wait for their turn"
NEGATIVE_READ: Final = b"ERR value for ENTRIESREAD must be positive or -1"

XGROUP_CREATE: Final = Event(STREAM, b"xgroup-create")
XGROUP_SETID: Final = Event(STREAM, b"xgroup-setid")
XGROUP_DESTROY: Final = Event(STREAM, b"xgroup-destroy")
XGROUP_DELCONSUMER: Final = Event(STREAM, b"xgroup-delconsumer")

container("XGROUP", group="stream", since="5.0.0", summary="A container for consumer group commands.")

declare_help(
    "XGROUP", group="stream", since="5.0.0",
    usage={
        "CFGGET": "<key> <group>",
        "CFGSET": "<key> <group> [ACKWAIT <ms>] [MAXDELIVER <n>] [DEADLETTER <key>] [BACKOFF <n> <ms> ...]"
        " [MAXINFLIGHT <n>] [ORDERBY <field>]",
        "CREATE": "<key> <group> <id|$> [MKSTREAM] [ENTRIESREAD entries-read]",
        "CREATECONSUMER": "<key> <group> <consumer>",
        "DELCONSUMER": "<key> <group> <consumer>",
        "DESTROY": "<key> <group>",
        "SETID": "<key> <group> <id|$> [ENTRIESREAD entries-read]",
    },
)  # fmt: skip


def _entries_read(argument: bytes) -> int:
    number = integer(argument)
    if number < 0 and number != UNKNOWN:
        raise CommandError(NEGATIVE_READ)
    return number


def _wrong_option(args: list[bytes], at: int) -> CommandError:
    return bad_subcommand(args)


_CREATE_OPTIONS: Final = Parser[tuple[bool, int]](
    "XGROUP|CREATE", values={"ENTRIESREAD": _entries_read}, defaults={"ENTRIESREAD": UNKNOWN}, error=_wrong_option
)
_SETID_OPTIONS: Final = Parser[tuple[int]](
    "XGROUP|SETID", values={"ENTRIESREAD": _entries_read}, defaults={"ENTRIESREAD": UNKNOWN}, error=_wrong_option
)


def _stream(session: Client, name: bytes) -> Stream:
    stream = session.db.get_as(name, Stream)
    if stream is None:
        raise CommandError(KEY_REQUIRED)
    return stream


def _group(session: Client, args: list[bytes]) -> tuple[Stream, Group]:
    """Returns the stream and group that `args` name; raises."""
    stream = _stream(session, args[2])
    group = stream.groups.get(args[3])
    if group is None:
        raise no_group(args[2], args[3])
    return stream, group


def _bounded(session: Client, args: list[bytes], entries_read: int, stream: Stream) -> int:
    """Returns the counter of a group that has read `entries_read` entries: no more than were added to its stream.

    Redis 7.0 and Valkey would take over a larger number.
    """
    if entries_read <= stream.entries_added:
        return entries_read
    at = next(at for at, word in enumerate(args) if at > 4 and word.upper() == b"ENTRIESREAD")
    session.db.keyspace.effects.replace_with([*args[: at + 1], b"%d" % stream.entries_added, *args[at + 2 :]])
    return stream.entries_added


def _obey_policy(session: Client, args: list[bytes], stream: Stream) -> None:
    """Removes what the stream's policy no longer keeps, now that its groups have changed."""
    db = session.db
    if db.governed and args[2] in db.governed:
        db.keyspace.effects.begin_with(args)
        db.governed[args[2]].groups_changed(stream)


@command("XGROUP|CREATE", arity=-5, flags=WRITE | DENYOOM, keys=(key(RW, INSERT, at=2),), group="stream",
         since="5.0.0",
         syntax="key group id-selector=<id|$> [MKSTREAM] [ENTRIESREAD entriesread=entries-read]",
         summary="Creates a consumer group.", complexity="O(1)")  # fmt: skip
def xgroup_create(session: Client, args: list[bytes]) -> bytes:
    create, entries_read = _CREATE_OPTIONS.parse(args, 5)
    db = session.db
    name = args[2]
    stream = db.get_as(name, Stream)
    if stream is None and not create:
        raise CommandError(KEY_REQUIRED)
    if len(args) > 8:
        raise bad_subcommand(args)
    last = 0 if stream is None else stream.last_id
    id = last if args[4] == b"$" else strict_id(args[4])
    if stream is None:
        stream = Stream(session.broker.config)
        db.add(name, stream)
        db.changed_silently(name, 0)
    if args[3] in stream.groups:
        raise CommandError(BUSY_GROUP)
    if db.governed and name in db.governed:
        db.governed[name].check_groups(len(stream.groups) + 1)
    stream.groups[args[3]] = Group(args[3], id, _bounded(session, args, entries_read, stream))
    # Like all the commands below, this breaks no WATCH and wakes no waiting client unless it says so.
    db.keyspace.dirty += 1
    db.notify(XGROUP_CREATE, name)
    _obey_policy(session, args, stream)
    return OK


@command("XGROUP|SETID", arity=-5, flags=WRITE, keys=(key(RW, UPDATE, at=2),), group="stream", since="5.0.0",
         syntax="key group id-selector=<id|$> [ENTRIESREAD entriesread=entries-read]",
         summary="Sets the last-delivered ID of a consumer group.", complexity="O(1)")  # fmt: skip
def xgroup_setid(session: Client, args: list[bytes]) -> bytes:
    [entries_read] = _SETID_OPTIONS.parse(args, 5)
    stream, group = _group(session, args)
    if len(args) not in (5, 7):
        raise bad_subcommand(args)
    group.last_id = stream.last_id if args[4] == b"$" else any_id(args[4])
    group.entries_read = _bounded(session, args, entries_read, stream)
    session.db.keyspace.dirty += 1
    session.db.notify(XGROUP_SETID, args[2])
    _obey_policy(session, args, stream)
    return OK


@command("XGROUP|DESTROY", arity=4, flags=WRITE, keys=(key(RW, DELETE, at=2),), group="stream", since="5.0.0",
         syntax="key group", summary="Removes a consumer group.", complexity="O(N) with N pending entries")  # fmt: skip
def xgroup_destroy(session: Client, args: list[bytes]) -> bytes:
    stream = _stream(session, args[2])
    group = stream.groups.pop(args[3], None)
    if group is None:
        return ZERO
    session.db.keyspace.dirty += 1
    if max(len(group.pel), len(group.consumers)) >= LARGE:
        session.db.keyspace.release(group)
    session.db.notify(XGROUP_DESTROY, args[2])
    # Clients waiting in the group get an error, because it is gone.
    signal_ready(session.db, args[2])
    _obey_policy(session, args, stream)
    return ONE


@command("XGROUP|CREATECONSUMER", arity=5, flags=WRITE | DENYOOM, keys=(key(RW, INSERT, at=2),), group="stream",
         since="6.2.0",
         syntax="key group consumer",
         summary="Creates a consumer in a group.", complexity="O(1)")  # fmt: skip
def xgroup_createconsumer(session: Client, args: list[bytes]) -> bytes:
    _, group = _group(session, args)
    if args[4] in group.consumers:
        return ZERO
    group.create_consumer(args[4], session.broker.clock.now)
    session.db.keyspace.dirty += 1
    session.db.notify(XGROUP_CREATECONSUMER, args[2])
    return ONE


@command("XGROUP|DELCONSUMER", arity=5, flags=WRITE, keys=(key(RW, DELETE, at=2),), group="stream", since="5.0.0",
         syntax="key group consumer", summary="Removes a consumer and its pending entries from a group.",
         complexity="O(N) with N pending entries of the consumer")  # fmt: skip
def xgroup_delconsumer(session: Client, args: list[bytes]) -> bytes:
    stream, group = _group(session, args)
    broker = session.broker
    if args[4] == PARKED and broker.config.stream_extensions and not broker.state.is_replaying():
        raise CommandError(PARKED_ENTRIES)
    pending = group.delete_consumer(args[4])
    if pending < 0:
        return ZERO
    session.db.keyspace.dirty += 1
    session.db.notify(XGROUP_DELCONSUMER, args[2])
    _obey_policy(session, args, stream)
    return integer_reply(pending)
