"""Hashes from every encoding, with the deadlines of their fields."""

from typing import Any

import pytest

from broker.formats.rdb.format import HASH_TEMPLATE_ARRAY_REF, HASH_TEMPLATE_LISTPACK_REF
from broker.formats.rdb.hash_loading import HASH_TYPES, load_hash
from broker.formats.rdb.reader import BadFormat, Reader
from broker.values import listpack
from tests.broker.persistence.payloads import HAND_MADE, string

EXPECTED: dict[str, tuple[dict[bytes, bytes], dict[bytes, int]]] = {
    "hash": ({b"f": b"v", b"g": b"w" * 100}, {}),
    "hash as a zipmap": ({b"f": b"v", b"g" * 300: b"w" * 254}, {}),
    "hash as a ziplist": ({b"f": b"v", b"5": b"6", b"long" * 99: b"1", b"h": b"-7"}, {}),
    "hash with absolute deadlines": ({b"f": b"v", b"g": b"w"}, {b"f": 0x038D7EA4C67F}),
    "hash with deadlines": ({b"f": b"v", b"g": b"w", b"h": b"x"}, {b"f": 4000000000000, b"h": 4000000000004}),
    "packed hash with deadlines": (
        {b"f": b"v", b"g": b"w", b"h": b"x"},
        {b"f": 4000000000000, b"g": 4000000000001},
    ),
    "packed hash with deadlines, candidate": ({b"f": b"v", b"g": b"w"}, {b"f": 4000000000000}),
    "hash of a packed template": ({b"f": b"v", b"g": b"w"}, {}),
    "hash of a template": ({b"f": b"v", b"g": b"w"}, {}),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_encodings(name: str) -> None:
    payload = HAND_MADE[name]
    assert payload[0] in HASH_TYPES
    value = load_hash(Reader(payload[1:-10], 12), payload[0], None)
    assert (dict(value), value.deadlines or {}) == EXPECTED[name]
    if value.deadlines:
        assert value.earliest_deadline() == min(value.deadlines.values())


def test_valkeys_hash() -> None:
    body = b"\2\1f\1v" + (4000000000000).to_bytes(8, "little") + b"\1g\1w" + b"\xff" * 8
    value = load_hash(Reader(body, 80), 22, None)
    assert (dict(value), value.deadlines) == ({b"f": b"v", b"g": b"w"}, {b"f": 4000000000000})


def test_templates_of_a_file() -> None:
    templates = {7: [b"f", b"g"]}
    packed = string(listpack.encode([b"7", b"v", b"w"]))
    for kind, body in ((HASH_TEMPLATE_LISTPACK_REF, packed), (HASH_TEMPLATE_ARRAY_REF, b"\7\1v\1w")):
        assert load_hash(Reader(body), kind, templates) == {b"f": b"v", b"g": b"w"}
        for missing in (None, {8: [b"f", b"g"]}):
            with pytest.raises(BadFormat, match="unknown template"):
                load_hash(Reader(body), kind, missing)


def _packed(*texts: bytes) -> bytes:
    return string(listpack.encode(texts))


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (4, b"\0", "an empty value"),
        (4, b"\2\1f\1v\1f\1w", "a duplicate element"),
        (16, _packed(b"f"), "a field without a value"),
        (16, _packed(), "an empty value"),
        (23, _packed(b"f", b"v"), "a field without a deadline"),
        (23, _packed(b"f", b"v", b"soon"), "a deadline is not a number"),
        (23, _packed(b"f", b"v", b"-5"), "a deadline is out of range"),
        (23, _packed(b"f", b"v", b"281474976710656"), "a deadline is out of range"),
        (24, b"\0" * 8 + b"\0", "an empty value"),
        (29, b"\0" + _packed(b"f") + _packed(b"7"), "not as many values as fields"),
        (29, b"\0" + _packed() + _packed(b"7"), "an empty value"),
        (29, b"\2", "unknown template format"),
        (30, _packed(), "unknown template"),
    ],
)
def test_errors(kind: int, body: bytes, reason: str) -> None:
    with pytest.raises(BadFormat, match=reason):
        load_hash(Reader(body, 12), kind, None)


def test_a_valkey_hash_is_not_read_as_redis_s() -> None:
    payload: Any = HAND_MADE["hash with absolute deadlines"]
    with pytest.raises(BadFormat):
        load_hash(Reader(payload[1:-10], 80), 22, None)
