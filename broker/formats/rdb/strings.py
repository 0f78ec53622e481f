"""Strings in the dump format: written, and whole runs of them read or written at once, most of what most files hold.

Reading a run takes what stands whole in the bytes at hand and stops before anything else: what is cut, encoded in a
way that is unknown, or damaged is the reader's to judge. Keys of plain strings come with their deadlines.

`_rdb_strings.pyx` is the same compiled, used when it was built: 0.03 us a short key with its value written in place of
1.7, 0.14 read in place of 1.1; TRIMARAN_PURE=1 in the environment keeps it out.
"""

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any

from broker.formats.packed import lzf
from broker.formats.rdb.format import (
    ENCODED,
    ENCODED_INT8,
    ENCODED_INT16,
    ENCODED_INT32,
    ENCODED_LZF,
    LENGTH_14,
    LENGTH_32,
    LENGTH_64,
    OP_EXPIRETIME_MS,
    STRING,
)
from broker.formats.rdb.primitives import length_bytes, signed_bytes
from protocol.native import prefer
from protocol.numbers import parse_integer

_MAX_INTEGER_TEXT = 11
# Redis compresses from here on; shorter texts never shrink enough.
_MIN_COMPRESSED = 21

_int8 = Struct("<Bb").pack
_int16 = Struct("<Bh").pack
_int32 = Struct("<Bi").pack

_SMALL_INTEGERS = {b"%d" % value: _int8(ENCODED_INT8, value) for value in range(-128, 128)}

_INTEGER_BYTES = {ENCODED_INT8: 1, ENCODED_INT16: 2, ENCODED_INT32: 4}
_DEADLINE_BYTES = 8


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


class _Stop(Exception):
    """What follows is not whole, or no string."""


def read_strings(data: bytes, at: int, count: int, out: list[bytes]) -> int:
    """Append up to `count` strings that stand whole in `data` from `at` on to `out`; where the next one begins."""
    try:
        for _ in range(count):
            text, at = _string(data, at)
            out.append(text)
    except _Stop:
        pass
    return at


def read_string_keys(
    data: bytes, at: int, most: int, values: dict[bytes, bytes], deadlines: dict[bytes, int]
) -> tuple[int, int]:
    """Read up to `most` keys of plain strings that stand whole in `data` from `at` on: where they end, how many.

    A key's deadline, in wall milliseconds, goes to `deadlines`. One that comes twice counts twice.
    """
    count = 0
    end = len(data)
    try:
        while count < most and at < end:
            here = at
            kind = data[here]
            deadline = None
            if kind == OP_EXPIRETIME_MS:
                here += 1 + _DEADLINE_BYTES
                if here >= end:
                    break
                deadline = int.from_bytes(data[here - _DEADLINE_BYTES : here], "little", signed=True)
                kind = data[here]
            if kind != STRING:
                break
            key, here = _string(data, here + 1)
            value, here = _string(data, here)
            if deadline is not None:
                deadlines[key] = deadline
            values[key] = value
            count += 1
            at = here
    except _Stop:
        pass
    return at, count


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise _Stop
    first = data[at]
    if first < LENGTH_14:
        return first, at + 1
    if first >= ENCODED:
        raise _Stop
    if first < LENGTH_32:
        size, high = 1, first & 0x3F
    elif first == LENGTH_32:
        size, high = 4, 0
    elif first == LENGTH_64:
        size, high = 8, 0
    else:
        raise _Stop
    end = at + 1 + size
    if end > len(data):
        raise _Stop
    return high << 8 * size | int.from_bytes(data[at + 1 : end], "big"), end


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    if at >= len(data):
        raise _Stop
    first = data[at]
    if first < ENCODED:
        length, at = _length(data, at)
        end = at + length
        if end > len(data):
            raise _Stop
        return data[at:end], end
    if first == ENCODED_LZF:
        packed, at = _length(data, at + 1)
        size, at = _length(data, at)
        end = at + packed
        if end > len(data):
            raise _Stop
        try:
            return lzf.decompress(data[at:end], size), end
        except lzf.BadCompression:
            raise _Stop from None
    width = _INTEGER_BYTES.get(first)
    end = at + 1 + (width or 0)
    if width is None or end > len(data):
        raise _Stop
    return b"%d" % int.from_bytes(data[at + 1 : end], "little", signed=True), end


def append_string_keys(
    out: bytearray,
    items: Sequence[tuple[bytes, Any]],
    at: int,
    expires: Mapping[bytes, int],
    hints: Sequence[bytes] | None,
    compress: bool,
    most: int,
) -> int:
    """Append keys with their values, as long as those are plain strings and `out` is shorter than `most` bytes.

    Of `items`, those from `at` on; the place of the first that was not appended. `hints` stand beside the items and
    before the keys' types.
    """
    end = len(items)
    while at < end and len(out) < most:
        key, value = items[at]
        if value.__class__ is not bytes:
            break
        deadline = expires.get(key)
        if deadline is not None:
            out.append(OP_EXPIRETIME_MS)
            out += signed_bytes(deadline)
        if hints is not None:
            out += hints[at]
        out.append(STRING)
        append_string(out, key, compress)
        append_string(out, value, compress)
        at += 1
    return at


prefer(
    globals(), "broker.formats.rdb._strings", "append_string", "append_string_keys", "read_string_keys", "read_strings"
)
