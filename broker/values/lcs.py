"""Longest common subsequence of two strings, for the LCS command.

Redis fills a table of len(a) * len(b) numbers. Here a row of that table is one integer with a bit for each
byte of the longer string, clear where the row's number rises (Hyyro, "Bit-parallel LCS-length computation
revisited", 2004), and one addition computes the next row from it: 32 times less memory, and fast without
compiled code.

There can be several longest subsequences. The walk back through the table takes the same turns as Redis's
(up only if the number above is the larger one), so that string and ranges agree with it.
"""

from collections.abc import Iterator

# Redis keeps lengths in 32 bits, and each number in its table takes 4 bytes.
MAX_LENGTH = (1 << 32) - 2
CELL_BYTES = 4

Range = tuple[int, int, int, int]


def table_bytes(a: bytes | bytearray, b: bytes | bytearray) -> int:
    """Returns the memory in bytes that Redis would take for these strings and compares with its limit.

    It also bounds the time that the functions below take.
    """
    return (len(a) + 1) * (len(b) + 1) * CELL_BYTES


def lcs_length(a: bytes, b: bytes) -> int:
    """Returns the length of the longest common subsequence."""
    shorter, longer = (a, b) if len(a) <= len(b) else (b, a)
    row = 0
    for row in _rows(shorter, longer):  # noqa: B007 - only the last row counts
        pass
    return len(longer) - row.bit_count()


def lcs_string(a: bytes, b: bytes) -> bytes:
    """Returns the longest common subsequence itself; of several, the one Redis returns."""
    runs = [a[a_start : a_end + 1] for a_start, a_end, _, _ in _runs(a, b)]
    runs.reverse()
    return b"".join(runs)


def lcs_ranges(a: bytes, b: bytes, min_length: int = 0) -> tuple[list[Range], int]:
    """Returns the ranges of the subsequence, and its length.

    Each range is (first in a, last in a, first in b, last in b), the last range first, as Redis lists them;
    those shorter than `min_length` bytes are omitted (the length counts them).
    """
    ranges: list[Range] = []
    length = 0
    for found in _runs(a, b):
        size = found[1] - found[0] + 1
        length += size
        if size >= min_length:
            ranges.append(found)
    return ranges, length


def _rows(shorter: bytes, longer: bytes) -> Iterator[int]:
    """Yields one row for each prefix of `shorter`, the empty one first.

    Bit i of a row is clear where the length for longer[:i + 1] exceeds the length for longer[:i].
    """
    masks = {byte: _places(longer, byte) for byte in set(shorter)}
    full = (1 << len(longer)) - 1
    row = full
    yield row
    for byte in shorter:
        matches = row & masks[byte]
        row = (row + matches | row - matches) & full
        yield row


def _places(text: bytes, byte: int) -> int:
    """Returns a number with bit i set where text[i] is `byte`."""
    table = bytearray(b"0" * 256)
    table[byte] = 0x31
    return int(text[::-1].translate(table), 2)


def _runs(a: bytes, b: bytes) -> Iterator[Range]:
    """Yields the common runs, from the end of the strings to their start."""
    if not a or not b:
        return
    rows = list(_rows(a, b) if len(a) <= len(b) else _rows(b, a))
    step_back = _step_back_in_b if len(a) <= len(b) else _step_back_in_a
    i, j = len(a), len(b)
    while i and j:
        a_end, b_end = i, j
        while i and j and a[i - 1] == b[j - 1]:
            i -= 1
            j -= 1
        if i < a_end:
            yield i, a_end - 1, j, b_end - 1
        if i and j:
            i, j = step_back(a, b, i, j, rows)


def _step_back_in_b(a: bytes, b: bytes, i: int, j: int, rows: list[int]) -> tuple[int, int]:
    """Returns the next position after a mismatch at a[i - 1], b[j - 1], if rows belong to prefixes of a.

    In row i, j goes down to where the number rises, or to a match before that; if it rises here, i goes down.
    """
    rising = ~rows[i] & (1 << j) - 1
    column = rising.bit_length()
    if column == j:
        return i - 1, j
    return i, max(column, b.rfind(a[i - 1], 0, j) + 1)


def _step_back_in_a(a: bytes, b: bytes, i: int, j: int, rows: list[int]) -> tuple[int, int]:
    """Does the same if rows belong to prefixes of b.

    If b[j - 1] adds to the length, the last byte of a[:i] that equals it is part of the subsequence, and every step
    down to it is a step in a.
    """
    low = (1 << i) - 1
    # The previous row has at least as many set bits, and more if and only if its number is smaller.
    if (rows[j - 1] & low).bit_count() > (rows[j] & low).bit_count():
        return a.rfind(b[j - 1], 0, i) + 1, j
    return i, j - 1
