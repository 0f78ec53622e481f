"""The hash beside a stream."""

import pytest

from broker.policies.policy_hash import field, policies_in, policy_key, stream_key
from broker.values.streams.group_policy import GroupPolicy


@pytest.mark.parametrize(
    ("stream", "key"),
    [
        (b"orders", b"~policy:{orders}:orders"),
        (b"{shop}orders", b"~policy:{shop}:{shop}orders"),
        (b"a:{shop}:{b}", b"~policy:{shop}:a:{shop}:{b}"),
        (b"{}orders", b"~policy:{}:{}orders"),
        (b"or}ders", b"~policy:{}:or}ders"),
        (b"a}:b}:c", b"~policy:{}:a}:b}:c"),
        (b"", b"~policy:{}:"),
        (b"\xff\0", b"~policy:{\xff\0}:\xff\0"),
    ],
)
def test_names(stream: bytes, key: bytes) -> None:
    assert policy_key(stream) == key
    assert stream_key(key) == stream


@pytest.mark.parametrize("key", [b"orders", b"~policy:orders", b"~policy:{a}:b", b"~policy:{a", b"~policy:{a}b"])
def test_other_keys(key: bytes) -> None:
    assert stream_key(key) is None


def test_policies() -> None:
    fields = {
        field(b"g", b"ackwait"): b"10",
        field(b"a\0b", b"deadletter"): b"dlq",
        field(b"bad", b"ackwait"): b"x",
        field(b"g", b"unknown"): b"1",
        b"note": b"by hand",
    }
    fields |= {b"maxlen": b"5"}
    assert policies_in(fields) == {b"g": GroupPolicy(ack_wait=10), b"a\0b": GroupPolicy(dead_letter=b"dlq")}
