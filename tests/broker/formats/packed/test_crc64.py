"""The checksum of dumps, and its compiled twin."""

import random
from collections.abc import Callable

from broker.formats.packed.crc64 import crc64
from tests import twins
from tests.twins import pure_module

PURE = pure_module("broker.formats.packed.crc64").crc64


@twins.both("broker.formats.packed.crc64", "broker.formats.packed._crc64", attribute="crc64", argument="function")
def test_the_check_value(function: Callable[..., int]) -> None:
    assert function(b"123456789") == 0xE9C6D914C4B8D9CA
    assert function(b"") == 0
    assert function(b"", 5) == 5


def test_in_pieces_and_of_any_buffer() -> None:
    data = random.Random(1).randbytes(1000)
    whole = crc64(data)
    assert crc64(bytearray(data)) == crc64(memoryview(data)) == whole
    for cut in range(0, 1000, 37):
        assert crc64(data[cut:], crc64(data[:cut])) == whole


def test_twins_agree() -> None:
    rng = random.Random(2)
    for size in (*range(40), 1000, 4097):
        data = rng.randbytes(size)
        start = rng.getrandbits(64)
        assert PURE(data, start) == crc64(data, start)
