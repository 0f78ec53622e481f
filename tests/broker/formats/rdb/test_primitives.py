"""Lengths and numbers, written; that they are read again is in test_rdb_reader."""

import pytest

from broker.formats.rdb.primitives import double_bytes, id_bytes, id_lengths, length_bytes, signed_bytes


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, b"\0"), (63, b"\x3f"), (64, b"\x40\x40"), (16383, b"\x7f\xff"), (16384, b"\x80\0\0\x40\0"),
        (2**32 - 1, b"\x80\xff\xff\xff\xff"), (2**32, b"\x81\0\0\0\1\0\0\0\0"), (2**64 - 1, b"\x81" + b"\xff" * 8),
    ],
)  # fmt: skip
def test_lengths(length: int, expected: bytes) -> None:
    assert length_bytes(length) == expected


def test_numbers() -> None:
    assert double_bytes(1.5) == b"\0\0\0\0\0\0\xf8\x3f"
    assert signed_bytes(-1) == b"\xff" * 8
    assert id_bytes(1 << 64 | 2) == b"\0" * 7 + b"\1" + b"\0" * 7 + b"\2"
    assert id_lengths(1 << 64 | 70) == b"\1\x40\x46"
