"""DUMP and RESTORE: a value in Redis's own serialisation, out and in."""

from __future__ import annotations

from typing import Any, Final

from broker.broker import Client
from broker.commands.expire_options import has_passed
from broker.formats.aof.base_commands import commands_of
from broker.formats.rdb.dump_payload import BadFooter, BadFormat, Unsupported, as_old_as_possible, dump, restore
from broker.keyspace.access import FREQUENCY_MAX
from broker.keyspace.database import Database, type_name
from broker.keyspace.events import DEL, GENERIC, REPLACED, RETYPED, Event
from broker.keyspace.expiry import expire_fields
from broker.table.arguments import MAX_INTEGER, at_least, integer
from broker.table.command import ACCESS, ASKING, DENYOOM, OW, READONLY, RO, UPDATE, WRITE, command, key
from broker.table.parsers import Parser
from broker.values.deadline_queue import NEVER
from broker.values.hash import Hash
from broker.values.sorted_set import SortedSet
from broker.values.streams.stream import Stream
from protocol.errors import CommandError
from protocol.replies import OK, bulk

RESTORED: Final = Event(GENERIC, b"restore")

_BUSY_KEY: Final = b"BUSYKEY Target key name already exists."
_INVALID_TTL: Final = b"ERR Invalid TTL value, must be >= 0"
_INVALID_IDLE_TIME: Final = b"ERR Invalid IDLETIME value, must be >= 0"
_INVALID_FREQUENCY: Final = b"ERR Invalid FREQ value, must be >= 0 and <= 255"
_BAD_FOOTER: Final = b"ERR DUMP payload version or checksum are wrong"
_BAD_FORMAT: Final = b"ERR Bad data format"


@command("DUMP", arity=2, flags=READONLY, keys=(key(RO, ACCESS),), group="generic", since="2.6.0",
         syntax="key", categories=("keyspace",), tips=("nondeterministic_output",),
         summary="Returns a key's value in Redis's serialisation.",
         complexity="O(N) for the size N of the value")  # fmt: skip
def dump_(session: Client, args: list[bytes]) -> bytes:
    if session.db.read(args[1]) is None:
        return session.resp.null
    # What is stored: as in Redis, fields that are due but may not expire now (CLIENT PAUSE) are part of it.
    return bulk(dump(session.db.data[args[1]], session.broker.config))


_OPTIONS: Final = Parser[tuple[bool, bool, bytes, int]](
    "RESTORE",
    values={"IDLETIME": at_least(0, _INVALID_IDLE_TIME), "FREQ": at_least(0, _INVALID_FREQUENCY, FREQUENCY_MAX)},
    together={"last-use": ("IDLETIME", "FREQ")},
    defaults={"last-use": 0},
)  # fmt: skip


@command("RESTORE-ASKING", arity=-4, flags=WRITE | DENYOOM | ASKING, keys=(key(OW, UPDATE),), group="server",
         since="3.0.0", system=True, categories=("keyspace", "dangerous"),
         syntax="key ttl:integer serialized-value [REPLACE]@3.0.0 [ABSTTL]@5.0.0 [IDLETIME seconds]@5.0.0"
                " [FREQ frequency:integer]@5.0.0",
         summary="The same as RESTORE, as a cluster's nodes send it to each other.",
         complexity="O(N) for the size N of the value, O(N*log(N)) for sorted sets")  # fmt: skip
@command("RESTORE", arity=-4, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE),), group="generic", since="2.6.0",
         syntax="key ttl:integer serialized-value [REPLACE]@3.0.0 [ABSTTL]@5.0.0 [IDLETIME seconds]@5.0.0"
                " [FREQ frequency:integer]@5.0.0",
         categories=("keyspace", "dangerous"),
         summary="Creates a key from a value in Redis's serialisation.",
         complexity="O(N) for the size N of the value, O(N*log(N)) for sorted sets")  # fmt: skip
def restore_(session: Client, args: list[bytes]) -> bytes:
    replace, absolute, measure, measured = _OPTIONS.parse(args, 4)
    db = session.db
    name = args[1]
    if not replace and db.get(name) is not None:
        raise CommandError(_BUSY_KEY)
    now = session.broker.clock.now
    ttl = integer(args[2])
    if ttl < 0:
        raise CommandError(_INVALID_TTL)
    broker = session.broker
    try:
        value = restore(
            args[3],
            broker.config,
            verify=not broker.state.checksums_ignored,
            examined=broker.stats.count_packed_values,
        )
    except BadFooter:
        raise CommandError(_BAD_FOOTER) from None
    except Unsupported as error:
        raise CommandError(b"%b: %b" % (_BAD_FORMAT, error.reason.encode())) from None
    except BadFormat as error:
        log = session.broker.log
        log.verbose("RESTORE of a bad payload", key=log.user_data(name), reason=error)
        raise CommandError(_BAD_FORMAT) from None
    deadline = ttl if absolute or not ttl else ttl + now
    old = db.get(name)
    # In Redis the sum of now and an overlong time to live wraps, so that the deadline is in the past.
    if deadline and (has_passed(session.broker, deadline) or deadline > MAX_INTEGER):
        db.delete(name)
        _remove_expired(db, name, old is not None)
        return OK
    if value.__class__ is Stream:
        value.idempotency.expire(now)
    # A replaced key keeps its position in the dict: if it moved to the end, a SCAN in progress would miss it.
    db.persist(name)
    db.add(name, value)
    if deadline:
        db.expire_at(name, deadline)
    db.changed(name, RESTORED)
    if value.__class__ is SortedSet:
        broker.delayed.placed(db, name)
    # Set after the change, because a change updates the access time under the LRM policies.
    if measure == b"IDLETIME":
        session.broker.access.set_idle(db, name, measured)
    elif measure:
        session.broker.access.set_frequency(db, name, measured)
    if old is not None:
        db.notify(REPLACED, name)
        if type_name(old) != type_name(value):
            db.notify(RETYPED, name)
    state = session.broker.state
    keeps_due = state.loading or state.importing or state.replica
    if not keeps_due and db.field_deadlines.get(name, NEVER) < now:
        # Commands rely on expired fields being gone.
        expire_fields(db, name, now)
    if db.keyspace.effects.sinks:
        effect = [args[0], name, b"%d" % deadline, args[3], *args[4:]]
        if deadline and not absolute:
            effect.append(b"ABSTTL")
        db.keyspace.effects.replace_with(*_effects(session, effect, value, replaces=old is not None))
    return OK


def _effects(session: Client, effect: list[bytes], value: Any, replaces: bool) -> list[list[bytes]]:
    """Returns the commands that do what the command `effect` has done, and that as many servers as possible know.

    A hash whose fields have deadlines is set by commands: of its payloads, those of one server are read by no other.
    """
    name = effect[1]
    removal = [[b"DEL", name]] if replaces else []
    if name not in session.db.data:
        return removal  # all fields were due
    if value.__class__ is not Hash or not value.deadlines:
        effect[3] = as_old_as_possible(effect[3], value, session.broker.config)
        return [effect]
    return [*removal, *commands_of(session.db, name, value, session.broker.config)]


def _remove_expired(db: Database, name: bytes, existed: bool) -> None:
    """Counts a value restored past its deadline: it replaces the old one and expires immediately."""
    db.keyspace.expired += 1
    if existed:
        db.keyspace.effects.replace_with([b"DEL", name])
        db.changed(name, DEL)
