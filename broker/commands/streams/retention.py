"""The policies of streams, in brokers with `stream-extensions`: XCFGSET with what a stream may hold."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.streams.policies import TOO_MANY
from broker.commands.streams.producers import ONCE, VALUES, configure_producers, xcfgset
from broker.policies.governed_stream import ONE_GROUP
from broker.policies.policies import MAX_POLICIES
from broker.policies.policy_hash import store
from broker.table.arguments import at_least, integer
from broker.table.command import FAST, RW, UPDATE, WRITE, command, key
from broker.table.parsers import Parser
from broker.values.streams.stream import Stream
from broker.values.streams.stream_policy import MAX_CHANNELS, OPTIONS, WORKQUEUE, StreamPolicy
from protocol.errors import NO_SUCH_KEY, CommandError
from protocol.replies import OK, array, bulk
from protocol.replies import integer as integer_reply

MAXLEN_NEGATIVE: Final = b"ERR MAXLEN must be zero or a positive integer"
MAXAGE_NEGATIVE: Final = b"ERR MAXAGE must be zero or a positive number of milliseconds"
MAXBYTES_NEGATIVE: Final = b"ERR MAXBYTES must be zero or a positive number of bytes"
CHANNELS_COUNT: Final = b"ERR CHANNELS must have between 0 and %d patterns" % MAX_CHANNELS
CHANNELS_MISMATCH: Final = b"ERR number of patterns doesn't match CHANNELS"

_WORDS: Final = frozenset((b"MAXLEN", b"MAXAGE", b"MAXBYTES", b"RETAIN", b"DISCARD", b"CHANNELS"))


def _patterns(argument: bytes, available: int) -> int:
    count = integer(argument)
    if not 0 <= count <= MAX_CHANNELS:
        raise CommandError(CHANNELS_COUNT)
    if count > available:
        raise CommandError(CHANNELS_MISMATCH)
    return count


_Options = tuple[
    int | None, int | None, int | None, int | None, int | None, bytes | None, bytes | None, list[bytes] | None
]
_OPTIONS: Final = Parser[_Options](
    "XCFGSET", once=ONCE,
    values=VALUES | {"MAXLEN": at_least(0, MAXLEN_NEGATIVE), "MAXAGE": at_least(0, MAXAGE_NEGATIVE),
                     "MAXBYTES": at_least(0, MAXBYTES_NEGATIVE), "CHANNELS": _patterns},
    also="[MAXLEN count] [MAXAGE milliseconds] [MAXBYTES bytes] [RETAIN <LIMITS|INTEREST|WORKQUEUE>]"
         " [DISCARD <OLD|NEW>] [CHANNELS numpatterns pattern ...]",
)  # fmt: skip


@command("XCFGSET", arity=-2, flags=WRITE | FAST, keys=(key(RW, UPDATE),), group="stream", since="8.6.0",
         syntax="key [IDMP-DURATION idmp-duration] [IDMP-MAXSIZE idmp-maxsize] [MAXLEN count] [MAXAGE milliseconds] "
                "[MAXBYTES bytes] [RETAIN retain=<LIMITS|INTEREST|WORKQUEUE>] [DISCARD discard=<OLD|NEW>] "
                "[CHANNELS numpatterns pattern ...]",
         summary="Sets what a stream may hold (0 removes a limit), which messages it captures, and how long and how"
                 " many idempotency IDs it remembers.",
         complexity="O(1), and O(N) where N entries are removed", extension=True)  # fmt: skip
def xcfgset_extended(session: Client, args: list[bytes]) -> bytes:
    if _WORDS.isdisjoint([word.upper() for word in args[2:]]):
        return xcfgset(session, args)
    duration, maxsize, max_len, max_age, max_bytes, retain, discard, channels = _OPTIONS.parse(args, 2)
    db, policies = session.db, session.broker.policies
    name = args[1]
    stream = db.get_as(name, Stream)
    if (duration is not None or maxsize is not None) and stream is None:
        raise CommandError(NO_SUCH_KEY)
    before = policies.stored_for_stream(db, name)
    known = before or StreamPolicy()
    policy = StreamPolicy(
        known.max_len if max_len is None else max_len,
        known.max_age if max_age is None else max_age,
        known.max_bytes if max_bytes is None else max_bytes,
        retain.lower() if retain else known.retain,
        discard.lower() if discard else known.discard,
        known.channels if channels is None else tuple(dict.fromkeys(channels)),
    )
    if policy.retain == WORKQUEUE and stream is not None and len(stream.groups) > 1:
        raise CommandError(ONE_GROUP)
    if before is None and policies.count() >= MAX_POLICIES:
        raise CommandError(TOO_MANY)
    texts = policy.texts()
    store(db, name, texts, [option for option in OPTIONS if option not in texts])
    if stream is not None:
        configure_producers(session, name, stream, duration, maxsize)
    policies.read(db, name)
    governed = db.governed.get(name)
    if governed is not None:
        governed.enforce()
    return OK


def described_stream(policy: StreamPolicy) -> list[tuple[bytes, bytes]]:
    """Returns the names and encoded values of the options that are set, as clients see them."""
    limits = ((b"max-len", policy.max_len), (b"max-age-ms", policy.max_age), (b"max-bytes", policy.max_bytes))
    return [
        *((name, integer_reply(limit)) for name, limit in limits if limit),
        (b"retain", bulk(policy.retain)),
        (b"discard", bulk(policy.discard)),
        *(((b"channels", array([bulk(pattern) for pattern in policy.channels])),) if policy.channels else ()),
    ]
