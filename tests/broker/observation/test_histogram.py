"""Histograms: percentiles are those of the times recorded, to within a counter's range, and equal to Redis's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.observation.histogram import LONGEST, Histogram, highest, lowest, place_of

US = 1e-6


def of(*seconds: float) -> Histogram:
    histogram = Histogram()
    for time in seconds:
        histogram.record(time, 1)
    return histogram


# What redis-server 8.10.2 prints for calls of so many microseconds.
@pytest.mark.parametrize(
    ("microseconds", "shown"),
    [(0, 0.001), (1, 1.003), (2, 2.007), (3, 3.007), (8, 8.031), (53, 53.247), (57, 57.087), (145, 145.407),
     (407, 407.551), (5_080, 5_111.807), (5_014_000, 1_002_438.655)],
)  # fmt: skip
def test_percentiles_are_redis_s(microseconds: int, shown: float) -> None:
    histogram = of(microseconds * US + 1e-10)
    assert [histogram.percentile(percent) / 1000 for percent in (50.0, 99.9, 100.0)] == [shown] * 3


def test_percentiles_of_several() -> None:
    histogram = of(*[1 * US] * 90, *[100 * US] * 9, 5000 * US)
    found = [histogram.percentile(percent) for percent in (0.0, 50.0, 90.0, 90.6, 99.0, 99.4, 99.5, 100.0)]
    assert found[:3] == [lowest(place_of(1000)), highest(place_of(1000)), highest(place_of(1000))]
    assert found[3:6] == [highest(place_of(100_000))] * 3
    assert found[6:] == [highest(place_of(5_000_000))] * 2


def test_many_calls_at_once() -> None:
    histogram = Histogram()
    histogram.record(2 * US, 1000)
    histogram.record(9 * US, 1)
    assert histogram.calls == 1001
    assert histogram.cumulative() == [(2, 1000), (16, 1001)]


def test_cumulative_counts_have_redis_s_levels() -> None:
    histogram = of(*(2.0**exponent * US for exponent in range(24)))
    levels = [microseconds for microseconds, _ in histogram.cumulative()]
    assert levels == [
        1, 2, 4, 8, 16, 33, 66, 132, 264, 528, 1056, 2113, 4227, 8454, 16908, 33816, 67633, 135266, 270532, 541065,
        1073741,
    ]  # fmt: skip
    assert histogram.cumulative()[-1] == (1073741, 24)


def test_nothing_recorded() -> None:
    assert Histogram().cumulative() == []
    assert Histogram().percentile(50.0) == 0


def test_a_clock_that_went_back_counts_as_no_time() -> None:
    assert of(-1.0).percentile(100.0) == 1


@given(st.integers(1, LONGEST))
def test_a_counter_counts_times_within_one_percent(nanoseconds: int) -> None:
    place = place_of(nanoseconds)
    assert lowest(place) <= nanoseconds <= highest(place)
    assert highest(place) - lowest(place) <= nanoseconds / 100
    assert place_of(lowest(place)) == place_of(highest(place)) == place
    histogram = Histogram()
    histogram.record(nanoseconds / 1e9 + 1e-13, 1)
    assert histogram.counts[place] == 1


@given(st.lists(st.integers(1, LONGEST), min_size=1, max_size=50), st.floats(0.1, 100))
def test_a_percentile_is_that_of_the_sorted_times(times: list[int], percent: float) -> None:
    histogram = of(*(time / 1e9 + 1e-13 for time in times))
    wanted = sorted(times)[max(1, int(percent / 100 * len(times) + 0.5)) - 1]
    assert histogram.percentile(percent) == highest(place_of(wanted))
