"""Sets: random picks, scans and encodings."""

from collections import Counter

import pytest

from broker.values.set import Set


def _set(length: int) -> Set:
    return Set.of(b"%d" % number for number in range(length))


def test_of_keeps_the_order() -> None:
    assert list(Set.of([b"b", b"a", b"b"])) == [b"b", b"a"]


def test_clone_shares_nothing() -> None:
    value = _set(2)
    twin = value.clone()
    twin.clear()
    assert len(value) == 2
    assert isinstance(twin, Set)


@pytest.mark.parametrize("count", [0, 1, 10, 33, 34, 99, 100, 1000])
def test_random_members(count: int) -> None:
    value = _set(100)
    members = value.random_members(count)
    assert len(members) == len(set(members)) == min(count, 100)
    assert set(members) <= set(value)
    assert len(value) == 100


@pytest.mark.parametrize("count", [2, 5])
def test_random_members_are_uniform(count: int) -> None:
    value = _set(8)
    counts = Counter(member for _ in range(4000) for member in value.random_members(count))
    # standard deviation below 32: six of them
    assert all(abs(times - 500 * count) < 190 for times in counts.values())


@pytest.mark.parametrize("count", [0, 1, 30, 90, 100, 1000])
def test_pop_random_members(count: int) -> None:
    value = _set(100)
    members = value.pop_random_members(count)
    assert len(members) == min(count, 100)
    assert len(value) == 100 - len(members)
    assert set(value).isdisjoint(members)


def test_pop_random() -> None:
    value = _set(3)
    assert {value.pop_random() for _ in range(3)} == {b"0", b"1", b"2"}
    assert not value
    with pytest.raises(IndexError):
        value.pop_random()


def test_scan_and_random_member() -> None:
    value = _set(30)
    cursor, members = value.scan(0, 20)
    cursor, more = value.scan(cursor, 20)
    assert cursor == 0
    assert sorted(members + more) == sorted(value)
    assert value.random_member() in value


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ([], b"intset"),
        ([b"1", b"-2", b"9223372036854775807"], b"intset"),
        ([b"9223372036854775808"], b"listpack"),
        ([b"01"], b"listpack"),
        ([b"%d" % number for number in range(5)], b"hashtable"),
        ([b"a", b"b", b"c"], b"listpack"),
        ([b"a", b"b", b"c", b"d"], b"hashtable"),
        ([b"a" * 64], b"listpack"),
        ([b"a" * 65], b"hashtable"),
    ],
)
def test_encoding(members: list[bytes], name: bytes) -> None:
    assert Set.of(members).encoding(4, 3, 64) == name


def test_encoding_where_the_listpack_limit_is_the_larger_one() -> None:
    assert Set.of([b"1", b"2", b"3"]).encoding(2, 10, 64) == b"hashtable"
    assert Set.of([b"1", b"2", b"x"]).encoding(2, 10, 64) == b"listpack"
