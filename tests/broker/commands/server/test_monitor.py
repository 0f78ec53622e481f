"""MONITOR: who may, what a monitor may do besides, and how it ends."""

import pytest
import trio
import trio.testing

from broker.broker import Broker
from broker.clients.session import MONITORING, Session
from broker.process.clock import TrioClock
from protocol.replies import OK
from tests.broker.inprocess import running
from tests.broker.sessions import make_broker, make_session, run, taken


@pytest.fixture
def broker() -> Broker:
    return make_broker()


@pytest.fixture
def session(broker: Broker) -> Session:
    found = make_session(broker)
    assert run(found, "MONITOR") == OK
    return found


def test_a_second_monitor_command_has_no_reply(session: Session) -> None:
    assert run(session, "MONITOR") == b""


def test_keys_are_out_of_reach(session: Session) -> None:
    refusal = b"-ERR Replica can't interact with the keyspace\r\n"
    assert run(session, "GET a", "SET a 1", "PUBLISH c m") == refusal * 3
    assert run(session, "PING").startswith(b"+PONG\r\n+")


def test_reset_ends_it(broker: Broker, session: Session) -> None:
    assert run(session, "RESET", "GET a") == b"+RESET\r\n$-1\r\n"
    assert not session.flags and not broker.monitors.sessions


def test_not_where_a_client_must_not_wait(broker: Broker) -> None:
    other = make_session(broker)
    assert b"-ERR MONITOR isn't allowed for DENY BLOCKING client\r\n" in run(other, "MULTI", "MONITOR", "EXEC")
    assert not other.flags & MONITORING


def test_replies_off_are_off_for_a_monitor(broker: Broker, session: Session) -> None:
    run(session, "CLIENT REPLY OFF")
    run(make_session(broker), "PING")
    assert taken(session) == b""


def test_its_letter_in_client_list(session: Session) -> None:
    assert b" flags=O " in run(session, "CLIENT INFO")


async def test_a_monitor_is_not_idle_and_may_disconnect(autojump_clock: trio.testing.MockClock) -> None:
    async with running({"timeout": "1"}, TrioClock()) as broker:
        monitor, other = await broker.client(), await broker.client()
        assert await monitor.call("MONITOR") == OK
        await trio.sleep(10)
        assert await other.receive() == b""
        other = await broker.client()
        await other.call("PING")
        assert b'"PING"' in await monitor.receive()
        await monitor.stream.aclose()
        while broker.broker.monitors.sessions:
            await other.call("PING")
        assert all(not session.flags for session in broker.broker.sessions.values())
