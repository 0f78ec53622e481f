"""Positions as scores: known values, the grid, and scores that stand for no position."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values.geo.geohash import (
    LATITUDE_MAX,
    LATITUDE_MIN,
    STEP_MAX,
    Cell,
    cell_of,
    position_of,
    score_of,
    text_of,
)

longitudes = st.floats(-180, 180)
latitudes = st.floats(LATITUDE_MIN, LATITUDE_MAX)


@pytest.mark.parametrize(
    ("longitude", "latitude", "score", "text"),
    [
        (13.361389, 38.115556, 3479099956230698, b"sqc8b49rny0"),
        (15.087269, 37.502669, 3479447370796909, b"sqdtr74hyu0"),
        (-180.0, LATITUDE_MIN, 0, b"00bh0hbj200"),
        (0.0, 0.0, 3 << 50, b"s0000000000"),
    ],
)
def test_known_positions(longitude: float, latitude: float, score: int, text: bytes) -> None:
    assert score_of(longitude, latitude) == score
    assert text_of(*position_of(score)) == text


def test_the_upper_limits_lie_outside_of_the_grid() -> None:
    assert cell_of(180.0, LATITUDE_MAX) == Cell(1 << 26, 1 << 26, 26)
    assert score_of(180.0, LATITUDE_MAX) == 3 << 52
    assert position_of(3 << 52) == (180.0, LATITUDE_MAX)


@given(longitudes, latitudes)
def test_a_position_comes_back_within_its_cell(longitude: float, latitude: float) -> None:
    east, north = position_of(score_of(longitude, latitude))
    assert abs(east - longitude) <= 360 / 2**STEP_MAX
    assert abs(north - latitude) <= 180 / 2**STEP_MAX


@given(longitudes, latitudes, st.integers(1, STEP_MAX))
def test_the_scores_of_a_cell_are_those_of_its_positions(longitude: float, latitude: float, step: int) -> None:
    low, high = cell_of(longitude, latitude, step).scores()
    assert low <= score_of(longitude, latitude) < high
    assert high - low == 1 << 2 * (STEP_MAX - step)


@given(longitudes, latitudes, st.integers(1, STEP_MAX))
def test_a_cell_surrounds_its_positions(longitude: float, latitude: float, step: int) -> None:
    cell = cell_of(longitude, latitude, step)
    assert cell.west - 1e-9 <= longitude <= cell.east + 1e-9
    assert cell.south - 1e-9 <= latitude <= cell.north + 1e-9


def test_neighbours_go_round() -> None:
    cell = Cell(0, 7, 3)
    assert cell.neighbour(-1, 1) == Cell(7, 0, 3)
    assert cell.neighbour(1, -1) == Cell(1, 6, 3)
    assert cell.neighbour(0, 1) == Cell(0, 0, 3)
    # Only the coordinate that changes comes back into the grid.
    assert Cell(8, 8, 3).neighbour(0, 1) == Cell(8, 1, 3)


@given(st.floats(allow_nan=False))
def test_any_score_stands_for_some_position(score: float) -> None:
    longitude, latitude = position_of(score)
    assert -180 <= longitude <= 180
    assert LATITUDE_MIN <= latitude <= LATITUDE_MAX
    assert len(text_of(longitude, latitude)) == 11


@pytest.mark.parametrize("score", [math.inf, -math.inf, 2.0**64, 1e300, -0.5, -(2.0**63)])
def test_scores_out_of_range_are_converted_as_in_c(score: float) -> None:
    expected = 1 << 63 if score <= -(2.0**63) else 0
    assert position_of(score) == position_of(float(expected))
