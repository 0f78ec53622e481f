"""Charts of samples that go on while one looks: what templates/charts.html draws, and charts.js fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Chart", "Line", "Unit"]


class Unit(StrEnum):
    """How a chart's numbers are written."""

    COUNT = "count"
    BYTES = "bytes"
    PERCENT = "percent"
    MICROSECONDS = "microseconds"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart. field: of the samples. label: what the legend says; a chart of one line has no legend."""

    field: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """lines: at most three, so many can be told apart without their colours. logarithmic: from 1 upwards.

    key: by which the page is told why there is no chart.
    """

    title: str
    unit: Unit
    lines: Sequence[Line]
    logarithmic: bool = False
    key: str = ""
