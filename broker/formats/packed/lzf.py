"""LZF, Redis's compression of strings in dumps.

A compressed text is a sequence of runs. A control byte below 32 precedes that many plus one literal bytes. Any other is
a back reference: its upper three bits are the length minus 2 (7: a byte with the rest follows); its lower five bits and
the last byte of the run are the distance minus 1. So no reference reaches further back than 8192 bytes or is longer
than 264, and three bytes never expand to more than 264: a text's length bounds what it can expand to.

`_lzf.pyx` is the compiled twin, used when it is built, unless TRIMARAN_PURE=1 is in the environment: it compresses
260 MB/s instead of 3, and decompresses 670 MB/s instead of 14.
"""

from protocol.native import prefer

MAX_RATIO = 88
"""Most bytes that one compressed byte can expand to."""

MAX_INPUT = 1 << 31
"""Longer texts are not compressed."""

# The compiled twin has the limit above; the pure one needs a tenth of a second for this much.
_MAX_PURE_INPUT = 1 << 18

WORTH_IT = 4
"""Bytes that compression must save, as in Redis."""

_MAX_DISTANCE = 1 << 13
_MAX_LENGTH = 264
_MAX_LITERALS = 32
_HASH_BITS = 13
_MIN_HASH_BITS = 8


class BadCompression(ValueError):
    """A text does not decompress to the expected number of bytes."""


def decompress(data: bytes, size: int) -> bytes:
    """Decompresses `data` to `size` bytes. Raises BadCompression."""
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
                # The copy overlaps its own output: the last `distance` bytes repeat.
                out += (out[start:] * (length // distance + 1))[:length]
    except IndexError:
        raise BadCompression from None
    if at != end or len(out) != size:
        raise BadCompression
    return bytes(out)


def compress(data: bytes) -> bytes | None:
    """Returns `data` compressed, None if that saves no more than WORTH_IT bytes."""
    end = len(data)
    if end <= WORTH_IT or end > _MAX_PURE_INPUT:
        return None
    out = bytearray()
    # Few slots for a short text, because clearing all of them takes a microsecond, as long as the rest.
    shift = 32 - min(max(end.bit_length() + 1, _MIN_HASH_BITS), _HASH_BITS)
    # The hash of three bytes -> their latest position, plus 1.
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
