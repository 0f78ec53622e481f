"""The 64-bit hash of HyperLogLog's elements: Austin Appleby's MurmurHash64A, with Redis's seed.

The function decides which register an element belongs to, so it is part of the format of the stored value.
"""

from typing import Final

_SEED: Final = 0xADC83B19
_FACTOR: Final = 0xC6A4A7935BD1E995
_SHIFT: Final = 47
_MASK: Final = (1 << 64) - 1


def murmur_hash(data: bytes) -> int:
    """Returns the hash of `data`, an unsigned 64-bit integer."""
    length = len(data)
    number = int.from_bytes
    hashed = _SEED ^ (length * _FACTOR & _MASK)
    at = 0
    while length - at >= 8:
        word = number(data[at : at + 8], "little") * _FACTOR & _MASK
        hashed = (hashed ^ (word ^ word >> _SHIFT) * _FACTOR & _MASK) * _FACTOR & _MASK
        at += 8
    if at < length:
        hashed = (hashed ^ number(data[at:], "little")) * _FACTOR & _MASK
    hashed = (hashed ^ hashed >> _SHIFT) * _FACTOR & _MASK
    return hashed ^ hashed >> _SHIFT
