"""Ranges by member where scores differ: what Redis finds in a small set, and what it may find in a large one."""

import random

import pytest

from broker.values.lex_range import LexRange
from broker.values.sorted_set import SortedSet

SCATTERED = [b"a", b"x", b"b", b"a2", b"d", b"b2", b"z"]


def sorted_set(members: list[bytes]) -> SortedSet:
    return SortedSet({member: float(score) for score, member in enumerate(members)})


@pytest.mark.parametrize(
    ("low", "high", "offset", "limit", "reverse", "span"),
    [
        (b"a", b"b\0", 0, -1, False, (0, 1)),
        (b"a", b"b\0", 2, -1, False, (2, 4)),  # what is passed over may lie outside
        (b"a", b"b\0", 1, -1, False, (1, 1)),
        (b"b", b"x\0", 0, -1, False, (1, 6)),  # and so may what follows, at the other end
        (b"", None, 0, -1, False, (0, 7)),
        (b"", None, 2, 3, False, (2, 5)),
        (b"", b"a", 0, -1, False, (0, 0)),  # the first member is beyond
        (b"zz", None, 0, -1, False, (0, 0)),  # the last member is before
        (b"b2", None, 0, -1, True, (4, 7)),
        (b"a", b"b\0", 0, -1, True, (0, 4)),
        (b"a", b"b\0", 2, 1, True, (1, 2)),
        (b"x", b"z", 0, -1, True, (0, 0)),
        (None, None, 0, -1, False, (0, 0)),
        (b"c", b"c", 0, -1, False, (0, 0)),
        (b"a", None, -1, -1, False, (0, 0)),
        (b"a", None, 7, -1, False, (0, 0)),
        (b"a", None, 0, 0, True, (0, 0)),
    ],
)
def test_a_small_set(
    low: bytes | None, high: bytes | None, offset: int, limit: int, reverse: bool, span: tuple[int, int]
) -> None:
    found = LexRange(sorted_set(SCATTERED), low, high, is_small=True)
    assert found.span(offset, limit, reverse) == span
    if (offset, limit, reverse) == (0, -1, False):
        assert found.count() == span[1] - span[0]
        assert found.removal() == span


def test_both_ways_agree_where_members_ascend() -> None:
    draw = random.Random(1)
    members = sorted({draw.randbytes(2) for _ in range(600)})
    value = sorted_set(members)
    for _ in range(300):
        low = draw.choice([None, b"", draw.randbytes(1), draw.choice(members)])
        high = draw.choice([None, b"", draw.randbytes(2), draw.choice(members) + b"\0"])
        small, large = (LexRange(value, low, high, is_small) for is_small in (True, False))
        expected = [m for m in members if low is not None and m >= low and (high is None or m < high)]
        for offset, limit, reverse in ((0, -1, False), (3, 5, False), (0, -1, True), (2, 7, True)):
            span = small.span(offset, limit, reverse)
            assert span == large.span(offset, limit, reverse)
            wanted = (expected[::-1] if reverse else expected)[offset:]
            assert value.members(*span, reverse) == (wanted if limit < 0 else wanted[:limit])
        assert small.count() == large.count() == len(expected)
        assert value.members(*small.removal()) == value.members(*large.removal()) == expected


def test_a_large_set_gives_a_run_within_the_bounds() -> None:
    draw = random.Random(2)
    members = list({draw.randbytes(2) for _ in range(500)})
    value = sorted_set(members)
    for _ in range(300):
        low, high = sorted((draw.randbytes(1), draw.randbytes(1)))
        found = LexRange(value, low, high, is_small=False)
        for reverse in (False, True):
            start, stop = found.span(0, -1, reverse)
            if start == stop:
                continue
            # It begins within the bounds, and ends at the first member beyond its far bound.
            if reverse:
                assert low <= members[stop - 1] < high and (stop == len(value) or members[stop] >= high)
                assert min(members[start:stop]) >= low and (not start or members[start - 1] < low)
            else:
                assert low <= members[start] < high and (not start or members[start - 1] < low)
                assert max(members[start:stop]) < high and (stop == len(value) or members[stop] >= high)
        assert 0 <= found.count() <= len(value)
