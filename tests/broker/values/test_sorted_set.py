"""What a sorted set offers beside its order, pure and compiled; the order itself is tested in test_score_order."""

import pytest

from broker.values import sorted_set
from broker.values.sorted_set import SortedSet
from tests import twins
from tests.twins import pure_module

PURE = pure_module("broker.values.sorted_set").SortedSet
both = twins.both("broker.values.sorted_set", "broker.values._score_order", attribute="SortedSet", argument="kind")


def test_the_compiled_order_is_chosen_unless_kept_out() -> None:
    assert PURE.__base__.__module__ == "broker.values.score_order"
    assert SortedSet.__base__ is sorted_set.ScoreOrder


@both
def test_a_copy_is_a_sorted_set(kind: type[SortedSet]) -> None:
    assert kind({b"a": 1.0}).clone().__class__ is kind


@both
def test_no_attribute_can_be_added(kind: type[SortedSet]) -> None:
    with pytest.raises(AttributeError):
        kind().other = 1  # type: ignore[attr-defined]


@both
def test_scan_and_random_member(kind: type[SortedSet]) -> None:
    value = kind({b"%d" % number: float(-number) for number in range(30)})
    cursor, members = value.scan(0, 20)
    cursor, more = value.scan(cursor, 20)
    assert cursor == 0
    assert sorted(members + more) == sorted(value.scores)
    assert value.random_member() in value


@both
@pytest.mark.parametrize(
    ("members", "name"),
    [([], b"listpack"), ([b"a", b"b"], b"listpack"), ([b"a", b"b", b"c"], b"skiplist"), ([b"a" * 5], b"skiplist")],
)
def test_encoding(kind: type[SortedSet], members: list[bytes], name: bytes) -> None:
    assert kind(dict.fromkeys(members, 0.0)).encoding(2, 4) == name
