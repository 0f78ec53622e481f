"""The intset: a sorted array of integers of one width, for small sets that contain only integers.

Four bytes of width (2, 4 or 8), four for the number of members, then the members, all little-endian.
"""

from itertools import islice
from operator import ge
from struct import Struct, pack, unpack_from

_header = Struct("<II")
_CODES = {2: "h", 4: "i", 8: "q"}


class BadIntset(ValueError):
    """The bytes are not an intset."""


def encode(members: list[int]) -> bytes:
    """Encodes these members, at least one, which are in ascending order."""
    low, high = members[0], members[-1]
    width = 2 if low >= -1 << 15 and high < 1 << 15 else 4 if low >= -1 << 31 and high < 1 << 31 else 8
    return pack(f"<II{len(members)}{_CODES[width]}", width, len(members), *members)


def decode(blob: bytes) -> list[int]:
    """Returns the members, ascending, at least one. Raises BadIntset."""
    if len(blob) < _header.size:
        raise BadIntset
    width, count = _header.unpack_from(blob)
    code = _CODES.get(width)
    # The length is checked first, because the format string below is compiled for that many numbers.
    if code is None or not count or _header.size + count * width != len(blob):
        raise BadIntset
    members = list(unpack_from(f"<{count}{code}", blob, _header.size))
    if any(map(ge, members, islice(members, 1, None))):
        raise BadIntset
    return members
