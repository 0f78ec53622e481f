"""Reading the dump format piece by piece, from bytes in memory or from an incremental source.

Nothing is trusted: a length is checked against the available bytes before anything is taken, and compressed data may
not expand beyond a budget. Anything wrong raises one error, BadFormat, which says what and where.
"""

from collections.abc import Callable
from struct import Struct
from typing import Final

from broker.formats.packed import lzf
from broker.formats.packed.crc64 import crc64
from broker.formats.rdb import strings as rdb_strings
from broker.formats.rdb.format import (
    ENCODED,
    ENCODED_INT8,
    ENCODED_INT16,
    ENCODED_INT32,
    ENCODED_LZF,
    LENGTH_14,
    LENGTH_32,
    LENGTH_64,
)
from protocol.numbers import parse_double

_INFINITIES: Final = {254: float("inf"), 255: float("-inf")}
_NOT_A_NUMBER: Final = 253
_TEXTS: Final = [b"%d" % value for value in range(-128, 128)]

UNBOUNDED: Final = 1 << 62

_READ_AHEAD: Final = 1 << 16
_READ_MOST: Final = 1 << 24
"""Most bytes to request from a source in one call, so that a false length costs no more memory than what follows it."""

_double: Final = Struct("<d").unpack_from


class BadFormat(ValueError):
    """The data is not a valid dump. `offset` is the byte of the file or payload where that showed."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} at byte {offset}")
        self.reason = reason
        self.offset = offset


class EmptyValue(BadFormat):
    """A completely read value has no elements, as some old servers wrote by mistake."""


class Unsupported(BadFormat):
    """There is a value of a type that this broker doesn't have."""


class Reader:
    """A position in a dump.

    `inflation` is how many more bytes decompression may yield, `elements` how many more elements packed values may
    yield. `version` is the dump's stated version, `packed` the number of packed values examined so far.
    """

    __slots__ = (
        "_at", "_before", "_bounded", "_checksum", "_data", "_size", "_source", "_summed", "elements", "inflation",
        "packed", "version",
    )  # fmt: skip

    def __init__(
        self,
        data: bytes = b"",
        version: int = 0,
        source: Callable[[int], bytes] | None = None,
        inflation: int = UNBOUNDED,
        elements: int = UNBOUNDED,
        size: int | None = None,
    ) -> None:
        """`source(n)` returns up to n more bytes, b"" at the end.

        `size` is the total number of bytes, if known: a length that reaches further is then refused immediately.
        """
        self._data = data
        self._at = 0
        self._before = 0
        self._source = source
        self._size = size
        # The checksum of everything before `_summed`, which is a position in `_data`.
        self._checksum = 0
        self._summed = 0
        self._bounded = inflation < UNBOUNDED
        self.version = version
        self.inflation = inflation
        self.elements = elements
        self.packed = 0

    @property
    def offset(self) -> int:
        """The number of bytes read so far."""
        return self._before + self._at

    def bad(self, reason: str) -> BadFormat:
        """Returns the error for what was just read."""
        return BadFormat(reason, self.offset)

    def _refill(self, count: int) -> None:
        """Makes `count` bytes available at the current position."""
        if self._source is None:
            raise BadFormat("cut short", self._before + len(self._data))
        if self._size is not None and self.offset + count > self._size:
            raise BadFormat("cut short", self._size)
        self.checksum()
        self._summed = 0
        parts = [self._data[self._at :]]
        missing = count - len(parts[0])
        self._before += self._at
        self._at = 0
        while missing > 0:
            part = self._source(min(max(missing, _READ_AHEAD), _READ_MOST))
            if not part:
                self._data = b"".join(parts)
                raise BadFormat("cut short", self._before + len(self._data))
            parts.append(part)
            missing -= len(part)
        self._data = b"".join(parts)

    def checksum(self) -> int:
        """Returns the CRC-64 of everything read so far."""
        at = self._at
        if at != self._summed:
            self._checksum = crc64(memoryview(self._data)[self._summed : at], self._checksum)
            self._summed = at
        return self._checksum

    def read(self, count: int) -> bytes:
        """Returns up to `count` more bytes, b"" at the end: for a file in which something else follows a dump.

        What is read in this way has no part in the dump's checksum.
        """
        self.checksum()
        if self._at == len(self._data) and self._source is not None:
            self._before += self._at
            self._at = 0
            self._data = self._source(count)
        at = self._at
        self._at = self._summed = min(at + count, len(self._data))
        return self._data[at : self._at]

    def take(self, count: int) -> bytes:
        """Returns the next `count` bytes."""
        at = self._at
        end = at + count
        if end > len(self._data):
            self._refill(count)
            at, end = 0, count
        self._at = end
        return self._data[at:end]

    def byte(self) -> int:
        """Returns the next byte."""
        at = self._at
        if at == len(self._data):
            self._refill(1)
            at = 0
        self._at = at + 1
        return self._data[at]

    def length(self) -> int:
        """Reads a length, or another unsigned 64-bit number."""
        first = self.byte()
        if first < LENGTH_14:
            return first
        if first >= ENCODED:
            raise self.bad("a length is missing")
        return self._long_length(first)

    def _long_length(self, first: int) -> int:
        if first < LENGTH_32:
            return (first & 0x3F) << 8 | self.byte()
        if first == LENGTH_32:
            return int.from_bytes(self.take(4), "big")
        if first == LENGTH_64:
            return int.from_bytes(self.take(8), "big")
        raise self.bad("unknown length format")

    def string(self) -> bytes:
        """Reads a string in any encoding."""
        if not self._bounded:
            # Reads it in one call if it is complete in memory.
            out: list[bytes] = []
            self._at = rdb_strings.read_strings(self._data, self._at, 1, out)
            if out:
                return out[0]
        return self._string()

    def _string(self) -> bytes:
        first = self.byte()
        if first < LENGTH_14:
            return self.take(first)
        if first < ENCODED:
            return self.take(self._long_length(first))
        if first == ENCODED_INT8:
            return _TEXTS[(self.byte() ^ 0x80)]
        if first == ENCODED_INT16:
            return b"%d" % int.from_bytes(self.take(2), "little", signed=True)
        if first == ENCODED_INT32:
            return b"%d" % int.from_bytes(self.take(4), "little", signed=True)
        if first == ENCODED_LZF:
            return self._compressed()
        raise self.bad("unknown string encoding")

    def strings(self, count: int) -> list[bytes]:
        """Reads `count` strings."""
        out: list[bytes] = []
        while len(out) < count:
            if self._bounded:
                # Reading a run would not count inflation.
                out.append(self._string())
                continue
            # A string takes at least a byte.
            most = min(count - len(out), len(self._data))
            self._at = rdb_strings.read_strings(self._data, self._at, most, out)
            if len(out) < count:
                # A string that is incomplete in memory, or invalid.
                out.append(self._string())
        return out

    def string_keys(self, most: int, values: dict[bytes, bytes], deadlines: dict[bytes, int]) -> int:
        """Reads up to `most` keys of plain strings, as far as they are in memory; returns how many.

        A duplicate key counts twice.
        """
        self._at, count = rdb_strings.read_string_keys(self._data, self._at, most, values, deadlines)
        return count

    def _compressed(self) -> bytes:
        packed, size = self.length(), self.length()
        if size > packed * lzf.MAX_RATIO:
            raise self.bad("a compressed string can't be that long")
        if size > self.inflation:
            raise self.bad("compressed strings are too long")
        self.inflation -= size
        try:
            return lzf.decompress(self.take(packed), size)
        except lzf.BadCompression:
            raise self.bad("a compressed string is damaged") from None

    def signed(self) -> int:
        """Reads a signed 64-bit number: a time in milliseconds."""
        return int.from_bytes(self.take(8), "little", signed=True)

    def double(self) -> float:
        """Reads a double in its binary form, which may be NaN."""
        value: float = _double(self.take(8))[0]
        return value

    def double_text(self) -> float:
        """Reads a double in its older form, a short text. NaN raises BadFormat."""
        length = self.byte()
        if length in _INFINITIES:
            return _INFINITIES[length]
        value = None if length == _NOT_A_NUMBER else parse_double(self.take(length))
        if value is None:
            raise self.bad("a score is not a number")
        return value

    def id(self) -> int:
        """Reads a stream's ID in the fixed form of pending entries."""
        return int.from_bytes(self.take(16), "big")

    def id_lengths(self) -> int:
        """Reads a stream's ID as two lengths."""
        return self.length() << 64 | self.length()
