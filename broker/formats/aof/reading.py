"""Incremental reading of an append-only file: its commands, and the position of each.

The reader distinguishes two kinds of errors. **Truncated**: the file ends in the middle of a unit, as after a crash
while it was being written; everything before is good. **Damaged**: anything else. An interrupted write leaves a prefix
of valid data, so anything that is not such a prefix is damage. So is a complete checksum line at the end that lies
within a command, because then a length must have changed. Thus every flipped bit in a file that we wrote is detected
(`writing.py` describes what a checksum line covers). Data after the last checksum line is not verified;
redis-server's files have no checksums.

The protocol's parser splits the commands, and these are encoded again and compared with the data: that detects
anything not in Redis's own form, and yields each command's length. It takes 0.6 us per command. The strict scan below
would take three times as long, so it only handles incomplete or invalid data.
"""

import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final, NoReturn
from zlib import crc32

from protocol.parser import ProtocolError, RequestParser
from protocol.replies import bulks

Place = tuple[int, list[bytes]]
"""The offset at which a command ends, and the command."""

CHUNK: Final = 1 << 17
"""Bytes per read. With more, a chunk's commands would leave the processor's cache before they are executed."""

_HASH: Final = ord("#")
_LONGEST_LINE: Final = 32
"""Bytes, somewhat more than the longest annotation or header has."""
_LONGEST_READ: Final = 1 << 24
# A length is only trusted once that much data is in memory, so the parser needs no limits.
_NO_LIMIT: Final = (1 << 62) - 1

_TIMESTAMP: Final = re.compile(rb"#TS:([0-9]{1,19})")
_LINE_BEGUN: Final = re.compile(
    rb"#(?:T(?:S(?::(?:[0-9]{1,19}\r?)?)?)?|C(?:R(?:C(?::(?:[0-9a-f]{0,7}|[0-9a-f]{8}\r?))?)?)?)?"
)
_CHECKSUM_AT_END: Final = re.compile(rb"(?:\A|\r\n)#CRC:[0-9a-f]{8}\r\n\Z")
_TAIL: Final = 17
_ARRAY: Final = re.compile(rb"\*([1-9][0-9]{0,9})\r\n")
_ARRAY_BEGUN: Final = re.compile(rb"\*(?:[1-9][0-9]{0,9}\r?)?")
_BULK: Final = re.compile(rb"\$(0|[1-9][0-9]{0,17})\r\n")
_BULK_BEGUN: Final = re.compile(rb"\$(?:(?:0|[1-9][0-9]{0,17})\r?)?")


class Truncated(Exception):
    """The file ends within a unit. `offset` is where the last whole unit ends."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"cut short after byte {offset}")
        self.offset = offset


class Damaged(Exception):
    """The file's content was never written that way.

    `offset` is the byte at which that shows. `whole` is the end of the last unit that may be good: in a file with
    checksums the last unit that one of them covers, in others the last one before `offset`.
    """

    def __init__(self, reason: str, offset: int, whole: int) -> None:
        super().__init__(f"{reason} at byte {offset}")
        self.reason = reason
        self.offset = offset
        self.whole = whole


class CommandReader:
    """Iterates over the commands of a file, including MULTI and EXEC.

    Up to a chunk of commands is yielded before their checksum is verified. After the iteration, also after Truncated:

    Attributes:
        offset: the end of the last complete unit.
        checksum: that of the bytes before `offset` that no checksum line covers; a writer that appends starts from it.
        verified: the end of the last checksum line.
        checksums: the number of checksum lines.
        seconds: the time of the last timestamp annotation, 0 without one.
    """

    __slots__ = (
        "_at",
        "_confirmed",
        "_covered",
        "_in_transaction",
        "_parser",
        "_read",
        "_running",
        "_size",
        "_tail",
        "_taken",
        "checksum",
        "checksums",
        "offset",
        "seconds",
        "verified",
    )

    def __init__(self, read: Callable[[int], bytes], size: int, offset: int = 0) -> None:
        """`read(n)` returns up to n more bytes of a file of `size` bytes, from `offset` on.

        If the file grows meanwhile, anything beyond `size` is ignored.
        """
        self._read = read
        self._size = size
        self._taken = offset
        self._at = offset  # where the data being processed begins in the file
        self._parser = _new_parser()
        self._running = 0  # the checksum of the bytes from `verified` to `_covered`
        self._covered = offset
        self._in_transaction = False
        self._tail = b""  # the last bytes read
        self._confirmed = 0  # how many of the commands about to be yielded a checksum has confirmed
        self.offset = offset
        self.checksum = 0
        self.verified = offset
        self.checksums = 0
        self.seconds = 0

    def __iter__(self) -> Iterator[Place]:
        """Raises Truncated, Damaged, and OSError of `read`."""
        data = b""
        while (lacking := self._lacking(data)) <= self._size - self._taken:
            # A command longer than a chunk is parsed again only when its known part has doubled.
            part = self._take(max(lacking, CHUNK, len(data)))
            if not part:
                break
            data += part
            ready: list[Place] = []
            self._confirmed = 0
            try:
                used = self._consume(data, ready)
            except Damaged as error:
                if self.checksums or b"#CRC:" in data:
                    # A wrong length may be the cause, so commands that no checksum has confirmed are not trusted.
                    del ready[self._confirmed :]
                    error.whole = min(error.whole, self.verified)
                yield from ready
                raise
            yield from ready
            data = data[used:]
            self._at += used
        self._end(data)

    def _take(self, wanted: int) -> bytes:
        """Returns the next `wanted` bytes, fewer only at the end."""
        parts = []
        wanted = min(wanted, self._size - self._taken)
        while wanted > 0:
            part = self._read(min(wanted, _LONGEST_READ))
            if not part:
                # The file has become shorter.
                self._size = self._taken
                break
            parts.append(part)
            self._taken += len(part)
            wanted -= len(part)
            self._tail = (self._tail + part[-_TAIL:])[-_TAIL:]
        return b"".join(parts)

    def _consume(self, data: bytes, ready: list[Place]) -> int:
        """Appends the complete commands of `data` to `ready`; returns their length, including annotations."""
        parser, broken = self._parser, False
        try:
            requests = parser.feed(data)
        except ProtocolError as error:
            requests, broken = error.requests, True
        if broken or parser.buffered:
            self._parser = _new_parser()
        # The parser returns an annotation as an inline command of one word.
        texts = [
            bulks(request) if len(request) > 1 or request[0][:1] != b"#" else request[0] + b"\r\n"
            for request in requests
        ]
        text = b"".join(texts)
        if broken or not data.startswith(text):
            self._refuse(data, requests, texts, ready)
        used = self._deliver(data, requests, texts, ready)
        self._cover(data, used)
        if not self._in_transaction:
            self.offset = self._at + used
            self.checksum = self._running
        return used

    def _refuse(self, data: bytes, requests: list[list[bytes]], texts: list[bytes], ready: list[Place]) -> NoReturn:
        """Appends the commands before the first one that is not in Redis's form, and raises Damaged."""
        count, pos = 0, 0
        while count < len(texts) and data.startswith(texts[count], pos):
            pos += len(texts[count])
            count += 1
        self._deliver(data, requests[:count], texts[:count], ready)
        self._lacking(data, pos)
        raise self._damaged("not a command", pos, pos)

    def _deliver(self, data: bytes, requests: list[list[bytes]], texts: list[bytes], ready: list[Place]) -> int:
        """Appends commands to `ready`, tracks transactions, checks annotations; returns the length of all of them."""
        if min(map(len, requests), default=2) > 1:
            # There are none of these, so no need to check each request.
            ends = list(accumulate(map(len, texts), initial=self._at))
            ready += zip(ends[1:], requests, strict=True)
            return ends[-1] - self._at
        at, pos = self._at, 0
        for request, text in zip(requests, texts, strict=True):
            end = pos + len(text)
            if len(request) > 1:
                ready.append((at + end, request))
            elif text[0] == _HASH:
                self._annotation(data, pos, request[0], ready)
            else:
                self._bracket(data, pos, request[0])
                ready.append((at + end, request))
            pos = end
        return pos

    def _cover(self, data: bytes, pos: int) -> None:
        """Adds `data` up to `pos` to the running checksum."""
        self._running = crc32(memoryview(data)[self._covered - self._at : pos], self._running)
        self._covered = self._at + pos

    def _annotation(self, data: bytes, pos: int, line: bytes, ready: list[Place]) -> None:
        if line.startswith(b"#CRC:"):
            self._cover(data, pos)
            if line != b"#CRC:%08x" % self._running:
                raise self._damaged("wrong checksum", pos, pos)
            self.verified = self._covered = self._at + pos + len(line) + 2
            self.checksums += 1
            self._running = 0
            self._confirmed = len(ready)
            return
        match = _TIMESTAMP.fullmatch(line)
        if match is None:
            raise self._damaged("unknown annotation", pos, pos)
        self.seconds = int(match[1])

    def _bracket(self, data: bytes, pos: int, name: bytes) -> None:
        """Tracks MULTI and EXEC, which Redis before 7 writes in upper or lower case."""
        name = name.upper()
        if name == b"MULTI":
            if self._in_transaction:
                raise self._damaged("MULTI within MULTI", pos, pos)
            self._cover(data, pos)
            self.offset = self._at + pos
            self.checksum = self._running
            self._in_transaction = True
        elif name == b"EXEC":
            if not self._in_transaction:
                raise self._damaged("EXEC without MULTI", pos, pos)
            self._in_transaction = False

    def _lacking(self, data: bytes, start: int = 0) -> int:
        """Returns how many bytes at least the unit at `start` lacks, 0 if it is complete.

        Raises Damaged if nothing can complete it to a command or an annotation.
        """
        if data[start : start + 1] == b"#":
            return self._begun(data, start, start, _LINE_BEGUN, "unknown annotation")
        match = _ARRAY.match(data, start)
        if match is None:
            return self._begun(data, start, start, _ARRAY_BEGUN, "not a command")
        pos = match.end()
        for _ in range(int(match[1])):
            match = _BULK.match(data, pos)
            if match is None:
                return self._begun(data, start, pos, _BULK_BEGUN, "an argument without a valid length")
            end = match.end() + int(match[1])
            pos = end + 2
            if data[end:pos] != b"\r\n":
                if b"\r\n".startswith(data[end:pos]):
                    return pos - len(data)
                raise self._damaged("an argument's length is wrong", end, start)
        return 0

    def _begun(self, data: bytes, start: int, pos: int, form: re.Pattern[bytes], reason: str) -> int:
        rest = data[pos : pos + _LONGEST_LINE]
        if rest and form.fullmatch(rest) is None:
            raise self._damaged(reason, pos, start)
        return 1

    def _damaged(self, reason: str, pos: int, start: int) -> Damaged:
        """Returns the error for the data at `pos`, in a command that begins at `start`."""
        whole = self.offset if self._in_transaction else self._at + start
        return Damaged(reason, self._at + pos, min(whole, self.verified) if self.checksums else whole)

    def _end(self, data: bytes) -> None:
        """Handles the end of the file, preceded by `data`, which is incomplete or empty."""
        while self._take(CHUNK):
            pass
        if _CHECKSUM_AT_END.search(self._tail) is not None and self.verified != self._taken:
            raise Damaged("a command extends over the last checksum", self._at, min(self.verified, self.offset))
        if data or self._in_transaction:
            raise Truncated(self.offset)


def _new_parser() -> RequestParser:
    return RequestParser(max_args=_NO_LIMIT, max_bulk=_NO_LIMIT)
