"""Ranges of sorted sets by rank, score or member: returned, counted, stored or removed."""

from collections.abc import Callable
from typing import Final

from broker.broker import Client
from broker.commands.sorted_sets.replies import entries_reply
from broker.keyspace.events import DEL, ZSET, Event
from broker.table.arguments import integer as integer_argument
from broker.table.command import ACCESS, DELETE, DENYOOM, FAST, OW, READONLY, RO, RW, UPDATE, WRITE, command, key
from broker.table.parsers import Parser
from broker.values.lex_range import LexRange, Span
from broker.values.sorted_set import SortedSet
from protocol.errors import MIN_MAX_NOT_FLOAT, NOT_INTEGER, SYNTAX, CommandError
from protocol.numbers import INFINITY, parse_double, parse_integer
from protocol.replies import EMPTY_ARRAY, ZERO, bulks, integer

ZRANGESTORE: Final = Event(ZSET, b"zrangestore")
ZREMRANGEBYRANK: Final = Event(ZSET, b"zremrangebyrank")
ZREMRANGEBYSCORE: Final = Event(ZSET, b"zremrangebyscore")
ZREMRANGEBYLEX: Final = Event(ZSET, b"zremrangebylex")

NOT_LEX: Final = b"ERR min or max not valid string range item"
LIMIT_WITH_RANKS: Final = b"ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
SCORES_WITH_LEX: Final = b"ERR syntax error, WITHSCORES not supported in combination with BYLEX"

BY_RANK: Final = b""
BY_SCORE: Final = b"BYSCORE"
BY_LEX: Final = b"BYLEX"

_ONCE: Final = {"sortby": SYNTAX, "REV": SYNTAX}
_LIMIT: Final = {"LIMIT": (0, -1)}
_OPTIONS: Final = Parser[tuple[bytes, bool, int, int, bool]]("ZRANGE", once=_ONCE, defaults=_LIMIT)
_STORE_OPTIONS: Final = Parser[tuple[bytes, bool, int, int]]("ZRANGESTORE", once=_ONCE, defaults=_LIMIT)
# All commands that predate ZRANGE's BYSCORE and BYLEX parse these, though some then refuse them as meaningless.
_OLD_OPTIONS: Final = Parser[tuple[bool, int, int]]("ZRANGEBYSCORE", defaults=_LIMIT)

# By far the most frequent bounds: 40 ns instead of parse_double's 100 to 300.
_COMMON_BOUNDS: Final = {b"-inf": -INFINITY, b"+inf": INFINITY, b"inf": INFINITY} | {
    b"%d" % n: float(n) for n in range(1024)
}
_DECIMAL: Final = b"0123456789.+-eE"
_C_SPACE: Final = b" \t\n\v\f\r"


def _bound(text: bytes) -> float:
    """Parses a bound of scores.

    Redis reads it with plain strtod, which accepts more than a score may be: leading white space, an empty text (0),
    numbers out of range (infinity, 0), and anything after a NUL.
    """
    common = _COMMON_BOUNDS.get(text)
    if common is not None:
        return common
    value = parse_double(text)
    if value is not None:
        return value
    text = text.split(b"\0", 1)[0]
    if not text:
        return 0.0
    text = text.lstrip(_C_SPACE)
    value = parse_double(text)
    if value is not None:
        return value
    try:
        if text and not text.translate(None, _DECIMAL):
            return float(text)
        if text[:3].lower().lstrip(b"+-").startswith(b"0x"):
            return float.fromhex(text.decode("ascii"))
    except OverflowError:
        return -INFINITY if text.startswith(b"-") else INFINITY
    except ValueError:
        pass
    raise CommandError(MIN_MAX_NOT_FLOAT)


def _score_finder(low: bytes, high: bytes) -> "Callable[[SortedSet], Span]":
    above = low.startswith(b"(")
    below = high.startswith(b"(")
    first = _bound(low[1:] if above else low)
    last = _bound(high[1:] if below else high)
    return lambda value: value.score_span(first, above, last, below)


def _lex_bound(text: bytes, is_low: bool) -> bytes | None:
    """Parses a bound of members for SortedSet.lex_span."""
    kind = text[:1]
    # `+` and `-` are compared as C strings.
    if kind in (b"+", b"-") and text[1:2] in (b"", b"\0"):
        return None if kind == b"+" else b""
    if kind == b"(":
        return text[1:] + b"\0" if is_low else text[1:]
    if kind == b"[":
        return text[1:] if is_low else text[1:] + b"\0"
    raise CommandError(NOT_LEX)


class _LexBounds:
    """Two bounds of members, and the ranges that they select from a sorted set."""

    __slots__ = ("_high", "_low")

    def __init__(self, low: bytes, high: bytes) -> None:
        self._low = _lex_bound(low, True)
        self._high = _lex_bound(high, False)

    def span(self, value: SortedSet) -> Span | None:
        """Returns the span between the bounds, None if the scores are not all equal."""
        return value.lex_span(self._low, self._high)

    def range_of(self, session: Client, value: SortedSet) -> LexRange:
        """Returns the range for scores that are not all equal."""
        config = session.broker.config
        encoding = value.encoding(config.zset_max_listpack_entries, config.zset_max_listpack_value)
        return LexRange(value, self._low, self._high, encoding == b"listpack")


def _rank_finder(start_text: bytes, stop_text: bytes, reverse: bool = False) -> "Callable[[SortedSet], Span]":
    start = integer_argument(start_text)
    stop = integer_argument(stop_text)

    def find(value: SortedSet) -> Span:
        length = len(value.scores)
        first = max(start + length, 0) if start < 0 else start
        last = min(stop + length if stop < 0 else stop, length - 1)
        if first > last:
            return 0, 0
        return (length - 1 - last, length - first) if reverse else (first, last + 1)

    return find


def _limited(span: Span, length: int, offset: int, limit: int, reverse: bool) -> Span:
    """Returns the part of `span` that LIMIT selects; a negative `limit` means no limit."""
    start, stop = span
    if offset < 0 or (offset and offset >= length):
        return 0, 0
    if reverse:
        stop = max(stop - offset, start)
        return (start if limit < 0 else max(start, stop - limit)), stop
    start = min(start + offset, stop)
    return start, (stop if limit < 0 else min(stop, start + limit))


class _Range:
    """The arguments of a range command from the key on: key, two bounds, options.

    `kind` is BY_SCORE, BY_LEX, or anything else for ranks; without LIMIT, `offset` and `limit` are 0 and -1.
    """

    __slots__ = ("_find", "_lex", "key", "limit", "offset", "reverse", "with_scores")

    def __init__(
        self,
        args: list[bytes],
        at: int,
        kind: bytes,
        reverse: bool,
        with_scores: bool,
        offset: int,
        limit: int,
    ) -> None:
        self.key = args[at]
        self.with_scores = with_scores
        self.offset = offset
        self.limit = limit
        self.reverse = reverse
        if self.limit != -1 and kind not in (BY_SCORE, BY_LEX):
            raise CommandError(LIMIT_WITH_RANKS)
        if self.with_scores and kind == BY_LEX:
            raise CommandError(SCORES_WITH_LEX)
        low, high = args[at + 1], args[at + 2]
        self._lex: _LexBounds | None = None
        self._find: Callable[[SortedSet], Span | None]
        if kind in (BY_SCORE, BY_LEX):
            if self.reverse:
                low, high = high, low
            if kind == BY_LEX:
                self._lex = _LexBounds(low, high)
                self._find = self._lex.span
            else:
                self._find = _score_finder(low, high)
        else:
            self._find = _rank_finder(low, high, self.reverse)
            self.offset, self.limit = 0, -1

    def span(self, session: Client, value: SortedSet) -> Span:
        """Returns the span of ranks that the range selects."""
        span = self._find(value)
        if span is None:
            assert self._lex is not None
            return self._lex.range_of(session, value).span(self.offset, self.limit, self.reverse)
        if self.offset or self.limit >= 0:
            span = _limited(span, len(value.scores), self.offset, self.limit, self.reverse)
        return span


def _reply(session: Client, wanted: _Range) -> bytes:
    value = session.db.read_as(wanted.key, SortedSet)
    if value is None:
        return EMPTY_ARRAY
    start, stop = wanted.span(session, value)
    if wanted.with_scores:
        return entries_reply(session, value.span(start, stop, wanted.reverse), True)
    return bulks(value.members(start, stop, wanted.reverse))


@command("ZRANGE", arity=-4, flags=READONLY, keys=(key(RO, ACCESS),), group="sorted_set", since="1.2.0",
         syntax="key start:string stop:string [BYSCORE|BYLEX]@6.2.0 [REV]@6.2.0 [LIMIT offset count]@6.2.0 "
                "[WITHSCORES]",
         summary="Returns the members in a range of ranks or scores, or in a lexicographical range.",
         complexity="O(log(N)+M) where N is the size of the sorted set and M the number of members returned",
         )  # fmt: skip
def zrange(session: Client, args: list[bytes]) -> bytes:
    if len(args) == 4:
        start = parse_integer(args[2])
        stop = parse_integer(args[3])
        if start is None or stop is None:
            raise CommandError(NOT_INTEGER)
        value = session.db.read_as(args[1], SortedSet)
        # Python's slices take the same ranks, except that an exclusive end can't be negative for the last element.
        return EMPTY_ARRAY if value is None else bulks(value.members(start, stop + 1 or len(value)))
    kind, reverse, offset, count, with_scores = _OPTIONS.parse(args, 4)
    return _reply(session, _Range(args, 1, kind, reverse, with_scores, offset, count))


@command("ZREVRANGE", arity=-4, flags=READONLY, keys=(key(RO, ACCESS),), group="sorted_set", since="1.2.0",
         syntax="key start stop [WITHSCORES]",
         summary="Returns the members in a range of ranks, in reverse order.",
         complexity="O(log(N)+M) where N is the size of the sorted set and M the number of members returned",
         deprecated_since="6.2.0", replaced_by="`ZRANGE` with the `REV` argument")  # fmt: skip
def zrevrange(session: Client, args: list[bytes]) -> bytes:
    return _reply(session, _Range(args, 1, BY_RANK, True, *_OLD_OPTIONS.parse(args, 4)))


@command("ZRANGEBYSCORE", arity=-4, flags=READONLY, keys=(key(RO, ACCESS),), group="sorted_set", since="1.0.5",
         syntax="key min:double max:double [WITHSCORES]@2.0.0 [LIMIT offset count]",
         summary="Returns the members in a range of scores.",
         complexity="O(log(N)+M) where N is the size of the sorted set and M the number of members returned",
         deprecated_since="6.2.0", replaced_by="`ZRANGE` with the `BYSCORE` argument")  # fmt: skip
def zrangebyscore(session: Client, args: list[bytes]) -> bytes:
    return _reply(session, _Range(args, 1, BY_SCORE, False, *_OLD_OPTIONS.parse(args, 4)))


@command("ZREVRANGEBYSCORE", arity=-4, flags=READONLY, keys=(key(RO, ACCESS),), group="sorted_set",
         since="2.2.0",
         syntax="key max:double min:double [WITHSCORES] [LIMIT offset count]",
         summary="Returns the members in a range of scores, in reverse order.",
         complexity="O(log(N)+M) where N is the size of the sorted set and M the number of members returned",
         deprecated_since="6.2.0", replaced_by="`ZRANGE` with the `REV` and `BYSCORE` arguments")  # fmt: skip
def zrevrangebyscore(session: Client, args: list[bytes]) -> bytes:
    return _reply(session, _Range(args, 1, BY_SCORE, True, *_OLD_OPTIONS.parse(args, 4)))


@command("ZRANGEBYLEX", arity=-4, flags=READONLY, keys=(key(RO, ACCESS),), group="sorted_set", since="2.8.9",
         syntax="key min max [LIMIT offset count]",
         summary="Returns the members in a lexicographical range, if all scores are equal.",
         complexity="O(log(N)+M) where N is the size of the sorted set and M the number of members returned",
         deprecated_since="6.2.0", replaced_by="`ZRANGE` with the `BYLEX` argument")  # fmt: skip
def zrangebylex(session: Client, args: list[bytes]) -> bytes:
    return _reply(session, _Range(args, 1, BY_LEX, False, *_OLD_OPTIONS.parse(args, 4)))


@command("ZREVRANGEBYLEX", arity=-4, flags=READONLY, keys=(key(RO, ACCESS),), group="sorted_set", since="2.8.9",
         syntax="key max min [LIMIT offset count]",
         summary="Returns the members in a lexicographical range, in reverse order, if all scores are equal.",
         complexity="O(log(N)+M) where N is the size of the sorted set and M the number of members returned",
         deprecated_since="6.2.0", replaced_by="`ZRANGE` with the `REV` and `BYLEX` arguments")  # fmt: skip
def zrevrangebylex(session: Client, args: list[bytes]) -> bytes:
    return _reply(session, _Range(args, 1, BY_LEX, True, *_OLD_OPTIONS.parse(args, 4)))


@command("ZRANGESTORE", arity=-5, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE), key(RO, ACCESS, at=2)),
         group="sorted_set", since="6.2.0",
         syntax="dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]",
         summary="Stores the members in a range of ranks or scores, or in a lexicographical range.",
         complexity="O(log(N)+M) where N is the size of the sorted set and M the number of members stored",
         )  # fmt: skip
def zrangestore(session: Client, args: list[bytes]) -> bytes:
    kind, reverse, offset, count = _STORE_OPTIONS.parse(args, 5)
    wanted = _Range(args, 2, kind, reverse, False, offset, count)
    db = session.db
    value = db.read_as(wanted.key, SortedSet)
    entries = [] if value is None else value.span(*wanted.span(session, value))
    if entries:
        db.set(args[1], SortedSet({member: score for score, member in entries}))
        db.changed(args[1], ZRANGESTORE)
        return integer(len(entries))
    if db.delete(args[1]):
        db.changed(args[1], DEL)
    return ZERO


@command("ZCOUNT", arity=4, flags=READONLY | FAST, keys=(key(RO, ACCESS),), group="sorted_set", since="2.0.0",
         syntax="key min:double max:double", summary="Counts the members in a range of scores.",
         complexity="O(log(N)) where N is the size of the sorted set")  # fmt: skip
def zcount(session: Client, args: list[bytes]) -> bytes:
    find = _score_finder(args[2], args[3])
    value = session.db.read_as(args[1], SortedSet)
    if value is None:
        return ZERO
    start, stop = find(value)
    return integer(stop - start)


@command("ZLEXCOUNT", arity=4, flags=READONLY | FAST, keys=(key(RO, ACCESS),), group="sorted_set",
         since="2.8.9",
         syntax="key min max",
         summary="Counts the members in a lexicographical range, if all scores are equal.",
         complexity="O(log(N)) where N is the size of the sorted set")  # fmt: skip
def zlexcount(session: Client, args: list[bytes]) -> bytes:
    bounds = _LexBounds(args[2], args[3])
    value = session.db.read_as(args[1], SortedSet)
    if value is None:
        return ZERO
    span = bounds.span(value)
    if span is None:
        return integer(bounds.range_of(session, value).count())
    start, stop = span
    return integer(stop - start)


def _remove(session: Client, name: bytes, find: "Callable[[SortedSet], Span]", event: Event) -> bytes:
    db = session.db
    value = db.get_as(name, SortedSet)
    if value is None:
        return ZERO
    removed = value.remove_span(*find(value))
    if not removed:
        return ZERO
    if value.scores:
        db.changed(name, event, removed)
    else:
        db.delete(name)
        db.changed(name, event, removed)
        db.notify(DEL, name)
    return integer(removed)


@command("ZREMRANGEBYRANK", arity=4, flags=WRITE, keys=(key(RW, DELETE),), group="sorted_set", since="2.0.0",
         syntax="key start stop", summary="Removes the members in a range of ranks.",
         complexity="O(log(N)+M) where N is the size of the sorted set and M the number of members removed",
         )  # fmt: skip
def zremrangebyrank(session: Client, args: list[bytes]) -> bytes:
    return _remove(session, args[1], _rank_finder(args[2], args[3]), ZREMRANGEBYRANK)


@command("ZREMRANGEBYSCORE", arity=4, flags=WRITE, keys=(key(RW, DELETE),), group="sorted_set", since="1.2.0",
         syntax="key min:double max:double", summary="Removes the members in a range of scores.",
         complexity="O(log(N)+M) where N is the size of the sorted set and M the number of members removed",
         )  # fmt: skip
def zremrangebyscore(session: Client, args: list[bytes]) -> bytes:
    return _remove(session, args[1], _score_finder(args[2], args[3]), ZREMRANGEBYSCORE)


@command("ZREMRANGEBYLEX", arity=4, flags=WRITE, keys=(key(RW, DELETE),), group="sorted_set", since="2.8.9",
         syntax="key min max", summary="Removes the members in a lexicographical range, if all scores are equal.",
         complexity="O(log(N)+M) where N is the size of the sorted set and M the number of members removed",
         )  # fmt: skip
def zremrangebylex(session: Client, args: list[bytes]) -> bytes:
    bounds = _LexBounds(args[2], args[3])

    def find(value: SortedSet) -> Span:
        return bounds.span(value) or bounds.range_of(session, value).removal()

    return _remove(session, args[1], find, ZREMRANGEBYLEX)
