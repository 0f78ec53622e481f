"""Longest common subsequence: known answers, and a plain table that takes the same turns."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values.lcs import Range, lcs_length, lcs_ranges, lcs_string, table_bytes

OHMY = b"ohmytext"
NEW = b"mynewtext"


def test_example_of_the_manual() -> None:
    assert lcs_string(OHMY, NEW) == b"mytext"
    assert lcs_length(OHMY, NEW) == 6
    assert lcs_ranges(OHMY, NEW) == ([(4, 7, 5, 8), (2, 3, 0, 1)], 6)
    assert lcs_ranges(OHMY, NEW, 4) == ([(4, 7, 5, 8)], 6)
    assert table_bytes(OHMY, NEW) == 9 * 10 * 4


@pytest.mark.parametrize(("a", "b"), [(b"", b""), (b"a", b""), (b"", b"a"), (b"abc", b"xyz")])
def test_nothing_in_common(a: bytes, b: bytes) -> None:
    assert lcs_length(a, b) == 0
    assert lcs_string(a, b) == b""
    assert lcs_ranges(a, b) == ([], 0)


def test_equal_strings() -> None:
    assert lcs_ranges(b"abcabc", b"abcabc") == ([(0, 5, 0, 5)], 6)


def _table(a: bytes, b: bytes) -> tuple[list[Range], bytes]:
    """The textbook method: ties go to the left neighbour."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    pairs: list[tuple[int, int]] = []
    i, j = len(a), len(b)
    while i and j:
        if a[i - 1] == b[j - 1]:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif table[i - 1][j] > table[i][j - 1]:
            i -= 1
        else:
            j -= 1
    ranges: list[Range] = []
    for x, y in pairs:
        if ranges and ranges[-1][0] == x + 1 and ranges[-1][2] == y + 1:
            ranges[-1] = (x, ranges[-1][1], y, ranges[-1][3])
        else:
            ranges.append((x, x, y, y))
    return ranges, bytes(a[x] for x, _ in reversed(pairs))


_texts = st.lists(st.sampled_from(b"abc"), max_size=24).map(bytes)


@given(_texts, _texts)
def test_agrees_with_the_table(a: bytes, b: bytes) -> None:
    ranges, text = _table(a, b)
    assert lcs_ranges(a, b) == (ranges, len(text))
    assert lcs_string(a, b) == text
    assert lcs_length(a, b) == len(text)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (b"ab" * 1500, b"ba" * 1500),
        (b"x" * 4_000_000, b"y"),
        (b"y", b"x" * 4_000_000),
        (b"xy" * 2_000_000, b"yx"),
        (b"yx", b"xy" * 2_000_000),
        (bytes(range(256)) * 12, bytes(range(255, -1, -1)) * 12),
    ],
)
def test_extreme_shapes_take_little_time(a: bytes, b: bytes) -> None:
    started = time.process_time()
    assert len(lcs_string(a, b)) == lcs_length(a, b)
    # Measured 0.005 s to 0.05 s.
    assert time.process_time() - started < 1
