"""Returning entries to their group unacknowledged: XNACK, also as brokers with `stream-extensions` have it."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.streams.arguments import consumer_of, counted, no_key_or_group, shown, signal_ready, strict_ids
from broker.config.directives import REDIS_7_0
from broker.policies.dead_letters import REJECTED, UNACKNOWLEDGED, Dying
from broker.policies.governed_group import GovernedGroup
from broker.table.arguments import at_least
from broker.table.command import FAST, RW, UPDATE, WRITE, command, key
from broker.table.parsers import Parser
from broker.values.streams.group import MAX_COUNT, Group
from broker.values.streams.group_effects import pending_effect
from broker.values.streams.ids import format_id
from broker.values.streams.older import RELEASED
from broker.values.streams.stream import Stream
from protocol.errors import CommandError
from protocol.replies import integer as integer_reply

UNKNOWN_MODE: Final = b"ERR mode must be SILENT, FAIL, or FATAL"
NUMIDS_NOT_POSITIVE: Final = b"ERR numids must be a positive integer"
NUMIDS_MISMATCH: Final = b"ERR number of IDs doesn't match numids"
NEGATIVE_RETRYCOUNT: Final = b"ERR Invalid RETRYCOUNT value, must be >= 0"
IDS_EXPECTED: Final = b"ERR syntax error, expected IDS keyword"
NEGATIVE_DELAY: Final = b"ERR DELAY must be zero or a positive number of milliseconds"
DELAY_WITHOUT_WAIT: Final = b"ERR DELAY needs a group with an ack wait"
DELAY_TOO_LONG: Final = b"ERR DELAY is longer than the group's ack wait"
DELAYED_DEATH: Final = b"ERR DELAY and FATAL exclude each other"

_MAX_NUMIDS: Final = (1 << 31) - 1

_IDS: Final = counted(NUMIDS_NOT_POSITIVE, NUMIDS_MISMATCH, _MAX_NUMIDS)


def _unknown_option(args: list[bytes], at: int) -> CommandError:
    return CommandError(b"ERR Unrecognized XNACK option '%b'" % shown(args[at]))


_OPTIONS: Final = Parser[tuple[list[bytes] | None, int, bool]](
    "XNACK", required=("ids",), error=_unknown_option, defaults={"RETRYCOUNT": -1},
    values={"IDS": _IDS, "RETRYCOUNT": at_least(0, NEGATIVE_RETRYCOUNT)},
)  # fmt: skip
_EXTENDED_OPTIONS: Final = Parser[tuple[list[bytes] | None, int, bool, int]](
    "XNACK", required=("ids",), error=_unknown_option, defaults={"RETRYCOUNT": -1, "DELAY": -1},
    values={"IDS": _IDS, "RETRYCOUNT": at_least(0, NEGATIVE_RETRYCOUNT), "DELAY": at_least(0, NEGATIVE_DELAY)},
    also="[DELAY milliseconds]",
)  # fmt: skip


@command("XNACK", arity=-7, flags=WRITE | FAST, keys=(key(RW, UPDATE),), group="stream", since="8.8.0",
         syntax="key group mode=<SILENT|FAIL|FATAL> IDS numids id ... [RETRYCOUNT count] [FORCE]",
         summary="Returns pending entries to the group unacknowledged, for any consumer to claim immediately.",
         complexity="O(1) for each ID")  # fmt: skip
def xnack(session: Client, args: list[bytes]) -> bytes:
    stream, group, mode = _begin(session, args)
    texts, retry_count, force = _OPTIONS.parse(args, 4)
    if texts is None:
        raise CommandError(IDS_EXPECTED)
    changes = 0
    released: dict[int, int] = {}
    for id in strict_ids(texts):
        count = _count(stream, group, id, mode, retry_count, force)
        if count < 0:
            continue
        group.release(id, count)
        released[id] = count
        changes += 1
    if changes:
        session.db.keyspace.dirty += changes
        if session.broker.config.replication_compat == REDIS_7_0:
            session.db.keyspace.effects.replace_with(*_effects_for_7_0(args, released))
        signal_ready(session.db, args[1])
    return integer_reply(changes)


@command("XNACK", arity=-7, flags=WRITE | FAST, keys=(key(RW, UPDATE),), group="stream", since="8.8.0",
         syntax="key group mode=<SILENT|FAIL|FATAL> IDS numids id ... [RETRYCOUNT count] [FORCE] [DELAY milliseconds]",
         summary="Returns pending entries to the group unacknowledged, for any consumer to claim immediately or after a"
                 " delay.",
         complexity="O(1) for each ID", extension=True)  # fmt: skip
def xnack_extended(session: Client, args: list[bytes]) -> bytes:
    policies = session.broker.policies
    acts = bool(policies.by_stream) and not session.broker.state.is_replaying()
    governed = policies.find(session.db, args[1], args[2]) if acts else None
    if governed is None and b"DELAY" not in [word.upper() for word in args[7:]]:
        return xnack(session, args)
    stream, group, mode = _begin(session, args)
    texts, retry_count, force, delay = _EXTENDED_OPTIONS.parse(args, 4)
    if texts is None:
        raise CommandError(IDS_EXPECTED)
    ids = strict_ids(texts)
    if delay >= 0 and mode == b"FATAL":
        raise CommandError(DELAYED_DEATH)
    if delay >= 0 and (governed is None or not governed.policy.waits()):
        raise CommandError(DELAY_WITHOUT_WAIT)
    assert governed is not None
    counts = {id: _count(stream, group, id, mode, retry_count, force) for id in ids}
    if any(count >= 0 and delay > governed.policy.wait(count) for count in counts.values() if delay >= 0):
        raise CommandError(DELAY_TOO_LONG)
    nacking = _Nacking(session, args, stream, group, governed)
    changes = 0
    for id in ids:
        # An ID that is given twice is no longer pending the second time if it has died.
        count = _count(stream, group, id, mode, retry_count, force) if id in nacking.dead else counts[id]
        if count >= 0:
            nacking.nack(id, count, delay)
            changes += 1
    if changes:
        session.db.keyspace.dirty += changes
        nacking.propagate()
        signal_ready(session.db, args[1])
    return integer_reply(changes)


def _begin(session: Client, args: list[bytes]) -> tuple[Stream, Group, bytes]:
    """Returns the stream, the group and the mode; raises."""
    stream = session.db.get_as(args[1], Stream)
    group = None if stream is None else stream.groups.get(args[2])
    if stream is None or group is None:
        raise no_key_or_group(args[1], args[2])
    mode = args[3].upper()
    if mode not in (b"SILENT", b"FAIL", b"FATAL"):
        raise CommandError(UNKNOWN_MODE)
    return stream, group, mode


def _count(stream: Stream, group: Group, id: int, mode: bytes, retry_count: int, force: bool) -> int:
    """Returns how often an entry counts as delivered from now on, -1 if it is not pending and stays so."""
    delivery = group.pel.get(id)
    if delivery is None and not (force and id in stream):
        return -1
    count = 0 if delivery is None else delivery.count
    if retry_count >= 0:
        return retry_count
    if mode == b"FATAL":
        return MAX_COUNT
    return count - 1 if mode == b"SILENT" and count else count


def _by_count(counts: dict[int, int]) -> dict[int, list[int]]:
    ids: dict[int, list[int]] = {}
    for id, count in counts.items():
        ids.setdefault(count, []).append(id)
    return ids


def _effects_for_7_0(args: list[bytes], released: dict[int, int]) -> list[list[bytes]]:
    """Returns what XNACK did for servers that have no entries without an owner; `released` has deliveries by ID."""
    return [pending_effect(args[1], args[2], RELEASED, alike, 0, count) for count, alike in _by_count(released).items()]


class _Nacking:
    """One XNACK in a group under a policy, and its effects.

    What is released becomes pending without an owner; `delayed` entries keep theirs, with a time of delivery that makes
    them due then. `dead` ones are buried here, while it is known who had them.
    """

    __slots__ = ("_args", "_governed", "_group", "_session", "_stream", "dead", "delayed", "released")

    def __init__(
        self, session: Client, args: list[bytes], stream: Stream, group: Group, governed: GovernedGroup
    ) -> None:
        self._session = session
        self._args = args
        self._stream = stream
        self._group = group
        self._governed = governed
        self.dead: set[int] = set()
        self.released: dict[int, int] = {}
        self.delayed: list[list[bytes]] = []

    def nack(self, id: int, count: int, delay: int) -> None:
        """Returns one entry to the group, as delivered `count` times; `delay` is -1 if it is due at once."""
        group, governed = self._group, self._governed
        delivery = group.pel.get(id)
        owner = None if delivery is None else delivery.consumer
        if governed.is_dead(count):
            if delivery is None:
                group.release(id, count)
            delivered = 0 if delivery is None else delivery.count
            reason = REJECTED if count == MAX_COUNT else UNACKNOWLEDGED % count
            dying = Dying(id, b"" if owner is None else owner.name, delivered, reason)
            if governed.bury(self._stream, group, dying):
                self.dead.add(id)
                return
        if delay < 0 or governed.is_dead(count):
            group.release(id, count)
            self.released[id] = count
            return
        if owner is None:
            # A time needs an owner.
            owner = consumer_of(self._session, self._args[1], group, RELEASED)
        time = self._session.broker.clock.now + delay - governed.policy.wait(count)
        group.claim(id, owner, time, count)
        self.delayed.append(pending_effect(self._args[1], self._args[2], owner.name, [id], time, count))

    def propagate(self) -> None:
        """Propagates what was done, where that is not the command itself."""
        if not self.dead and not self.delayed and self._session.broker.config.replication_compat != REDIS_7_0:
            return
        effects = self._session.db.keyspace.effects
        effects.replace_with(*self.delayed)
        if self._session.broker.config.replication_compat == REDIS_7_0:
            effects.replace_with(*_effects_for_7_0(self._args, self.released))
            return
        for count, ids in _by_count(self.released).items():
            effects.replace_with([b"XNACK", self._args[1], self._args[2], b"FAIL", b"IDS", b"%d" % len(ids),
                                  *map(format_id, ids), b"RETRYCOUNT", b"%d" % count, b"FORCE"])  # fmt: skip
