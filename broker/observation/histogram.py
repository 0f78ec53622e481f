"""How long a command's calls took: counters of ranges whose width is below 1 % of the times in them.

Times are nanoseconds, from 1 to 10^9; longer ones count as 10^9. The first 256 have a counter each, and each further
power of two has 128 of equal width, as in the HdrHistogram that Redis keeps, so the same times give the same
percentiles. Counters are created where times occur, 128 at once: 1 KB for each power of two.
"""

from __future__ import annotations

from typing import Final

LONGEST: Final = 1_000_000_000
"""Nanoseconds that longer times count as."""

_EXACT: Final = 256
_HALF: Final = 128

_NANOSECONDS: Final = 1e9
_PIECES: Final = 24
_NONE: Final = (0,) * _HALF

HIGHEST: Final = (1 << 30) - 1
"""The upper end of the range that LONGEST is in."""


class Histogram:
    """`calls` is the number of times recorded."""

    __slots__ = ("_pieces", "calls")

    def __init__(self) -> None:
        self.calls = 0
        self._pieces: list[list[int]] = [[]] * _PIECES

    @property
    def counts(self) -> list[int]:
        """All counters."""
        return [count for piece in self._pieces for count in piece or _NONE]

    def record(self, seconds: float, calls: int) -> None:
        """Count so many calls that took this time each."""
        nanoseconds = int(seconds * _NANOSECONDS) if seconds < 1.0 else LONGEST
        shift = 0
        if nanoseconds < 1:
            nanoseconds = 1
        while nanoseconds >= _EXACT:
            nanoseconds >>= 1
            shift += 1
        place = shift * _HALF + nanoseconds
        piece = self._pieces[place >> 7]
        if not piece:
            piece = self._pieces[place >> 7] = [0] * _HALF
        piece[place & 127] += calls
        self.calls += calls

    def percentile(self, percent: float) -> int:
        """The time, in nanoseconds, that so many of the calls did not exceed: the end of its counter's range."""
        wanted = max(1, int(percent / 100 * self.calls + 0.5))
        seen = 0
        # times occur in few of the pieces: INFO asks this of every command, thrice
        for number, piece in enumerate(self._pieces):
            inside = sum(piece)
            if seen + inside < wanted:
                seen += inside
                continue
            for place, count in enumerate(piece, number * _HALF):
                seen += count
                if seen >= wanted:
                    return lowest(place) if percent == 0.0 else highest(place)
        return 0

    def cumulative(self) -> list[tuple[int, int]]:
        """(microseconds, calls that took at most that long) for each doubling of 1 us at which calls were added."""
        found: list[tuple[int, int]] = []
        pieces = self._pieces
        # each doubling is the first counter of a piece; of the smallest, all pieces before it count, too
        first = place_of(1024) // _HALF
        seen, carried = 0, sum(map(sum, pieces[:first]))
        for number in range(first, _PIECES + 1):
            piece = pieces[number] if number < _PIECES else []
            begin = piece[0] if piece else 0
            added = carried + begin
            carried = sum(piece) - begin
            if added:
                seen += added
                found.append((min(highest(number * _HALF), HIGHEST) // 1000, seen))
        return found


def place_of(nanoseconds: int) -> int:
    """The counter of a time."""
    shift = max(0, nanoseconds.bit_length() - 8)
    return shift * _HALF + (nanoseconds >> shift)


def lowest(place: int) -> int:
    """The shortest time, in nanoseconds, that a counter counts."""
    shift = max(0, place // _HALF - 1)
    return (place - shift * _HALF) << shift


def highest(place: int) -> int:
    """The longest time, in nanoseconds, that a counter counts."""
    shift = max(0, place // _HALF - 1)
    return lowest(place) + (1 << shift) - 1
