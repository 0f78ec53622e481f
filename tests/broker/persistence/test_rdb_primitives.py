"""Lengths, strings and numbers, written; that they are read again is in test_rdb_reader."""

import pytest

from broker.persistence.rdb_primitives import (
    append_string,
    double_bytes,
    id_bytes,
    id_lengths,
    length_bytes,
    signed_bytes,
)


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, b"\0"), (63, b"\x3f"), (64, b"\x40\x40"), (16383, b"\x7f\xff"), (16384, b"\x80\0\0\x40\0"),
        (2**32 - 1, b"\x80\xff\xff\xff\xff"), (2**32, b"\x81\0\0\0\1\0\0\0\0"), (2**64 - 1, b"\x81" + b"\xff" * 8),
    ],
)  # fmt: skip
def test_lengths(length: int, expected: bytes) -> None:
    assert length_bytes(length) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", b"\0"), (b"a", b"\1a"), (b"0", b"\xc0\0"), (b"-128", b"\xc0\x80"), (b"128", b"\xc1\x80\0"),
        (b"-32769", b"\xc2\xff\x7f\xff\xff"),
        (b"2147483648", b"\x0a2147483648"), (b"007", b"\x03007"), (b"-0", b"\2-0"),
        (b"a" * 20, b"\x14" + b"a" * 20), (b"a" * 21, b"\xc3\5\x15\0a\xe0\x0b\0"),
        (b"a" * 100, b"\xc3\5\x40\x64\0a\xe0\x5a\0"),
    ],
)  # fmt: skip
def test_strings(text: bytes, expected: bytes) -> None:
    for form in (text, bytearray(text)):
        out = bytearray(b">")
        append_string(out, form)
        assert out == b">" + expected


def test_uncompressed() -> None:
    out = bytearray()
    append_string(out, b"a" * 100, compress=False)
    assert out == b"\x40\x64" + b"a" * 100


def test_numbers() -> None:
    assert double_bytes(1.5) == b"\0\0\0\0\0\0\xf8\x3f"
    assert signed_bytes(-1) == b"\xff" * 8
    assert id_bytes(1 << 64 | 2) == b"\0" * 7 + b"\1" + b"\0" * 7 + b"\2"
    assert id_lengths(1 << 64 | 70) == b"\1\x40\x46"
