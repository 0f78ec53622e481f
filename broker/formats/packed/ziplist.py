"""The ziplist: Redis's encoding of small values before 7.0. It is only read.

Four bytes for the total length, four for the position of the last element, two for the number of elements (65535: count
them), the elements, a byte 255. An element begins with the length of the previous one (one byte, or 254 and four); its
first bits then show whether it is a text (of three widths) or an integer (of six).
"""

from struct import Struct

END = 0xFF
COUNT_UNKNOWN = 0xFFFF

UNBOUNDED = 1 << 62

_BIG_PREVIOUS = 254
_header = Struct("<IIH")

_TEXT14 = 0x40
_TEXT32 = 0x80
_INTEGERS = 0xC0
_TINY_MIN = 0xF1
_TINY_MAX = 0xFD
# The first byte of an integer -> its number of bytes.
_INTEGER_BYTES = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}


class BadZiplist(ValueError):
    """The bytes are not a ziplist."""


def decode(blob: bytes, most: int = UNBOUNDED) -> list[bytes]:
    """Returns the elements as texts. Raises BadZiplist, also if there are more than `most`."""
    total = len(blob)
    if total < _header.size + 1:
        raise BadZiplist
    declared, tail, count = _header.unpack_from(blob)
    if declared != total or blob[-1] != END:
        raise BadZiplist
    elements: list[bytes] = []
    at = latest = _header.size
    before = 0
    try:
        while blob[at] != END:
            latest = at
            text, at = _element(blob, at, before)
            before = at - latest
            elements.append(text)
            if len(elements) > most:
                raise BadZiplist
    except IndexError:
        raise BadZiplist from None
    if at != total - 1 or (elements and tail != latest) or count not in (len(elements), COUNT_UNKNOWN):
        raise BadZiplist
    return elements


def _element(blob: bytes, at: int, before: int) -> tuple[bytes, int]:
    """Returns the element at `at` and where the next one begins; `before` is the length of the previous element."""
    previous = blob[at]
    at += 1
    if previous == _BIG_PREVIOUS:
        previous = int.from_bytes(blob[at : at + 4], "little")
        at += 4
    if previous != before:
        raise BadZiplist
    first = blob[at]
    at += 1
    if first >= _INTEGERS:
        if _TINY_MIN <= first <= _TINY_MAX:
            return b"%d" % (first - _TINY_MIN), at
        width = _INTEGER_BYTES.get(first)
        if width is None:
            raise BadZiplist
        end = at + width
        if end >= len(blob):
            raise BadZiplist
        return b"%d" % int.from_bytes(blob[at:end], "little", signed=True), end
    if first < _TEXT14:
        length = first
    elif first < _TEXT32:
        length = (first & 0x3F) << 8 | blob[at]
        at += 1
    elif first == _TEXT32:
        length = int.from_bytes(blob[at : at + 4], "big")
        at += 4
    else:
        raise BadZiplist
    end = at + length
    if end >= len(blob):
        raise BadZiplist
    return blob[at:end], end
