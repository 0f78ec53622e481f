"""The observer: which commands are noticed, with which times, and how runs of them are told apart."""

import pytest

from broker.broker import Broker
from broker.clients.session import Session
from tests.broker.sessions import StoppedClock, make_broker, make_session, make_slow, run


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def broker(clock: StoppedClock) -> Broker:
    return make_broker(clock)


@pytest.fixture
def session(broker: Broker) -> Session:
    return make_session(broker)


@pytest.fixture(autouse=True)
def slow(broker: Broker, clock: StoppedClock) -> None:
    """ECHO (a fast command) and LRANGE take as many milliseconds as their last argument says."""
    make_slow(broker, clock, b"echo", b"lrange", per_second=1000)


def logged(broker: Broker) -> list[tuple[str, int]]:
    """The slow log, oldest first: the request, and its milliseconds."""
    entries = reversed(broker.slowlog.entries)
    return [(b" ".join(entry.args).decode(), round(entry.amount / 1000)) for entry in entries]


def test_slow_commands_are_noticed_wherever_they_run(broker: Broker, session: Session) -> None:
    script = b"redis.call('ECHO', '30') return redis.call('ECHO', '1')"
    run(session, "ECHO 20", "GET a", "eCHO 25", "MULTI", "ECHO 40", "ECHO 1", "EXEC", [b"EVAL", script, b"0"])
    assert logged(broker) == [
        ("ECHO 20", 20), ("eCHO 25", 25), ("ECHO 40", 40), ("ECHO 30", 30), (f"EVAL {script.decode()} 0", 31),
    ]  # fmt: skip
    assert broker.slowlog.entries[1].peer == b"" and broker.slowlog.entries[0].peer == b"127.0.0.1:1"


def test_a_run_of_fast_commands_that_is_slow_together_is_not_slow(broker: Broker, session: Session) -> None:
    run(session, *["ECHO 2"] * 3)
    run(session, *["ECHO 2"] * 20)
    assert logged(broker) == []


def test_in_a_run_the_longest_request_is_charged_with_what_is_beyond_the_usual(
    broker: Broker, session: Session
) -> None:
    run(session, *["ECHO 1"] * 10)
    run(session, "ECHO 1", "ECHO 1.00000", "ECHO 30", "ECHO 1", "GET a")
    assert logged(broker) == [("ECHO 1.00000", 30)]
    run(session, "ECHO 20", "ECHO 20", "eCHO 1")
    assert logged(broker)[1:] == [("ECHO 20", 20), ("ECHO 20", 20)]


def test_what_may_be_slow_is_timed_by_itself(broker: Broker, session: Session) -> None:
    run(session, "LRANGE l 0 3", "LRANGE l 0 12", "LRANGE l 0 1", "LRANGE l 0 15")
    assert logged(broker) == [("LRANGE l 0 12", 12), ("LRANGE l 0 15", 15)]
    found = broker.commands.by_name[b"lrange"]
    assert (found.calls, round(found.seconds, 6)) == (4, 0.031)


def test_a_low_threshold_makes_all_times_exact(broker: Broker, session: Session) -> None:
    broker.config.set([(b"slowlog-log-slower-than", b"3000")])
    run(session, "ECHO 1", "ECHO 1.00000", "ECHO 4", "ECHO 1", "ECHO 3")
    assert logged(broker) == [("ECHO 4", 4), ("ECHO 3", 3)]
    broker.config.set([(b"slowlog-log-slower-than", b"10000")])
    assert not broker.commands.by_name[b"echo"].timed_alone
    broker.config.set([(b"latency-monitor-threshold", b"1")])
    assert broker.commands.by_name[b"echo"].timed_alone


def test_a_threshold_of_zero_notices_what_took_no_time(broker: Broker, session: Session) -> None:
    broker.config.set([(b"slowlog-log-slower-than", b"0")])
    run(session, "GET a", "GET b", "GET c")
    assert logged(broker) == [("GET a", 0), ("GET b", 0), ("GET c", 0)]
    broker.config.set([(b"slowlog-log-slower-than", b"-1")])
    run(session, "ECHO 1000")
    assert len(logged(broker)) == 3


def test_a_waiting_command_is_noticed_when_it_is_answered(broker: Broker, session: Session) -> None:
    broker.config.set([(b"slowlog-log-slower-than", b"0")])
    other = make_session(broker)
    run(session, "BLPOP l 0")
    assert logged(broker) == []
    run(other, "RPUSH l x")
    assert logged(broker) == [("RPUSH l x", 0), ("BLPOP l 0", 0)]
    run(session, "XREAD BLOCK 0 STREAMS s $")
    run(other, "XADD s 1-1 f v")
    assert logged(broker)[-1] == ("XREAD BLOCK 0 STREAMS s $", 0)


def test_spikes_are_fast_commands_or_others(broker: Broker, session: Session) -> None:
    broker.config.set([(b"latency-monitor-threshold", b"10")])
    run(session, "ECHO 11", "LRANGE l 0 9", "LRANGE l 0 25")
    assert {name: spikes.worst for name, spikes in broker.latency.events.items()} == {"fast-command": 11, "command": 25}
    assert not broker.slowlog.total.count - 2


def test_secrets_are_not_logged(broker: Broker, session: Session) -> None:
    broker.config.set([(b"slowlog-log-slower-than", b"0")])
    run(session, "AUTH secret", "CONFIG SET requirepass secret")
    assert [args for args, _ in logged(broker)] == ["AUTH (redacted)", "CONFIG SET requirepass (redacted)"]


def test_histograms_are_kept_unless_turned_off(broker: Broker, session: Session) -> None:
    echo = broker.commands.by_name[b"echo"]
    run(session, "ECHO 4", "ECHO 2", "eCHO 8")
    assert echo.histogram is not None and echo.histogram.calls == 3
    assert echo.histogram.percentile(50.0) // 10_000 == 301 and echo.histogram.percentile(100.0) // 10_000 == 802
    broker.config.set([(b"latency-tracking", b"no")])
    run(session, "ECHO 4")
    assert echo.histogram.calls == 3
    run(session, "CONFIG RESETSTAT")
    assert echo.histogram is None
