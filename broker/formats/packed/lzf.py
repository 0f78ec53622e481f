"""LZF, the compression Redis uses for strings within dumps.

A compressed text is a sequence of runs. A control byte below 32 announces that many bytes and one more, as they are.
Any other refers back: its upper three bits are the length less 2 (7: a byte with the rest follows), its lower five
and the byte that ends the run the distance less 1. So no reference reaches further back than 8192 bytes or is longer
than 264, and three bytes never stand for more than 264: what a text can grow to is bounded by its length.

`_lzf.pyx` is the same compiled, used when it was built: compressing runs at 260 MB/s in place of 3, decompressing at
670 MB/s in place of 14; TRIMARAN_PURE=1 in the environment keeps it out.
"""

from protocol.native import prefer

MAX_RATIO = 88
"""Bytes that one compressed byte stands for at most."""

MAX_INPUT = 1 << 31
"""Longer texts are not compressed."""

# The compiled twin's; the pure one takes a tenth of a second for as much as this.
_MAX_PURE_INPUT = 1 << 18

WORTH_IT = 4
"""Bytes that compression has to save, as in Redis."""

_MAX_DISTANCE = 1 << 13
_MAX_LENGTH = 264
_MAX_LITERALS = 32
_HASH_BITS = 13
_MIN_HASH_BITS = 8


class BadCompression(ValueError):
    """A text is not the compression of as many bytes as it should be."""


def decompress(data: bytes, size: int) -> bytes:
    """The `size` bytes that `data` is the compression of. Raises BadCompression."""
    end = len(data)
    if size > end * MAX_RATIO:
        raise BadCompression
    out = bytearray()
    at = 0
    try:
        while at < end:
            control = data[at]
            at += 1
            if control < _MAX_LITERALS:
                out += data[at : at + control + 1]
                at += control + 1
                continue
            length = (control >> 5) + 2
            if length == 9:
                length += data[at]
                at += 1
            distance = ((control & 31) << 8 | data[at]) + 1
            at += 1
            start = len(out) - distance
            if start < 0 or len(out) + length > size:
                raise BadCompression
            if distance >= length:
                out += out[start : start + length]
            else:
                # The copy reads what it writes: the last `distance` bytes repeat.
                out += (out[start:] * (length // distance + 1))[:length]
    except IndexError:
        raise BadCompression from None
    if at != end or len(out) != size:
        raise BadCompression
    return bytes(out)


def compress(data: bytes) -> bytes | None:
    """The compression of `data`, None where it saves no more than WORTH_IT bytes."""
    end = len(data)
    if end <= WORTH_IT or end > _MAX_PURE_INPUT:
        return None
    out = bytearray()
    # As many slots as a short text needs: to clear them all takes a microsecond, as long as all else.
    shift = 32 - min(max(end.bit_length() + 1, _MIN_HASH_BITS), _HASH_BITS)
    # The latest place (plus 1) of three bytes, by their hash.
    places: dict[int, int] = {}
    at = pending = 0
    while at < end - 2:
        three = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
        slot = (three * 2654435761 & 0xFFFFFFFF) >> shift
        place = places.get(slot, 0) - 1
        places[slot] = at + 1
        if place < 0 or at - place > _MAX_DISTANCE or data[place : place + 3] != data[at : at + 3]:
            at += 1
            continue
        longest = min(_MAX_LENGTH, end - at)
        length = 3
        while length < longest and data[place + length] == data[at + length]:
            length += 1
        _append_literals(out, data, pending, at)
        distance = at - place - 1
        if length < 9:
            out.append(length - 2 << 5 | distance >> 8)
        else:
            out.append(7 << 5 | distance >> 8)
            out.append(length - 9)
        out.append(distance & 0xFF)
        at += length
        pending = at
    _append_literals(out, data, pending, end)
    return bytes(out) if len(out) < end - WORTH_IT else None


def _append_literals(out: bytearray, data: bytes, start: int, end: int) -> None:
    for at in range(start, end, _MAX_LITERALS):
        run = data[at : min(at + _MAX_LITERALS, end)]
        out.append(len(run) - 1)
        out += run


prefer(globals(), "broker.formats.packed._lzf", "compress", "decompress")
