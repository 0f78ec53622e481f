"""Policies as they are stored, and what follows from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values.streams.delivery import MAX_COUNT
from broker.values.streams.group_policy import DEFAULT_ACK_WAIT, MAX_WAIT, GroupPolicy, policy_of

NUMBERS = st.integers(0, 1 << 60)
POLICIES = st.builds(
    GroupPolicy, st.integers(0, MAX_WAIT), NUMBERS, st.binary(max_size=5),
    st.lists(st.integers(1, MAX_WAIT), max_size=32).map(tuple), NUMBERS, st.binary(max_size=5),
)  # fmt: skip


@given(POLICIES)
def test_what_is_stored_is_read_back(policy: GroupPolicy) -> None:
    assert policy_of(policy.texts()) == policy.completed()


@pytest.mark.parametrize(
    "texts",
    [
        {b"ackwait": b"x"},
        {b"ackwait": b"-1"},
        {b"ackwait": b"%d" % (MAX_WAIT + 1)},
        {b"maxdeliver": b"1.5"},
        {b"maxinflight": b"-2"},
        {b"backoff": b"1 x"},
        {b"backoff": b"0 1"},
        {b"backoff": b"1 %d" % (MAX_WAIT + 1)},
        {b"backoff": b" ".join([b"1"] * 33)},
    ],
)
def test_what_is_no_policy(texts: dict[bytes, bytes]) -> None:
    assert policy_of(texts) is None


def test_waits() -> None:
    assert GroupPolicy(dead_letter=b"dlq").completed().waits() == ()
    assert GroupPolicy(max_deliver=1).completed().waits() == (DEFAULT_ACK_WAIT,)
    assert GroupPolicy(ack_wait=5).waits() == (5,)
    policy = GroupPolicy(ack_wait=5, backoff=(1, 3))
    assert [policy.wait(count) for count in (0, 1, 2, 3, MAX_COUNT)] == [1, 1, 3, 3, 3]


def test_last_count() -> None:
    assert GroupPolicy(ack_wait=1).last_count() == MAX_COUNT
    assert GroupPolicy(max_deliver=3).last_count() == 3
