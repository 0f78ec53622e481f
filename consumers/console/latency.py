"""How long commands took between two looks, from what LATENCY HISTOGRAM has counted since the server's start.

The server has a histogram for each command: how many of its calls took up to 1, 2, 4, ... microseconds, each bound
about twice the one before. The growth of these counts is the histogram of the time between two looks. Within a bucket
calls are taken to be spread evenly, so a percentile may be wrong by a factor of two at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from consumers.connecting import Reply
from consumers.console.asking import pairs

__all__ = ["OWN", "Histogram", "grown", "histogram", "percentile"]

OWN = frozenset((b"info", b"latency|histogram", b"slowlog|get", b"slowlog|len"))
"""Commands that the console's sampling itself uses. On a quiet server the chart would show nothing else."""

Histogram = Mapping[int, int]
"""How many calls there were in each bucket, by its upper bound in microseconds."""


def histogram(reply: Reply) -> Histogram:
    """Return the calls of all commands but OWN, from LATENCY HISTOGRAM's reply."""
    calls: Counter[int] = Counter()
    for command, figures in pairs(reply).items():
        if command in OWN:
            continue
        below = 0
        for bound, upto in pairs(pairs(figures)[b"histogram_usec"]).items():
            calls[bound] += upto - below
            below = upto
    return calls


def grown(before: Histogram, after: Histogram) -> Histogram | None:
    """Return the calls of the time in between; None if the counts were reset meanwhile."""
    found = {bound: after.get(bound, 0) - before.get(bound, 0) for bound in before.keys() | after.keys()}
    return None if any(calls < 0 for calls in found.values()) else found


def percentile(calls: Histogram, percent: float) -> float | None:
    """Return the microseconds that this share of the calls did not exceed; None if there were no calls."""
    wanted = sum(calls.values()) * percent / 100
    found: float | None = None
    for bound in sorted(bound for bound, count in calls.items() if count):
        lower = bound // 2
        found = lower + (bound - lower) * min(1.0, wanted / calls[bound])
        if wanted <= calls[bound]:
            break
        wanted -= calls[bound]
    return found
