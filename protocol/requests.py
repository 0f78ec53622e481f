"""Bytes in, complete requests out: RESP arrays of bulk strings, and inline commands.

This is the reference; `_requests.pyx` is the same in Cython. It follows Redis's rules and error texts, and is stricter
in three points: a length line ends with CRLF (Redis accepts any byte for the LF), so does a bulk (Redis skips two bytes
unread), and a line's limit counts from its first byte, however the bytes arrived.

The parser keeps its place in an incomplete request: complete arguments have left the buffer, and the buffer (a
bytearray, since it grows in place) is examined again only once the bulk's last byte or a line's end has arrived. So
input costs O(n) in pieces of any size, and nothing is allocated for bytes that a length merely announces.
"""

from typing import Final

from protocol.inline import split_line
from protocol.limits import MAX_ARGS, MAX_ARGS_UNAUTHENTICATED, MAX_BULK, MAX_BULK_UNAUTHENTICATED, MAX_INLINE
from protocol.numbers import parse_integer

INVALID_MULTIBULK: Final = b"ERR Protocol error: invalid multibulk length"
INVALID_BULK: Final = b"ERR Protocol error: invalid bulk length"
UNAUTHENTICATED_MULTIBULK: Final = b"ERR Protocol error: unauthenticated multibulk length"
UNAUTHENTICATED_BULK: Final = b"ERR Protocol error: unauthenticated bulk length"
EXPECTED_DOLLAR: Final = b"ERR Protocol error: expected '$', got '%c'"
EXPECTED_CRLF: Final = b"ERR Protocol error: expected CRLF after a bulk"
BIG_MULTIBULK_LINE: Final = b"ERR Protocol error: too big mbulk count string"
BIG_BULK_LINE: Final = b"ERR Protocol error: too big bulk count string"
BIG_INLINE: Final = b"ERR Protocol error: too big inline request"
UNBALANCED_QUOTES: Final = b"ERR Protocol error: unbalanced quotes in request"

_STAR: Final = ord("*")
_DOLLAR: Final = ord("$")
_CR: Final = ord("\r")
_LF: Final = ord("\n")

# The bytes between a request's parts, for the most frequent lengths: one slice and one lookup replace a search and
# the parsing of a number (1.4 us to 0.9 us for a SET).
_SHORT_ARRAYS: Final = {b"*%d\r\n" % n: n for n in range(1, 10)}
_ARRAYS: Final = {b"*%d\r\n" % n: n for n in range(10, 100)}
_BULKS_1: Final = {b"\r\n$%d\r\n" % n: n for n in range(10)}
_BULKS_2: Final = {b"\r\n$%d\r\n" % n: n for n in range(10, 100)}
_BULKS_3: Final = {b"\r\n$%d\r\n" % n: n for n in range(100, 1000)}


class ProtocolError(Exception):
    """A client violated the protocol: `text` is sent as an error reply, and the connection is closed.

    `text` is the whole error as bytes (it may hold a byte that the client sent, even CR or LF, which the reply's
    encoder replaces). `requests` are the complete requests before the offending byte in the same call.
    """

    def __init__(self, text: bytes, requests: list[list[bytes]]) -> None:
        super().__init__(text)
        self.text = text
        self.requests = requests


class RequestParser:
    """One client's parser. The four public attributes may be changed between calls.

    Args:
        max_args: elements of one request.
        max_bulk: bytes of one element.
        max_inline: bytes of one line.
        authenticated: False applies Redis's much tighter limits for unauthenticated clients.
    """

    __slots__ = (
        "_args",
        "_bulk",
        "_tail",
        "_taken",
        "_wanted",
        "authenticated",
        "max_args",
        "max_bulk",
        "max_inline",
    )

    def __init__(
        self,
        *,
        max_args: int = MAX_ARGS,
        max_bulk: int = MAX_BULK,
        max_inline: int = MAX_INLINE,
        authenticated: bool = True,
    ) -> None:
        self.max_args = max_args
        self.max_bulk = max_bulk
        self.max_inline = max_inline
        self.authenticated = authenticated
        self._tail = bytearray()  # received, not consumed
        self._args: list[bytes] = []  # the complete arguments of the incomplete request
        self._wanted = 0  # arguments it still lacks, 0 between requests
        self._bulk = -1  # length of the bulk being received, -1 before its header
        self._taken = 0  # bytes of the incomplete request already consumed

    @property
    def buffered(self) -> int:
        """Bytes held for the incomplete request, headers included."""
        return self._taken + len(self._tail)

    def feed(self, data: bytes) -> list[list[bytes]]:
        """Return the requests that `data` completes, each as a list of its arguments. Empty requests are skipped.

        After an error the parser stays in front of the offending element, so a call with b"" tries again with the
        limits in force then.

        Raises:
            ProtocolError: the input violates the protocol or a limit.
        """
        requests: list[list[bytes]] = []
        if self._tail or self._wanted:
            return self._resume(data, requests)
        pos = self._whole_requests(data, 0, requests)
        if pos < len(data):
            self._parse(data, pos, requests)
        return requests

    def _resume(self, data: bytes, requests: list[list[bytes]]) -> list[list[bytes]]:
        """`feed` while a request is incomplete: collect data until parsing can make progress."""
        tail, bulk = self._tail, self._bulk
        size = len(tail) + len(data)
        if data and (size < bulk + 2 if bulk >= 0 else b"\n" not in data and size <= self.max_inline):
            tail += data
            return requests
        tail += data
        self._tail = bytearray()
        if bulk >= 0 and tail[bulk : bulk + 2] == b"\r\n":
            # Take the complete bulk straight from the buffer, so that a large one is copied only once.
            with memoryview(tail) as view:
                self._args.append(bytes(view[:bulk]))
            self._taken += bulk + 2
            self._bulk_done(requests)
            data = bytes(tail[bulk + 2 :])
        else:
            data = bytes(tail)
        self._parse(data, 0, requests)
        return requests

    def _whole_requests(self, data: bytes, pos: int, requests: list[list[bytes]]) -> int:
        """Append the leading requests that are complete and have no long part; return the position after them.

        A fast path for the usual traffic; `_parse` continues wherever it stops.
        """
        if self.max_args < 99 or self.max_bulk < 999 or self.max_inline < 8:
            return pos
        short_arrays, bulks_1, bulks_2 = _SHORT_ARRAYS, _BULKS_1, _BULKS_2
        while True:
            end = pos + 2
            wanted = short_arrays.get(data[pos : end + 2])
            if wanted is None:
                end += 1
                wanted = _ARRAYS.get(data[pos : end + 2]) if self.authenticated else None
                if wanted is None:
                    return pos
            args = []
            while wanted:
                wanted -= 1
                begin = end + 6
                length = bulks_1.get(data[end:begin])
                if length is None:
                    begin += 1
                    length = bulks_2.get(data[end:begin])
                    if length is None:
                        begin += 1
                        length = _BULKS_3.get(data[end:begin])
                        if length is None:
                            return pos
                end = begin + length
                args.append(data[begin:end])
            pos_next = end + 2
            if data[end:pos_next] != b"\r\n":
                return pos
            requests.append(args)
            pos = pos_next

    def _parse(self, data: bytes, pos: int, requests: list[list[bytes]]) -> None:
        """Consume `data` from `pos` on, part by part, and keep what is incomplete."""
        size, start, error = len(data), pos, None
        while pos < size:
            if self._bulk >= 0:
                end = pos + self._bulk
                if end + 2 > size:
                    break
                if data[end : end + 2] != b"\r\n":
                    error = EXPECTED_CRLF
                    break
                self._args.append(data[pos:end])
                pos = end + 2
                self._bulk_done(requests)
            else:
                end = data.find(b"\n", pos, pos + self.max_inline + 1)
                if end < 0:
                    if size - pos > self.max_inline:
                        error = self._too_big(data[pos])
                    break
                error = self._line(data[pos:end], requests)
                if error is not None:
                    break
                pos = end + 1
            if not self._wanted:
                self._taken = 0
                pos = start = self._whole_requests(data, pos, requests)
        self._taken += pos - start
        self._tail += data[pos:]
        if error is not None:
            raise ProtocolError(error, requests)

    def _bulk_done(self, requests: list[list[bytes]]) -> None:
        self._bulk = -1
        self._wanted -= 1
        if not self._wanted:
            requests.append(self._args)
            self._args = []
            self._taken = 0

    def _line(self, line: bytes, requests: list[list[bytes]]) -> bytes | None:
        """Consume a line, given without its LF; return the error's text if it is malformed."""
        if self._wanted:
            return self._bulk_header(line)
        if line[:1] == b"*":
            number = parse_integer(line[1:-1]) if line[-1] == _CR else None
            if number is None or number > self.max_args:
                return INVALID_MULTIBULK
            if number > MAX_ARGS_UNAUTHENTICATED and not self.authenticated:
                return UNAUTHENTICATED_MULTIBULK
            self._wanted = max(number, 0)
            return None
        args = split_line(line[:-1] if line[-1:] == b"\r" else line)
        if args is None:
            return UNBALANCED_QUOTES
        if args:
            requests.append(args)
        return None

    def _bulk_header(self, line: bytes) -> bytes | None:
        first = line[0] if line else _LF
        if first != _DOLLAR:
            return EXPECTED_DOLLAR % first
        number = parse_integer(line[1:-1]) if line[-1] == _CR else None
        if number is None or not 0 <= number <= self.max_bulk:
            return INVALID_BULK
        if number > MAX_BULK_UNAUTHENTICATED and not self.authenticated:
            return UNAUTHENTICATED_BULK
        self._bulk = number
        return None

    def _too_big(self, first: int) -> bytes:
        if self._wanted:
            return BIG_BULK_LINE
        return BIG_MULTIBULK_LINE if first == _STAR else BIG_INLINE
