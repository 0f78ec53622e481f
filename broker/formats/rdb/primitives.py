"""Encoding lengths and numbers for the dump format (see strings.py for strings). The counterpart is reader.py."""

from struct import Struct

from broker.formats.rdb.format import LENGTH_14, LENGTH_32, LENGTH_64

_long_length = Struct(">BI").pack
_longest_length = Struct(">BQ").pack
_double = Struct("<d").pack

_SHORT = [bytes((length,)) for length in range(64)]


def length_bytes(length: int) -> bytes:
    """Encodes a length or another unsigned 64-bit number."""
    if length < 64:
        return _SHORT[length]
    if length < 1 << 14:
        return bytes((LENGTH_14 | length >> 8, length & 0xFF))
    if length < 1 << 32:
        return _long_length(LENGTH_32, length)
    return _longest_length(LENGTH_64, length)


def double_bytes(value: float) -> bytes:
    """Encodes a double in its binary form, as sorted sets use it."""
    return _double(value)


def signed_bytes(value: int) -> bytes:
    """Encodes a signed 64-bit number: a time in milliseconds."""
    return value.to_bytes(8, "little", signed=True)


def id_bytes(id: int) -> bytes:
    """Encodes a stream's ID in the fixed form of keys and pending entries."""
    return id.to_bytes(16, "big")


def id_lengths(id: int) -> bytes:
    """Encodes a stream's ID as two lengths, as headers use it."""
    return length_bytes(id >> 64) + length_bytes(id & (1 << 64) - 1)
