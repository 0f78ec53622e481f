"""The last minutes of queues."""

from typing import Any

import pytest

from consumers.console.queues import rates as module
from consumers.console.queues.library import Figures
from consumers.console.queues.rates import Past, Rates


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def past(clock: Clock) -> Past:
    return Past(clock)


def read(waiting: int, **more: Any) -> list[Figures]:
    return [Figures(library="x", name="q", waiting=waiting, **more)]


def test_rates_are_averages_of_the_last_minute(clock: Clock, past: Past) -> None:
    assert past.rates("x", "q") == Rates()
    past.note(read(100, added=1000, finished=900))
    assert past.rates("x", "q") == Rates()
    clock.now += 4
    past.note(read(102, added=1010, finished=908))
    # too early to tell a change by the minute
    assert past.rates("x", "q") == Rates(2.5, 2.0, None)
    clock.now += 6
    past.note(read(90, added=1010, finished=920))
    assert past.rates("x", "q") == Rates(1.0, 2.0, -60.0)
    clock.now += 55
    past.note(read(90, added=1061, finished=971))
    assert past.rates("x", "q") == Rates(51 / 55, 51 / 55, 0.0)


def test_readings_may_be_rarer_than_that(clock: Clock, past: Past) -> None:
    past.note(read(0, added=0, finished=0))
    clock.now += 100
    past.note(read(50, added=100, finished=50))
    assert past.rates("x", "q") == Rates(1.0, 0.5, 30.0)


def test_what_is_not_counted_has_no_rate(clock: Clock, past: Past) -> None:
    for waiting in (5, 25):
        past.note(read(waiting))
        clock.now += 20
    assert past.rates("x", "q") == Rates(None, None, 60.0)
    sample = past.samples("x", "q")[1]
    assert sample == {"time": 1020.0, "waiting": 25, "running": None, "added": None, "finished": None}


def test_a_counter_that_begins_again_is_no_negative_rate(clock: Clock, past: Past) -> None:
    for added in (500, 3, 9):
        past.note(read(1, added=added, finished=added, running=2))
        clock.now += 2
    assert past.rates("x", "q").added is None
    assert [one["added"] for one in past.samples("x", "q")] == [None, None, 3.0]
    assert [one["running"] for one in past.samples("x", "q", after=1000.0)] == [2, 2]


def test_readings_that_are_close_to_each_other_count_once(clock: Clock, past: Past) -> None:
    for seconds in (0.0, 0.5, 0.6):
        clock.now += seconds
        past.note(read(1))
    assert [one["time"] for one in past.samples("x", "q")] == [1000.0, 1001.1]


def test_what_is_kept_is_limited(clock: Clock, past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(700):
        past.note(read(1))
        clock.now += 2
    assert len(past.samples("x", "q")) == 301
    monkeypatch.setattr(module, "MOST", 2)
    past.note(Figures(library="x", name=name, waiting=1) for name in ("a", "b", "q"))
    assert len(past.samples("x", "a")) == 1 and past.samples("x", "b") == []
    clock.now += 601
    past.note([])
    assert past.samples("x", "a") == past.samples("x", "q") == []
