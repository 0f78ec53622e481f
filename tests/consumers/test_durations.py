"""Durations as text."""

import pytest

from consumers.durations import age


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (9.94, "9.9s"), (59.9, "59s"), (60, "1m0s"), (3599, "59m59s"), (3661, "1h1m"), (90061, "1d1h")],
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text
