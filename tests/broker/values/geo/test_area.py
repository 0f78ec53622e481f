"""Distances and areas: that a search's ranges of scores miss no member that lies within."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values.geo.area import EARTH_RADIUS, Area, Box, Circle, distance
from broker.values.geo.geohash import LATITUDE_MAX, LATITUDE_MIN, position_of, score_of

positions = st.tuples(st.floats(-180, 180), st.floats(LATITUDE_MIN, LATITUDE_MAX))


def test_distances() -> None:
    assert distance(1.0, 2.0, 1.0, 2.0) == 0
    assert distance(0.0, 0.0, 180.0, 0.0) == pytest.approx(math.pi * EARTH_RADIUS)
    assert distance(0.0, -45.0, 0.0, 45.0) == pytest.approx(math.pi / 2 * EARTH_RADIUS)
    palermo, catania = (position_of(score) for score in (3479099956230698, 3479447370796909))
    assert distance(*palermo, *catania) == 166274.15156960033


@given(positions, positions)
def test_a_distance_is_symmetric_and_at_most_half_the_circumference(
    one: tuple[float, float], other: tuple[float, float]
) -> None:
    there, back = distance(*one, *other), distance(*other, *one)
    assert 0 <= there <= math.pi * EARTH_RADIUS * (1 + 1e-9)
    assert there == pytest.approx(back, rel=1e-6, abs=1e-6)


def test_a_circle_includes_its_edge() -> None:
    metres = distance(0.0, 0.0, 1.0, 0.0)
    assert Circle((0.0, 0.0), metres, 1.0).within((1.0, 0.0)) == metres
    assert Circle((0.0, 0.0), metres / 1000 * 0.999, 1000.0).within((1.0, 0.0)) is None


def test_a_box_is_as_wide_at_each_latitude() -> None:
    box = Box((0.0, 60.0), 200.0, 400.0, 1000.0)
    assert box.within((0.0, 61.5)) == pytest.approx(166840, rel=1e-3)
    assert box.within((0.0, 62.0)) is None
    assert box.within((1.7, 60.0)) is not None
    assert box.within((2.0, 60.0)) is None
    assert box.within((1.7, 58.5)) is not None
    assert box.within((1.85, 58.5)) is None


def _areas(rng: random.Random) -> list[Area]:
    # Away from the antimeridian and the poles, where Redis's search has its gaps.
    centre = rng.uniform(-60, 60), rng.uniform(-60, 60)
    size = 10 ** rng.uniform(-2, 6.3)
    return [Circle(centre, size, 1.0), Box(centre, size, size * rng.uniform(0.1, 2), 1.0)]


def test_the_ranges_hold_all_that_lies_within() -> None:
    rng = random.Random(1)
    for _ in range(300):
        for area in _areas(rng):
            ranges = area.score_ranges()
            assert 1 <= len(ranges) <= 9
            degrees = max(area.reach()) / 111_000
            for _ in range(20):
                longitude = area.centre[0] + rng.uniform(-degrees, degrees)
                latitude = area.centre[1] + rng.uniform(-degrees, degrees) / 2
                score = score_of(longitude, latitude)
                if area.within(position_of(score)) is not None:
                    assert any(low <= score < high for low, high in ranges)


def test_a_small_area_takes_a_small_part_of_the_scores() -> None:
    ranges = Circle((15.0, 37.0), 100.0, 1.0).score_ranges()
    assert sum(high - low for low, high in ranges) < 2**52 / 10**8


@pytest.mark.parametrize("size", [0.0, 1e-300, 1e300, math.inf])
@given(centre=positions)
def test_any_size_has_its_ranges(size: float, centre: tuple[float, float]) -> None:
    for area in (Circle(centre, size, 1609.34), Box(centre, size, 1.0, 1000.0), Box(centre, 1.0, size, 0.3048)):
        ranges = area.score_ranges()
        assert ranges and all(low < high for low, high in ranges)


def test_no_range_comes_twice() -> None:
    rng = random.Random(2)
    for _ in range(300):
        centre = rng.choice([-180.0, -90.0, 0.0, 180.0]), rng.choice([LATITUDE_MIN, 0.0, 85.0, LATITUDE_MAX])
        ranges = Circle(centre, 10 ** rng.uniform(0, 8), 1.0).score_ranges()
        assert len(set(ranges)) == len(ranges)
