"""The hash of elements, which is part of a format: known values, and what must not matter."""

import pytest

from broker.values.hyperloglog.murmur import murmur_hash
from broker.values.hyperloglog.sketch import place


def reference(data: bytes) -> int:
    """The algorithm a byte at a time, as its author describes it."""
    factor, mask = 0xC6A4A7935BD1E995, 2**64 - 1
    hashed = 0xADC83B19 ^ (len(data) * factor & mask)
    for at in range(0, len(data), 8):
        block = data[at : at + 8]
        word = sum(byte << 8 * i for i, byte in enumerate(block))
        if len(block) == 8:
            word = word * factor & mask
            word = (word ^ word >> 47) * factor & mask
        hashed = (hashed ^ word) * factor & mask
    hashed = (hashed ^ hashed >> 47) * factor & mask
    return hashed ^ hashed >> 47


@pytest.mark.parametrize("length", [*range(40), 1000])
def test_every_length(length: int) -> None:
    data = bytes(i * 37 & 0xFF for i in range(length))
    hashed = murmur_hash(data)
    assert hashed == reference(data)
    assert place(data)[0] == hashed & 16383


def test_known_places() -> None:
    # From redis-server 8.10.2: PFADD, then PFDEBUG DECODE.
    known = {b"": (5938, 2), b"a": (12711, 2), b"b": (15780, 1), b"0123456789": (1021, 2)}
    assert {element: place(element) for element in known} == known
