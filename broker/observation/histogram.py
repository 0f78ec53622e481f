"""How long a command's calls took: counters of ranges whose width is below 1 % of the times in them.

Times are nanoseconds, from 1 to 10^9; longer ones count as 10^9. The first 256 have a counter each, and each further
power of two has 128 of equal width, as in the HdrHistogram that Redis keeps, so the same times give the same
percentiles. Counters are created as longer times occur: 8 KB for a command of a few microseconds.
"""

from __future__ import annotations

from typing import Final

LONGEST: Final = 1_000_000_000
"""Nanoseconds that longer times count as."""

_EXACT: Final = 256
_HALF: Final = 128

_NANOSECONDS: Final = 1e9

HIGHEST: Final = (1 << 30) - 1
"""The upper end of the range that LONGEST is in."""


class Histogram:
    """`calls` is the number of times recorded; `counts` has the counters, as far as there are any yet."""

    __slots__ = ("calls", "counts")

    def __init__(self) -> None:
        self.calls = 0
        self.counts: list[int] = [0] * (_EXACT + 4 * _HALF)

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
        counts = self.counts
        if place >= len(counts):
            counts += [0] * (_HALF * (1 + (place - len(counts)) // _HALF))
        counts[place] += calls
        self.calls += calls

    def percentile(self, percent: float) -> int:
        """The time, in nanoseconds, that so many of the calls did not exceed: the end of its counter's range."""
        wanted = max(1, int(percent / 100 * self.calls + 0.5))
        seen = 0
        for place, count in enumerate(self.counts):
            seen += count
            if seen >= wanted:
                return lowest(place) if percent == 0.0 else highest(place)
        return 0

    def cumulative(self) -> list[tuple[int, int]]:
        """(microseconds, calls that took at most that long) for each doubling of 1 us at which calls were added."""
        found: list[tuple[int, int]] = []
        seen, place, level = 0, 0, 1024
        while seen < self.calls:
            ends = min(place_of(level) + 1, len(self.counts))
            added = sum(self.counts[place:ends])
            place = ends
            if added:
                seen += added
                found.append((min(highest(place_of(level)), HIGHEST) // 1000, seen))
            level *= 2
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
