"""Entries for later, in brokers with `stream-extensions`: XADD with DELAY or AT, and XDEL of such an entry."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.streams.arguments import strict_ids
from broker.commands.streams.write import TOO_LARGE, XDEL, add_options, xadd, xdel
from broker.policies.delayed_entries import MAX_DUE, TooManyDelayed
from broker.table.arguments import integer
from broker.table.command import DELETE, DENYOOM, FAST, RW, UPDATE, WRITE, command, key
from broker.values.streams.stream import EntryTooLarge, Stream
from protocol.errors import SYNTAX, WRONG_TYPE, CommandError, wrong_arity
from protocol.replies import bulk
from protocol.replies import integer as integer_reply

NEEDS_AUTO_ID: Final = b"ERR DELAY and AT need the ID *"
NEGATIVE_DELAY: Final = b"ERR DELAY must be zero or a positive number of milliseconds"
NEGATIVE_TIME: Final = b"ERR AT must be a Unix time in milliseconds"
TOO_LATE: Final = b"ERR an entry can't be delayed for so long"
TOO_MANY: Final = b"ERR too many delayed entries"
INVALID_HANDLE: Final = b"ERR Invalid handle of a delayed entry"

_WORDS_OF_OPTIONS: Final = {
    b"NOMKSTREAM": 1, b"KEEPREF": 1, b"DELREF": 1, b"ACKED": 1, b"MAXLEN": 2, b"MINID": 2, b"LIMIT": 2, b"IDMPAUTO": 2,
    b"IDMP": 3,
}  # fmt: skip


@command("XADD", arity=-5, flags=WRITE | DENYOOM | FAST, keys=(key(RW, UPDATE),), group="stream", since="5.0.0",
         syntax="key [NOMKSTREAM]@6.2.0 [KEEPREF|DELREF|ACKED] idmp=[IDMPAUTO pid|IDMP pid iid]@8.6.0 "
                "time=[DELAY milliseconds|AT unix-time-milliseconds] "
                "trim=[<MAXLEN|MINID@6.2.0> [=|~] threshold [LIMIT count]@6.2.0] id-selector=<*|id> <field value> ...",
         summary="Adds an entry to a stream, which is created if it does not exist, at once or later.",
         complexity="O(1), O(log(N)) with N delayed entries, and O(N) where N entries are trimmed",
         tips=("nondeterministic_output",), extension=True)  # fmt: skip
def xadd_extended(session: Client, args: list[bytes]) -> bytes:
    word = args[2]
    if word == b"*":
        return xadd(session, args)
    now = session.broker.clock.now
    if (word == b"DELAY" or word == b"AT") and args[4] == b"*" and len(args) & 1 and len(args) > 6:
        # The usual form, without the work that options take.
        due = _due(word, args[3], now)
        fields = args[5:]
        options: list[bytes] = []
        if due <= now:
            return xadd(session, [*args[:2], *args[4:]])
    else:
        at = _find_time(args)
        if at < 0:
            return xadd(session, args)
        if at + 1 >= len(args):
            raise CommandError(SYNTAX)
        due = _due(args[at].upper(), args[at + 1], now)
        if len(args) < 7:
            raise CommandError(wrong_arity(b"xadd"))
        plain = args[:at] + args[at + 2 :]
        end = _check_options(plain)
        if due <= now:
            return xadd(session, plain)
        fields = plain[end + 1 :]
        options = plain[2:end]
        if len(fields) < 2 or len(fields) & 1:
            raise CommandError(wrong_arity(b"xadd"))
    db, name = session.db, args[1]
    value = db.get(name)
    if value is not None and type(value) is not Stream:
        raise CommandError(WRONG_TYPE)
    try:
        number = session.broker.delayed.add(db, name, due, fields, options)
    except TooManyDelayed:
        raise CommandError(TOO_MANY) from None
    except EntryTooLarge:
        raise CommandError(TOO_LARGE) from None
    return bulk(b"@%d-%d" % (due, number))


def _check_options(plain: list[bytes]) -> int:
    """Checks the options of an XADD, given without its time; returns the position of the ID, which must be `*`."""
    if _find_time(plain) >= 0:
        raise CommandError(SYNTAX)
    options, end = add_options(plain)
    if options.id >= 0 or options.producer is not None:
        raise CommandError(NEEDS_AUTO_ID)
    options.check(required=False)
    return end


def _find_time(args: list[bytes]) -> int:
    """Returns the position of the first DELAY or AT among XADD's options, -1 without one."""
    at = 2
    while at < len(args):
        word = args[at].upper()
        if word == b"DELAY" or word == b"AT":
            return at
        words = _WORDS_OF_OPTIONS.get(word, 0)
        if not words:
            return -1
        if words == 2 and at + 1 < len(args) and args[at + 1] in (b"~", b"="):
            words = 3
        at += words
    return -1


def _due(word: bytes, text: bytes, now: int) -> int:
    """Returns the time that DELAY or AT names; raises."""
    number = integer(text)
    if word == b"DELAY":
        if number < 0:
            raise CommandError(NEGATIVE_DELAY)
        number += now
    elif number < 0:
        raise CommandError(NEGATIVE_TIME)
    if number > MAX_DUE:
        raise CommandError(TOO_LATE)
    return number


@command("XDEL", arity=-3, flags=WRITE | FAST, keys=(key(RW, DELETE),), group="stream", since="5.0.0",
         syntax="key id ...", summary="Removes entries from a stream, also those that are to be added later.",
         complexity="O(1) for each entry, O(log(N)) with N delayed entries", extension=True)  # fmt: skip
def xdel_extended(session: Client, args: list[bytes]) -> bytes:
    handles = [_handle(text) for text in args[2:] if text[:1] == b"@"]
    if not handles:
        return xdel(session, args)
    texts = [text for text in args[2:] if text[:1] != b"@"]
    ids = strict_ids(texts) if texts else []
    db, name = session.db, args[1]
    stream = db.get_as(name, Stream)
    deleted = 0
    if stream is not None:
        for id in ids:
            deleted += stream.delete(id)
    effects = []
    if deleted:
        db.changed(name, XDEL, deleted)
        effects.append([b"XDEL", name, *texts])
    cancelled = session.broker.delayed.cancel(db, name, handles)
    effects += cancelled
    if effects:
        db.keyspace.effects.replace_with(*effects)
    return integer_reply(deleted + sum(len(effect) - 2 for effect in cancelled))


def _handle(text: bytes) -> tuple[int, int]:
    """Returns when an entry is due, and its number; raises."""
    due, _, number = text[1:].partition(b"-")
    if not (due.isdigit() and number.isdigit() and len(due) <= 16 and len(number) <= 19):
        raise CommandError(INVALID_HANDLE)
    return int(due), int(number)
