"""The commands of an append-only file, read as they come, with the place of each.

The reader tells two kinds of trouble apart. **Truncated**: the file ends in the midst of a unit, as after a crash while
it was written; what comes before is good. **Damaged**: anything else. A write that was cut short leaves a beginning
of what should stand there, so what is no beginning of anything is damage, and so is a whole checksum line at the end
that a command takes for its own: a length must have changed. With that, every changed bit of a file we wrote is found
(`aof_writing` says what a checksum line covers). What follows the last checksum line is not verified; files of
redis-server have none.

Commands are split by the protocol's parser, encoded again and compared with what was read: that finds all that is not
in Redis's own form, and gives each its length. It takes 0.6 us a command; the strict scan below, which is left for
what is incomplete or wrong, would take three times that.
"""

import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final, NoReturn
from zlib import crc32

from protocol.parser import ProtocolError, RequestParser
from protocol.replies import bulks

Place = tuple[int, list[bytes]]
"""A command, with the offset at which it ends."""

CHUNK: Final = 1 << 17
"""Bytes read at once: more makes the commands of a chunk leave the processor's cache before they are executed."""

_HASH: Final = ord("#")
_LONGEST_LINE: Final = 32
"""Bytes that an annotation or a header has at most, and some more."""
_LONGEST_READ: Final = 1 << 24
# Whatever the file holds is there in memory when its length is believed, so the parser needs no limits of its own.
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
    """What is in the file was never written so.

    `offset` is the byte at which that shows. `whole` is where the last unit ends that may be good: in a file with
    checksums the last that one of them covers, in others the last before `offset`.
    """

    def __init__(self, reason: str, offset: int, whole: int) -> None:
        super().__init__(f"{reason} at byte {offset}")
        self.reason = reason
        self.offset = offset
        self.whole = whole


class CommandReader:
    """Iterates over the commands of a file, MULTI and EXEC among them.

    Commands are delivered before it is known whether their checksum is right, but at most a chunk of them. After the
    iteration, also after Truncated:

    Attributes:
        offset: where the last whole unit ends.
        checksum: that of the bytes before `offset` which no checksum line covers: who writes on begins with it.
        verified: where the last checksum line ends.
        checksums: how many of them there were.
        seconds: the last timestamp annotation's, 0 without one.
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
        """`read(n)` delivers up to n further bytes of a file of `size` bytes, from `offset` on.

        Where the file grows meanwhile, what is beyond `size` is left alone.
        """
        self._read = read
        self._size = size
        self._taken = offset
        self._at = offset  # where what is being looked at begins in the file
        self._parser = _new_parser()
        self._running = 0  # the checksum of the bytes from `verified` to `_covered`
        self._covered = offset
        self._in_transaction = False
        self._tail = b""  # the last bytes read
        self._confirmed = 0  # how many of the commands about to be delivered a checksum has confirmed
        self.offset = offset
        self.checksum = 0
        self.verified = offset
        self.checksums = 0
        self.seconds = 0

    def __iter__(self) -> Iterator[Place]:
        """Raises Truncated, Damaged, and OSError of `read`."""
        data = b""
        while (lacking := self._lacking(data)) <= self._size - self._taken:
            # A command longer than a chunk is looked at again only when its known part has doubled.
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
                    # A length may have changed before this showed: what no checksum has confirmed is not believed.
                    del ready[self._confirmed :]
                    error.whole = min(error.whole, self.verified)
                yield from ready
                raise
            yield from ready
            data = data[used:]
            self._at += used
        self._end(data)

    def _take(self, wanted: int) -> bytes:
        """The next `wanted` bytes, less only at the end."""
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
        """Append the whole commands of `data` to `ready`; how many bytes they and the annotations are."""
        parser, broken = self._parser, False
        try:
            requests = parser.feed(data)
        except ProtocolError as error:
            requests, broken = error.requests, True
        if broken or parser.buffered:
            self._parser = _new_parser()
        # An annotation comes as an inline command of one word.
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
        """Deliver what comes before the first thing that is not in Redis's form, and raise Damaged."""
        count, pos = 0, 0
        while count < len(texts) and data.startswith(texts[count], pos):
            pos += len(texts[count])
            count += 1
        self._deliver(data, requests[:count], texts[:count], ready)
        self._lacking(data, pos)
        raise self._damaged("no command", pos, pos)

    def _deliver(self, data: bytes, requests: list[list[bytes]], texts: list[bytes], ready: list[Place]) -> int:
        """Append commands to `ready`, follow transactions, check annotations; how many bytes all of them are."""
        if min(map(len, requests), default=2) > 1:
            # None of these: no need to look at each.
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
        """Take `data` up to `pos` into the running checksum."""
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
        """Follow MULTI and EXEC, which Redis before 7 writes in any case of letters."""
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
        """How many bytes what begins at `start` lacks, at least; 0 where it is whole.

        Raises Damaged where nothing can make it a command or an annotation.
        """
        if data[start : start + 1] == b"#":
            return self._begun(data, start, start, _LINE_BEGUN, "unknown annotation")
        match = _ARRAY.match(data, start)
        if match is None:
            return self._begun(data, start, start, _ARRAY_BEGUN, "no command")
        pos = match.end()
        for _ in range(int(match[1])):
            match = _BULK.match(data, pos)
            if match is None:
                return self._begun(data, start, pos, _BULK_BEGUN, "no length of an argument")
            end = match.end() + int(match[1])
            pos = end + 2
            if data[end:pos] != b"\r\n":
                if b"\r\n".startswith(data[end:pos]):
                    return pos - len(data)
                raise self._damaged("an argument is not as long as it should be", end, start)
        return 0

    def _begun(self, data: bytes, start: int, pos: int, form: re.Pattern[bytes], reason: str) -> int:
        rest = data[pos : pos + _LONGEST_LINE]
        if rest and form.fullmatch(rest) is None:
            raise self._damaged(reason, pos, start)
        return 1

    def _damaged(self, reason: str, pos: int, start: int) -> Damaged:
        """The error for what is at `pos`, in a command that begins at `start`."""
        whole = self.offset if self._in_transaction else self._at + start
        return Damaged(reason, self._at + pos, min(whole, self.verified) if self.checksums else whole)

    def _end(self, data: bytes) -> None:
        """The end of the file is reached, or `data`, which needs more than there is, stands before it."""
        while self._take(CHUNK):
            pass
        if _CHECKSUM_AT_END.search(self._tail) is not None and self.verified != self._taken:
            raise Damaged("a command reaches over the last checksum", self._at, min(self.verified, self.offset))
        if data or self._in_transaction:
            raise Truncated(self.offset)


def _new_parser() -> RequestParser:
    return RequestParser(max_args=_NO_LIMIT, max_bulk=_NO_LIMIT)
