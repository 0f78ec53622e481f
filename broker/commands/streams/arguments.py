"""Arguments that stream commands share: IDs, trimming options, lists of IDs, and their errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from broker.broker import Client
from broker.keyspace.database import Database
from broker.keyspace.events import STREAM, Event
from broker.table.arguments import MAX_INTEGER, integer, integer_between
from broker.table.parsers import Parser
from broker.values.streams.group import Consumer, Group
from broker.values.streams.ids import MAX_ID, MAX_PART, format_id, parse_id
from broker.values.streams.stream import Stream
from broker.values.streams.trim import References, Removal, trim_by_id, trim_by_length, trim_effect
from protocol.errors import NOT_INTEGER, SYNTAX, CommandError, wrong_form

INVALID_ID: Final = b"ERR Invalid stream ID specified as stream command argument"
INVALID_START: Final = b"ERR invalid start ID for the interval"
INVALID_END: Final = b"ERR invalid end ID for the interval"
BOTH_STRATEGIES: Final = b"ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
NEGATIVE_MAXLEN: Final = b"ERR The MAXLEN argument must be >= 0."
NEGATIVE_LIMIT: Final = b"ERR The LIMIT argument must be >= 0."
LIMIT_WITHOUT_STRATEGY: Final = b"ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
LIMIT_WITHOUT_TILDE: Final = b"ERR syntax error, LIMIT cannot be used without the special ~ option"
NO_STRATEGY: Final = b"ERR syntax error, XTRIM must be called with a trimming strategy"
NUMIDS_NOT_POSITIVE: Final = b"ERR Number of IDs must be a positive integer"
NUMIDS_MISMATCH: Final = b"ERR The `numids` parameter must match the number of arguments"
IDS_REQUIRED: Final = b"ERR IDS option is required"

XGROUP_CREATECONSUMER: Final = Event(STREAM, b"xgroup-createconsumer")

POLICIES: Final = {b"KEEPREF": References.KEEP, b"DELREF": References.DELETE, b"ACKED": References.ACKED}


def strict_id(argument: bytes, missing_seq: int = 0) -> int:
    """Parses a stream ID other than `-` and `+`; raises."""
    id = parse_id(argument, missing_seq)
    if id < 0:
        raise CommandError(INVALID_ID)
    return id


def strict_ids(arguments: list[bytes]) -> list[int]:
    """Parses stream IDs; raises if one is invalid."""
    ids = [parse_id(argument) for argument in arguments]
    if min(ids) < 0:
        raise CommandError(INVALID_ID)
    return ids


def any_id(argument: bytes, missing_seq: int = 0) -> int:
    """Parses a stream ID, `-` being the lowest and `+` the highest; raises."""
    if argument == b"-":
        return 0
    if argument == b"+":
        return MAX_ID
    return strict_id(argument, missing_seq)


def interval_start(argument: bytes) -> int:
    """Parses the first ID of a range: an ID, `-`, `+`, or an ID to start after (`(1-0`); raises."""
    id = parse_id(argument)
    if id >= 0:
        return id
    if argument[:1] == b"(" and len(argument) > 1:
        id = strict_id(argument[1:])
        if id == MAX_ID:
            raise CommandError(INVALID_START)
        return id + 1
    return any_id(argument)


def interval_end(argument: bytes) -> int:
    """Parses the last ID of a range, like `interval_start`; milliseconds alone include all their entries."""
    if argument == b"+":
        return MAX_ID
    if argument[:1] == b"(" and len(argument) > 1:
        id = strict_id(argument[1:], MAX_PART)
        if id == 0:
            raise CommandError(INVALID_END)
        return id - 1
    return any_id(argument, MAX_PART)


class Trimming:
    """The trimming options of XADD and XTRIM; `by_id` or `by_length` is the threshold, the other one -1.

    `policy` is the token of the policy on references as given, b"" for none; `removal` is what went under it.

    Parsed by hand: anything that is not a complete option is XADD's ID, a threshold may follow a `=` or `~`, and LIMIT
    may precede the strategy that it belongs to.
    """

    __slots__ = ("approximate", "by_id", "by_length", "limit", "limit_given", "policy", "removal")

    def __init__(self) -> None:
        self.by_length = -1
        self.by_id = -1
        self.approximate = False
        self.limit = 0
        self.limit_given = False
        self.policy = b""
        self.removal: Removal | None = None

    def take(self, args: list[bytes], i: int) -> int:
        """Parses the option at `i`; returns the position after it, or `i` if it is not a trimming option. Raises."""
        option = args[i].upper()
        more = len(args) - 1 - i
        if option in (b"MAXLEN", b"MINID") and more:
            if self.by_length >= 0 or self.by_id >= 0:
                raise CommandError(BOTH_STRATEGIES)
            self.approximate = False
            i += 1
            if more >= 2 and args[i] in (b"~", b"="):
                self.approximate = args[i] == b"~"
                i += 1
            if option == b"MINID":
                self.by_id = strict_id(args[i])
            else:
                self.by_length = integer(args[i])
                if self.by_length < 0:
                    raise CommandError(NEGATIVE_MAXLEN)
            return i + 1
        if option == b"LIMIT" and more:
            self.limit = integer(args[i + 1])
            if self.limit < 0:
                raise CommandError(NEGATIVE_LIMIT)
            self.limit_given = True
            return i + 2
        if option in POLICIES and not self.policy:
            self.policy = option
            return i + 1
        return i

    def check(self, required: bool) -> None:
        """Checks the options against each other once all are taken; raises if `required` and no strategy is given."""
        given = self.by_length >= 0 or self.by_id >= 0
        if self.limit and not given:
            raise CommandError(LIMIT_WITHOUT_STRATEGY)
        if required and not given:
            raise CommandError(NO_STRATEGY)
        if self.limit_given and not self.approximate:
            raise CommandError(LIMIT_WITHOUT_TILDE)

    def apply(self, stream: Stream) -> int:
        """Trims the stream and returns the number of entries removed."""
        policy = POLICIES[self.policy] if self.policy else References.KEEP
        limit = self.limit if self.limit_given else None
        if policy is not References.KEEP:
            self.removal = Removal()
        if self.by_id >= 0:
            return trim_by_id(stream, self.by_id, self.approximate, limit, policy, self.removal)
        if self.by_length >= 0:
            return trim_by_length(stream, self.by_length, self.approximate, limit, policy, self.removal)
        return 0

    def is_exact(self) -> bool:
        """Whether the options as given do the same at any time, and are known to Redis 5."""
        return not (self.approximate or self.policy)

    def effects(self, key: bytes, stream: Stream, older: bool) -> list[list[bytes]]:
        """Returns the commands that remove exactly what was just removed.

        They have no policy, which Redis knows only since 8.2. If ACKED has passed over entries, XDEL removes those
        behind, and XSETID restores the max-deleted-entry-id. It can't restore that nothing was ever deleted, so then
        the policy is needed after all; if `older` servers must understand it, an ID below all others has to do.
        """
        effect = trim_effect(key, stream)
        removal = self.removal
        if removal is None:
            return [effect]
        if self.policy == b"ACKED" and stream.length and stream.first_id < removal.ids[-1]:
            if not (stream.max_deleted_id or older):
                return [[*effect, self.policy]]
            max_deleted_id = format_id(stream.max_deleted_id or 1)
            return [
                [b"XDEL", key, *map(format_id, removal.ids)],
                [b"XSETID", key, format_id(stream.last_id), b"MAXDELETEDID", max_deleted_id],
            ]
        return [effect, *acknowledgements(key, removal.references)]


def acknowledgements(key: bytes, pending: dict[bytes, list[int]]) -> list[list[bytes]]:
    """Returns an XACK for each group whose references to these entries were removed."""
    return [[b"XACK", key, group, *map(format_id, ids)] for group, ids in pending.items()]


def counted(not_positive: bytes, mismatch: bytes, most: int = MAX_INTEGER) -> Callable[[bytes, int], int]:
    """Returns a converter for the count before a list of arguments, which checks it against the list's length."""

    def convert(argument: bytes, available: int) -> int:
        count = integer_between(argument, 1, most, not_positive)
        if count > available:
            raise CommandError(mismatch)
        return count

    return convert


_POLICY_AND_IDS: Final = Parser[tuple[bytes, list[bytes] | None]](
    "XDELEX", required=("ids",), once={"condition": SYNTAX},
    values={"IDS": counted(NUMIDS_NOT_POSITIVE, NUMIDS_MISMATCH)},
)  # fmt: skip


def policy_and_ids(args: list[bytes], start: int) -> tuple[References, list[bytes]]:
    """Parses `[KEEPREF|DELREF|ACKED] IDS numids id...` of XDELEX and XACKDEL, but not the IDs themselves. Raises."""
    policy, ids = _POLICY_AND_IDS.parse(args, start)
    if ids is None:
        raise CommandError(IDS_REQUIRED)
    return POLICIES[policy] if policy else References.KEEP, ids


def shown(name: bytes) -> bytes:
    """A name in an error text: Redis prints it as a C string, up to a zero byte."""
    return name.split(b"\0", 1)[0]


def no_key_or_group(key: bytes, group: bytes, suffix: bytes = b"") -> CommandError:
    """The error for a missing key or a missing group in it."""
    return CommandError(b"NOGROUP No such key '%b' or consumer group '%b'%b" % (shown(key), shown(group), suffix))


def no_group(key: bytes, group: bytes) -> CommandError:
    """The error for a key that exists but does not have the group."""
    return CommandError(b"NOGROUP No such consumer group '%b' for key name '%b'" % (shown(group), shown(key)))


def bad_subcommand(args: list[bytes]) -> CommandError:
    """The error for a subcommand with invalid options."""
    return CommandError(wrong_form(args))


def positive_or_zero(argument: bytes) -> int:
    """Parses a COUNT; a negative one counts as 0."""
    return max(integer(argument, NOT_INTEGER), 0)


def consumer_of(session: Client, key: bytes, group: Group, name: bytes) -> Consumer:
    """Returns the consumer `name`, created if it does not exist, and marks it as seen now."""
    consumer = group.consumers.get(name)
    now = session.broker.clock.now
    if consumer is None:
        consumer = group.create_consumer(name, now)
        session.db.keyspace.dirty += 1
        session.db.notify(XGROUP_CREATECONSUMER, key)
    consumer.seen_time = now
    return consumer


def signal_ready(db: Database, key: bytes) -> None:
    """Makes the clients that wait for `key` try again, although nothing that concerns WATCH has changed."""
    if key in db.waiters:
        db.keyspace.ready[(db, key)] = None
