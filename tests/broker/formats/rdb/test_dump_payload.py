"""Payloads: every value comes back as it was, and only from a payload that is whole."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.formats.rdb import dump_payload
from broker.formats.rdb.dump_payload import (
    BadFooter,
    BadFormat,
    check_footer,
    dump,
    functions_as_old_as_possible,
    restore,
)
from broker.values.hash import Hash
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from tests.broker.persistence.payloads import HAND_MADE, sealed
from tests.broker.persistence.values_made import DIRECTIVES, Directives, all_values, content

PLAIN = Directives(rdbcompression=False)
TINY = Directives(True, 1, 1, 1, 1, 1, 1)

TEXTS = st.one_of(
    st.binary(max_size=80),
    st.integers(-(2**65), 2**65).map(lambda n: b"%d" % n),
    st.integers(0, 9000).map(lambda n: b"ab" * n),
)
DEADLINES = st.one_of(st.none(), st.integers(0, 2**46))


def _hash(fields: dict[bytes, tuple[bytes, int | None]]) -> Hash:
    value = Hash({field: text for field, (text, _) in fields.items()})
    for field, (_, deadline) in fields.items():
        if deadline:
            value.expire_at(field, deadline)
    return value


VALUES = st.one_of(
    TEXTS,
    st.lists(TEXTS, min_size=1).map(List),
    st.lists(TEXTS, min_size=1).map(Set.of),
    st.sets(st.integers(-(2**63), 2**63 - 1), min_size=1).map(lambda numbers: Set.of([b"%d" % n for n in numbers])),
    st.dictionaries(TEXTS, st.floats(allow_nan=False).map(lambda x: x + 0.0), min_size=1).map(SortedSet),
    st.dictionaries(TEXTS, st.tuples(TEXTS, DEADLINES), min_size=1).map(_hash),
)


@pytest.mark.parametrize("directives", [DIRECTIVES, PLAIN, TINY])
@pytest.mark.parametrize("name", all_values())
def test_every_value(name: str, directives: Directives) -> None:
    value = all_values()[name]
    payload = dump(value, directives)
    assert content(restore(payload, DIRECTIVES)) == content(value)
    assert content(value) == content(all_values()[name])
    assert dump(restore(payload, DIRECTIVES), directives) == payload


@given(VALUES, st.sampled_from([DIRECTIVES, PLAIN, TINY]))
def test_any_value(value: Any, directives: Directives) -> None:
    assert content(restore(dump(value, directives), DIRECTIVES)) == content(value)


@pytest.mark.parametrize("name", HAND_MADE)
def test_hand_made(name: str) -> None:
    value = restore(HAND_MADE[name], DIRECTIVES)
    assert content(restore(dump(value, DIRECTIVES), DIRECTIVES)) == content(value)


def test_bytes_as_redis_has_them() -> None:
    # What redis-server 7.0 answers for SET k hello.
    assert dump(b"hello", DIRECTIVES) == b"\x00\x05hello\n\x00" + bytes.fromhex("6372df766534200a")


def test_footers() -> None:
    payload = dump(b"v", DIRECTIVES)
    assert check_footer(payload) == 10
    for bad in (b"", payload[:9], payload[:-1], payload[:-1] + b"?", b"?" + payload[1:], sealed(b"\0\1v", 16)):
        with pytest.raises(BadFooter):
            restore(bad, DIRECTIVES)
    assert restore(payload[:-8] + b"\0" * 8, DIRECTIVES) == b"v"
    assert restore(sealed(b"\0\1v", 80), DIRECTIVES) == b"v"


def test_small_payloads_do_not_become_large_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump_payload, "MAX_INFLATED", 1 << 17)
    monkeypatch.setattr(dump_payload, "MAX_ELEMENTS", 1 << 12)
    assert restore(dump(b"a" * 200_000, DIRECTIVES), DIRECTIVES) == b"a" * 200_000
    assert len(restore(dump(List([b"ab"] * 4_000), DIRECTIVES), DIRECTIVES)) == 4_000
    same = dump(List([b"ab"] * 20_000), DIRECTIVES)
    with pytest.raises(BadFormat, match="too long"):
        restore(same, DIRECTIVES)


def test_payloads_of_functions_as_old_as_possible() -> None:
    record = b"\xf5\x04code"
    old = sealed(record, 10)
    assert functions_as_old_as_possible(old) is old
    assert functions_as_old_as_possible(sealed(record, 15)) == old
