"""Packed blobs within a dump: their elements, and the reader's error for damaged ones."""

from collections.abc import Callable
from typing import Any

import pytest

from broker.formats.packed import intset
from broker.formats.rdb.packed_values import (
    duplicate,
    empty,
    listpack_runs,
    read_intset,
    read_listpack,
    read_ziplist,
    read_zipmap,
)
from broker.formats.rdb.reader import BadFormat, Reader
from broker.values import listpack
from tests.broker.persistence.payloads import string, ziplist, zipmap

READERS: list[tuple[Callable[[Reader], list[Any]], bytes, list[Any]]] = [
    (read_listpack, listpack.encode([b"a", b"5"]), [b"a", b"5"]),
    (read_ziplist, ziplist(b"a", 5), [b"a", b"5"]),
    (read_zipmap, zipmap((b"a", b"5")), [b"a", b"5"]),
    (read_intset, intset.encode([-1, 5]), [-1, 5]),
]


@pytest.mark.parametrize(("read", "blob", "elements"), READERS)
def test_elements(read: Callable[[Reader], list[Any]], blob: bytes, elements: list[Any]) -> None:
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


def test_a_listpack_in_runs() -> None:
    texts = [b"%d" % n for n in range(10)]
    blob = listpack.encode(texts)
    reader = Reader(elements=10)
    for size in (1, 3, 5, 10, 11):
        reader.elements = 10
        runs = list(listpack_runs(reader, blob, size))
        assert [text for run in runs for text in run] == texts
        assert {len(run) for run in runs[:-1]} <= {size}
        assert not reader.elements
    assert list(listpack_runs(reader, listpack.encode([]), 5)) == []


@pytest.mark.parametrize("size", [1, 4, 100])
def test_damage_in_a_run(size: int) -> None:
    blob = listpack.encode([b"%d" % n for n in range(10)])
    for damaged in (blob[:4] + b"\x09" + blob[5:], blob[:-2] + b"\x09\xff", blob[:-1], b""):
        with pytest.raises(BadFormat, match="damaged"):
            list(listpack_runs(Reader(), damaged, size))
    with pytest.raises(BadFormat, match="too long"):
        list(listpack_runs(Reader(elements=9), blob, size))


def test_errors() -> None:
    assert str(empty(Reader())) == "an empty value at byte 0"
    assert str(duplicate(Reader())) == "a duplicate element at byte 0"
