"""Reading piece by piece, from bytes and from a source."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.formats.packed.crc64 import crc64
from broker.formats.rdb.primitives import double_bytes, id_bytes, id_lengths, length_bytes, signed_bytes
from broker.formats.rdb.reader import BadFormat, Reader
from broker.formats.rdb.strings import append_string
from tests.broker.persistence.payloads import lzf_string

TEXTS = st.one_of(
    st.binary(max_size=100),
    st.integers(-(2**33), 2**33).map(lambda n: b"%d" % n),
    st.integers(0, 3000).map(lambda n: b"a" * n),
)


def in_pieces(data: bytes, size: int) -> Callable[[int], bytes]:
    """A source that delivers at most `size` bytes at once."""
    at = 0

    def source(count: int) -> bytes:
        nonlocal at
        piece = data[at : at + min(count, size)]
        at += len(piece)
        return piece

    return source


@given(st.lists(TEXTS), st.lists(st.integers(0, 2**64 - 1)), st.integers(1, 50))
def test_what_was_written(texts: list[bytes], lengths: list[int], size: int) -> None:
    out = bytearray()
    for text in texts:
        append_string(out, text)
    for length in lengths:
        out += length_bytes(length)
    data = bytes(out)
    for reader in (
        Reader(data),
        Reader(source=in_pieces(data, size)),
        Reader(data[:7], source=in_pieces(data[7:], size)),
    ):
        assert [reader.string() for _ in texts] == texts
        assert [reader.length() for _ in lengths] == lengths
        assert reader.offset == len(data)
        with pytest.raises(BadFormat, match="cut short"):
            reader.byte()


def test_numbers() -> None:
    data = double_bytes(-0.5) + signed_bytes(-7) + id_bytes(5 << 64 | 6) + id_lengths(7 << 64 | 8) + b"\x031e3\xfe\xff"
    reader = Reader(data)
    assert (reader.double(), reader.signed(), reader.id(), reader.id_lengths()) == (-0.5, -7, 5 << 64 | 6, 7 << 64 | 8)
    assert (reader.double_text(), reader.double_text(), reader.double_text()) == (1000.0, math.inf, -math.inf)


@pytest.mark.parametrize(
    ("data", "reason", "offset"),
    [
        (b"", "cut short", 0),
        (b"\x05abc", "cut short", 4),
        (b"\x81\x7f" + b"\xff" * 7 + b"abc", "cut short", 12),
        (b"\x82abc", "unknown length format", 1),
        (b"\xc4abc", "unknown string encoding", 1),
        (b"\xc1a", "cut short", 2),
        (lzf_string(b"\0a", 2), "a compressed string is damaged", 5),
        (lzf_string(b"\0a", 177), "a compressed string can't be that long", 4),
        (b"\xc3\xc0\1", "a length is missing", 2),
    ],
)
def test_bad_strings(data: bytes, reason: str, offset: int) -> None:
    for reader in (Reader(data), Reader(source=in_pieces(data, 2))):
        with pytest.raises(BadFormat) as caught:
            reader.string()
        assert (caught.value.reason, caught.value.offset) == (reason, offset)
        assert str(caught.value) == f"{reason} at byte {offset}"


@pytest.mark.parametrize("data", [b"\xfd", b"\x03nan", b"\x03abc", b"\0"])
def test_bad_scores(data: bytes) -> None:
    with pytest.raises(BadFormat, match="a score is not a number"):
        Reader(data).double_text()


def test_an_offset_behind_what_was_dropped() -> None:
    reader = Reader(source=in_pieces(b"\x03abc" * 100_000, 1 << 16))
    for _ in range(99_999):
        reader.string()
    assert reader.offset == 399_996
    assert reader.bad("x").offset == 399_996


def test_a_false_length_asks_for_no_memory() -> None:
    asked = []

    def source(count: int) -> bytes:
        asked.append(count)
        return b"\x81\x7f" + b"\xff" * 7 if len(asked) == 1 else b""

    with pytest.raises(BadFormat, match="cut short"):
        Reader(source=source).string()
    assert max(asked) <= 1 << 24


def test_inflation_is_bounded() -> None:
    data = lzf_string(b"\0a\x20\0", 4) * 3
    reader = Reader(data, inflation=9)
    assert reader.string() == reader.string() == b"aaaa"
    with pytest.raises(BadFormat, match="compressed strings are too long"):
        reader.string()
    with pytest.raises(BadFormat, match="compressed strings are too long"):
        Reader(data, inflation=11).strings(3)
    assert Reader(data, inflation=12).strings(3) == Reader(data).strings(3) == [b"aaaa"] * 3


@given(st.lists(TEXTS, min_size=1), st.integers(1, 50))
def test_many_strings_at_once(texts: list[bytes], size: int) -> None:
    out = bytearray()
    for text in texts:
        append_string(out, text)
    data = bytes(out)
    for reader in (Reader(data), Reader(source=in_pieces(data, size))):
        assert reader.strings(len(texts)) == texts
        assert reader.offset == len(data)
        with pytest.raises(BadFormat, match="cut short"):
            reader.strings(1)


@given(st.lists(st.integers(0, 30), max_size=10), st.integers(1, 50))
def test_the_checksum_of_what_was_read(steps: list[int], size: int) -> None:
    data = bytes(range(256)) * 2
    reader = Reader(source=in_pieces(data, size))
    for step in steps:
        reader.take(step)
        assert reader.checksum() == crc64(data[: reader.offset])
    assert reader.checksum() == crc64(data[: sum(steps)])


def test_what_follows_a_dump() -> None:
    for size in (1, 3, 100):
        reader = Reader(source=in_pieces(b"dumpcommands", size), size=12)
        reader.take(4)
        rest = b""
        while part := reader.read(5):
            assert len(part) <= 5
            rest += part
            assert reader.offset == 4 + len(rest)
            assert reader.checksum() == crc64(b"dump")
        assert rest == b"commands"
    assert Reader(b"ab").read(9) == b"ab"


def test_a_length_past_the_end_reads_nothing() -> None:
    asked = []

    def source(count: int) -> bytes:
        asked.append(count)
        return b"\x80\x7f\0\0\0" + b"x" * 10

    reader = Reader(source=source, size=1000)
    with pytest.raises(BadFormat, match="cut short at byte 1000"):
        reader.string()
    assert len(asked) == 1
