"""Values of types that this broker doesn't have: refused by name, or left out of a file that holds them."""

import pytest

from broker.formats.rdb.dump_payload import Unsupported, restore
from broker.formats.rdb.file_loading import load_rdb
from broker.formats.rdb.reader import BadFormat, Reader
from broker.formats.rdb.target import KeyspaceTarget
from tests.broker.persistence.files_made import sealed_file
from tests.broker.persistence.payloads import sealed
from tests.broker.sessions import make_broker

# As redis-server 8.10.2 dumps them, without the footer; the first byte is the type.
SPARSE = b"\x1c\x03\0\x03\x02\0\0\0\0\0\0\x0c@\x80\0\x01\x86\xa0\x01\x0c\0\0\0\0\0\0\0\x80\xb2\xd0\x5e\0\x03\x02zz"
INSERTED = b"\x1c\x02\x01\x01\0\x03\x05hello\x01\0\x08abcdefgh"
VECTORS = (
    b"\x07\x81\xbd\xe7-\xa2\xbb\x1e\xb4\0\x02\x02\x02\x01\x02P\x01\x02\0\x05\x01e\x05\x02?\x7f\x02\x06\x02\x01\x02\x80"
    b"\x01\0\0\0\x02\0\x02 \x02\0\x02\x81?d\xf9.@\x0f\x1b\xbd\0"
)
FLOATS = b"\x07\x81\xbd\xe7-\xa2\xbb\x1e\xb4\0\x03abcd\x04abcdefgh\x01\x05\0"
AUX = b"\xf7\x81\xbd\xe7-\xa2\xbb\x1e\xb4\0\x02\x02\x05\x01e\0"

ARRAY = "an array, which this broker doesn't have"
HOLDERS = [(SPARSE, ARRAY), (INSERTED, ARRAY)] + [
    (value, "data of module type vectorset") for value in (VECTORS, FLOATS)
]


def record(value: bytes, key: bytes) -> bytes:
    return value[:1] + bytes((len(key),)) + key + value[1:]


def load(records: bytes, *, skip: bool) -> tuple[dict[bytes, object], int, list[tuple[bytes, str]]]:
    broker = make_broker()
    target = KeyspaceTarget(broker.keyspace)
    data = sealed_file(records, 15)
    loading = load_rdb(Reader(data), target, broker.config, now=None, skip_unsupported=skip)
    while True:
        try:
            next(loading)
        except StopIteration as end:
            return broker.keyspace.databases[0].data, end.value.skipped, end.value.skipped_keys


@pytest.mark.parametrize(("value", "what"), HOLDERS)
def test_a_key_is_left_out_and_the_rest_is_loaded(value: bytes, what: str) -> None:
    records = record(b"\0\1v", b"before") + record(value, b"odd") + AUX + record(b"\0\1v", b"after")
    data, skipped, keys = load(records, skip=True)
    assert data == {b"before": b"v", b"after": b"v"}
    assert (skipped, keys) == (1, [(b"odd", what)])


def test_what_belongs_to_a_skipped_key_goes_with_it() -> None:
    deadline = b"\xfc" + (4_000_000_000_000).to_bytes(8, "little")
    records = deadline + record(SPARSE, b"odd") + record(b"\0\1v", b"k")
    broker = make_broker()
    for _ in load_rdb(
        Reader(sealed_file(records, 15)), KeyspaceTarget(broker.keyspace), broker.config, now=None,
        skip_unsupported=True,
    ):  # fmt: skip
        pass
    assert broker.keyspace.databases[0].expires == {}


@pytest.mark.parametrize(("value", "what"), HOLDERS)
def test_without_the_directive_the_file_is_refused_by_name(value: bytes, what: str) -> None:
    with pytest.raises(Unsupported, match=f"key 'odd' holds {what} at"):
        load(record(value, b"odd"), skip=False)


def test_a_modules_own_data_is_refused_too() -> None:
    with pytest.raises(Unsupported, match="data of module type vectorset at"):
        load(AUX, skip=False)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\x06" + VECTORS[1:], "before 4.0, which can't be skipped"),
        (b"\x1c\x01\0\0\x04", "unknown array element"),
        (VECTORS[:10] + b"\x06", "unknown part"),
        (b"\x63", "unknown value type"),
    ],
)
def test_what_cannot_be_skipped(value: bytes, reason: str) -> None:
    with pytest.raises(BadFormat, match=reason):
        load(record(value, b"odd"), skip=True)


@pytest.mark.parametrize("value", [SPARSE, VECTORS])
def test_truncated_data(value: bytes) -> None:
    for size in range(1, len(value)):
        with pytest.raises(BadFormat):
            load(record(value[:size], b"odd")[:-1], skip=True)


@pytest.mark.parametrize(("value", "what"), HOLDERS)
def test_restore_refuses_by_name(value: bytes, what: str) -> None:
    with pytest.raises(Unsupported) as caught:
        restore(sealed(value, 15), make_broker().config)
    assert caught.value.reason == f"it holds {what}"
