"""Values that are read in steps: the same values, with the same errors, in many pieces."""

from collections.abc import Callable
from struct import pack
from typing import Any

import pytest

from broker.formats.packed import intset
from broker.formats.rdb.format import (
    HASH,
    HASH_LISTPACK,
    HASH_LISTPACK_EX,
    HASH_METADATA,
    HASH_METADATA_PRE_GA,
    HASH_ZIPLIST,
    LIST,
    LIST_QUICKLIST,
    LIST_QUICKLIST_2,
    SET,
    SET_INTSET,
    SET_LISTPACK,
    ZSET,
    ZSET_2,
    ZSET_LISTPACK,
)
from broker.formats.rdb.large_values import PIECE, Steps, finish
from broker.formats.rdb.reader import BadFormat, EmptyValue, Reader
from broker.formats.rdb.value_loading import begin_value
from broker.values import listpack
from broker.values.hash import Hash
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from tests.broker.persistence.payloads import string, ziplist
from tests.broker.persistence.values_made import DIRECTIVES, content

COUNT = 5 * PIECE // 2
MEMBERS = [b"member:%d" % number for number in range(COUNT)]
DEADLINE = 4_000_000_000_000


def long(number: int) -> bytes:
    return b"\x80" + number.to_bytes(4, "big")


def strings(*texts: bytes) -> bytes:
    return b"".join(map(string, texts))


def nodes(members: list[bytes]) -> bytes:
    packed = [members[:700], members[700:]]
    return long(3) + b"\2" + string(listpack.encode(packed[0])) + b"\1\1x\2" + string(listpack.encode(packed[1]))


def ziplists(members: list[bytes]) -> bytes:
    return b"\4" + strings(ziplist(*members[:900]), ziplist(), ziplist(*members[900:1800]), ziplist(*members[1800:]))


def with_list(members: list[bytes]) -> Any:
    return List([*members[:700], b"x", *members[700:]])


def hash_of(members: list[bytes]) -> Any:
    return Hash(dict(zip(members, members, strict=True)))


def expiring(members: list[bytes]) -> Any:
    value = hash_of(members)
    for member in members:
        value.expire_at(member, DEADLINE)
    return value


def scores_of(members: list[bytes]) -> Any:
    return SortedSet({member: float(number) for number, member in enumerate(members)})


def twice(members: list[bytes]) -> list[bytes]:
    return [member for member in members for _ in range(2)]


def scored(members: list[bytes]) -> list[bytes]:
    return [text for number, member in enumerate(members) for text in (member, b"%d" % number)]


CASES: dict[str, tuple[int, Callable[[list[bytes]], bytes], Callable[[list[bytes]], Any]]] = {
    "list": (LIST, lambda m: long(len(m)) + strings(*m), List),
    "quicklist": (LIST_QUICKLIST_2, nodes, with_list),
    "quicklist of ziplists": (LIST_QUICKLIST, ziplists, List),
    "set": (SET, lambda m: long(len(m)) + strings(*m), Set.of),
    "packed set": (SET_LISTPACK, lambda m: string(listpack.encode(m)), Set.of),
    "hash": (HASH, lambda m: long(len(m)) + strings(*twice(m)), hash_of),
    "packed hash": (HASH_LISTPACK, lambda m: string(listpack.encode(twice(m))), hash_of),
    "hash as a ziplist": (HASH_ZIPLIST, lambda m: string(ziplist(*twice(m))), hash_of),
    "packed hash with deadlines": (
        HASH_LISTPACK_EX,
        lambda m: bytes(8) + string(listpack.encode([t for x in m for t in (x, x, b"%d" % DEADLINE)])),
        expiring,
    ),
    "hash with deadlines": (
        HASH_METADATA,
        lambda m: DEADLINE.to_bytes(8, "little") + long(len(m)) + b"".join(b"\1" + strings(x, x) for x in m),
        expiring,
    ),
    "zset": (
        ZSET_2,
        lambda m: long(len(m)) + b"".join(string(x) + pack("<d", n) for n, x in reversed([*enumerate(m)])),
        scores_of,
    ),
    "zset with texts": (
        ZSET,
        lambda m: long(len(m)) + b"".join(string(x) + string(b"%d" % n) for n, x in enumerate(m)),
        scores_of,
    ),
    "packed zset": (ZSET_LISTPACK, lambda m: string(listpack.encode(scored(m))), scores_of),
}


def begin(kind: int, body: bytes, version: int = 12, **bounds: int) -> Any:
    return begin_value(Reader(body, version, **bounds), kind, DIRECTIVES)


def same(value: Any, other: Any) -> bool:
    return content(value) == content(other)


@pytest.mark.parametrize("name", CASES)
def test_large_values(name: str) -> None:
    kind, save, made = CASES[name]
    value = begin(kind, save(MEMBERS))
    assert value.__class__ is Steps
    offsets = []
    steps = value.steps
    while True:
        try:
            offsets.append(next(steps))
        except StopIteration as end:
            assert same(end.value, made(MEMBERS))
            break
    assert len(offsets) >= 3
    assert offsets == sorted(offsets)


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("quicklist")])
def test_small_values_are_read_at_once(name: str) -> None:
    kind, save, made = CASES[name]
    few = MEMBERS[:20]
    value = begin(kind, save(few))
    assert value.__class__ is not Steps
    assert same(value, made(few))


@pytest.mark.parametrize("name", [name for name in CASES if "list" not in name])
def test_a_duplicate_in_another_piece(name: str) -> None:
    kind, save, _ = CASES[name]
    with pytest.raises(BadFormat, match="a duplicate element"):
        finish(begin(kind, save([*MEMBERS, MEMBERS[1]])))


@pytest.mark.parametrize("name", [name for name in CASES if "pack" in name])
def test_bounds_of_packed_values(name: str) -> None:
    kind, save, _ = CASES[name]
    with pytest.raises(BadFormat, match="a listpack is damaged or too long"):
        finish(begin(kind, save(MEMBERS), elements=COUNT - 1))


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        (HASH_LISTPACK, b"x", "a field without a value"),
        (HASH_LISTPACK_EX, b"x", "a field without a deadline"),
        (ZSET_LISTPACK, b"x", "a member without a score"),
    ],
)
def test_incomplete_elements(kind: int, text: bytes, reason: str) -> None:
    group = 3 if kind == HASH_LISTPACK_EX else 2
    texts = [b"%d" % number for number in range(1, group * COUNT + 1)]
    body = bytes(8 if group == 3 else 0) + string(listpack.encode([*texts, text]))
    with pytest.raises(BadFormat, match=reason):
        finish(begin(kind, body))


def test_an_intset() -> None:
    numbers = list(range(-COUNT, COUNT))
    value = begin(SET_INTSET, string(intset.encode(numbers)))
    assert value.__class__ is Steps
    assert same(finish(value), Set.of([b"%d" % number for number in numbers]))


def test_a_valkey_hash() -> None:
    body = long(COUNT) + b"".join(strings(m, m) + DEADLINE.to_bytes(8, "little") for m in MEMBERS)
    value = begin(HASH_METADATA_PRE_GA, body, 80)
    assert value.__class__ is Steps
    assert same(finish(value), expiring(MEMBERS))


def test_nothing_in_many_nodes() -> None:
    with pytest.raises(EmptyValue):
        finish(begin(LIST_QUICKLIST, b"\2" + string(ziplist()) * 2))
