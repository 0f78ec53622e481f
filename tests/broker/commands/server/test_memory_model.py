"""What values would take in redis-server. tests/oracle/test_memory_usage.py compares with it."""

import pytest

from broker.commands.server.memory_model import modelled_size
from broker.values.hash import Hash
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from broker.values.streams.stream import Stream


def test_strings() -> None:
    assert modelled_size(b"k", b"123", b"int") < modelled_size(b"k", b"abc", b"embstr") < 50
    assert 1000 < modelled_size(b"k", b"x" * 1000, b"raw") < 1050
    assert modelled_size(b"k" * 100, b"abc", b"embstr") - modelled_size(b"k", b"abc", b"embstr") == 99
    assert 1000 <= modelled_size(b"k", bytearray(1000), b"raw") < 1100


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (List(b"%06d" % number for number in range(10_000)), b"quicklist"),
        (Hash({b"%06d" % number: b"value" for number in range(10_000)}), b"hashtable"),
        (Set.of(b"%06d" % number for number in range(10_000)), b"hashtable"),
        (SortedSet({b"%06d" % number: float(number) for number in range(10_000)}), b"skiplist"),
    ],
)
def test_samples_stand_for_the_whole(value: object, encoding: bytes) -> None:
    exact = modelled_size(b"k", value, encoding, 0)
    assert modelled_size(b"k", value, encoding, 5) == pytest.approx(exact, rel=0.05)
    assert modelled_size(b"k", value, encoding, 1 << 40) == pytest.approx(exact, rel=0.01)


def test_all_elements_count_where_all_are_asked_for() -> None:
    value = List([b"x"] * 10_000 + [b"x" * 1_000_000])
    assert modelled_size(b"k", value, b"quicklist", 5) < 100_000
    assert modelled_size(b"k", value, b"quicklist", 0) > 1_000_000


def test_streams() -> None:
    stream = Stream()
    sizes = []
    for number in range(1, 1001):
        stream.append(number << 64, [b"field", b"value"])
        if not number % 500:
            sizes.append(modelled_size(b"k", stream, b"stream", 0))
    assert 500 * 14 < sizes[0] < 500 * 22
    assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.1)
    assert modelled_size(b"k", stream, b"stream", 5) == pytest.approx(sizes[1], rel=0.1)
    assert modelled_size(b"k", Stream(), b"stream") < 400
