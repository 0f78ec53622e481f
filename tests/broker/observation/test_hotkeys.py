"""Measurements by key: what they attribute to which, for how long, and that they cost nothing otherwise."""

import trio
import trio.testing

from broker.broker import Broker
from broker.clients.session import BROKER_STATE
from broker.observation.hotkeys import COUNTERS, Hottest, Options
from tests.broker.sessions import StoppedClock, make_broker, make_session, run

BOTH = Options(cpu=True, net=True, most=10, sample=1, seconds=None)


def by_bytes(broker: Broker) -> list[tuple[bytes, int]]:
    measurement = broker.hotkeys.measurement
    assert measurement is not None and measurement.by_bytes is not None
    return measurement.by_bytes.keys()


def test_the_hottest_keys_are_sorted() -> None:
    hottest = Hottest(3)
    for i in range(100):
        hottest.add(b"%d" % i, i)
    assert hottest.keys() == [(b"99", 99), (b"98", 98), (b"97", 97)]
    hottest.add(b"0", 200)
    assert hottest.keys() == [(b"0", 200), (b"99", 99), (b"98", 98)]


def test_a_hot_key_is_found_among_any_number_of_others() -> None:
    hottest = Hottest(2)
    for i in range(COUNTERS * 5):
        hottest.add(b"cold %d" % i, 1)
        if not i % 10:
            hottest.add(b"hot", 10)
    (name, total), *_ = hottest.keys()
    assert name == b"hot" and COUNTERS * 5 - 20 <= total <= COUNTERS * 5
    assert len(hottest._sums) <= COUNTERS


def test_what_costs_nothing_is_not_listed() -> None:
    hottest = Hottest(2)
    hottest.add(b"a", 0)
    assert hottest.keys() == []


def test_time_is_divided_among_a_requests_keys() -> None:
    clock = StoppedClock()
    broker = make_broker(clock)
    session = make_session(broker)
    broker.hotkeys.start(BOTH)
    slow = broker.commands.by_name[b"mset"]
    broker.hotkeys.executed(session, slow, [b"MSET", b"a", b"1", b"b", b"2"], b"+OK\r\n", 0.0010009)
    measurement = broker.hotkeys.measurement
    assert measurement is not None and measurement.by_time is not None
    assert measurement.microseconds == 1000 and sorted(measurement.by_time.keys()) == [(b"a", 500), (b"b", 500)]


def test_in_a_transaction_a_command_costs_what_it_does_alone() -> None:
    broker = make_broker()
    session = make_session(broker)
    run(session, "HOTKEYS START METRICS 1 NET", "MULTI", "SET a 1", "GET b", "EXEC")
    assert by_bytes(broker) == [(b"a", 32), (b"b", 25)]


def test_only_a_sample_is_attributed_but_everything_is_summed() -> None:
    broker = make_broker()
    session = make_session(broker)
    broker.hotkeys.start(Options(cpu=False, net=True, most=10, sample=2, seconds=None))
    run(session, *["GET a"] * 1000)
    measurement = broker.hotkeys.measurement
    assert measurement is not None and measurement.bytes == 25_000
    assert 5_000 < measurement.bytes_counted < 20_000
    assert by_bytes(broker) == [(b"a", measurement.bytes_counted)]


def test_while_nothing_is_measured_requests_take_the_short_path() -> None:
    broker = make_broker()
    session = make_session(broker)
    run(session, "HOTKEYS START METRICS 1 NET")
    assert session.flags == BROKER_STATE == broker.session_flags()
    run(session, "GET a", "HOTKEYS STOP")
    assert session.flags == 0 == broker.session_flags()
    run(session, "GET b")
    assert by_bytes(broker) == [(b"a", 25)]


def test_a_new_measurement_forgets_the_last() -> None:
    broker = make_broker()
    session = make_session(broker)
    run(session, "HOTKEYS START METRICS 1 NET", "GET a", "HOTKEYS STOP", "HOTKEYS START METRICS 1 NET", "GET b")
    assert by_bytes(broker) == [(b"b", 25)]


async def test_a_measurement_ends_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    broker = make_broker()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker.deadlines.run, lambda: None, lambda: None)
        broker.hotkeys.start(BOTH._replace(seconds=5))
        await trio.sleep(4)
        assert broker.hotkeys.active
        await trio.sleep(2)
        assert not broker.hotkeys.active and broker.session_flags() == 0
        broker.hotkeys.start(BOTH._replace(seconds=5))
        broker.hotkeys.stop()
        broker.hotkeys.start(BOTH)
        await trio.sleep(10)
        assert broker.hotkeys.active
        nursery.cancel_scope.cancel()
