"""The zipmap: Redis's encoding of small hashes before 2.6. It is only read.

One byte for the number of pairs (254 and above: count them), the pairs, a byte 255. A pair consists of the length of
the field (one byte below 254, or 254 and four), the field, the length of the value, a byte for the number of unused
bytes after the value, the value, and the unused bytes.
"""

END = 0xFF
BIG = 254

UNBOUNDED = 1 << 62


class BadZipmap(ValueError):
    """The bytes are not a zipmap."""


def decode(blob: bytes, most: int = UNBOUNDED) -> list[bytes]:
    """Returns alternating fields and values, at least one pair. Raises BadZipmap, also for more than `most`."""
    if len(blob) < 2 or blob[-1] != END:
        raise BadZipmap
    parts: list[bytes] = []
    at = 1
    try:
        while blob[at] != END:
            length, at = _length(blob, at)
            parts.append(blob[at : at + length])
            length, at = _length(blob, at + length)
            unused = blob[at]
            at += 1
            parts.append(blob[at : at + length])
            at += length + unused
            if len(parts) > most:
                raise BadZipmap
    except IndexError:
        raise BadZipmap from None
    if at != len(blob) - 1 or not parts or (blob[0] < BIG and blob[0] != len(parts) // 2):
        raise BadZipmap
    return parts


def _length(blob: bytes, at: int) -> tuple[int, int]:
    """Returns the length at `at`, and where the bytes that it counts begin."""
    length = blob[at]
    if length < BIG:
        return length, at + 1
    if length == END:
        raise BadZipmap
    length = int.from_bytes(blob[at + 1 : at + 5], "little")
    if length < BIG:
        raise BadZipmap
    return length, at + 5
