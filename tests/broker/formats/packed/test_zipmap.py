"""Zipmaps, read."""

import pytest

from broker.formats.packed import zipmap
from broker.formats.packed.zipmap import BadZipmap
from tests.broker.persistence import payloads

PAIRS = [(b"foo", b"bar"), (b"", b""), (b"f" * 253, b"v" * 254), (b"g" * 70_000, b"w")]


def test_pairs() -> None:
    assert zipmap.decode(b"\x02\x03foo\x03\x00bar\x05hello\x05\x00world\xff") == [b"foo", b"bar", b"hello", b"world"]
    for unused in (0, 3):
        assert zipmap.decode(payloads.zipmap(*PAIRS, unused=unused)) == [text for pair in PAIRS for text in pair]
    assert zipmap.decode(payloads.zipmap((b"f", b"v"), count=254)) == [b"f", b"v"]


def test_at_most() -> None:
    with pytest.raises(BadZipmap):
        zipmap.decode(payloads.zipmap(*PAIRS), 7)


def test_cut_anywhere() -> None:
    blob = payloads.zipmap((b"foo", b"bar"), (b"g" * 260, b"w"))
    for size in range(len(blob)):
        with pytest.raises(BadZipmap):
            zipmap.decode(blob[:size])


@pytest.mark.parametrize(
    "blob",
    [
        b"\0\xff",
        b"\1\1f\1\0v\0",
        b"\2\1f\1\0v\xff",
        b"\1\xfe\1\0\0\0f\1\0v\xff",
        b"\1\1f\xff\0v\xff",
        b"\1\1f\1\x09v\xff",
    ],
)
def test_damage(blob: bytes) -> None:
    with pytest.raises(BadZipmap):
        zipmap.decode(blob)
