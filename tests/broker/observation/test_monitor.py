"""Monitors: what they are shown, of whom, and in which form."""

import re

import pytest

from broker.broker import Broker
from broker.clients.session import BROKER_STATE, MONITORING, Session
from broker.observation.monitor import Monitors
from tests.broker.sessions import make_broker, make_session, run, taken


@pytest.fixture
def broker() -> Broker:
    return make_broker()


@pytest.fixture
def session(broker: Broker) -> Session:
    return make_session(broker)


@pytest.fixture
def monitor(broker: Broker) -> Session:
    found = make_session(broker)
    broker.start_monitoring(found)
    return found


def seen(monitor: Session) -> list[str]:
    """The lines that the monitor has got, without their times."""
    lines = taken(monitor).decode().split("\r\n")[:-1]
    assert all(re.match(r"\+\d{10}\.\d{6} \[", line) for line in lines), lines
    return [line.split(" ", 1)[1] for line in lines]


def test_requests_are_shown_with_their_database_and_address(session: Session, monitor: Session) -> None:
    run(session, "set a 1", "SELECT 3", "GET a", "get")
    assert seen(monitor) == [
        '[0 127.0.0.1:1] "set" "a" "1"', '[3 127.0.0.1:1] "SELECT" "3"', '[3 127.0.0.1:1] "GET" "a"',
    ]  # fmt: skip


def test_administrators_and_secrets_are_not_shown(session: Session, monitor: Session) -> None:
    run(session, "CONFIG GET port", "AUTH secret", "MULTI", "CONFIG SET requirepass secret", "DISCARD")
    assert seen(monitor) == [
        '[0 127.0.0.1:1] "AUTH" "(redacted)"', '[0 127.0.0.1:1] "MULTI"', '[0 127.0.0.1:1] "DISCARD"',
    ]  # fmt: skip


def test_a_script_is_shown_before_its_calls_a_transaction_after_its_commands(
    session: Session, monitor: Session
) -> None:
    run(session, [b"EVAL", b"return redis.call('get', 'a')", b"0"], "MULTI", "GET a", "EXEC")
    assert seen(monitor) == [
        '[0 127.0.0.1:1] "EVAL" "return redis.call(\'get\', \'a\')" "0"', '[0 lua] "get" "a"',
        '[0 127.0.0.1:1] "MULTI"', '[0 127.0.0.1:1] "GET" "a"', '[0 127.0.0.1:1] "EXEC"',
    ]  # fmt: skip


def test_a_waiting_command_is_shown_once(broker: Broker, session: Session, monitor: Session) -> None:
    other = make_session(broker)
    run(session, "BLPOP l 0")
    run(other, "RPUSH l x")
    assert seen(monitor) == ['[0 127.0.0.1:1] "BLPOP" "l" "0"', '[0 127.0.0.1:1] "RPUSH" "l" "x"']


def test_arguments_are_escaped(session: Session, monitor: Session) -> None:
    run(session, [b"ECHO", bytes(range(256))])
    (line,) = seen(monitor)
    shown = line.split('"ECHO" ')[1]
    assert shown.startswith('"\\x00\\x01\\x02\\x03\\x04\\x05\\x06\\a\\b\\t\\n\\x0b\\x0c\\r\\x0e')
    assert ' !\\"#$' in shown and "[\\\\]" in shown and shown.endswith('}~\\x7f' + "".join(
        f"\\x{byte:02x}" for byte in range(128, 256)
    ) + '"')  # fmt: skip


def test_a_unix_socket_has_its_path_as_address(broker: Broker, session: Session, monitor: Session) -> None:
    session.transport.peer = lambda: b"/tmp/a:b.sock:0"  # type: ignore[method-assign]
    run(session, "PING")
    assert seen(monitor) == ['[0 unix:/tmp/a:b.sock] "PING"']


def test_while_nobody_monitors_requests_take_the_short_path(broker: Broker, session: Session) -> None:
    assert session.flags == 0
    first, second = make_session(broker), make_session(broker)
    broker.start_monitoring(first)
    broker.start_monitoring(second)
    assert session.flags == BROKER_STATE == broker.session_flags()
    broker.stop_monitoring(first)
    broker.stop_monitoring(first)
    assert session.flags == BROKER_STATE and not first.flags & MONITORING
    broker.close_session(second)
    assert session.flags == 0 == broker.session_flags() and not broker.monitors.sessions


def test_a_client_that_never_monitored_can_be_removed(broker: Broker, session: Session) -> None:
    Monitors(broker.clock).remove(session)
    assert session.flags == 0
