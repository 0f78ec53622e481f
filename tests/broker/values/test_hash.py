"""Hashes, pure and compiled: fields and values beside a dict; deadlines, scans, picks and encodings."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.values.hash import Hash
from protocol.replies import bulk_run
from tests.twins import both

hashes = both("broker.values.hash", "broker.values._hash", attribute="Hash", argument="kind")

_fields = st.sampled_from([b"a", b"b", b"c", b"d"])
_steps = st.lists(
    st.tuples(st.sampled_from(["set", "expire", "expire", "persist", "discard", "due"]), _fields, st.integers(1, 20))
)


@hashes
@given(_steps)
def test_deadlines(kind: type[Hash], steps: list[tuple[str, bytes, int]]) -> None:
    value = kind()
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


@hashes
def test_clone_shares_nothing(kind: type[Hash]) -> None:
    value = kind({b"f": b"1"})
    value.expire_at(b"f", 5)
    twin = value.clone()
    twin[b"g"] = b"2"
    assert twin.earliest_deadline() == 5
    assert twin.discard(b"f")
    assert value == {b"f": b"1"}
    assert value.deadlines == {b"f": 5}
    assert kind().clone().deadlines is None


@hashes
def test_scan_and_random_field(kind: type[Hash]) -> None:
    value = kind({b"%d" % number: b"" for number in range(300)})
    cursor, fields = value.scan(0, 200)
    assert cursor
    cursor, more = value.scan(cursor, 200)
    assert cursor == 0
    assert sorted(fields + more) == sorted(value)
    assert value.random_field() in value


@hashes
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
def test_encoding(kind: type[Hash], content: dict[bytes, bytes], name: bytes) -> None:
    assert kind(content).encoding(2, 8) == name


@hashes
def test_encoding_with_deadlines(kind: type[Hash]) -> None:
    value = kind({b"a": b"1"})
    value.expire_at(b"a", 1)
    assert value.encoding(2, 8) == b"listpackex"
    assert value.encoding(0, 8) == b"hashtable"
    value.persist(b"a")
    assert value.encoding(2, 8) == b"listpackex"


def _text(chance: random.Random) -> bytes:
    """A field or value of one of a few lengths, so that equal ones come up; some too long to be packed."""
    size = chance.choice([0, 1, 1, 1, 2, 2, 6, 6, 40, 126, 127] + [128, 300] * (chance.random() < 0.02))
    return bytes([97 + chance.randrange(4)]) * size


@hashes
@given(seed=st.integers(0, 1 << 32), most=st.sampled_from([5, 30, 64, 65, 100]))
@settings(max_examples=40)
def test_any_sequence_of_changes(kind: type[Hash], seed: int, most: int) -> None:
    chance = random.Random(seed)
    value, model = kind(), dict[bytes, bytes]()
    for _ in range(200):
        field, text = _text(chance) + b"%d" % chance.randrange(most), _text(chance)
        match chance.randrange(5):
            case 0 | 1:
                value[field] = model[field] = text
            case 2:
                several = [(_text(chance), _text(chance)) for _ in range(3)]
                value.update(several)
                model.update(several)
            case 3:
                assert value.discard(field) is (model.pop(field, None) is not None)
            case _:
                assert value.get(field) == model.get(field)
                assert (field in value) is (field in model)
        assert len(value) == len(model) and bool(value) is bool(model)
    assert list(value.items()) == list(model.items())  # in the order of insertion
    assert list(value) == list(value.keys()) == list(model) and list(value.values()) == list(model.values())
    assert value == model and value.clone() == value and kind(model) == value
    assert value.bulk_run() == bulk_run([text for pair in model.items() for text in pair])
    assert dict(value) == model
    for count in (1, 5, 1000):
        sample = value.sample_fields(count)
        assert len(set(sample)) == len(sample) == min(count, len(model)) and set(sample) <= set(model)
        assert not model or set(value.draw_fields(count)) <= set(model)
    assert value.encoding(512, 64) == kind(model).encoding(512, 64)


@hashes
def test_what_is_not_there(kind: type[Hash]) -> None:
    value = kind({b"a": b"1"})
    with pytest.raises(KeyError):
        value[b"b"]
    assert value.get(b"b") is None and value.get(b"b", b"x") == b"x"
    assert not value.discard(b"b") and b"b" not in value
    assert value.discard(b"a") and not value


@hashes
def test_each_field_is_picked(kind: type[Hash]) -> None:
    for count in (3, 100):
        value = kind({b"%d" % number: b"x" for number in range(count)})
        assert {value.random_field() for _ in range(40 * count)} == set(value)
        assert set(value.draw_fields(40 * count)) == set(value)


def test_a_small_one_is_packed() -> None:
    value = Hash({b"f%d" % number: b"%d" % number for number in range(5)})
    if not hasattr(value, "memory"):
        pytest.skip("the compiled twin is not in use")
    assert value.memory() <= 64 + 32
    for number in range(5, 100):
        value[b"f%d" % number] = b"%d" % number
    assert value.memory() > 100 * 66
    assert Hash({b"f": b"x" * 100}).memory() < 64 + 128 < Hash({b"f": b"x" * 1000}).memory() - 800
