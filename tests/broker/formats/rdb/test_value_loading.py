"""Strings, lists, sets and sorted sets from every encoding."""

import math
from typing import Any

import pytest

from broker.formats.rdb.reader import BadFormat, Reader
from broker.formats.rdb.value_loading import load_value
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from tests.broker.persistence.payloads import BAD, HAND_MADE, INTEGERS, TEXTS
from tests.broker.persistence.values_made import DIRECTIVES, content

NUMBERS = [b"%d" % number for number in INTEGERS]

EXPECTED: dict[str, Any] = {
    "string of 64 bits of length": b"hello",
    "integer of 8 bits": b"-128",
    "integer of 16 bits": b"-32768",
    "integer of 32 bits": b"-2147483648",
    "compressed": b"a" * 74,
    "list": List([b"a", b"b" * 100, b""]),
    "list with integers": List([b"a", b"5", b"4096"]),
    "list as a ziplist": List([*NUMBERS, *TEXTS]),
    "list as ziplists": List([*TEXTS, *NUMBERS]),
    "list as ziplists, one empty": List([b"a"]),
    "quicklist with a plain node": List([b"12", b"a", b"1"]),
    "set": Set.of([b"a", b"b", b"1"]),
    "set as an intset": Set.of([b"-5", b"0", b"70000"]),
    "set as a listpack": Set.of([b"a", b"12", b"x" * 70]),
    "zset with texts": SortedSet({b"a": 1.5, b"b": math.inf, b"c": -math.inf, b"d": 1e-300}),
    "zset binary": SortedSet({b"a": 0.1, b"b": 0.0}),
    "zset as a ziplist": SortedSet({b"a": -3, b"b": 1.25, b"c": math.inf}),
    "zset as a listpack": SortedSet({b"a": -3, b"b": 1.25, b"c": math.inf}),
}


def load(payload: bytes) -> Any:
    """The value of a payload, whatever its footer."""
    reader = Reader(payload[:-10], int.from_bytes(payload[-10:-8], "little"))
    return load_value(reader, reader.byte(), DIRECTIVES)


@pytest.mark.parametrize("name", EXPECTED)
def test_encodings(name: str) -> None:
    assert content(load(HAND_MADE[name])) == content(EXPECTED[name])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("unknown type", "unknown value type"),
        ("module", "unknown value type"),
        ("empty list", "an empty value"),
        ("list of 2^63", "cut short"),
        ("quicklist of an empty node", "an empty value"),
        ("unknown node", "unknown node format"),
        ("set with a member twice", "a duplicate element"),
        ("zset of no number", "a score is not a number"),
        ("odd zset ziplist", "a member without a score"),
    ],
)
def test_errors(name: str, reason: str) -> None:
    with pytest.raises(BadFormat, match=reason):
        load(BAD[name])


def test_minus_zero_is_zero() -> None:
    assert math.copysign(1, load(HAND_MADE["zset binary"]).scores[b"b"]) == 1
