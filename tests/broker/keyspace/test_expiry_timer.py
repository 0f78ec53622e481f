"""The timer of the earliest deadline: set when it moves forward, set again when it has come."""

import pytest
import trio
from trio.testing import MockClock

from broker.keyspace.expiry_timer import ExpiryTimer
from broker.process.clock import TrioClock
from broker.process.timers import Deadlines
from broker.values.deadline_queue import NEVER
from tests.broker.keyspace.keyspaces import failing


class Keys:
    """Deadlines that go as soon as a batch of timers begins."""

    def __init__(self, clock: TrioClock) -> None:
        self.clock = clock
        self.deadlines: list[int] = []
        self.woken: list[float] = []
        self.timers = Deadlines(failing)
        self.timer = ExpiryTimer(self.timers, clock, lambda: min(self.deadlines, default=NEVER))

    def expire_after(self, milliseconds: int) -> None:
        self.deadlines.append(self.clock.read() + milliseconds)
        self.timer.moved()

    def remove_due(self) -> None:
        self.woken.append(trio.current_time())
        self.deadlines = [deadline for deadline in self.deadlines if deadline >= self.clock.read()]


@pytest.fixture
async def keys(nursery: trio.Nursery, autojump_clock: MockClock) -> Keys:
    made = Keys(TrioClock())
    nursery.start_soon(made.timers.run, made.remove_due, lambda: None)
    return made


async def test_it_wakes_for_each_deadline(keys: Keys) -> None:
    keys.timer.start()
    for milliseconds in (300, 100, 200, 100):
        keys.expire_after(milliseconds)
    await trio.sleep(1)
    # Where the sum of two times falls just short of a whole millisecond, nothing is due yet, and it wakes again.
    assert 3 <= len(keys.woken) <= 6 and not keys.deadlines


async def test_nothing_is_set_before_it_starts(keys: Keys) -> None:
    keys.expire_after(100)
    await trio.sleep(1)
    assert keys.woken == []
    keys.timer.start()
    await trio.sleep(1)
    assert len(keys.woken) == 1


def test_it_may_be_told_where_trio_does_not_run() -> None:
    ExpiryTimer(Deadlines(failing), TrioClock.__new__(TrioClock), lambda: 5).moved()
