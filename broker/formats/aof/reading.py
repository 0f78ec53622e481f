"""Incremental reading of an append-only file: its commands, and the position of each.

The reader distinguishes two kinds of errors. **Truncated**: the file ends in the middle of a unit, as after a crash
while it was being written; everything before is good. **Damaged**: anything else. An interrupted write leaves a prefix
of valid data, so anything that is not such a prefix is damage. So is a complete checksum line at the end that lies
within a command, because then a length must have changed. Thus every flipped bit in a file that we wrote is detected
(`writing.py` describes what a checksum line covers). Data after the last checksum line is not verified;
redis-server's files have no checksums.

The file is read in pieces, of which nothing is looked at twice: a command's complete arguments are kept while the rest
of it is being read. So whoever iterates gets a turn after each piece, however long a command is.
"""

import re
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Final

from broker.formats.aof.scanning import BULK, CommandScanner
from protocol.replies import bulks

Place = tuple[int, list[bytes]]
"""The offset at which a command ends, and the command."""

CHUNK: Final = 1 << 17
"""Bytes per read. With more, a chunk's commands would leave the processor's cache before they are executed."""

_LONGEST_LINE: Final = 32
"""Bytes, somewhat more than the longest annotation or header has."""
_CHECKSUM_MARK: Final = b"#CRC:"

_TIMESTAMP: Final = re.compile(rb"#TS:([0-9]{1,19})\r\n")
_LINE_BEGUN: Final = re.compile(
    rb"#(?:T(?:S(?::(?:[0-9]{1,19}\r?)?)?)?|C(?:R(?:C(?::(?:[0-9a-f]{0,7}|[0-9a-f]{8}\r?))?)?)?)?"
)
_CHECKSUM: Final = re.compile(rb"#CRC:(\S*)\r\n")
_CHECKSUM_AT_END: Final = re.compile(rb"(?:\A|\r\n)#CRC:[0-9a-f]{8}\r\n\Z")
_TAIL: Final = 17
_ARRAY_BEGUN: Final = re.compile(rb"\*(?:[1-9][0-9]{0,9}\r?)?")
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


class Batch:
    """Commands that were read together, including MULTI and EXEC; `ends` are their ends, counted from `offset`."""

    __slots__ = ("commands", "ends", "offset")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.ends: list[int] = []
        self.commands: list[list[bytes]] = []

    def add(self, command: list[bytes], end: int) -> None:
        """Adds a command that ends at the offset `end`."""
        self.commands.append(command)
        self.ends.append(end - self.offset)

    def end(self, index: int) -> int:
        """Returns the offset at which a command ends."""
        return self.offset + self.ends[index]


class CommandReader:
    """Reads the commands of a file, in batches or one by one.

    Up to a chunk of commands is yielded before their checksum is verified. After the iteration, also after Truncated:

    Attributes:
        offset: the end of the last complete unit.
        checksum: that of the bytes before `offset` that no checksum line covers; a writer that appends starts from it.
        verified: the end of the last checksum line.
        seconds: the time of the last timestamp annotation, 0 without one.
    """

    __slots__ = (
        "_at", "_in_transaction", "_lacks", "_mark_begun", "_marked", "_read", "_scanner", "_size", "_tail", "_taken",
        "_unit", "checksum", "offset", "seconds", "verified",
    )  # fmt: skip

    def __init__(self, read: Callable[[int], bytes], size: int, offset: int = 0) -> None:
        """`read(n)` returns up to n more bytes of a file of `size` bytes, from `offset` on.

        If the file grows meanwhile, anything beyond `size` is ignored.
        """
        self._read = read
        self._size = size
        self._taken = offset
        self._at = offset  # where the data being processed begins in the file
        self._unit = offset  # where the incomplete unit begins
        self._scanner = CommandScanner()
        self._lacks = 1  # how many bytes at least the incomplete argument or line lacks
        self._in_transaction = False
        self._tail = b""  # the last bytes read
        self._marked = False  # whether the incomplete unit contains what may be a checksum line
        self._mark_begun = b""  # the last bytes that were looked at for that
        self.offset = offset
        self.checksum = 0
        self.verified = offset
        self.seconds = 0

    @property
    def checksums(self) -> int:
        """The number of checksum lines."""
        return self._scanner.checksums

    def __iter__(self) -> Iterator[Place]:
        """Does the same as `batches`, command by command."""
        for batch in self.batches():
            for index, command in enumerate(batch.commands):
                yield batch.end(index), command

    def batches(self) -> Iterator[Batch]:
        """Yields after each piece of the file, also if no command ends in it.

        Raises Truncated, Damaged, and OSError of `read`.
        """
        data = b""
        while self._lacks <= self._size - self._taken:
            if self._lacks > CHUNK:
                # Only an argument may lack so much.
                yield from self._long_argument(data)
                data = b""
                continue
            part = self._take(CHUNK)
            if not part:
                break
            data += part
            batch = Batch(self._at)
            try:
                used = self._consume(data, batch)
            except Damaged as error:
                if self._distrusts(data):
                    # A wrong length may be the cause, so commands that no checksum has confirmed are not trusted.
                    del batch.commands[self._scanner.confirmed :]
                    error.whole = min(error.whole, self.verified)
                yield batch
                raise
            yield batch
            data = data[used:]
            self._at += used
        yield from self._end(data)

    def unfinished(self) -> list[bytes]:
        """Returns the arguments of the command in which the file ends."""
        return self._scanner.args

    def _take(self, wanted: int) -> bytes:
        """Returns the next `wanted` bytes, fewer only at the end."""
        parts = []
        wanted = min(wanted, self._size - self._taken)
        while wanted > 0:
            part = self._read(wanted)
            if not part:
                # The file has become shorter.
                self._size = self._taken
                break
            parts.append(part)
            self._taken += len(part)
            wanted -= len(part)
            self._tail = (self._tail + part[-_TAIL:])[-_TAIL:]
        return b"".join(parts)

    def _consume(self, data: bytes, batch: Batch) -> int:
        """Appends the complete commands of `data` to the batch; returns how many bytes need not be kept."""
        scanner, commands, ends = self._scanner, batch.commands, batch.ends
        scanner.covered = scanner.confirmed = 0
        scanner.verified = -1
        at = unit = 0
        while True:
            before = len(commands)
            at = scanner.scan(data, at, commands, ends)
            if scanner.verified >= 0:
                self.verified = self._at + scanner.verified
            if scanner.wanted:
                break
            unit = at
            if len(commands) > before and len(commands[-1]) == 1:
                self._bracket(data, at, commands[-1][0])
            elif data.startswith(b"#", at) and (end := self._annotation(data, at)):
                at = unit = end
            else:
                break
        unit = max(unit, scanner.verified, ends[-1] if ends else 0)
        if unit:
            self._complete(data, unit)
        self._lacks = self._lacking(data, at)
        self._pass(data, unit, at)
        return at

    def _complete(self, data: bytes, pos: int) -> None:
        """Notes that a unit ends at `pos`."""
        self._unit = self._at + pos
        self._marked = False
        self._mark_begun = b""
        if not self._in_transaction:
            self._scanner.cover(data, pos)
            self.offset = self._unit
            self.checksum = self._scanner.running

    def _pass(self, data: bytes, begin: int, end: int) -> None:
        """Takes note of a part of the incomplete unit."""
        self._scanner.cover(data, end)
        if begin < end:
            text = self._mark_begun + data[begin:end]
            self._marked = self._marked or _CHECKSUM_MARK in text
            self._mark_begun = text[1 - len(_CHECKSUM_MARK) :]

    def _long_argument(self, data: bytes) -> Iterator[Batch]:
        """Reads the argument that begins with `data`, piece by piece.

        A BytesIO grows without copying, and gives its contents away as they are.
        """
        header = BULK.match(data)
        assert header is not None
        length = int(header[1])
        left = header.end() + length + 2 - len(data)
        text = BytesIO()
        text.write(data[header.end() :])
        self._scanner.covered = 0
        self._pass(data, 0, len(data))
        self._at += len(data)
        while left:
            part = self._take(min(left, CHUNK))
            if not part:
                return
            text.write(part)
            left -= len(part)
            self._scanner.covered = 0
            self._pass(part, 0, len(part))
            self._at += len(part)
            yield Batch(self._at)
        text.seek(length)
        if text.read() != b"\r\n":
            error = self._damaged("an argument's length is wrong", -2)
            if self._distrusts(b""):
                error.whole = min(error.whole, self.verified)
            raise error
        text.truncate(length)
        batch = Batch(self._at)
        scanner = self._scanner
        scanner.args.append(text.getvalue())
        scanner.wanted -= 1
        self._lacks = 1
        if not scanner.wanted:
            batch.commands.append(scanner.args)
            batch.ends.append(0)
            if len(scanner.args) == 1:
                self._bracket(b"", 0, scanner.args[0])
            scanner.args = []
            scanner.covered = 0
            self._complete(b"", 0)
        yield batch

    def _annotation(self, data: bytes, pos: int) -> int:
        """Handles a line that is no right checksum; returns where it ends, 0 if it is incomplete or unknown."""
        match = _TIMESTAMP.match(data, pos)
        if match is not None:
            self.seconds = int(match[1])
            return match.end()
        if _CHECKSUM.match(data, pos) is not None:
            self._unit = self._at + pos
            raise self._damaged("wrong checksum", pos)
        return 0

    def _bracket(self, data: bytes, end: int, name: bytes) -> None:
        """Tracks MULTI and EXEC, which Redis before 7 writes in upper or lower case."""
        pos = end - len(bulks([name]))
        name = name.upper()
        if name == b"MULTI":
            if self._in_transaction:
                raise self._damaged("MULTI within MULTI", pos)
            if pos >= 0:
                self._complete(data, pos)
            # Otherwise it began in earlier data, and nothing has been completed since the unit before it.
            self._in_transaction = True
        elif name == b"EXEC":
            if not self._in_transaction:
                self._unit = self._at + pos
                raise self._damaged("EXEC without MULTI", pos)
            self._in_transaction = False
        elif name.startswith(b"#"):
            self._unit = self._at + pos
            raise self._damaged("not a command", pos)

    def _lacking(self, data: bytes, at: int) -> int:
        """Returns how many bytes at least the argument or line at `at` lacks.

        Raises Damaged if nothing can complete it.
        """
        if not self._scanner.wanted:
            if data.startswith(b"#", at):
                return self._begun(data, at, _LINE_BEGUN, "unknown annotation")
            return self._begun(data, at, _ARRAY_BEGUN, "not a command")
        header = BULK.match(data, at)
        if header is None:
            return self._begun(data, at, _BULK_BEGUN, "an argument without a valid length")
        end = header.end() + int(header[1])
        found = data[end : end + 2]
        if found == b"\r\n" or not b"\r\n".startswith(found):
            raise self._damaged("an argument's length is wrong", end)
        return end + 2 - len(data)

    def _begun(self, data: bytes, at: int, form: re.Pattern[bytes], reason: str) -> int:
        rest = data[at : at + _LONGEST_LINE]
        if rest and form.fullmatch(rest) is None:
            raise self._damaged(reason, at)
        return 1

    def _distrusts(self, data: bytes) -> bool:
        """Whether checksum lines may be in the incomplete unit, or in `data`, where a wrong length has hidden them."""
        return bool(self.checksums) or self._marked or _CHECKSUM_MARK in self._mark_begun + data

    def _damaged(self, reason: str, pos: int) -> Damaged:
        """Returns the error for the byte at `pos` of the data being processed."""
        whole = self.offset if self._in_transaction else self._unit
        return Damaged(reason, self._at + pos, min(whole, self.verified) if self.checksums else whole)

    def _end(self, data: bytes) -> Iterator[Batch]:
        """Handles the end of the file, preceded by `data`, which is incomplete or empty."""
        while self._take(CHUNK):
            yield Batch(self._at)
        if _CHECKSUM_AT_END.search(self._tail) is not None and self.verified != self._taken:
            raise Damaged("a command extends over the last checksum", self._unit, min(self.verified, self.offset))
        if data or self._scanner.wanted or self._in_transaction:
            raise Truncated(self.offset)
