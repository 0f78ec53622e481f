"""Hashes: deadlines of fields; scans, picks and encodings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values.hash import Hash

_fields = st.sampled_from([b"a", b"b", b"c", b"d"])
_steps = st.lists(
    st.tuples(st.sampled_from(["set", "expire", "expire", "persist", "discard", "due"]), _fields, st.integers(1, 20))
)


@given(_steps)
def test_deadlines(steps: list[tuple[str, bytes, int]]) -> None:
    value = Hash()
    model: dict[bytes, int | None] = {}
    for step, field, number in steps:
        if step == "set":
            value[field] = b"x"
            value.persist(field)
            model[field] = None
        elif step == "expire" and field in model:
            value.expire_at(field, number)
            model[field] = number
        elif step == "persist":
            assert value.persist(field) is (model.get(field) is not None)
            if field in model:
                model[field] = None
        elif step == "discard":
            assert value.discard(field) is (field in model)
            model.pop(field, None)
        elif step == "due":
            due = sorted((when, name) for name, when in model.items() if when is not None and when < number)
            assert value.remove_due(number, 2) == [name for _, name in due[:2]]
            for _, name in due[:2]:
                del model[name]
        expiring = {name: when for name, when in model.items() if when is not None}
        assert set(value) == set(model)
        assert (value.deadlines or {}) == expiring
        assert value.earliest_deadline() == min(expiring.values(), default=None)


def test_a_deadline_moved_often_takes_bounded_memory() -> None:
    value = Hash({b"f": b"1"})
    for deadline in range(10_000):
        value.expire_at(b"f", deadline)
    assert len(value._by_deadline) < 100
    assert value.earliest_deadline() == 9999


def test_clone_shares_nothing() -> None:
    value = Hash({b"f": b"1"})
    value.expire_at(b"f", 5)
    twin = value.clone()
    twin[b"g"] = b"2"
    assert twin.earliest_deadline() == 5
    assert twin.discard(b"f")
    assert value == {b"f": b"1"}
    assert value.deadlines == {b"f": 5}
    assert Hash().clone().deadlines is None


def test_scan_and_random_field() -> None:
    value = Hash({b"%d" % number: b"" for number in range(30)})
    cursor, fields = value.scan(0, 20)
    assert cursor
    cursor, more = value.scan(cursor, 20)
    assert cursor == 0
    assert sorted(fields + more) == sorted(value)
    assert value.random_field() in value


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({}, b"listpack"),
        ({b"a": b"1", b"b": b"2"}, b"listpack"),
        ({b"a": b"1", b"b": b"2", b"c": b"3"}, b"hashtable"),
        ({b"a": b"12345678"}, b"listpack"),
        ({b"a": b"123456789"}, b"hashtable"),
        ({b"123456789": b"1"}, b"hashtable"),
    ],
)
def test_encoding(content: dict[bytes, bytes], name: bytes) -> None:
    assert Hash(content).encoding(2, 8) == name


def test_encoding_with_deadlines() -> None:
    value = Hash({b"a": b"1"})
    value.expire_at(b"a", 1)
    assert value.encoding(2, 8) == b"listpackex"
    assert value.encoding(0, 8) == b"hashtable"
    value.persist(b"a")
    assert value.encoding(2, 8) == b"listpackex"
