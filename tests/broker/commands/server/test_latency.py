"""LATENCY's subcommands; spikes, graphs and histograms themselves are tests/broker/observation's."""

import pytest

from broker.broker import Broker
from broker.clients.session import Session
from tests.broker.sessions import StoppedClock, make_broker, make_session, run


@pytest.fixture
def broker() -> Broker:
    return make_broker(StoppedClock(), latency_monitor_threshold=10)


@pytest.fixture
def session(broker: Broker) -> Session:
    return make_session(broker)


@pytest.fixture(autouse=True)
def spikes(broker: Broker) -> None:
    for event, milliseconds in (("fork", 20), ("command", 70), ("command", 50)):
        broker.latency.add(event, milliseconds)


def test_latest(broker: Broker, session: Session) -> None:
    second = broker.clock.read() // 1000
    expected = b"*2\r\n*4\r\n$4\r\nfork\r\n:%d\r\n:20\r\n:20\r\n*4\r\n$7\r\ncommand\r\n:%d\r\n:70\r\n:70\r\n"
    assert run(session, "LATENCY LATEST") == expected % (second, second)


def test_history(broker: Broker, session: Session) -> None:
    assert run(session, "LATENCY HISTORY fork") == b"*1\r\n*2\r\n:%d\r\n:20\r\n" % (broker.clock.read() // 1000)
    assert run(session, "LATENCY HISTORY forks") == b"*0\r\n"


def test_reset(session: Session) -> None:
    assert run(session, "LATENCY RESET fork nothing", "LATENCY RESET", "LATENCY LATEST") == b":1\r\n:1\r\n*0\r\n"


def test_graph_and_doctor(session: Session) -> None:
    assert b"fork - high 20 ms, low 20 ms (all time high 20 ms)\n" in run(session, "LATENCY GRAPH fork")
    assert run(session, "LATENCY GRAPH x\xff") == "-ERR No samples available for event 'x\xff'\r\n".encode()
    assert b"2. command: 1 latency spikes" in run(session, "LATENCY DOCTOR")


def test_histogram(session: Session) -> None:
    run(session, "GET a", "GET b", "CONFIG GET port")
    get = b"$3\r\nget\r\n*4\r\n$5\r\ncalls\r\n:2\r\n$14\r\nhistogram_usec\r\n*2\r\n:1\r\n:2\r\n"
    of_config = b"$10\r\nconfig|get\r\n*4\r\n$5\r\ncalls\r\n:1\r\n$14\r\nhistogram_usec\r\n*2\r\n:1\r\n:1\r\n"
    for names, found in (
        ("GET", [get]),
        ("nosuch set", []),
        ("config get", [of_config, get]),
        ("Config|GET config|nosuch a|b|c", [of_config]),
    ):
        assert run(session, f"LATENCY HISTOGRAM {names}") == b"*%d\r\n" % (2 * len(found)) + b"".join(found)
    assert get in run(session, "LATENCY HISTOGRAM")
    run(session, "HELLO 3")
    assert run(session, "LATENCY HISTOGRAM get") == b"%1\r\n" + get.replace(b"*4", b"%2").replace(b"*2", b"%1")


def test_help(session: Session) -> None:
    assert b"GRAPH <event>" in run(session, "LATENCY HELP")
