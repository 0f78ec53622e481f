"""Reading streams: XLEN, XRANGE, XREVRANGE and XREAD, and the options that XREAD shares with XREADGROUP."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.streams.arguments import interval_end, interval_start, positive_or_zero, strict_id
from broker.table.arguments import integer, timeout_milliseconds
from broker.table.command import ACCESS, BLOCKING, FAST, INCOMPLETE, READONLY, RO, command, key, keys_behind
from broker.values.streams.ids import MAX_ID, format_id
from broker.values.streams.stream import Stream
from protocol.errors import SYNTAX, CommandError
from protocol.replies import EMPTY_ARRAY, ZERO, array_header, bulk
from protocol.replies import integer as integer_reply

_ONLY_GROUPS: Final = b"ERR The %b option is only supported by XREADGROUP. You called XREAD instead."
MIN_IDLE_NOT_INTEGER: Final = b"ERR min-idle-time is not an integer or out of range"
MIN_IDLE_NEGATIVE: Final = b"ERR min-idle-time must be a positive integer"
MAXCOUNT_NOT_POSITIVE: Final = b"ERR MAXCOUNT must be a positive integer"
MAXSIZE_NOT_POSITIVE: Final = b"ERR MAXSIZE must be a positive integer"
MAXCOUNT_BELOW_COUNT: Final = b"ERR MAXCOUNT must be greater than or equal to COUNT"
UNBALANCED: Final = b"ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified."
UNBALANCED_GROUP: Final = (
    b"ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified."
)
MISSING_GROUP: Final = b"ERR Missing GROUP option for XREADGROUP"
NEW_WITHOUT_GROUP: Final = (
    b"ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
)


@command("XLEN", arity=2, flags=READONLY | FAST, keys=(key(RO),), group="stream", since="5.0.0",
         syntax="key", summary="Gives the number of entries in a stream.", complexity="O(1)")  # fmt: skip
def xlen(session: Client, args: list[bytes]) -> bytes:
    stream = session.db.read_as(args[1], Stream)
    return ZERO if stream is None else integer_reply(stream.length)


@command("XRANGE", arity=-4, flags=READONLY, keys=(key(RO, ACCESS),), group="stream", since="5.0.0",
         syntax="key start:string end [COUNT count]", summary="Gives the entries of a stream within a range of IDs.",
         complexity="O(log S + N) with N entries given of S")  # fmt: skip
def xrange_(session: Client, args: list[bytes]) -> bytes:
    start = interval_start(args[2])
    end = interval_end(args[3])
    return _range(session, args, start, end, reverse=False)


@command("XREVRANGE", arity=-4, flags=READONLY, keys=(key(RO, ACCESS),), group="stream", since="5.0.0",
         syntax="key end start:string [COUNT count]",
         summary="Gives the entries of a stream within a range of IDs, last first.",
         complexity="O(log S + N) with N entries given of S")  # fmt: skip
def xrevrange(session: Client, args: list[bytes]) -> bytes:
    start = interval_start(args[3])
    end = interval_end(args[2])
    return _range(session, args, start, end, reverse=True)


def _range(session: Client, args: list[bytes], start: int, end: int, *, reverse: bool) -> bytes:
    count = -1
    i = 4
    while i < len(args):
        if args[i].upper() != b"COUNT" or i + 1 == len(args):
            raise CommandError(SYNTAX)
        count = positive_or_zero(args[i + 1])
        i += 2
    stream = session.db.read_as(args[1], Stream)
    if stream is None:
        return EMPTY_ARRAY
    if count == 0:
        return session.resp.null_array
    read = stream.reverse_range if reverse else stream.range
    found, text = read(start, end, max(count, 0))
    return array_header(found) + text


class ReadOptions:
    """The arguments of XREAD and XREADGROUP.

    `count`, `maxcount` and `maxsize` are 0 where not given, `block` and `claim` (milliseconds) -1. `keys` and `ids`
    go together. `plain` is the usual read: one stream, and nothing that makes entries count or change.
    """

    __slots__ = (
        "block",
        "claim",
        "consumer",
        "count",
        "group",
        "ids",
        "keys",
        "maxcount",
        "maxsize",
        "noack",
        "plain",
    )

    def __init__(self) -> None:
        self.count = self.maxcount = self.maxsize = 0
        self.block = self.claim = -1
        self.group: bytes | None = None
        self.consumer = b""
        self.noack = False
        self.keys: list[bytes] = []
        self.ids: list[bytes] = []
        self.plain = False

    def limit(self, total: int) -> int:
        """How many entries the next stream may still give after `total` of others; 0 is no limit."""
        if not self.maxcount:
            return self.count
        left = self.maxcount - total
        return left if not self.count or left < self.count else self.count


_COUNT, _BLOCK, _STREAMS, _GROUP, _NOACK, _CLAIM, _MAXCOUNT, _MAXSIZE = range(1, 9)

_WORDS: Final = {
    b"COUNT": _COUNT, b"BLOCK": _BLOCK, b"STREAMS": _STREAMS, b"GROUP": _GROUP, b"NOACK": _NOACK, b"CLAIM": _CLAIM,
    b"MAXCOUNT": _MAXCOUNT, b"MAXSIZE": _MAXSIZE,
}  # fmt: skip
_ONLY_IN_GROUPS: Final = (_GROUP, _NOACK, _CLAIM)


def find_read_keys(args: list[bytes]) -> list[int]:
    """Where the keys of XREAD and XREADGROUP stand: a group, a consumer or a key may be named STREAMS, too."""
    i = 1
    while i < len(args):
        word = _WORDS.get(args[i].upper(), 0)
        if word == _STREAMS:
            count = len(args) - i - 1
            return [] if count & 1 else list(range(i + 1, i + 1 + count // 2))
        if not word:
            break
        i += 3 if word == _GROUP else 1 if word == _NOACK else 2
    return []


_REPEATED: Final[dict[tuple[bytes, ...], ReadOptions]] = {}
"""Parsed arguments of XREADGROUP for new entries, which workers repeat word for word: 0.8 us less than parsing them."""

_MAX_REPEATED: Final = 4096
_MAX_REPEATED_BYTES: Final = 512
"""A bound on what strangers' arguments can take up here."""


def read_options(session: Client, args: list[bytes], in_group: bool) -> ReadOptions:
    """The arguments of XREAD or (`in_group`) XREADGROUP, not to be changed; raises."""
    if not in_group or args[-1] != b">":
        return _parse_options(session, args, in_group)
    repeated = _REPEATED.get(tuple(args))
    if repeated is None:
        repeated = _parse_options(session, args, in_group)
        if sum(map(len, args)) < _MAX_REPEATED_BYTES:
            if len(_REPEATED) == _MAX_REPEATED:
                _REPEATED.clear()
            _REPEATED[tuple(args)] = repeated
    return repeated


def _parse_options(session: Client, args: list[bytes], in_group: bool) -> ReadOptions:
    options = ReadOptions()
    words = _WORDS
    i = 1
    end = len(args)
    while i < end:
        # Most clients write options in capitals.
        word = words.get(args[i]) or words.get(args[i].upper(), 0)
        more = end - i - 1
        if (not more and word != _NOACK) or not word or (word == _GROUP and more < 2):
            raise CommandError(SYNTAX)
        if word == _STREAMS:
            if more & 1:
                raise CommandError(UNBALANCED_GROUP if in_group else UNBALANCED)
            middle = i + 1 + more // 2
            options.keys = args[i + 1 : middle]
            options.ids = args[middle:]
            break
        if not in_group and word in _ONLY_IN_GROUPS:
            raise CommandError(_ONLY_GROUPS % args[i].upper())
        if word == _GROUP:
            options.group = args[i + 1]
            options.consumer = args[i + 2]
            i += 3
        elif word == _NOACK:
            options.noack = True
            i += 1
        else:
            _take_number(session, options, word, args[i + 1])
            i += 2
    if not options.keys:
        raise CommandError(SYNTAX)
    if in_group and options.group is None:
        raise CommandError(MISSING_GROUP)
    if options.maxcount and options.count and options.maxcount < options.count:
        raise CommandError(MAXCOUNT_BELOW_COUNT)
    options.plain = len(options.keys) == 1 and not options.maxsize and options.claim < 0
    return options


def _take_number(session: Client, options: ReadOptions, word: int, argument: bytes) -> None:
    """Parse an option that has a number as its value; raises."""
    if word == _COUNT:
        options.count = positive_or_zero(argument)
    elif word == _BLOCK:
        options.block = timeout_milliseconds(argument, session.broker.clock.now)
    elif word == _CLAIM:
        options.claim = integer(argument, MIN_IDLE_NOT_INTEGER)
        if options.claim < 0:
            raise CommandError(MIN_IDLE_NEGATIVE)
    elif word == _MAXCOUNT:
        options.maxcount = integer(argument)
        if options.maxcount <= 0:
            raise CommandError(MAXCOUNT_NOT_POSITIVE)
    else:
        options.maxsize = integer(argument)
        if options.maxsize <= 0:
            raise CommandError(MAXSIZE_NOT_POSITIVE)


def look_up_again(session: Client, name: bytes, stream: Stream | None) -> None:
    """Count the second look-up that Redis makes for each key it reads from."""
    if stream is None:
        session.db.read(name)
    else:
        session.db.keyspace.hits += 1


def one_stream(session: Client, name: bytes, count: int, entries: bytes) -> bytes:
    """The reply of a read that found entries in one stream."""
    head = b"%1\r\n" if session.resp.version > 2 else b"*1\r\n*2\r\n"
    return head + bulk(name) + array_header(count) + entries


class ReadReply:
    """The reply to XREAD and XREADGROUP while it grows: streams with their entries.

    `total` counts entries; `size` the bytes as Redis counts them against MAXSIZE.
    """

    __slots__ = ("_flat", "_maxcount", "_maxsize", "_parts", "_served", "_session", "size", "total")

    def __init__(self, session: Client, options: ReadOptions) -> None:
        self._session = session
        self._flat = session.resp.version > 2
        self._maxcount = options.maxcount
        self._maxsize = options.maxsize
        self._parts: list[bytes] = []
        self._served = 0
        self.total = 0
        self.size = 0

    def full(self) -> bool:
        """Whether MAXCOUNT or MAXSIZE forbid a further stream."""
        return bool(self._maxcount and self.total >= self._maxcount) or self.oversized(0)

    def oversized(self, more: int) -> bool:
        """Whether MAXSIZE forbids a further entry, `more` having been taken since the last stream ended."""
        return self._maxsize > 0 and self.total + more > 0 and self.size >= self._maxsize

    def begin(self, name: bytes) -> None:
        """Start a stream."""
        head = bulk(name) if self._flat else b"*2\r\n" + bulk(name)
        self._parts.append(head)
        self.size += len(head)
        self._served += 1

    def end(self, count: int, text: bytes) -> None:
        """Put a stream's entries; their bytes are in `size` already where MAXSIZE is given."""
        header = array_header(count)
        self._parts += (header, text)
        self.size += len(header)
        self.total += count

    def encoded(self) -> bytes:
        """The whole reply; b"" where no stream was started."""
        if not self._served:
            return b""
        header = self._session.resp.map_header(self._served) if self._flat else array_header(self._served)
        return header + b"".join(self._parts)


@command("XREAD", arity=-4, flags=BLOCKING | READONLY,
         keys=(keys_behind(b"STREAMS", RO, ACCESS, INCOMPLETE, limit=2),), find_keys=find_read_keys, group="stream",
         since="5.0.0",
         syntax="[COUNT count] [MAXCOUNT maxcount]@8.10.0 [MAXSIZE maxsize]@8.10.0 [BLOCK milliseconds] "
                "STREAMS key ... id ...",
         summary="Gives the entries of streams above given IDs, and waits for some where there are none.",
         complexity="O(log S + N) for each stream, with N entries given of S")  # fmt: skip
def xread(session: Client, args: list[bytes]) -> bytes:
    options = read_options(session, args, in_group=False)
    db = session.db
    sources: list[tuple[bytes, Stream | None, int]] = []
    for name, text in zip(options.keys, options.ids, strict=True):
        stream = db.read_as(name, Stream)
        sources.append((name, stream, _after(stream, text)))
    if options.plain:
        name, stream, after = sources[0]
        look_up_again(session, name, stream)
        if stream is not None and after < stream.last_id:
            count, entries = stream.range(after + 1, MAX_ID, options.limit(0))
            if count:
                return one_stream(session, name, count, entries)
    else:
        encoded = _read_several(session, options, sources)
        if encoded:
            return encoded
    nil = session.resp.null_array
    if options.block < 0:
        return nil
    if b"$" in options.ids:
        # What `$` means is settled when the wait begins.
        ids = [
            format_id(source[2]) if text == b"$" else text for source, text in zip(sources, options.ids, strict=True)
        ]
        args = args[: -len(ids)] + ids
    return session.broker.blocking.wait(
        session, xread, args, keys=options.keys, kind=Stream, timeout_ms=options.block, nil=nil
    )


def _read_several(session: Client, options: ReadOptions, sources: list[tuple[bytes, Stream | None, int]]) -> bytes:
    """The reply from several streams, or with MAXSIZE; b"" where there are no entries."""
    reply = ReadReply(session, options)
    for name, stream, after in sources:
        if reply.full():
            break
        look_up_again(session, name, stream)
        if stream is None:
            continue
        limit = options.limit(reply.total)
        if options.maxsize:
            _read_bounded(reply, name, stream, after, limit)
            continue
        count, entries = stream.range(after + 1, MAX_ID, limit)
        if count:
            reply.begin(name)
            reply.end(count, entries)
    return reply.encoded()


def _after(stream: Stream | None, text: bytes) -> int:
    """The ID that XREAD's `text` stands for; entries above it are wanted. Raises."""
    if text == b"$":
        return 0 if stream is None else stream.last_id
    if text == b"+":
        return 0 if stream is None or not stream.length else stream.top_id() - 1
    if text == b">":
        raise CommandError(NEW_WITHOUT_GROUP)
    return strict_id(text)


def _read_bounded(reply: ReadReply, name: bytes, stream: Stream, after: int, limit: int) -> None:
    """Read one stream entry by entry, as far as MAXSIZE allows."""
    if not stream.length or stream.top_id() <= after:
        return
    reply.begin(name)
    entries: list[bytes] = []
    for _, entry in stream.entries(after + 1):
        if reply.oversized(len(entries)):
            break
        entries.append(entry)
        reply.size += len(entry)
        if len(entries) == limit:
            break
    reply.end(len(entries), b"".join(entries))
