"""Intsets, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.formats.packed import intset
from broker.formats.packed.intset import BadIntset


@given(st.sets(st.one_of(st.integers(-40_000, 40_000), st.integers(-(2**63), 2**63 - 1)), min_size=1).map(sorted))
def test_round_trip(members: list[int]) -> None:
    assert intset.decode(intset.encode(members)) == members


@pytest.mark.parametrize(
    ("members", "width"),
    [([-32768, 32767], 2), ([32768], 4), ([-32769], 4), ([2**31], 8), ([-(2**31) - 1, 0], 8), ([2**31 - 1], 4)],
)
def test_the_narrowest_width(members: list[int], width: int) -> None:
    assert intset.encode(members)[:8] == width.to_bytes(4, "little") + len(members).to_bytes(4, "little")


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\2\0\0\0\0\0\0\0",
        b"\2\0\0\0\1\0\0\0\0",
        b"\2\0\0\0\xff\xff\xff\xff\0\0",
        b"\3\0\0\0\1\0\0\0abc",
        b"\2\0\0\0\2\0\0\0\1\0\1\0",
        b"\2\0\0\0\2\0\0\0\2\0\1\0",
    ],
)
def test_damage(blob: bytes) -> None:
    with pytest.raises(BadIntset):
        intset.decode(blob)
