"""Versions of the dump format."""

import pytest

from broker.formats.rdb import format as f


@pytest.mark.parametrize(
    ("version", "readable"),
    [(0, True), (6, True), (10, True), (15, True), (16, False), (79, False), (80, True), (90, False)],
)
def test_what_is_read(version: int, readable: bool) -> None:
    assert f.is_readable(version) is readable


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        (f.STRING, 10), (f.LIST_QUICKLIST_2, 10), (f.SET, 10), (f.SET_INTSET, 10), (f.HASH_LISTPACK, 10),
        (f.ZSET_2, 10), (f.STREAM_LISTPACKS_2, 10), (f.STREAM_LISTPACKS_3, 11),
        (f.HASH_METADATA, 12), (f.HASH_LISTPACK_EX, 12),
    ],
)  # fmt: skip
def test_what_is_written(kind: int, version: int) -> None:
    assert f.oldest_version(kind) == version
