"""An event's latest spikes as a picture of characters: one column each, four rows high, as LATENCY GRAPH draws it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

WIDTH: Final = 80
ROWS: Final = 4

_LEVELS: Final = "_o#"  # within a row, from the bottom
_BELOW: Final = "|"  # under the row in which a column ends

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def graph(event: str, samples: Sequence[tuple[int, int]], worst: int, now: int) -> str:
    """The picture of (second, milliseconds), with how long ago each was under it; `worst` is the longest ever."""
    shown = samples[-WIDTH:]
    heights = [milliseconds for _, milliseconds in shown]
    high, low = max(heights), min(heights)
    steps = len(_LEVELS) * ROWS
    reach = [min(steps - 1, (height - low) * steps // ((high - low) or 1)) for height in heights]
    rows = ["".join(_cell(step, row) for step in reach) for row in range(ROWS)]
    ages = zip_longest(*(_age(now - second) for second, _ in shown), fillvalue=" ")
    title = f"{event} - high {high} ms, low {low} ms (all time high {worst} ms)"
    return "\n".join([title, "-" * WIDTH, *rows, " " * len(shown), *map("".join, ages)]) + "\n"


def _cell(step: int, row: int) -> str:
    level = step - (ROWS - 1 - row) * len(_LEVELS)
    if level < 0:
        return " "
    return _LEVELS[level] if level < len(_LEVELS) else _BELOW


def _age(seconds: int) -> str:
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return "0s"
