"""The size of elements in Redis's listpack encoding.

A stream's entries are held in nodes, and approximate trimming (`MAXLEN ~`) removes whole nodes only. Redis
ends a node when its listpack has grown to `stream-node-max-bytes`. To trim the same entries we count the same
bytes, although nothing here is stored in a listpack. The format of an element: its encoding, its payload, and its
own length for backward iteration; texts of integers are stored as integers.
"""

EMPTY_LISTPACK = 7
"""In bytes: total length (4), number of elements (2), terminator (1)."""

_MAX_INTEGER_TEXT = 20
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1


def integer_size(value: int) -> int:
    """Returns the bytes of a signed 64-bit integer, including its backward length."""
    if 0 <= value <= 127:
        return 2
    if -4096 <= value <= 4095:
        return 3
    if -32768 <= value <= 32767:
        return 4
    if -8388608 <= value <= 8388607:
        return 5
    if -2147483648 <= value <= 2147483647:
        return 6
    return 10


def wrapped_integer_size(value: int) -> int:
    """Returns the same for the difference of two unsigned 64-bit numbers, which wraps as in C."""
    return integer_size((value + (1 << 63)) % (1 << 64) - (1 << 63))


def element_size(text: bytes) -> int:
    """Returns the bytes of a text, which is stored as an integer if it is the canonical text of one."""
    length = len(text)
    if 0 < length <= _MAX_INTEGER_TEXT:
        first = text[0]
        if 48 <= first <= 57:
            if (first != 48 or length == 1) and text.isdigit():
                value = int(text)
                if value <= _INT64_MAX:
                    return integer_size(value)
        elif first == 45 and length > 1 and text[1] != 48 and text[1:].isdigit():
            value = int(text)
            if value >= _INT64_MIN:
                return integer_size(value)
    if length < 64:
        return length + 2
    encoded = length + 2 if length < 4096 else length + 5
    if encoded <= 127:
        return encoded + 1
    if encoded <= 16383:
        return encoded + 2
    if encoded <= 2097151:
        return encoded + 3
    if encoded <= 268435455:
        return encoded + 4
    return encoded + 5
