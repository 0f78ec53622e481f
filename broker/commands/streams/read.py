"""Reading streams: XLEN, XRANGE, XREVRANGE and XREAD, and the options that XREAD shares with XREADGROUP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from broker.broker import Client
from broker.commands.streams.arguments import interval_end, interval_start, strict_id
from broker.table.arguments import at_least, integer, timeout_milliseconds
from broker.table.command import ACCESS, BLOCKING, FAST, INCOMPLETE, READONLY, RO, command, key, keys_behind
from broker.table.parsers import Parser
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
         syntax="key", summary="Returns the number of entries in a stream.", complexity="O(1)")  # fmt: skip
def xlen(session: Client, args: list[bytes]) -> bytes:
    stream = session.db.read_as(args[1], Stream)
    return ZERO if stream is None else integer_reply(stream.length)


@command("XRANGE", arity=-4, flags=READONLY, keys=(key(RO, ACCESS),), group="stream", since="5.0.0",
         syntax="key start:string end [COUNT count]", summary="Returns the entries of a stream in a range of IDs.",
         complexity="O(log S + N) with N of S entries returned")  # fmt: skip
def xrange_(session: Client, args: list[bytes]) -> bytes:
    start = interval_start(args[2])
    end = interval_end(args[3])
    return _range(session, args, start, end, reverse=False)


@command("XREVRANGE", arity=-4, flags=READONLY, keys=(key(RO, ACCESS),), group="stream", since="5.0.0",
         syntax="key end start:string [COUNT count]",
         summary="Returns the entries of a stream in a range of IDs, in reverse order.",
         complexity="O(log S + N) with N of S entries returned")  # fmt: skip
def xrevrange(session: Client, args: list[bytes]) -> bytes:
    start = interval_start(args[3])
    end = interval_end(args[2])
    return _range(session, args, start, end, reverse=True)


def _range(session: Client, args: list[bytes], start: int, end: int, *, reverse: bool) -> bytes:
    [count] = _RANGE_OPTIONS.parse(args, 4)
    stream = session.db.read_as(args[1], Stream)
    if stream is None:
        return EMPTY_ARRAY
    if count is not None and count <= 0:
        return session.resp.null_array
    read = stream.reverse_range if reverse else stream.range
    found, text = read(start, end, count or 0)
    return array_header(found) + text


def _min_idle(argument: bytes) -> int:
    value = integer(argument, MIN_IDLE_NOT_INTEGER)
    if value < 0:
        raise CommandError(MIN_IDLE_NEGATIVE)
    return value


_LIMITS: Final[dict[str, Callable[..., object]]] = {
    "MAXCOUNT": at_least(1, MAXCOUNT_NOT_POSITIVE),
    "MAXSIZE": at_least(1, MAXSIZE_NOT_POSITIVE),
    "BLOCK": timeout_milliseconds,
}
_DEFAULTS: Final = {"COUNT": 0, "MAXCOUNT": 0, "MAXSIZE": 0, "BLOCK": -1}

_RANGE_OPTIONS: Final = Parser[tuple[int | None]]("XRANGE")
_READ_OPTIONS: Final = Parser[tuple[int, int, int, int, int]](
    "XREAD", values=_LIMITS, context=("BLOCK",), defaults=_DEFAULTS, leading=True,
    refused={
        words: _ONLY_GROUPS % words.partition(" ")[0].encode()
        for words in ("GROUP group consumer", "NOACK", "CLAIM min-idle-time")
    },
)  # fmt: skip
_GroupOptions = tuple[int, bytes | None, bytes | None, int, int, int, int, int, bool]
"""The position of STREAMS; group, consumer, COUNT, MAXCOUNT, MAXSIZE, BLOCK, CLAIM, NOACK."""

_GROUP_OPTIONS: Final = Parser[_GroupOptions](
    "XREADGROUP", values=_LIMITS | {"CLAIM": _min_idle}, context=("BLOCK",), defaults=_DEFAULTS | {"CLAIM": -1},
    required=("group-block",), leading=True,
)  # fmt: skip
_MAX_REMEMBERED: Final = 512
"""Size limit in bytes for arguments kept with their session."""


def group_options(session: Client, args: list[bytes]) -> _GroupOptions:
    """Parses the options of an XREADGROUP; raises.

    A worker repeats its read for new entries word for word. Comparing it with the last one takes a fifth of the time
    of parsing it.
    """
    last = session.last_read
    if last is not None and last[0] == args:
        known: _GroupOptions = last[1]
        return known
    options = _GROUP_OPTIONS.parse(args, 1, _wait_begins(session))
    _check_streams(args, options[0])
    if args[-1] == b">" and sum(map(len, args)) <= _MAX_REMEMBERED:
        session.last_read = args, options
    return options


def _wait_begins(session: Client) -> int:
    """Returns the time that BLOCK counts from; 0 for a client that already waits, whose timeout has been checked."""
    return session.broker.clock.now if session.waiting is None else 0


def _check_streams(args: list[bytes], at: int) -> None:
    """Raises unless STREAMS and at least one more argument are at `at`, where the options end."""
    if at >= len(args) - 1 or args[at].upper() != b"STREAMS":
        raise CommandError(SYNTAX)


class Sources:
    """The streams of an XREAD or XREADGROUP, and the limits on what may be read, 0 for those not given.

    `keys` and `ids` are parallel.
    """

    __slots__ = ("count", "ids", "keys", "maxcount", "maxsize")

    def __init__(self, args: list[bytes], at: int, count: int, maxcount: int, maxsize: int, unbalanced: bytes) -> None:
        """`at` is the position of STREAMS. Raises."""
        trailing = len(args) - at - 1
        if trailing & 1:
            raise CommandError(unbalanced)
        middle = at + 1 + trailing // 2
        self.keys = args[at + 1 : middle]
        self.ids = args[middle:]
        self.count = max(count, 0)
        self.maxcount = maxcount
        self.maxsize = maxsize

    def check(self) -> None:
        """Checks the limits against each other, which Redis does last. Raises."""
        if self.maxcount and self.count and self.maxcount < self.count:
            raise CommandError(MAXCOUNT_BELOW_COUNT)

    def limit(self, total: int) -> int:
        """Returns how many entries to read from the next stream after `total` from others; 0 means no limit."""
        if not self.maxcount:
            return self.count
        left = self.maxcount - total
        return left if not self.count or left < self.count else self.count


_WORDS: Final = dict.fromkeys((b"COUNT", b"BLOCK", b"CLAIM", b"MAXCOUNT", b"MAXSIZE"), 2) | {b"NOACK": 1, b"GROUP": 3}


def find_read_keys(args: list[bytes]) -> list[int]:
    """Returns the positions of XREAD's and XREADGROUP's keys; a group, a consumer or a key may be named STREAMS, too.

    Parsed by hand, because Redis finds keys even in arguments that it would refuse.
    """
    i = 1
    while i < len(args):
        word = args[i].upper()
        if word == b"STREAMS":
            count = len(args) - i - 1
            return [] if count & 1 else list(range(i + 1, i + 1 + count // 2))
        if word not in _WORDS:
            break
        i += _WORDS[word]
    return []


def look_up_again(session: Client, name: bytes, stream: Stream | None) -> None:
    """Counts the second lookup that Redis makes for each key it reads from."""
    if stream is None:
        session.db.read(name)
    else:
        session.db.keyspace.hits += 1


def one_stream(session: Client, name: bytes, count: int, entries: bytes) -> bytes:
    """The reply of a read that found entries in one stream."""
    head = b"%1\r\n" if session.resp.version > 2 else b"*1\r\n*2\r\n"
    return head + bulk(name) + array_header(count) + entries


class ReadReply:
    """Builds the reply to XREAD and XREADGROUP: streams with their entries.

    `total` is the number of entries, `size` the number of bytes as Redis counts them for MAXSIZE.
    """

    __slots__ = ("_flat", "_maxcount", "_maxsize", "_parts", "_served", "_session", "size", "total")

    def __init__(self, session: Client, wanted: Sources) -> None:
        self._session = session
        self._flat = session.resp.version > 2
        self._maxcount = wanted.maxcount
        self._maxsize = wanted.maxsize
        self._parts: list[bytes] = []
        self._served = 0
        self.total = 0
        self.size = 0

    def full(self) -> bool:
        """Whether MAXCOUNT or MAXSIZE forbids another stream."""
        return bool(self._maxcount and self.total >= self._maxcount) or self.oversized(0)

    def oversized(self, more: int) -> bool:
        """Whether MAXSIZE forbids another entry, `more` having been taken since the last stream ended."""
        return self._maxsize > 0 and self.total + more > 0 and self.size >= self._maxsize

    def begin(self, name: bytes) -> None:
        """Starts a stream."""
        head = bulk(name) if self._flat else b"*2\r\n" + bulk(name)
        self._parts.append(head)
        self.size += len(head)
        self._served += 1

    def withdraw(self) -> None:
        """Takes back the start of a stream that turns out to have no entries to read."""
        self.size -= len(self._parts.pop())
        self._served -= 1

    def end(self, count: int, text: bytes) -> None:
        """Adds a stream's entries; with MAXSIZE their bytes are already in `size`."""
        header = array_header(count)
        self._parts += (header, text)
        self.size += len(header)
        self.total += count

    def encoded(self) -> bytes:
        """Returns the whole reply, b"" if no stream was started."""
        if not self._served:
            return b""
        header = self._session.resp.map_header(self._served) if self._flat else array_header(self._served)
        return header + b"".join(self._parts)


@command("XREAD", arity=-4, flags=BLOCKING | READONLY,
         keys=(keys_behind(b"STREAMS", RO, ACCESS, INCOMPLETE, limit=2),), find_keys=find_read_keys, group="stream",
         since="5.0.0",
         syntax="[COUNT count] [MAXCOUNT maxcount]@8.10.0 [MAXSIZE maxsize]@8.10.0 [BLOCK milliseconds] "
                "STREAMS key ... id ...",
         summary="Returns the entries of streams above the given IDs; BLOCK waits if there are none.",
         complexity="O(log S + N) for each stream, with N of S entries returned")  # fmt: skip
def xread(session: Client, args: list[bytes]) -> bytes:
    at, count, maxcount, maxsize, block = _READ_OPTIONS.parse(args, 1, _wait_begins(session))
    _check_streams(args, at)
    wanted = Sources(args, at, count, maxcount, maxsize, UNBALANCED)
    wanted.check()
    db = session.db
    sources: list[tuple[bytes, Stream | None, int]] = []
    for name, text in zip(wanted.keys, wanted.ids, strict=True):
        stream = db.read_as(name, Stream)
        sources.append((name, stream, _after(stream, text)))
    if len(sources) == 1 and not maxsize:
        name, stream, after = sources[0]
        look_up_again(session, name, stream)
        if stream is not None and after < stream.last_id:
            found, entries = stream.range(after + 1, MAX_ID, wanted.limit(0))
            if found:
                return one_stream(session, name, found, entries)
    else:
        encoded = _read_several(session, wanted, sources)
        if encoded:
            return encoded
    nil = session.resp.null_array
    if block < 0:
        return nil
    if b"$" in wanted.ids:
        # `$` is resolved when the wait begins.
        ids = [format_id(source[2]) if text == b"$" else text for source, text in zip(sources, wanted.ids, strict=True)]
        args = args[: -len(ids)] + ids
    return session.broker.blocking.wait(
        session, xread, args, keys=wanted.keys, value_type=Stream, timeout_ms=block, timeout_reply=nil
    )


def _read_several(session: Client, wanted: Sources, sources: list[tuple[bytes, Stream | None, int]]) -> bytes:
    """Returns the reply from several streams, or with MAXSIZE; b"" if there are no entries."""
    reply = ReadReply(session, wanted)
    for name, stream, after in sources:
        if reply.full():
            break
        look_up_again(session, name, stream)
        if stream is None:
            continue
        limit = wanted.limit(reply.total)
        if wanted.maxsize:
            _read_bounded(reply, name, stream, after, limit)
            continue
        count, entries = stream.range(after + 1, MAX_ID, limit)
        if count:
            reply.begin(name)
            reply.end(count, entries)
    return reply.encoded()


def _after(stream: Stream | None, text: bytes) -> int:
    """Returns the ID that XREAD's `text` means; entries above it are read. Raises."""
    if text == b"$":
        return 0 if stream is None else stream.last_id
    if text == b"+":
        return 0 if stream is None or not stream.length else stream.top_id() - 1
    if text == b">":
        raise CommandError(NEW_WITHOUT_GROUP)
    return strict_id(text)


def _read_bounded(reply: ReadReply, name: bytes, stream: Stream, after: int, limit: int) -> None:
    """Reads one stream entry by entry, as far as MAXSIZE allows."""
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
