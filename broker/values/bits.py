"""Bits of strings: counted, looked for and combined, in bulk.

Bit 0 is the highest bit of the first byte, as in Redis. A string may be 512 MiB long and nothing else runs meanwhile,
so all of it goes by blocks through integers and functions of bytes, never bit by bit: 64 MiB take 80 ms to count,
3 ms to search and 200 ms to combine with as many. `_bits.pyx` is `count_in_bytes` and `combine` compiled, used when it
was built: 7 ms and 50 ms; TRIMARAN_PURE=1 in the environment keeps it out. So are `offset_of` and `exchange`, which
are most of a SETBIT: 0.25 us in place of 0.7.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_, or_, xor
from typing import Final

from protocol.native import prefer
from protocol.numbers import INTEGER_MAX, parse_integer

Bytes = bytes | bytearray

# Large enough that a call is no cost, small enough for a processor's nearest cache.
BLOCK: Final = 4096

_INVERTED: Final = bytes(range(255, -1, -1))
_UNIFORM: Final = {fill: bytes([fill]) * BLOCK for fill in (0x00, 0xFF)}


def offset_of(text: bytes, unit: int, limit: int) -> int:
    """The bit that a text names in units of `unit` bits, at most 64; -1 where no string of `limit` bytes has it."""
    number = parse_integer(text)
    if number is None or number < 0:
        return -1
    offset = number * unit
    return offset if offset <= INTEGER_MAX and offset >> 3 < limit else -1


def exchange(value: object, offset: int, bit: int) -> int:
    """Set a bit and give the one that was there; -1, and nothing is set, where `value` is no bytearray so long."""
    at = offset >> 3
    if not isinstance(value, bytearray) or at >= len(value):
        return -1
    byte = value[at]
    mask = 0x80 >> (offset & 7)
    value[at] = byte | mask if bit else byte & ~mask
    return 1 if byte & mask else 0


def count_in_bytes(value: Bytes, start: int, end: int) -> int:
    """How many bits are set in `value[start:end]`."""
    number = int.from_bytes
    return sum(number(value[at : min(at + BLOCK, end)], "little").bit_count() for at in range(start, end, BLOCK))


def count(value: Bytes, first: int, last: int) -> int:
    """How many of the bits from `first` to `last` are set; both are bits of the string."""
    start, end = first >> 3, last >> 3
    before = value[start] >> (8 - (first & 7))
    behind = value[end] & (0x7F >> (last & 7))
    return count_in_bytes(value, start, end + 1) - before.bit_count() - behind.bit_count()


def find(value: Bytes, bit: int, first: int, last: int) -> int:
    """The first of the bits from `first` to `last` that is `bit`, -1 for none; both are bits of the string."""
    fill = 0x00 if bit else 0xFF
    at, end = first >> 3, last >> 3
    # From here on a byte's set bits are those that are looked for.
    byte = (value[at] ^ fill) & (0xFF >> (first & 7))
    if not byte and at < end:
        at = _first_other(value, fill, at + 1, end)
        byte = value[at] ^ fill
    if at == end:
        byte &= 0xFF << (7 - (last & 7))
    return 8 * at + 8 - byte.bit_length() if byte else -1


def _first_other(value: Bytes, fill: int, start: int, end: int) -> int:
    """The first byte of `value[start:end]` that is not `fill`; `end` for none."""
    uniform = _UNIFORM[fill]
    while start + BLOCK <= end and value.startswith(uniform, start):
        start += BLOCK
    block = value[start : min(start + BLOCK, end)]
    return start + len(block) - len(block.lstrip(uniform[:1]))


def _and_not(a: int, b: int) -> int:
    # Not a & ~b: that would be a negative number on the way.
    return a ^ (a & b)


def _one(numbers: Sequence[int]) -> int:
    any_of = several = 0
    for number in numbers:
        several |= any_of & number
        any_of |= number
    return any_of ^ several


_OPERATIONS: Final[dict[bytes, Callable[[Sequence[int]], int]]] = {
    b"AND": lambda numbers: reduce(and_, numbers),
    b"OR": lambda numbers: reduce(or_, numbers),
    b"XOR": lambda numbers: reduce(xor, numbers),
    b"DIFF": lambda numbers: _and_not(numbers[0], reduce(or_, numbers[1:])),
    b"DIFF1": lambda numbers: _and_not(reduce(or_, numbers[1:]), numbers[0]),
    b"ANDOR": lambda numbers: numbers[0] & reduce(or_, numbers[1:]),
    b"ONE": _one,
}


def combine(operation: bytes, sources: Sequence[Bytes]) -> bytearray:
    """The result of a bitwise operation, as long as the longest source; shorter ones go on with zeros.

    AND, OR and XOR are over all sources, NOT inverts the only one. DIFF is the bits of the first source that no
    other has, DIFF1 those of the others that the first has not, ANDOR those that the first and any other have, and
    ONE those that exactly one source has.
    """
    if operation == b"NOT":
        return bytearray(sources[0].translate(_INVERTED))
    apply = _OPERATIONS[operation]
    number = int.from_bytes
    length = max(map(len, sources))
    return bytearray().join(
        apply([number(source[at : at + BLOCK], "little") for source in sources]).to_bytes(
            min(BLOCK, length - at), "little"
        )
        for at in range(0, length, BLOCK)
    )


prefer(globals(), "broker.values._bits", "combine", "count_in_bytes", "exchange", "offset_of")
