"""Timers: called on time, in order, once; cancelled ones are forgotten."""

from collections.abc import AsyncIterator
from functools import partial

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from broker.process.timers import Deadlines


@pytest.fixture
def defects() -> list[Exception]:
    return []


@pytest.fixture
def brackets() -> list[str]:
    """What was called before and after timers."""
    return []


@pytest.fixture
async def deadlines(nursery: trio.Nursery, defects: list[Exception], brackets: list[str]) -> AsyncIterator[Deadlines]:
    """A set of timers with its task running."""
    running = Deadlines(defects.append)
    nursery.start_soon(running.run, lambda: brackets.append("before"), lambda: brackets.append("after"))
    await trio.testing.wait_all_tasks_blocked()
    yield running


async def test_timers_are_called_in_the_order_of_their_times(deadlines: Deadlines, autojump_clock: MockClock) -> None:
    called: list[tuple[int, float]] = []
    for milliseconds in (300, 100, 200, 100):
        deadlines.after(milliseconds, lambda n=milliseconds: called.append((n, trio.current_time())))  # type: ignore[misc]
    start = trio.current_time()
    await trio.sleep(1)
    assert called == [(n, start + n / 1000) for n in (100, 100, 200, 300)]


async def test_timers_of_one_time_are_called_as_they_were_set(deadlines: Deadlines, autojump_clock: MockClock) -> None:
    called: list[int] = []
    for number in range(5):
        deadlines.at(10.0, partial(called.append, number))
    await trio.sleep(11)
    assert called == [0, 1, 2, 3, 4]


async def test_an_earlier_timer_moves_the_alarm(deadlines: Deadlines, autojump_clock: MockClock) -> None:
    called: list[str] = []
    deadlines.after(10_000, lambda: called.append("late"))
    await trio.testing.wait_all_tasks_blocked()
    deadlines.after(10, lambda: called.append("early"))
    await trio.sleep(0.02)
    assert called == ["early"]


async def test_a_cancelled_timer_is_not_called(deadlines: Deadlines, autojump_clock: MockClock) -> None:
    called: list[int] = []
    timers = [deadlines.after(10, partial(called.append, number)) for number in range(3)]
    timers[1].cancel()
    timers[1].cancel()
    await trio.sleep(1)
    assert called == [0, 2]
    timers[0].cancel()


async def test_an_action_may_set_and_cancel_timers(deadlines: Deadlines, autojump_clock: MockClock) -> None:
    called: list[str] = []
    victim = deadlines.after(20, lambda: called.append("cancelled"))

    def first() -> None:
        called.append("first")
        victim.cancel()
        deadlines.after(5, lambda: called.append("second"))

    deadlines.after(10, first)
    await trio.sleep(1)
    assert called == ["first", "second"]


async def test_a_batch_is_bracketed(deadlines: Deadlines, brackets: list[str], autojump_clock: MockClock) -> None:
    for _ in range(2):
        deadlines.at(5.0, lambda: brackets.append("action"))
    await trio.sleep(6)
    assert brackets == ["before", "action", "action", "after"]


async def test_a_defect_costs_its_own_timer(
    deadlines: Deadlines, defects: list[Exception], autojump_clock: MockClock
) -> None:
    called: list[str] = []
    defect = RuntimeError("broken")

    def broken() -> None:
        raise defect

    deadlines.at(5.0, broken)
    deadlines.at(5.0, lambda: called.append("action"))
    await trio.sleep(6)
    assert called == ["action"] and defects == [defect]


async def test_cancelled_timers_do_not_pile_up(deadlines: Deadlines, autojump_clock: MockClock) -> None:
    called: list[str] = []
    deadlines.after(3_600_000, lambda: called.append("kept"))
    for _ in range(10_000):
        deadlines.after(3_600_000, lambda: called.append("dropped")).cancel()
    assert len(deadlines._heap) < 200
    await trio.sleep(3601)
    assert called == ["kept"]
