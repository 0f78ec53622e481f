"""Lengths, strings and numbers of the dump format as bytes. The counterpart is rdb_reader."""

from struct import Struct

from broker.persistence import lzf
from broker.persistence.rdb_format import (
    ENCODED_INT8,
    ENCODED_INT16,
    ENCODED_INT32,
    ENCODED_LZF,
    LENGTH_14,
    LENGTH_32,
    LENGTH_64,
)
from protocol.numbers import parse_integer

_MAX_INTEGER_TEXT = 11
# Redis compresses from here on; shorter texts never shrink enough.
_MIN_COMPRESSED = 21

_long_length = Struct(">BI").pack
_longest_length = Struct(">BQ").pack
_int8 = Struct("<Bb").pack
_int16 = Struct("<Bh").pack
_int32 = Struct("<Bi").pack
_double = Struct("<d").pack

_SHORT = [bytes((length,)) for length in range(64)]
_SMALL_INTEGERS = {b"%d" % value: _int8(ENCODED_INT8, value) for value in range(-128, 128)}


def length_bytes(length: int) -> bytes:
    """A length or another unsigned 64-bit number."""
    if length < 64:
        return _SHORT[length]
    if length < 1 << 14:
        return bytes((LENGTH_14 | length >> 8, length & 0xFF))
    if length < 1 << 32:
        return _long_length(LENGTH_32, length)
    return _longest_length(LENGTH_64, length)


def append_string(out: bytearray, text: bytes | bytearray, compress: bool = True) -> None:
    """Append a string: as an integer where it is the text of one of 32 bits, else compressed if that is worth it."""
    length = len(text)
    if length <= _MAX_INTEGER_TEXT:
        encoded = _integer_bytes(bytes(text))
        if encoded is not None:
            out += encoded
            return
    elif compress and length >= _MIN_COMPRESSED:
        packed = lzf.compress(bytes(text))
        if packed is not None:
            out.append(ENCODED_LZF)
            out += length_bytes(len(packed))
            out += length_bytes(length)
            out += packed
            return
    out += length_bytes(length)
    out += text


def _integer_bytes(text: bytes) -> bytes | None:
    small = _SMALL_INTEGERS.get(text)
    if small is not None:
        return small
    value = parse_integer(text)
    if value is None or not -1 << 31 <= value < 1 << 31:
        return None
    if -1 << 15 <= value < 1 << 15:
        return _int16(ENCODED_INT16, value)
    return _int32(ENCODED_INT32, value)


def double_bytes(value: float) -> bytes:
    """A double in its binary form, as sorted sets have it."""
    return _double(value)


def signed_bytes(value: int) -> bytes:
    """A signed 64-bit number: a time in milliseconds."""
    return value.to_bytes(8, "little", signed=True)


def id_bytes(id: int) -> bytes:
    """A stream's ID in the fixed form of keys and pending entries."""
    return id.to_bytes(16, "big")


def id_lengths(id: int) -> bytes:
    """A stream's ID as two numbers, as headers have it."""
    return length_bytes(id >> 64) + length_bytes(id & (1 << 64) - 1)
