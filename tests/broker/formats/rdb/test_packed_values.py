"""Packed blobs within a dump: their elements, and the reader's error for damaged ones."""

from collections.abc import Callable

import pytest

from broker.formats.packed import intset
from broker.formats.rdb.packed_values import (
    duplicate,
    empty,
    read_intset,
    read_listpack,
    read_strings,
    read_ziplist,
    read_zipmap,
)
from broker.formats.rdb.reader import BadFormat, Reader
from broker.values import listpack
from tests.broker.persistence.payloads import string, strings, ziplist, zipmap

READERS: list[tuple[Callable[[Reader], list[bytes]], bytes, list[bytes]]] = [
    (read_listpack, listpack.encode([b"a", b"5"]), [b"a", b"5"]),
    (read_ziplist, ziplist(b"a", 5), [b"a", b"5"]),
    (read_zipmap, zipmap((b"a", b"5")), [b"a", b"5"]),
    (read_intset, intset.encode([-1, 5]), [b"-1", b"5"]),
]


@pytest.mark.parametrize(("read", "blob", "elements"), READERS)
def test_elements(read: Callable[[Reader], list[bytes]], blob: bytes, elements: list[bytes]) -> None:
    assert read(Reader(string(blob))) == elements
    for damaged in (blob[:-1], blob[:-1] + b"\0", blob + b"\xff"):
        if read is read_intset and damaged[-1:] == b"\0":
            continue  # another member
        with pytest.raises(BadFormat, match="damaged"):
            read(Reader(string(damaged)))


@pytest.mark.parametrize("read", [read_listpack, read_ziplist])
def test_elements_are_bounded_over_all(read: Callable[[Reader], list[bytes]]) -> None:
    blob = listpack.encode([b"a", b"5"]) if read is read_listpack else ziplist(b"a", 5)
    reader = Reader(string(blob) * 3, elements=5)
    read(reader)
    read(reader)
    with pytest.raises(BadFormat, match="too long"):
        read(reader)


def test_strings() -> None:
    assert read_strings(Reader(strings(b"a", b"", b"b"))) == [b"a", b"", b"b"]
    with pytest.raises(BadFormat, match="an empty value at byte 1"):
        read_strings(Reader(b"\0"))


def test_errors() -> None:
    assert str(empty(Reader())) == "an empty value at byte 0"
    assert str(duplicate(Reader())) == "a duplicate element at byte 0"
