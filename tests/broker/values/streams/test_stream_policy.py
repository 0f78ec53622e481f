"""Policies of streams as they are stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values.streams.stream_policy import (
    INTEREST,
    LIMITS,
    MAX_CHANNELS,
    NEW,
    OLD,
    WORKQUEUE,
    StreamPolicy,
    stream_policy_in,
)

NUMBERS = st.integers(0, 1 << 60)
POLICIES = st.builds(
    StreamPolicy, NUMBERS, NUMBERS, NUMBERS,
    st.sampled_from([LIMITS, INTEREST, WORKQUEUE]), st.sampled_from([OLD, NEW]),
    st.lists(st.binary(max_size=12), max_size=MAX_CHANNELS).map(tuple),
)  # fmt: skip


@given(POLICIES)
def test_what_is_stored_is_read_back(policy: StreamPolicy) -> None:
    fields = {b"g\0ackwait": b"1", b"note": b"by hand"} | policy.texts()
    assert stream_policy_in(fields) == (None if policy == StreamPolicy() else policy)


def test_what_is_not_set_is_not_stored() -> None:
    assert StreamPolicy().texts() == {}
    assert StreamPolicy(max_len=5, retain=INTEREST).texts() == {b"maxlen": b"5", b"retain": b"interest"}
    assert StreamPolicy(channels=(b"a*", b"")).texts() == {b"channels": b"2:a*,0:,"}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"maxlen": b"x"},
        {b"maxlen": b"-1"},
        {b"retain": b"for ever"},
        {b"discard": b"all"},
        {b"channels": b"2:a*"},
        {b"channels": b"3:a*,"},
        {b"channels": b":a,"},
        {b"channels": b"-1:a,"},
        {b"channels": b"abc"},
    ],
)
def test_what_is_no_policy(fields: dict[bytes, bytes]) -> None:
    assert stream_policy_in(fields) is None
    assert stream_policy_in(fields | {b"maxage": b"7"}) == StreamPolicy(max_age=7)


def test_the_number_of_channels_is_limited() -> None:
    policy = stream_policy_in({b"channels": b"1:a," * 100})
    assert policy is not None and len(policy.channels) == MAX_CHANNELS
