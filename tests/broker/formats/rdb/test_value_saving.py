"""Which types values are written as. That they are read again is in test_dump_payload."""

from dataclasses import replace
from typing import Any

import pytest

from broker.formats.rdb.format import (
    HASH,
    HASH_LISTPACK,
    HASH_LISTPACK_EX,
    HASH_METADATA,
    LIST_QUICKLIST_2,
    SET,
    SET_INTSET,
    STREAM_LISTPACKS_2,
    STRING,
    ZSET_2,
    ZSET_LISTPACK,
)
from broker.formats.rdb.value_saving import save_value
from broker.values.list import List
from broker.values.sorted_set import SortedSet
from tests.broker.persistence.values_made import DIRECTIVES, all_values

TYPES = {
    "string": STRING, "bytearray": STRING, "list": LIST_QUICKLIST_2, "long list": LIST_QUICKLIST_2,
    "integers": SET_INTSET, "set": SET, "large set": SET, "sorted set": ZSET_LISTPACK, "large sorted set": ZSET_2,
    "hash": HASH_LISTPACK, "large hash": HASH, "expiring hash": HASH_LISTPACK_EX,
    "large expiring hash": HASH_METADATA, "expired once": HASH_LISTPACK, "stream": STREAM_LISTPACKS_2,
}  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), TYPES.items())
def test_types(name: str, kind: int) -> None:
    assert save_value(all_values()[name], DIRECTIVES)[0] == kind


def test_thresholds() -> None:
    strict = replace(
        DIRECTIVES,
        hash_max_listpack_entries=2,
        set_max_intset_entries=2,
        zset_max_listpack_value=50,
        list_max_listpack_size=2,
    )
    for name, kind in (
        ("hash", HASH),
        ("integers", SET),
        ("expiring hash", HASH_METADATA),
        ("sorted set", ZSET_LISTPACK),
    ):
        assert save_value(all_values()[name], strict)[0] == kind
    # Five elements in nodes of two.
    assert save_value(all_values()["list"], strict)[1][0] == 3


@pytest.mark.parametrize(
    ("size", "nodes"), [(-1, 5), (-2, 3), (-5, 1), (-9, 1), (0, 300), (1, 300), (100, 3), (1000, 3)]
)
def test_nodes_of_lists(size: int, nodes: int) -> None:
    value = List([b"x" * 60 for _ in range(300)])
    assert save_value(value, replace(DIRECTIVES, list_max_listpack_size=size))[1][:2] == (
        bytes((nodes,)) + b"\2" if nodes < 64 else bytes((0x40 | nodes >> 8, nodes & 0xFF))
    )


def test_large_elements_stand_alone() -> None:
    _, body = save_value(List([b"a", b"z" * 8193, b"b"]), replace(DIRECTIVES, rdbcompression=False))
    assert body[:3] == b"\3\2\x0a" and body[13:17] == b"\1\x60\x01z" and len(body) == 13 + 3 + 8193 + 12


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (1.0, b"\1\1"),
        (-0.0, b"\0\1"),
        (0.5, b"\x830.5\4"),
        (float("inf"), b"\x83inf\4"),
        (2.0**53, b"\xf4" + b"\0" * 6 + b"\x20\0\x09"),
    ],
)
def test_scores(score: float, expected: bytes) -> None:
    kind, body = save_value(SortedSet({b"m": score + 0.0}), DIRECTIVES)
    assert (kind, bytes(body[1 + 6 + 3 : -1])) == (ZSET_LISTPACK, expected)


def _body(value: Any) -> bytes:
    return bytes(save_value(value, DIRECTIVES)[1])


def test_compression_can_be_off() -> None:
    for name, value in all_values().items():
        plain = save_value(value, replace(DIRECTIVES, rdbcompression=False))[1]
        assert len(_body(value)) <= len(plain), name
    assert len(_body(b"a" * 1000)) < 30
