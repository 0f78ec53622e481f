"""The clock: read once a tick, and tied to Trio's."""

import time

import trio
import trio.testing

from broker.process.clock import Clock, TrioClock
from tests.broker.sessions import make_broker, make_session, run


def test_now_stands_still_until_updated() -> None:
    clock = Clock()
    before = clock.now
    time.sleep(0.005)
    assert clock.now == before
    assert clock.update() == clock.now > before


def test_reading_does_not_move_now() -> None:
    clock = Clock()
    before = clock.now
    time.sleep(0.005)
    assert clock.read() > before == clock.now


def test_units() -> None:
    clock, before = Clock(), time.time()
    assert before - 1 < clock.read() / 1000 < time.time() + 1
    assert before - 1 < clock.microseconds() / 1_000_000 < time.time() + 1


def test_a_clock_of_another_kind() -> None:
    """Compiled or not, code that knows Clock calls what a class derived from it has in its place."""

    class SteppingClock(Clock):
        def update(self) -> int:
            self.now += 7
            return self.now

        def stopwatch(self) -> float:  # type: ignore[override]
            return self.now / 1000

    clock = SteppingClock()
    broker = make_broker(clock)
    session = make_session(broker)
    assert session.created == 7
    assert clock.update() == broker.keyspace.clock.now == 14
    assert broker.executor.now() == 0.014
    assert run(session, "TIME", "SET a 1 PXAT 15", "PTTL a", "EXPIRETIME a").endswith(b"+OK\r\n:1\r\n:0\r\n")


async def test_a_wall_time_on_trios_clock() -> None:
    clock, before = Clock(), trio.current_time()
    in_a_second = clock.trio_deadline(clock.read() + 1000)
    assert before + 0.9 < in_a_second < trio.current_time() + 1.1


async def test_trio_clock_jumps_with_trio(autojump_clock: trio.testing.MockClock) -> None:
    clock = TrioClock(epoch_ms=1_000_000)
    start = clock.now
    await trio.sleep(3600)
    assert clock.now == start
    assert clock.update() == start + 3_600_000
    assert clock.microseconds() == clock.now * 1000
    assert clock.trio_deadline(clock.now + 500) == trio.current_time() + 0.5
